"""`climahub doctor` with a real hub: alive, with a changed file, with a repair, and dead."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Cloud
from tests.integration.test_daemon import Daemon


@pytest.fixture
async def hub(tmp_path: Path, cloud: Cloud) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path, cloud.url)
    await made.start()
    await made.ready()
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.wait()


async def doctor(hub: Daemon, *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "doctor", "--config", str(hub.config), *options, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def findings(hub: Daemon, *groups: str) -> dict[str, Any]:
    _, said = await doctor(hub, "--json", *groups)
    report = json.loads(said)
    return {each["name"]: each for each in report["checks"]}


async def test_doctor_on_a_working_hub(hub: Daemon) -> None:
    found = await findings(hub)
    for name in ("hub-agent", "hub-configuration", "hub-configuration-in-force", "hub-secrets", "network-http",
                 "network-key", "sensors-silent", "hub-stores", "machine-clock"):  # fmt: skip
        assert found[name]["outcome"] == "pass", found[name]
    text = json.dumps(found)
    assert "cs_dev_" not in text
    assert "sk_sensor_" not in text


async def test_the_verdict_stands_above_the_checks(hub: Daemon) -> None:
    _, said = await doctor(hub)
    assert "Cloud " in said.partition("\n\n")[0]


async def test_doctor_reports_a_configuration_changed_since_the_start(hub: Daemon) -> None:
    hub.config.write_text(f"{hub.config.read_text()}[commands]\npending_max = 7\n")
    code, said = await doctor(hub, "hub")
    assert "WARN    hub-configuration-in-force" in said
    assert "\x1b" not in said, "no colours in a pipe"
    assert code in {1, 4}


async def test_doctor_repairs_at_the_hub(hub: Daemon) -> None:
    aside = hub.state / "settings.json.corrupt-1"
    aside.write_text("{")
    assert (await findings(hub, "hub"))["hub-stores"]["outcome"] == "warn"
    code, said = await doctor(hub, "hub", "--fix", "--yes")
    assert code == 0
    assert "rebuild-stores: Writes settings" in said
    assert "done: written anew: settings" in said
    assert aside.exists(), "what removes something is left to a person"


async def test_doctor_on_a_dead_hub(hub: Daemon) -> None:
    hub.process.kill()
    await hub.wait()
    code, said = await doctor(hub)
    assert code == 1
    assert "FAIL    hub-agent: the hub has stopped: no process listens on" in said
    found = await findings(hub)
    assert found["network-http"]["outcome"] == "pass"
    assert found["hub-state-directory"]["outcome"] == "pass"
    assert found["heating-frost"]["fact"].startswith("the hub has stopped")
