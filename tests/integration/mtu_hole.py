"""A line whose far end drops packets above 1280 bytes without a word, and a large exchange over it.

python -m tests.integration.mtu_hole, in a new network namespace, as root: prints how many bytes went each way.
"""

import asyncio
import subprocess
import sys

from aiohttp import web

from agent.cloud.session import new_session, tcp_connector
from tests.integration.network_namespace import new_namespace

HUB, CLOUD, PORT = "192.0.2.1", "192.0.2.2", 8080
HOLE_BYTES = 1280
BODY_BYTES = 100_000


def run(*command: str) -> None:
    subprocess.run(command, check=True)


async def serve() -> None:
    """Answer a large body with another, in the namespace at the far end."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bytes(len(await request.read())))

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, CLOUD, PORT).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def exchange() -> None:
    session = new_session(tcp_connector(None), user_agent="climahub/test")
    async with session, session.post(f"http://{CLOUD}:{PORT}/", data=bytes(BODY_BYTES)) as response:
        sys.stdout.write(f"{BODY_BYTES} sent, {len(await response.read())} received\n")


def main() -> None:
    """Make the line: both ends announce segments of 1460 bytes, and packets above 1280 never arrive at the far one."""
    with new_namespace() as far_id:
        inside = ("nsenter", "--net", "--target", str(far_id))
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "far", "netns", str(far_id))
        for before, device, address in (((), "near", HUB), (inside, "far", CLOUD)):
            run(*before, "ip", "address", "add", f"{address}/24", "dev", device)
            # Joined segments would pass the end of a virtual line unmeasured.
            run(*before, "ip", "link", "set", device, "gso_max_segs", "1", "up")
        # A veth drops what is larger than its peer takes (drivers/net/veth.c, is_skb_forwardable).
        run(*inside, "ip", "link", "set", "far", "mtu", str(HOLE_BYTES))
        run(*inside, "ip", "route", "replace", HUB, "dev", "far", "advmss", "1460")
        command = [*inside, sys.executable, "-m", "tests.integration.mtu_hole", "serve"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                server.stdout.readline()
                asyncio.run(exchange())
            finally:
                server.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
