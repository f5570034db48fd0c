"""What `GET /v1/events` costs a hub: CPU of its process without, with one and with 200 clients, and how late it is.

    python tests/bench/bench_port_events.py --seconds 60

Prints one JSON object for each number of clients. Clients run in a process of their own.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.local.routes import Role
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port

CLIENTS = (0, 1, 200)
TICK_S = 0.05

READ = """
import asyncio, sys
async def main(host, port, token, count):
    async def read(number):
        source = f"127.0.0.{1 + number // 50}"
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
        writer.write(f"GET /v1/events HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: {token}\\r\\n\\r\\n".encode())
        while await reader.read(65536):
            pass
    await asyncio.gather(*map(read, range(int(count))))
asyncio.run(main(*sys.argv[1:]))
"""


async def measure(port: PortRig, count: int, seconds: float) -> dict[str, float]:
    """Return the cost of so many clients."""
    async with port.session(Role.VIEWER) as session:
        token = session.headers["Authorization"]
    host, tcp_port = port.url.removeprefix("http://").split(":")
    clients = await asyncio.create_subprocess_exec(sys.executable, "-c", READ, host, tcp_port, token, str(count))
    await until(lambda: port.hub.port.events.clients == count)
    await asyncio.sleep(2)
    loop, late_s_max, began_s, cpu_s = asyncio.get_running_loop(), 0.0, time.monotonic(), time.process_time()
    while time.monotonic() - began_s < seconds:
        due_s = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late_s_max = max(late_s_max, loop.time() - due_s)
    passed_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    if clients.returncode is None:
        clients.kill()
    await clients.wait()
    return {"clients": count, "cpu_s_per_h": round(cpu_s / passed_s * 3600, 1), "late_ms_max": round(late_s_max * 1000)}


async def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each number of clients")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        async with open_port(Path(directory)) as port:
            await until(lambda: port.hub.status().sensors)
            await asyncio.sleep(5)
            for count in CLIENTS:
                print(json.dumps(await measure(port, count, options.seconds)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
