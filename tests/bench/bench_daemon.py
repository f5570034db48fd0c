"""What the daemon costs as a real process: memory, processor time, time to its first request and to the first visitor's
answer. Prints JSON.

`climahub run` on the simulated house with 50 sensors against a reference cloud in this process, over loopback. The
relayed sensors are registered beforehand: registering takes six seconds a sensor, and is not what is measured. Reach:
at most 40 MiB RSS, 0.6 CPU s an hour, first request within 400 ms of its start; at 250 sensors at most 1.1 times the
processor time for a reading that 100 cost.

python tests/bench/bench_daemon.py [--seconds N] [--sensors N] [--without-port] [--causes]

`--without-port`: without listeners on the network and without the history that the page shows. Two runs at the same
time, one with it, tell what the port costs. `--causes`: adds the processor time by cause (profiled_agent.py).
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path

import aiohttp
import msgspec
import service
from aiohttp import web

from agent.pairing.lifecycle import PairingRecord, PairingStage
from agent.pairing.store import FILE_NAME, VERSION
from hal.sim import SimOptions
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota
from lab.refcloud.middleware import RequestOutcome
from lab.refcloud.records import DeviceKind

WARM_UP_S = 20.0
"""Before the measurement begins: imports, first requests, registration of the relayed sensors."""


class Cloud:
    """A reference cloud on loopback that notes when the first request came."""

    def __init__(self) -> None:
        self.first_request_s = 0.0
        self.requests = 0
        self.cloud = ReferenceCloud(
            utc_ms=lambda: time.time_ns() // 1_000_000,
            monotonic_s=time.monotonic,
            rng=random.Random(1),
            new_id=lambda: str(uuid.uuid4()),
            on_request=self._note,
            quotas={**QUOTAS, Endpoint.ZIGBEE_REGISTER: EndpointQuota(limit=1000, window_s=60)},
        )

    def _note(self, name: str, endpoint: Endpoint, arrived_s: float, outcome: RequestOutcome) -> None:
        del name, outcome
        if endpoint is not Endpoint.ZIGBEE_REGISTER:
            self.first_request_s = self.first_request_s or arrived_s
        self.requests += 1

    @property
    def accepted(self) -> int:
        """Readings that were stored."""
        return sum(tally.stored for tally in self.cloud.admin.tallies().values())

    async def start(self) -> tuple[web.AppRunner, str]:
        runner = web.AppRunner(self.cloud.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def write_configuration(
    directory: Path, base_url: str, cloud: ReferenceCloud, sensors: int, *, with_port: bool
) -> Path:
    """Write a configuration with its secrets, and register its sensors; return its path."""
    port = "port = 0\n" if with_port else 'listen = []\nhistory = "off"\n'
    key = cloud.admin.provision(NewDevice(name="hub")).api_key
    relayed = SimOptions(seed=1, start_utc_ms=0, sensors_count=sensors).relayed
    records = {}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for device in (sensor.device for sensor in relayed):
            made = cloud.admin.provision(NewDevice(name=device, kind=DeviceKind.SENSOR))
            async with session.post(
                f"{base_url}/v1/zigbee/register", json={"sensor_api_key": made.api_key}, raise_for_status=True
            ) as response:
                identity = (await response.json())["sensor_id"]
            records[device] = PairingRecord(device, PairingStage.REGISTERED, sensor_id=identity)
    state = directory / "state"
    state.mkdir()
    for path, content in (
        (directory / "key", key.encode()),
        (state / FILE_NAME, msgspec.json.encode({"version": VERSION, "sensors": records})),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
    path = directory / "config.toml"
    path.write_text(
        f'[cloud]\nbase_url = "{base_url}"\napi_key_file = "key"\n'
        f"[board.sim]\nseed = 1\nsensors_count = {sensors}\n"
        f'[port]\n{port}[storage]\nstate_dir = "{directory}/state"\nrun_dir = "{directory}/run"\n'
        '[clock]\ntrust = "system"\n[log]\nlevel = "warning"\n'
    )
    return path


def cpu_s(pid: int) -> float:
    """Return the processor time of a process, to the nanosecond (clock_getcpuclockid(3)).

    proc(5) counts in ticks of 10 ms: one tick in four minutes is 0.15 CPU s/h.
    """
    return time.clock_gettime(~pid << 3 | 2)


def memory_mib(pid: int, name: str) -> float:
    """Return a size from /proc/PID/status in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


async def visit(socket: Path) -> float:
    """Ask for the status as the first visitor, who has the HTTP server imported; return how long that took, in ms."""
    began_s = time.monotonic()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://hub/v1/status", raise_for_status=True) as response,
    ):
        await response.read()
    return (time.monotonic() - began_s) * 1000


async def measure(seconds: float, sensors: int, *, with_port: bool, with_causes: bool) -> dict[str, object]:
    cloud = Cloud()
    runner, base_url = await cloud.start()
    with tempfile.TemporaryDirectory() as name:
        configuration = await write_configuration(Path(name), base_url, cloud.cloud, sensors, with_port=with_port)
        causes = Path(name) / "causes.json"
        counted_s = seconds - 5  # Before the visitor comes.
        profiled = [str(Path(__file__).with_name("profiled_agent.py")), str(causes), str(WARM_UP_S), str(counted_s)]
        began_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(profiled if with_causes else ["-m", "agent"]),
            "run",
            "--config",
            str(configuration),
            env=service.environment(),
        )
        try:
            await asyncio.sleep(WARM_UP_S)
            start_cpu_s, first = cpu_s(process.pid), cloud.accepted
            await asyncio.sleep(seconds)
            used_cpu_s, last = cpu_s(process.pid) - start_cpu_s, cloud.accepted
            rss_mib, peak_mib = memory_mib(process.pid, "VmRSS"), memory_mib(process.pid, "VmHWM")
            visit_ms = await visit(Path(name) / "run" / "status.sock")
            result: dict[str, object] = {
                "rss_mib": round(rss_mib, 1),
                "peak_rss_mib": round(peak_mib, 1),
                "rss_after_first_visit_mib": round(memory_mib(process.pid, "VmRSS"), 1),
                "first_visit_ms": round(visit_ms),
                "cpu_s_per_hour": round(used_cpu_s / seconds * 3600, 2),
                "start_cpu_s": round(start_cpu_s, 2),
                "first_request_ms": round((cloud.first_request_s - began_s) * 1000),
                "requests": cloud.requests,
                "accepted": last,
                # A reading waits up to a minute for its batch.
                "cpu_ms_per_reading": round(1000 * used_cpu_s / (last - first), 2) if last > first else None,
            }
        finally:
            process.terminate()
            stop_s = time.monotonic()
            await process.wait()
        result["stop_ms"] = round((time.monotonic() - stop_s) * 1000)
        if with_causes:
            result["causes"] = json.loads(causes.read_bytes())
    await runner.cleanup()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--sensors", type=int, default=50)
    parser.add_argument("--without-port", action="store_true")
    parser.add_argument("--causes", action="store_true")
    options = parser.parse_args()
    measured = measure(options.seconds, options.sensors, with_port=not options.without_port, with_causes=options.causes)
    print(json.dumps(asyncio.run(measured), indent=2))


if __name__ == "__main__":
    main()
