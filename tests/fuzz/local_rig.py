"""The local API on a connection in memory, in virtual time: whatever is written to it, it answers and goes on."""

import asyncio
import random
from pathlib import Path

from aiohttp import web

from agent.climate.service import ClimateService
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local import climate, status_builder
from agent.local import commands as local_commands
from agent.local.commands import CommandsReport
from agent.local.status import HubStatus
from agent.local.verdict import Verdict
from agent.port.http import server
from agent.port.http.gates import SocketGate
from hal.interface import HvacDemand
from lab.simulation import virtual_loop
from lab.simulation.virtual_loop import VirtualLoop
from tests.fuzz.climate_borders import HOME
from tests.fuzz.cloud_rig import LoopClock
from tests.unit.home.home_bench import make_home

SETTLES_S = 0.5
"""Virtual: an answer takes no time."""


class NoOutputs:
    """Drives nothing."""

    async def apply(self, demand: HvacDemand) -> None:
        """Nothing."""


class Caller(asyncio.Protocol):
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.answered = b""

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.answered += data


class LocalRig:
    """One server for all examples, with the routes of status, commands and climate."""

    def __init__(self, directory: Path) -> None:
        self.loop = VirtualLoop()
        self._runner = self.loop.run_until_complete(self._up(directory))

    async def _up(self, directory: Path) -> web.AppRunner:
        room = ClimateService(
            directory,
            settings=HOME,
            outputs=NoOutputs(),  # type: ignore[arg-type]
            readings=dict,
            timezone=lambda: "UTC",
            clock=LoopClock(self.loop),
            disk=Disk(),
            worker=InlineWorker(),
        )

        def status() -> HubStatus:
            raise OSError("no such file")

        def no_verdict() -> Verdict:
            raise OSError("no such file")

        async def commands() -> CommandsReport:
            return CommandsReport([], "")

        async def confirm(command_id: str) -> None:
            raise KeyError(command_id)

        rng = random.Random(1)
        home = make_home(room, LoopClock(self.loop), directory, new_id=lambda: f"{rng.getrandbits(32):08x}")
        made = server.application(
            {
                **status_builder.handlers(status, no_verdict),
                **local_commands.handlers(commands, confirm),
                **climate.handlers(room, lambda: home.thermostats),
            },
            SocketGate(),
        )
        runner = server.runner_of(made, idle_s_max=60.0)
        await runner.setup()
        return runner

    def ask(self, data: bytes) -> bytes:
        """Write bytes and hang up; return what was answered."""
        return self.loop.run_until_complete(self._ask(data))

    async def _ask(self, data: bytes) -> bytes:
        assert self._runner.server is not None
        caller = Caller()
        transport = virtual_loop.connect(self.loop, caller, self._runner.server())
        transport.write(data)
        await asyncio.sleep(SETTLES_S)
        transport.close()
        await asyncio.sleep(SETTLES_S)
        return caller.answered

    def close(self) -> None:
        """Stop the server."""
        self.loop.run_until_complete(self._runner.cleanup())
        self.loop.close()
