"""The port of a real hub on the simulated board, over TCP on 127.0.0.1, for all tests of the port.

async with open_port(tmp_path) as port, port.session(Role.OWNER) as client:
    async with client.get("/v1/status") as response: ...
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp

from agent import app, environment
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.config import resolve_text
from agent.config.hardware_tables import BoardConfig
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.log_ring import LogRing
from agent.foundation.system_info import MachineIds
from agent.foundation.worker import ThreadWorker
from agent.local.routes import Caller, Role
from agent.machine.moved_card import MovedCard
from agent.ota.context import RunningRelease
from agent.port.config_editor import RunningConfig
from agent.port.config_store import ConfigStore
from hal import sim
from hal.interface import Board
from tests.integration.conftest import KEY, WAIT_S, Hasty, Host, HubClock, until

NO_CLOUD = "http://127.0.0.1:9"
"""The port "discard": nobody answers there."""

ZONES = """\
[climate]
zones = [{ id = "living", sensors = ["sim/temperature"] }]
"""


class PortRig:
    """A running hub whose port listens on 127.0.0.1.

    Attributes:
        hub: The hub.
        clock: Its clock, which a test may move.
        url: Of the port: "http://127.0.0.1:45678".
        socket: Its Unix socket.
        directory: Its state is in `state`.
    """

    def __init__(self, hub: app.Hub, clock: HubClock, directory: Path) -> None:
        self.hub = hub
        self.clock = clock
        self.directory = directory
        self.socket = hub.config.local_api.socket
        self.url = ""
        self._given: dict[str, Caller] = {}

    def token(self, token: str) -> Caller | None:
        """Know the tokens that the rig has given out."""
        return self._given.get(token)

    def session_of(self, cookie: str) -> Caller | None:
        """Know the sessions that the rig has opened."""
        return self._given.get(cookie)

    @contextlib.asynccontextmanager
    async def session(self, role: Role | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """Return a client of the port, signed in with a role; without one nobody has signed in."""
        headers = {}
        if role is not None:
            self._given[f"test-{role.value}"] = Caller("test", role, "")
            headers["Authorization"] = f"Bearer test-{role.value}"
        # By default aiohttp keeps no cookies of an address.
        jar = aiohttp.CookieJar(unsafe=True)
        # The hub's certificate is its own: who trusts it is another test's question.
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(self.url, headers=headers, cookie_jar=jar, connector=connector) as client:
            yield client

    async def make_code(self, role: Role = Role.OWNER) -> str:
        """Return a new code of a role, as `climahub port code --new` does."""
        async with (
            self.socket_session() as client,
            client.post(f"/v1/codes/{role.value}", json={"replace": True}) as response,
        ):
            return str((await response.json())["code"])

    @contextlib.asynccontextmanager
    async def socket_session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Return a client of the Unix socket."""
        async with aiohttp.ClientSession("http://hub", connector=aiohttp.UnixConnector(str(self.socket))) as client:
            yield client


class _Callers:
    """Asks the rig first, then what the hub itself knows."""

    def __init__(self, rig: PortRig) -> None:
        self._rig = rig
        self._own = rig.hub.port.callers

    def session(self, cookie: str, *, is_use: bool = True) -> Caller | None:
        return self._rig.session_of(cookie) or self._own.session(cookie, is_use=is_use)

    def token(self, bearer: str) -> Caller | None:
        return self._rig.token(bearer) or self._own.token(bearer)


def radio_board(config: BoardConfig, clock: Clock) -> Board:
    """Return a simulated house with a Zigbee radio, paired sensors and boxed ones."""
    del config
    options = sim.SimOptions(seed=3, start_utc_ms=0, sensors_count=7 + 18, unpaired_count=3, report_interval_s=1.0)
    return sim.SimBoard(sim.SimEnvironment(options), monotonic_ms=clock.monotonic_ms)


@contextlib.asynccontextmanager
async def open_port(
    directory: Path,
    *,
    config_text: str = ZONES,
    port_text: str = "port = 0\n",
    cloud_url: str = NO_CLOUD,
    make_board: Callable[[BoardConfig, Clock], Board] = environment.make_board,
    is_editable: bool = False,
    key: str = KEY,
    board_serial: str = "",
) -> AsyncIterator[PortRig]:
    """Run a hub on the simulated board until the block ends.

    Args:
        directory: For its files.
        config_text: Tables of its configuration, other than `[cloud]`, `[storage]` and `[port]`.
        port_text: The table `[port]`.
        cloud_url: Of its cloud; by default nobody answers.
        make_board: Makes its board.
        is_editable: Keys that need no restart can be changed at the hub.
        key: The hub's key of the cloud.
        board_serial: Of the board that the card is in; without one nobody notices when it is in another.
    """
    text = f'[cloud]\nbase_url = "{cloud_url}"\n{config_text}\n[port]\n{port_text}'
    text += '[storage]\nstate_dir = "state"\nrun_dir = "run"\ncommit_interval_s = 0.1\n'
    resolve = functools.partial(resolve_text, text, file="test", directory=directory, environ={})
    config = resolve().config
    for path in (config.storage.state_dir, config.storage.run_dir):
        path.mkdir(exist_ok=True)
    clock, worker, disk = HubClock(), ThreadWorker("storage"), Disk()
    card = None
    if board_serial:
        # A card changes its board while the power is off.
        clock.boot_id += board_serial
        card = MovedCard(config.storage.state_dir, MachineIds(board_serial), disk=disk, worker=worker)
        card.load()
    async with new_session(tcp_connector(None), user_agent="climahub/test") as session:
        given = environment.Environment(
            board=environment.with_parts(make_board(config.board, clock), config, clock, disk),
            clock=clock,
            rng=Hasty(1),
            disk=disk,
            worker=worker,
            session=session,
            ledger=QuotaLedger(None, clock.boot_id),
            read_key=lambda: key,
            sensor_keys={},
            host=Host(),
            check_for=environment.check_for,
            running=RunningRelease("1.0.0", "base", 1, "test", "", lambda: None, worker),
            card=card,
            log_ring=LogRing(clock.monotonic_ms),
            running_config=RunningConfig(
                file="test",
                resolved=resolve(),
                problem="",
                store=ConfigStore(config.storage.state_dir, disk=disk, worker=worker),
                resolve=lambda changes: resolve(changes=changes),
                use=lambda _, __: None,
                restart=None,
                outputs=environment.output_names(config.board),
            )
            if is_editable
            else None,
        )
        rig = PortRig(app.Hub(config, given), clock, directory)
        rig.hub.port.callers = _Callers(rig)
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(rig.hub.run(stop))
        try:
            if config.port.listen:
                await until(lambda: rig.hub.port.listeners.addresses)
                rig.url = rig.hub.port.listeners.addresses[0].replace("0.0.0.0", "127.0.0.1")
            await until(rig.socket.exists)
            yield rig
        finally:
            stop.set()
            async with asyncio.timeout(WAIT_S):
                await task
            worker.close()
