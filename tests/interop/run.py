"""Runs the ember adapter of two major versions of zigbee-herdsman against the emulated coordinator.

Needs `npm ci` in this directory first. `package.json` holds back zigbee-on-host, a part of herdsman that serves another
adapter and is not used here, at a version that every mirror of npm has.

python tests/interop/run.py [VERSION ...]
"""

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

from lab.ncp import control
from lab.ncp.ezsp import VERSIONS
from lab.ncp.server import EmulatorFiles, build_server

HERE = Path(__file__).parent
HOSTS = ("herdsman-10", "herdsman-11")
"""Names in `package.json`: zigbee-herdsman 10.9.5 and 11.1.1."""
PATIENCE_S = 90.0

HOUSE = """
seed = 3

[[device]]
name = "bedroom"
model = "climate"
values = { temperature_c = 20, humidity_percent = 48 }

[[device]]
name = "plug"
model = "router"

[[device]]
name = "door"
model = "contact"
"""


def ignore(content: bytes) -> None:
    """Keep nothing: the stick lives as long as the run."""


async def passes(package: str, version: int, directory: Path) -> bool:
    setup = EmulatorFiles(device_file=HOUSE, device_file_name="the interop house", version=version)
    port, orders = directory / "port", directory / "orders"
    server = build_server(setup, link=port, faults=(), keep_stick=ignore, keep_devices=ignore)
    server.open()
    started_s = time.perf_counter()
    try:
        async with control.serve_control(server, orders), asyncio.timeout(PATIENCE_S):
            host = await asyncio.create_subprocess_exec(
                "node", str(HERE / "herdsman.mjs"), package, str(port), str(orders), str(directory), cwd=HERE
            )
            code = await host.wait()
    finally:
        server.close()
    print(
        f"{package}, EZSP v{version}: {'passed' if code == 0 else 'FAILED'} in {time.perf_counter() - started_s:.1f} s"
    )
    return code == 0


def main() -> int:
    if not (HERE / "node_modules").is_dir():
        print(f"zigbee-herdsman is not installed; run: npm ci --prefix {HERE}")
        return 2
    wanted = [int(word) for word in sys.argv[1:]] or list(VERSIONS)
    outcomes = []
    for package, version in itertools.product(HOSTS, wanted):
        with tempfile.TemporaryDirectory() as directory:
            outcomes.append(asyncio.run(passes(package, version, Path(directory))))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
