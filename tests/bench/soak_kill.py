"""kill -9 at random moments while readings and commands flow between a real hub and the reference cloud. Prints JSON.

After each kill the dead hub's outbox is read as a stranger would: what it holds has to be at the cloud in the end, once
and unaltered. In the end every command has its outcome, the hub has restarted once for each acknowledged reboot, and
the settings are those of the last acknowledged config_update.

python tests/bench/soak_kill.py [--count N] [--seed N] [--output FILE]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox.protocol import Lane, OutboxLimits
from agent.telemetry.outbox.store import open_outbox
from hal.sim import SimOptions
from lab.refcloud.admin import NewCommand, NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.records import CloudCommand, CommandState, DeviceKind
from lab.refcloud.store import MemoryStore

SENSORS = 15
LIFE_S = (1.0, 6.0)
COMMAND_PERIOD_S = 4.0
"""Fifteen commands a minute: half of what the quota lets a hub acknowledge."""

WEIGHTS = (8, 8, 3, 1, 2)
"""Few reboots: after each the hub waits a minute for its quotas, since a boot does not know what the last one used."""

CALM_S_MAX = 600.0
"""Without kills at the end: the reboots that are left, with the waits for their quotas, and the last batches."""

Key = tuple[str, str, int]


class Soak:
    """One campaign."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._rng = random.Random(seed)
        self._store = MemoryStore()
        self._cloud = ReferenceCloud(
            utc_ms=lambda: time.time_ns() // 1_000_000,
            monotonic_s=time.monotonic,
            rng=random.Random(seed),
            new_id=lambda: str(uuid.uuid4()),
            store=self._store,
        )
        self._hub_id = ""
        self._device_ids: dict[str, str] = {}
        self._promised: dict[Key, float] = {}
        self._orders: list[str] = []
        self.kills = 0

    async def run(self, count: int) -> dict[str, object]:
        runner = web.AppRunner(self._cloud.application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        configuration = self._configure(f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            operator = asyncio.create_task(self._operate())
            for _ in range(count):
                await self._live_and_die(configuration)
            operator.cancel()
            process = await self._start(configuration)
            is_settled = await _until(self._is_settled, CALM_S_MAX)
            process.terminate()
            await process.wait()
        finally:
            await runner.cleanup()
        return self._verdict(is_settled=is_settled)

    def _configure(self, base_url: str) -> Path:
        made = self._cloud.admin.provision(NewDevice(name="hub"))
        self._hub_id = made.device.device_id
        self._device_ids[""] = self._hub_id
        lines = []
        for sensor in SimOptions(seed=1, start_utc_ms=0, sensors_count=SENSORS).relayed:
            relayed = self._cloud.admin.provision(NewDevice(name=sensor.device, kind=DeviceKind.SENSOR))
            self._device_ids[sensor.device] = relayed.device.device_id
            lines.append(f'"{sensor.device}" = "{relayed.api_key}"\n')
        for name, text in (("key", made.api_key), ("sensor-keys.toml", "".join(lines))):
            (self._directory / name).write_text(text)
            (self._directory / name).chmod(0o600)
        path = self._directory / "config.toml"
        path.write_text(
            f'[cloud]\nbase_url = "{base_url}"\napi_key_file = "key"\n'
            "commands_poll_interval_s = 3\ncommands_idle_poll_interval_s = 3\n"
            "batch_linger_s = 1\nrequest_timeout_s = 5\n"
            f"[board.sim]\nsensors_count = {SENSORS}\nreport_interval_s = 1\n"
            '[relayed_sensors]\nsensor_keys_file = "sensor-keys.toml"\n'
            "[port]\nlisten = []\n"
            '[storage]\nstate_dir = "state"\nrun_dir = "run"\ncommit_interval_s = 0.3\ndisk_free_bytes_min = 0\n'
            '[clock]\ntrust = "system"\n[log]\nlevel = "error"\n'
        )
        return path

    async def _start(self, configuration: Path) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "agent", "run", "--config", str(configuration))
        return await asyncio.create_subprocess_exec(*command, env=dict(os.environ))

    async def _live_and_die(self, configuration: Path) -> None:
        process = await self._start(configuration)
        # Every other hub dies at some time after its start, which a busy machine spends on starting it, the others
        # while they work.
        if self.kills % 2:
            await _until(self._answers, CALM_S_MAX)
        await asyncio.sleep(self._rng.uniform(*LIFE_S))
        process.kill()
        await process.wait()
        self.kills += 1
        await self._read_what_is_left()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as hub:
            return hub.connect_ex(str(self._directory / "run" / "status.sock")) == 0

    async def _read_what_is_left(self) -> None:
        """Note what the dead hub's outbox holds, from a copy of its files."""
        with tempfile.TemporaryDirectory() as name:
            for path in (self._directory / "state").glob("outbox.db*"):
                shutil.copy(path, name)
            outbox, _ = await open_outbox(
                Path(name), boot_id="audit", limits=OutboxLimits(2**40, 0, 2**30), worker=InlineWorker(), disk=Disk()
            )
            while items := await outbox.claim(Lane.BACKLOG, 100):
                for item in items:
                    self._promised[self._device_ids[item.device], item.kind.value, item.utc_ms] = item.value
            await outbox.close()

    async def _operate(self) -> None:
        while True:
            kinds: list[tuple[str, dict[str, object]]] = [
                ("diagnostics", {"sections": ["memory", "outbox"]}),
                ("config_update", {"reporting_interval_seconds": self._rng.randrange(60, 3600)}),
                ("config_update", {"timezone": "Mars/Olympus"}),
                ("reboot", {"delay_seconds": self._rng.randrange(2)}),
                ("factory_reset", {}),
            ]
            ((type_, payload),) = self._rng.choices(kinds, WEIGHTS)
            command = self._cloud.admin.queue_command(self._hub_id, NewCommand(type=type_, payload=payload))
            self._orders.append(command.command_id)
            await asyncio.sleep(self._rng.expovariate(1 / COMMAND_PERIOD_S))

    def _commands(self) -> list[CloudCommand]:
        found = (self._store.get(CloudCommand, command_id) for command_id in self._orders)
        return [command for command in found if command is not None]

    def _is_settled(self) -> bool:
        return not self._lost() and all(command.state is not CommandState.PENDING for command in self._commands())

    def _lost(self) -> list[Key]:
        stored: dict[Key, float] = {}
        after = None
        while True:
            page = self._cloud.admin.readings(after=after)
            stored |= {(each.device_id, each.sensor_type, each.at_ms): each.value for each in page.readings}
            after = page.after
            if after is None:
                return [key for key, value in self._promised.items() if stored.get(key) != value]

    def _verdict(self, *, is_settled: bool) -> dict[str, object]:
        commands = self._commands()
        acked = [command for command in commands if command.state is CommandState.ACKED]
        boots = self._directory / "state" / "simulated-boots.json"
        restarts = json.loads(boots.read_text())["number"] if boots.exists() else 0
        updates = [command.command_id for command in acked if command.type == "config_update"]
        settings = json.loads((self._directory / "state" / "settings.json").read_text())
        reboots = sum(command.type == "reboot" for command in acked)
        valid = sum(
            command.type in {"diagnostics", "reboot"}
            or (command.type == "config_update" and "timezone" not in (command.payload or {}))
            for command in commands
        )
        tallies = self._cloud.admin.tallies().values()
        return {
            "kills": self.kills,
            "is_settled": is_settled,
            "commands": len(commands),
            "acked": len(acked),
            "failed": sum(command.state is CommandState.FAILED for command in commands),
            "unsettled": sum(command.state is CommandState.PENDING for command in commands),
            "acked_as_expected": len(acked) == valid,
            "reboots_acked": reboots,
            "restarts": restarts,
            "is_last_update_in_force": not updates or settings["applied"] == updates[-1],
            "readings_promised": len(self._promised),
            "readings_lost": len(self._lost()),
            "readings_stored": sum(tally.stored for tally in tallies),
            "readings_conflicting": sum(tally.conflicting for tally in tallies),
            "passed": is_settled
            and len(acked) == valid
            and restarts == reboots
            and not self._lost()
            and not sum(tally.conflicting for tally in tallies),
        }


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.5)
            return True
    return False


def soak(count: int, seed: int) -> dict[str, object]:
    """Run a campaign of ``count`` kills and return its verdict."""
    with tempfile.TemporaryDirectory(prefix="climahub-soak-") as directory:
        return asyncio.run(Soak(Path(directory), seed).run(count))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    verdict = soak(options.count, options.seed)
    text = json.dumps(verdict, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    return 0 if verdict["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
