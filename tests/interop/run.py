"""Runs zigbee-herdsman's ember adapter against the emulated coordinator. Needs `npm ci` in this directory first.

python tests/interop/run.py [VERSION ...]
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from hal.ncp import control, install

HERE = Path(__file__).parent
VERSIONS = (13, 14)
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
"""


def ignore(content: bytes) -> None:
    """Keep nothing: the stick lives as long as the run."""


async def passes(version: int, directory: Path) -> bool:
    setup = install.Setup(devices=HOUSE, devices_source="the interop house", version=version)
    port, orders = directory / "port", directory / "orders"
    server = install.build(setup, link=port, faults=(), keep_stick=ignore, keep_room=ignore)
    server.open()
    started_s = time.perf_counter()
    try:
        async with control.listening(server, orders), asyncio.timeout(PATIENCE_S):
            host = await asyncio.create_subprocess_exec(
                "node", str(HERE / "herdsman.mjs"), str(port), str(orders), str(directory), cwd=HERE
            )
            code = await host.wait()
    finally:
        server.close()
    print(f"EZSP v{version}: {'passed' if code == 0 else 'FAILED'} in {time.perf_counter() - started_s:.1f} s")
    return code == 0


def main() -> int:
    if not (HERE / "node_modules").is_dir():
        print(f"zigbee-herdsman is not installed; run: npm ci --prefix {HERE}")
        return 2
    wanted = [int(word) for word in sys.argv[1:]] or list(VERSIONS)
    outcomes = []
    for version in wanted:
        with tempfile.TemporaryDirectory() as directory:
            outcomes.append(asyncio.run(passes(version, Path(directory))))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
