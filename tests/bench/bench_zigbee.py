"""The hub's radio under load: 100 sensors, 10 reports a second. Prints JSON; exit 1 where a report is lost or late.

Three processes, so that each one's processor time and memory are its own: the emulated stick, `climahub run` with that
stick as its radio, and this one, which pairs the sensors, gives the orders and is the cloud. Reach: none lost, each
sensor's order kept, at most 1 ms of the hub's processor time for a report, at most 72 MiB RSS.

python tests/bench/bench_zigbee.py [--count N] [--sensors N] [--per-second N] [--output FILE]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec
import service
from aiohttp import web

from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.state_files import StateFiles
from hal.radio import RadioState
from hal.zigbee import RadioContext, RadioOptions, ZigbeeNetwork
from hal.zigbee.options import FILE_BYTES_MAX
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, EndpointQuota
from lab.refcloud.records import AcceptedReading, DeviceKind

SLICE_S = 30
"""What one of `--count` lasts: `make soak` cuts its campaigns by a count. 20 of them are ten minutes."""

PATIENCE_S = 180.0
SETTLING_S = 15.0
"""Before the measurement begins: imports, the first requests."""

FIRST_C = 10.0
STEP_C = 0.5
VALUES = 50
"""Each sensor counts up through so many temperatures and down again: a jump would be judged implausible."""

STICK = "from lab.cli.ncp import ncp; ncp()"
PROGRAM = (sys.executable, "-m", "agent", "run", "--config")


class Cloud:
    """A reference cloud on loopback, and the temperatures it was given, by device."""

    def __init__(self) -> None:
        self.temperatures: dict[str, list[AcceptedReading]] = defaultdict(list)
        self.reference = ReferenceCloud(
            utc_ms=lambda: time.time_ns() // 1_000_000,
            monotonic_s=time.monotonic,
            rng=random.Random(1),
            new_id=lambda: str(uuid.uuid4()),
            quotas=dict.fromkeys(QUOTAS, EndpointQuota(limit=100_000, window_s=60)),
            on_readings=self._note,
        )

    def _note(self, _: str, readings: Sequence[AcceptedReading]) -> None:
        for reading in readings:
            if reading.sensor_type == "temperature":
                self.temperatures[reading.device_id].append(reading)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        runner = web.AppRunner(self.reference.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class Orders:
    """The control socket of the stick."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def open(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self._path.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.05)
        self._reader, self._writer = await asyncio.open_unix_connection(self._path)

    async def give(self, order: str) -> None:
        self._writer.write(order.encode() + b"\n")
        answer = await self._reader.readline()
        if b'"ok":true' not in answer:
            raise RuntimeError(f"{order}: {answer.decode()}")


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - another thread or process makes it true
            await asyncio.sleep(0.02)


async def paired(directory: Path, orders: Orders, sensors: int) -> Sequence[str]:
    """Pair all sensors in this process; return their devices, by number."""
    clock = SystemClock(trust_wall_clock=True)
    files = StateFiles(directory / "state", Disk(), bytes_max=FILE_BYTES_MAX)
    options = RadioOptions(port=str(directory / "port"), channel=15, report_interval_s_min=0)
    network = ZigbeeNetwork(options, RadioContext(files, clock.monotonic_ms, clock.boot_id))
    devices: list[str] = []
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen(network))
        await until(lambda: network.radio.state is RadioState.UP)
        for number in range(sensors):
            if number % 50 == 0:
                await network.open_join_window(254)
            before = {sensor.device for sensor in network.sensors}
            await orders.give(f"press s{number}")
            await until(lambda: {sensor.device for sensor in network.sensors} - before)  # noqa: B023 - awaited in the loop
            devices += {sensor.device for sensor in network.sensors} - before
        await until(lambda: all(known.is_configured for known in network._registry.devices()))
        listening.cancel()
    await network.close()
    return devices


async def listen(network: ZigbeeNetwork) -> None:
    while True:
        await network.receive()


async def registered(cloud: Cloud, url: str, key: str, devices: Sequence[str], state: Path) -> Sequence[str]:
    """Give each sensor its identity, as the hub would at ten a minute; return the cloud's names for them."""
    identities = {}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for device in devices:
            sensor_key = cloud.reference.admin.provision(NewDevice(name=device, kind=DeviceKind.SENSOR)).api_key
            body = {"sensor_api_key": sensor_key, "ieee_address": device}
            async with session.post(f"{url}/v1/zigbee/register", json=body) as response:
                response.raise_for_status()
                identities[device] = {"sensor_id": (await response.json())["sensor_id"], "serial_number": ""}
    (state / "relayed.json").write_bytes(msgspec.json.encode(identities))
    return [identities[device]["sensor_id"] for device in devices]


def configuration(directory: Path, url: str) -> Path:
    path = directory / "config.toml"
    path.write_text(
        '[board]\nname = "linux"\n[commands]\nreboot = "simulated"\n'
        f'[cloud]\nbase_url = "{url}"\napi_key_file = "{directory}/key"\nbatch_linger_s = 10\n'
        f'[port]\nport = 0\n[storage]\nstate_dir = "{directory}/state"\nrun_dir = "{directory}/run"\n'
        f'[zigbee]\nport = "{directory}/port"\nreport_interval_s_min = 0\n'
        '[clock]\ntrust = "system"\n[log]\nlevel = "warning"\n'
    )
    return path


def cpu_s(pid: int) -> float:
    """Return the processor time of a process (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, name: str) -> float:
    """Return a size from /proc/PID/status in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def nth_value(number: int) -> float:
    """Return what a sensor measures at its report of this number."""
    return FIRST_C + abs((number + VALUES) % (2 * VALUES) - VALUES) * STEP_C


async def measure(directory: Path, options: argparse.Namespace) -> dict[str, object]:
    sensors, per_second = options.sensors, options.per_second
    (directory / "house.toml").write_text(
        "".join(f'[[device]]\nname = "s{number}"\nmodel = "climate"\nlatency_s = 0\n' for number in range(sensors))
    )
    (directory / "state").mkdir()
    cloud = Cloud()
    names = (("--pty", "port"), ("--devices", "house.toml"), ("--control", "orders"))
    arguments = [f"{option}={directory / name}" for option, name in names]
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(cloud.serving())
        key = cloud.reference.admin.provision(NewDevice(name="hub")).api_key
        (directory / "key").write_text(key)
        (directory / "key").chmod(0o600)
        await stack.enter_async_context(process(sys.executable, "-c", STICK, *arguments))
        orders = Orders(directory / "orders")
        await orders.open()
        devices = await paired(directory, orders, sensors)
        hubs_names = await registered(cloud, url, key, devices, directory / "state")
        hub = await stack.enter_async_context(process(*PROGRAM, str(configuration(directory, url))))
        await asyncio.sleep(SETTLING_S)
        cloud.temperatures.clear()
        begun_s, begun_cpu_s = time.monotonic(), cpu_s(hub)
        sent = 0
        while sent < options.count * SLICE_S * per_second:
            value = nth_value(sent // sensors)
            await orders.give(f"set s{sent % sensors} temperature_c={value}")
            sent += 1
            await asyncio.sleep(max(0.0, begun_s + sent / per_second - time.monotonic()))
        used_cpu_s = cpu_s(hub) - begun_cpu_s
        rss_mib, peak_mib = memory_mib(hub, "VmRSS"), memory_mib(hub, "VmHWM")
        with contextlib.suppress(TimeoutError):
            await until(lambda: sum(map(len, cloud.temperatures.values())) >= sent, 60.0)
    expected = [[nth_value(number) for number in range(sent // sensors)] for _ in range(sensors)]
    given = [
        [reading.value for reading in sorted(cloud.temperatures[name], key=lambda reading: reading.at_ms)]
        for name in hubs_names
    ]
    return {
        "sensors": sensors,
        "reports": sent,
        "arrived": sum(map(len, given)),
        "sensors_in_order": sum(1 for one, other in zip(given, expected, strict=True) if one == other),
        "hub_cpu_ms_per_report": round(used_cpu_s / sent * 1e3, 2),
        "rss_mib": round(rss_mib, 1),
        "peak_rss_mib": round(peak_mib, 1),
    }


@contextlib.asynccontextmanager
async def process(*command: str) -> AsyncIterator[int]:
    """Run a process while the context lasts, and give its number."""
    started = await asyncio.create_subprocess_exec(
        *command, env=service.environment(), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield started.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        await started.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1, help=f"how many times {SLICE_S} s")
    parser.add_argument("--sensors", type=int, default=100)
    parser.add_argument("--per-second", type=int, default=10)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = asyncio.run(measure(Path(directory), options))
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    return 0 if result["arrived"] == result["reports"] and result["sensors_in_order"] == result["sensors"] else 1


if __name__ == "__main__":
    sys.exit(main())
