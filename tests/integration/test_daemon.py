"""`python -m agent run` as a process: signals, exit codes, what is left on the disk, what it says and imports."""

import asyncio
import contextlib
import fcntl
import json
import os
import random
import re
import signal
import socket
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.foundation.disk import Disk
from agent.foundation.shutdown import STOP_S_MAX
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox.protocol import Lane, OutboxLimits
from agent.telemetry.outbox.store import open_outbox
from lab.refcloud import faults
from tests.integration.conftest import KEY, WAIT_S, Cloud, until

EXIT_WITHIN_S = STOP_S_MAX
"""After it the agent would end itself."""
ROOT = Path(__file__).parents[2]
SENSOR_KEY = "sk_sensor_secretsecret"


class Daemon:
    """One state directory, and the process that works on it."""

    def __init__(self, directory: Path, url: str, log: str = "log") -> None:
        self._log_file = directory / log
        self.directory = directory
        self.state = directory / "state"
        self.socket = directory / "run" / "status.sock"
        self.config = directory / "config.toml"
        key_file, sensor_keys = directory / "api-key", directory / "sensor-keys.toml"
        for path, text in ((key_file, KEY), (sensor_keys, f'T9 = "{SENSOR_KEY}"\n')):
            path.write_text(text)
            path.chmod(0o600)
        self.config.write_text(
            f'[cloud]\nbase_url = "{url}"\napi_key_file = "{key_file}"\nbatch_linger_s = 0\n'
            "[port]\nlisten = []\n"
            f'[storage]\nstate_dir = "{self.state}"\nrun_dir = "{directory}/run"\ncommit_interval_s = 0.1\n'
            "[board.sim]\nsensors_count = 12\nreport_interval_s = 1\n"
            f'[clock]\ntrust = "system"\n[log]\nlevel = "debug"\n'
            f'[relayed_sensors]\nsensor_keys_file = "{sensor_keys}"\n'
        )
        self.process: asyncio.subprocess.Process
        self.log = ""

    async def start(self, *arguments: str) -> None:
        """Start the process; `wait` reads its log, from a file: a pipe that nobody reads would block it."""
        options = ("run", "--config", str(self.config))
        with self._log_file.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, "-m", "agent", *options, cwd=ROOT, stderr=log
            )

    async def start_on(self, troubled_machine: str) -> None:
        """Start the process on a machine in trouble: Python text that is run before the agent."""
        start = "import sys; from agent.__main__ import main; sys.argv[0] = 'climahub'; main()"
        options = ("run", "--config", str(self.config))
        with self._log_file.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", f"{troubled_machine}\n{start}", *options, cwd=ROOT, stderr=log
            )

    async def wait(self) -> int:
        """Return the exit code."""
        async with asyncio.timeout(WAIT_S):
            code = await self.process.wait()
        self.log = self._log_file.read_text()
        return code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return the exit code and how long that took, in seconds."""
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        self.process.send_signal(number)
        code = await self.wait()
        return code, loop.time() - asked_s

    async def status(self) -> Any:  # noqa: ANN401 - JSON
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket))) as session,
            session.get("http://hub/v1/status") as response,
        ):
            assert response.status == 200
            assert response.content_type == "application/json"
            return await response.json()

    async def ready(self) -> None:
        """Wait until it answers and has something on the disk."""
        async with asyncio.timeout(WAIT_S):
            while True:
                assert self.process.returncode is None
                try:
                    status = await self.status()
                except (aiohttp.ClientError, OSError):
                    status = None
                if status is not None and status["outbox"]["committed"]:
                    return
                await asyncio.sleep(0.02)

    async def kept(self) -> list[tuple[str, int, float]]:
        """What the outbox still holds that has a time, as (kind, utc_ms, value)."""
        outbox, aside = await open_outbox(
            self.state, boot_id="stranger", limits=OutboxLimits(2**40, 0, 100), worker=InlineWorker(), disk=Disk()
        )
        assert aside is None
        found = []
        while items := await outbox.claim(Lane.BACKLOG, 100):
            found += [(item.kind.value, item.utc_ms, item.value) for item in items]
        assert await outbox.gaps() == []
        await outbox.close()
        return found


def is_key_refused(cloud: Cloud) -> bool:
    """Return whether the key was refused at any endpoint: after three of them the others wait for the next probe."""
    return 401 in {outcome.answered for _, _, outcome in cloud.requests}


@pytest.fixture
async def daemon(tmp_path: Path, cloud: Cloud) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path, cloud.url)
    yield made
    if getattr(made, "process", None) is not None and made.process.returncode is None:
        made.process.kill()
        await made.process.wait()


async def test_daemon_serves_and_ends_on_sigterm(daemon: Daemon, cloud: Cloud) -> None:
    await daemon.start()
    await daemon.ready()
    await until(lambda: cloud.accepted)
    status = await daemon.status()
    assert status["board"] == "sim"
    assert status["clock"]["synchronised"]
    assert status["outbox"]["problem"] == ""
    assert len(status["sensors"]) >= 7
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o660
    code, took_s = await daemon.stop()
    assert code == 0
    assert took_s < EXIT_WITHIN_S
    assert "stopped" in daemon.log
    assert "Traceback" not in daemon.log


async def test_ctrl_c_ends_the_daemon(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.ready()
    code, took_s = await daemon.stop(signal.SIGINT)
    assert code == 0
    assert took_s < EXIT_WITHIN_S


async def test_sighup_reloads_keys_without_ending_the_daemon(daemon: Daemon, cloud: Cloud) -> None:
    key_file = daemon.directory / "api-key"
    key_file.write_text("cs_dev_" + "x" * 32)
    await daemon.start()
    await daemon.ready()
    await until(lambda: is_key_refused(cloud))
    key_file.write_text(KEY)
    daemon.process.send_signal(signal.SIGHUP)
    await until(lambda: cloud.accepted)
    code, _ = await daemon.stop()
    assert code == 0
    assert "were read again" in daemon.log


async def test_closed_terminal_ends_the_daemon_in_order(daemon: Daemon, cloud: Cloud) -> None:
    await cloud.down()
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "agent", "run", "--config", str(daemon.config)]
    # A session of its own, whose terminal this becomes: what a login does.
    make = "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    make += "; os.execv(sys.argv[1], sys.argv[1:])"
    daemon.process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", make, *command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    await daemon.ready()
    os.close(ours)
    async with asyncio.timeout(WAIT_S):
        assert await daemon.process.wait() == 0
    assert await daemon.kept()


async def test_closed_log_pipe_is_harmless(daemon: Daemon, cloud: Cloud) -> None:
    await cloud.down()
    ours, theirs = os.pipe()
    options = ("run", "--config", str(daemon.config))
    daemon.process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *options, cwd=ROOT, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    await daemon.ready()
    os.close(ours)
    before = (await daemon.status())["outbox"]["committed"]
    committed = before
    while committed <= before:
        committed = (await daemon.status())["outbox"]["committed"]
    daemon.process.terminate()
    async with asyncio.timeout(WAIT_S):
        assert await daemon.process.wait() == 0
    assert await daemon.kept()


async def test_blocked_log_output_blocks_nothing(daemon: Daemon, cloud: Cloud) -> None:
    await cloud.down()
    ours, theirs = os.pipe()
    # Full before the first line comes.
    os.write(theirs, bytes(fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)))
    options = ("run", "--config", str(daemon.config))
    daemon.process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *options, cwd=ROOT, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    await daemon.ready()
    daemon.process.terminate()
    async with asyncio.timeout(WAIT_S):
        assert await daemon.process.wait() == 0
    os.close(ours)
    assert await daemon.kept()


async def test_stop_is_quick_while_the_cloud_hangs_and_a_client_is_connected(daemon: Daemon, cloud: Cloud) -> None:
    cloud.faults(faults.FaultRule(faults.LatencyUp(min_s=60, max_s=60)))
    await daemon.start()
    await daemon.ready()
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: hub\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    code, took_s = await daemon.stop()
    assert code == 0
    assert took_s < EXIT_WITHIN_S
    writer.close()
    cloud.faults()


NO_NAME_SERVER_ANSWERS = """
import socket, time
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
"""

A_SYNC_TAKES_5_S = """
import contextlib, os, pathlib, time
from agent.foundation.database import Database
is_slow = pathlib.Path({flag!r}).exists
os.fsync = lambda _: time.sleep(5 if is_slow() else 0)
committed = Database.transaction
@contextlib.contextmanager
def transaction(self, connection):
    with committed(self, connection):
        yield
    if is_slow() and connection.execute("PRAGMA synchronous").fetchone()[0] == 2:
        time.sleep(5)
Database.transaction = transaction
"""


async def test_stop_is_quick_while_no_name_server_answers(daemon: Daemon) -> None:
    text = daemon.config.read_text()
    daemon.config.write_text(re.sub('base_url = ".*"', 'base_url = "https://cloud.example"', text))
    await daemon.start_on(NO_NAME_SERVER_ANSWERS)
    await daemon.ready()
    code, took_s = await daemon.stop()
    assert code == 0
    assert took_s < EXIT_WITHIN_S
    assert daemon.log.rstrip().endswith("stopped")


@pytest.mark.slow
async def test_stop_takes_at_most_5_s_on_a_slow_disk_and_loses_nothing(daemon: Daemon) -> None:
    text = daemon.config.read_text()
    text = re.sub('base_url = ".*"', 'base_url = "http://127.0.0.1:1"', text)
    daemon.config.write_text(text.replace("commit_interval_s = 0.1", "commit_interval_s = 1"))
    flag = daemon.directory / "slow"
    await daemon.start_on(A_SYNC_TAKES_5_S.format(flag=str(flag)))
    await daemon.ready()
    flag.touch()
    waiting = 0
    while not waiting:
        outbox = (await daemon.status())["outbox"]
        waiting = outbox["in_memory"]
    code, took_s = await daemon.stop()
    assert code == 0
    assert took_s < 5.0
    with contextlib.closing(sqlite3.connect(daemon.state / "outbox.db")) as database:
        (kept,) = database.execute("SELECT sum(readings) FROM blobs").fetchone()
    assert kept >= outbox["committed"] + waiting


async def test_sigterm_loses_nothing(daemon: Daemon, cloud: Cloud) -> None:
    await cloud.down()
    await daemon.start()
    await daemon.ready()
    sampled = {
        (sensor["kind"], sensor["value"])
        for sensor in (await daemon.status())["sensors"]
        if not sensor["device"] and sensor["quality"] != "bad" and sensor["value"] is not None
    }
    await daemon.stop()
    kept = await daemon.kept()
    assert sampled
    assert sampled <= {(kind, value) for kind, _, value in kept}
    await cloud.up()
    await daemon.start()
    await daemon.ready()
    await until(lambda: set(kept) <= {(reading.sensor_type, reading.at_ms, reading.value) for reading in cloud.stored})
    await daemon.stop()
    stored = {(reading.sensor_type, reading.at_ms, reading.value) for reading in cloud.stored}
    assert set(kept) <= stored | set(await daemon.kept())
    assert set(kept) <= stored


@pytest.mark.slow
async def test_kill_9_at_any_moment_loses_nothing_committed(daemon: Daemon, cloud: Cloud) -> None:
    rng = random.Random(os.urandom(8))
    committed: set[tuple[str, int, float]] = set()
    for life in range(5):
        await (cloud.down() if life % 2 else asyncio.sleep(0))
        await daemon.start()
        await daemon.ready()
        await asyncio.sleep(rng.uniform(0.0, 0.4))
        daemon.process.kill()
        assert await daemon.wait() == -signal.SIGKILL
        await (cloud.up() if life % 2 else asyncio.sleep(0))
        stored = {(reading.sensor_type, reading.at_ms, reading.value) for reading in cloud.stored}
        known = stored | set(await daemon.kept())
        assert committed <= known
        assert len(known) > len(committed)
        committed = known
    assert daemon.socket.exists()
    await daemon.start()
    await daemon.ready()
    await until(lambda: len({(r.sensor_type, r.at_ms, r.value) for r in cloud.stored} - committed) > 0)
    status = await daemon.status()
    assert status["faults"] == []
    code, _ = await daemon.stop()
    assert code == 0
    stored = {(reading.sensor_type, reading.at_ms, reading.value) for reading in cloud.stored}
    assert committed <= stored | set(await daemon.kept())
    keys = [(reading.device_id, reading.sensor_type, reading.at_ms) for reading in cloud.stored]
    assert len(keys) == len(set(keys))


async def test_end_of_the_process_is_recorded(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.ready()
    daemon.process.kill()
    await daemon.wait()
    (daemon.directory / "run" / "last-end.json").write_text('{"result":"watchdog","code":"killed","status":"ABRT"}')
    await daemon.start()
    await daemon.ready()
    assert [start["end"] for start in (await daemon.status())["starts"]] == ["running", "watchdog"]
    assert (await daemon.stop())[0] == 0
    await daemon.start()
    await daemon.ready()
    now, stopped, hung = (await daemon.status())["starts"]
    assert [now["end"], stopped["end"], hung["end"]] == ["running", "stopped", "watchdog"]
    assert now["began"]
    assert now["boot_reason"]


async def test_second_daemon_is_refused(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.ready()
    second = Daemon(daemon.directory, "http://127.0.0.1:1", "log of the second")
    await second.start()
    assert await second.wait() == 75
    assert "systemctl stop climahub" in second.log
    assert "Traceback" not in second.log
    assert (await daemon.status())["board"] == "sim"


async def test_a_stale_socket_is_replaced(daemon: Daemon) -> None:
    daemon.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(daemon.socket))
    await daemon.start()
    await daemon.ready()
    assert (await daemon.stop())[0] == 0


async def test_a_bad_configuration_is_refused_with_all_its_errors(daemon: Daemon) -> None:
    daemon.config.write_text('[cloud]\nbase_urll = "x"\n[storage]\ncommit_interval_s = -1\n[log]\nlevel = "loud"\n')
    await daemon.start()
    assert await daemon.wait() == 78
    for part in ("base_urll", "base_url", "commit_interval_s", "level", str(daemon.config)):
        assert part in daemon.log
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("content", ["no key", "cs_dev_" + "x" * 31, ""])
async def test_a_bad_key_file_is_refused_without_repeating_it(daemon: Daemon, content: str) -> None:
    (daemon.directory / "api-key").write_text(content)
    await daemon.start()
    assert await daemon.wait() == 78
    assert "api-key" in daemon.log
    assert not content or content not in daemon.log


async def test_hub_without_keys_measures_heats_and_reports_the_missing_key(daemon: Daemon) -> None:
    (daemon.directory / "api-key").unlink()
    (daemon.directory / "sensor-keys.toml").unlink()
    await daemon.start()
    await daemon.ready()
    status = await daemon.status()
    assert status["link"]["state"] == "unprovisioned"
    assert (await daemon.stop())[0] == 0
    for name in ("api-key", "sensor-keys.toml"):
        assert f"{daemon.directory / name}: the secret is missing; put it there" in daemon.log


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_bad_ca_file_is_a_configuration_error_that_names_it(daemon: Daemon, content: str | None) -> None:
    ca_file = daemon.directory / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    text = daemon.config.read_text().replace("[cloud]", f'[cloud]\nca_file = "{ca_file}"')
    daemon.config.write_text(text)
    await daemon.start()
    assert await daemon.wait() == 78
    assert "ca_file" in daemon.log
    assert "Traceback" not in daemon.log


async def test_directory_that_cannot_be_created_is_reported(daemon: Daemon) -> None:
    daemon.state.write_text("a file stands where the directory should")
    await daemon.start()
    assert await daemon.wait() == 73
    assert "storage.state_dir" in daemon.log
    assert str(daemon.state) in daemon.log


async def test_no_secret_appears_in_any_output(daemon: Daemon, cloud: Cloud) -> None:
    cloud.reference.admin.replace_key(cloud.hub_id)
    await daemon.start()
    await daemon.ready()
    await until(lambda: is_key_refused(cloud))
    status = json.dumps(await daemon.status())
    await daemon.stop()
    told = daemon.log + status
    assert "401" in told
    for secret in (KEY, KEY.removeprefix("cs_dev_"), SENSOR_KEY):
        assert secret not in told


async def test_daemon_imports_neither_the_command_line_nor_the_simulation(daemon: Daemon) -> None:
    await daemon.start("-X", "importtime")
    await daemon.ready()
    await daemon.stop()
    imported = set(re.findall(r"^import time:.*\|\s+([\w.]+)$", daemon.log, re.MULTILINE))
    assert {"agent.daemon", "agent.app", "aiohttp"} <= imported
    roots = {name.split(".")[0] for name in imported}
    assert not roots & {"click", "rich", "async_solipsism", "pytest", "hypothesis"}
    packages = {".".join(name.split(".")[:2]) for name in imported}
    assert not packages & {"agent.cli", "lab.simulation", "lab.refcloud"}
