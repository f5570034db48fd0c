"""A hub as the daemon runs it, over restarts within its process, with a client of its Unix socket.

Its port keeps its address over the restarts, so that a browser finds it again.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from agent import config, daemon
from agent.foundation.clock import SystemClock
from agent.foundation.log_ring import LogRing
from agent.local.routes import Role
from agent.reloading import ReloadableConfig
from tests.integration.conftest import WAIT_S

TEXT = """\
# A person's file.
[cloud]
base_url = "http://127.0.0.1:9"
api_key_file = "key"
[storage]
state_dir = "state"
run_dir = "run"
commit_interval_s = 0.1
[clock]
trust = "system"
[port]
port = {port}
[climate]
zones = [{{ id = "living", sensors = ["sim/temperature"] }}]
"""


class DaemonRig:
    """One process.

    Attributes:
        url: Of the port.
        text: The configuration file.
        log_ring: The log records that it keeps.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "hub.toml"
        if not self.path.exists():
            self.path.write_text(TEXT.format(port=_free_port()))
            (directory / "key").write_text("cs_dev_" + "a" * 32)
            (directory / "key").chmod(0o600)
        for name in ("state", "run"):
            (directory / name).mkdir(exist_ok=True)
        self.socket = directory / "run" / "status.sock"
        settings = config.load(self.path, environ={})
        self.text = self.path.read_text()
        self.url = f"http://127.0.0.1:{settings.port.port}"
        self.log_ring = LogRing(SystemClock(trust_wall_clock=True).monotonic_ms)
        self.restarts = daemon._Restarts(ReloadableConfig(self.path, settings, {}), {}, log_ring=self.log_ring)

    async def ask(self, method: str, route: str, body: object = None) -> tuple[int, Any]:
        """Send a request; wait for a hub that restarts."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    connector = aiohttp.UnixConnector(str(self.socket))
                    async with (
                        aiohttp.ClientSession("http://hub", connector=connector) as client,
                        client.request(method, route, json=body) as response,
                    ):
                        return response.status, await response.json(content_type=None)
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(0.02)

    async def make_code(self, role: Role) -> str:
        """Make a new code for a role."""
        _, made = await self.ask("POST", f"/v1/codes/{role.value}", {"replace": True})
        return str(made["code"])

    async def config(self) -> dict[str, Any]:
        return dict((await self.ask("GET", "/v1/config"))[1])

    async def until(self, condition: Callable[[dict[str, Any]], object], route: str = "/v1/config") -> dict[str, Any]:
        """Read a document until a condition holds; return it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                report = dict((await self.ask("GET", route))[1])
                if condition(report):
                    return report
                await asyncio.sleep(0.02)

    async def trial_started(self) -> None:
        """Wait until what is on trial is in force."""
        await self.until(lambda report: report["trial"]["is_started"])

    async def value(self, key: str) -> object:
        return next(each["value"] for each in (await self.config())["keys"] if each["key"] == key)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.asynccontextmanager
async def run_daemon(directory: Path, *, dies: bool = False) -> AsyncIterator[DaemonRig]:
    """Run a process until the block ends: in order, or as if it was killed."""
    rig = DaemonRig(directory)
    logging.getLogger().addHandler(rig.log_ring)
    task = asyncio.get_running_loop().create_task(rig.restarts.run())
    try:
        yield rig
    finally:
        logging.getLogger().removeHandler(rig.log_ring)
        if dies:
            task.cancel()
        else:
            rig.restarts.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait({task})
            # Connections that a listener has just closed end with the next turn of the loop.
            await asyncio.sleep(0)
        if not dies:
            task.result()
