"""The local APIs of a real hub on the simulated board, over TCP on 127.0.0.1, for the tests of all APIs.

async with open_apis(tmp_path, "amps") as apis:
    made = await apis.client("amps", zones=("living",))
    async with apis.session({"x-api-key": made.secret}) as client, client.get("/amps/v1/devices") as response: ...
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import msgspec

from agent.apis.catalog import APIS
from agent.apis.client_records import NewClient
from agent.climate.model import ZoneProgram
from agent.climate.snapshot import ClimateSnapshot
from agent.home.home import Home
from tests.integration.conftest import WAIT_S
from tests.integration.port_rig import PortRig, open_port

TWO_ZONES = """\
[climate]
zones = [
  { id = "living", sensors = ["sim/temperature"] },
  { id = "bedroom", sensors = ["sim/temperature"] },
]
"""


class MadeClient(msgspec.Struct, frozen=True):
    """A credential, with its secret."""

    client_id: str
    secret: str


class ApiRig:
    """A running hub with APIs on.

    Attributes:
        port: The hub, its clock and its files.
    """

    def __init__(self, port: PortRig) -> None:
        self.port = port

    @property
    def home(self) -> Home:
        """What every API sees."""
        return self.port.hub.home.home

    @property
    def url(self) -> str:
        """Of the port: "http://127.0.0.1:45678"."""
        return self.port.url

    async def client(self, api: str, name: str = "test", **wanted: object) -> MadeClient:
        """Make a credential; `wanted` are fields of `NewClient`."""
        apis = self.port.hub.port.apis
        assert apis is not None
        secret, record = await apis.clients.add(msgspec.structs.replace(NewClient(api, name), **wanted))
        return MadeClient(record.client.client_id, secret)

    async def revoke(self, made: MadeClient) -> None:
        """End a credential."""
        apis = self.port.hub.port.apis
        assert apis is not None
        assert await apis.clients.revoke(made.client_id)

    async def settle_webhooks(self) -> None:
        """Wait until the queue has removed what arrived: a hub that ends before that rightly sends it again."""
        apis = self.port.hub.port.apis
        assert apis is not None
        assert apis.webhooks is not None
        async with asyncio.timeout(WAIT_S):
            while (await apis.webhooks.counts()).pending:  # noqa: ASYNC110 - the queue has no event for it
                await asyncio.sleep(0.005)

    def program(self, zone_id: str) -> ZoneProgram:
        """Return what is in force in a zone."""
        climate = self.port.hub.climate
        assert climate is not None
        return climate.control.zones[zone_id].program

    def written_program(self, zone_id: str) -> ZoneProgram:
        """Return what is on the disk for a zone."""
        data = (self.port.directory / "state" / "climate.json").read_bytes()
        return msgspec.json.decode(data, type=ClimateSnapshot).zones[zone_id].program

    @contextlib.asynccontextmanager
    async def session(self, headers: Mapping[str, str] | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """Return an HTTP client of the port."""
        async with aiohttp.ClientSession(self.url, headers=dict(headers or {})) as client:
            yield client


@contextlib.asynccontextmanager
async def open_apis(directory: Path, *names: str, config_text: str = TWO_ZONES) -> AsyncIterator[ApiRig]:
    """Run a hub on which APIs are switched on, until the block ends.

    Args:
        directory: For its files. A second hub in the same directory is the first one after a restart.
        names: Of the APIs; by default all.
        config_text: Further tables of its configuration.
    """
    switched = "".join(f"{name} = true\n" for name in names or APIS)
    async with open_port(directory, config_text=f"{config_text}\n[apis]\n{switched}") as port:
        yield ApiRig(port)
