"""HomeKit with a controller that others wrote: aiohomekit pairs, reads, writes, hears events and unpairs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohomekit.controller.ip.pairing import IpPairing
from aiohomekit.exceptions import AuthenticationError, BusyError, UnavailableError

from agent.apis.homekit.service import HomeKitService
from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.errors import SettingInvalid, StorageFull
from agent.local.routes import Role
from tests.integration.api_rig import ApiRig, open_apis
from tests.integration.conftest import until
from tests.integration.homekit_controller import controller, discovery, places, read

CONFIG = """\
[climate]
zones = [
  { id = "living", sensors = ["sim/temperature"] },
  { id = "bedroom", sensors = ["sim/temperature"] },
]
"""
BOILER = CONFIG.replace("zones =", 'heat_source = "boiler"\nzones =')
ON = 'homekit = true\nhomekit_listen = ["127.0.0.1"]\nhomekit_port = 0\naurra_home'


class HomeKitRig:
    """A hub with HomeKit, and a controller."""

    def __init__(self, apis: ApiRig) -> None:
        self.apis = apis
        assert apis.port.hub.port.apis is not None
        assert apis.port.hub.port.apis.homekit is not None
        assert apis.port.hub.port.homekit is not None
        self.homekit: HomeKitService = apis.port.hub.port.apis.homekit
        self.listeners = apis.port.hub.port.homekit
        self.controller = controller()

    @property
    def port(self) -> int:
        ((_, port),) = self.listeners.open_endpoints
        return port

    async def pair(self, code: str, alias: str = "home") -> IpPairing:
        found = discovery(self.controller, dict(self.homekit.announcement), self.port)
        try:
            finish = await found.async_start_pairing(alias)
            return cast("IpPairing", await finish(code))
        finally:
            await found.close()

    def load(self, data: dict[str, Any]) -> IpPairing:
        made = controller().load_pairing("home", {**data, "AccessoryPort": self.port})
        assert made is not None
        return made


@contextlib.asynccontextmanager
async def open_homekit(directory: Path, config_text: str = CONFIG) -> AsyncIterator[HomeKitRig]:
    async with open_apis(directory, ON, config_text=config_text) as apis:
        rig = HomeKitRig(apis)
        await until(lambda: rig.homekit.driver and rig.listeners.open_endpoints)
        await until(lambda: all(zone.is_online for zone in apis.home.thermostats.all()))
        yield rig


@contextlib.asynccontextmanager
async def closing(pairing: IpPairing) -> AsyncIterator[IpPairing]:
    try:
        yield pairing
    finally:
        await pairing.shutdown()


async def test_a_controller_pairs_reads_sets_hears_and_unpairs(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        assert rig.homekit.announcement["sf"] == "1"
        async with closing(await rig.pair(rig.homekit.new_code())) as pairing:
            assert rig.homekit.announcement["sf"] == "0"
            found = await places(pairing)
            living, bedroom = found["living"], found["bedroom"]
            thermostat = rig.apis.home.thermostats.get("living")
            assert thermostat.temperature_c is not None
            assert await read(pairing, living["temperature"]) == pytest.approx(thermostat.temperature_c, abs=0.2)
            assert await read(pairing, living["target"]) == round(thermostat.heat_setpoint_c, 1)
            assert "cooling" in bedroom

            assert await pairing.put_characteristics([(*living["target"], 21.5)]) == {}
            assert rig.apis.program("living").setpoints.heat_setpoint_c == 21.5
            assert await pairing.put_characteristics([(*bedroom["target_state"], 3), (*bedroom["heating"], 19.5)]) == {}
            assert rig.apis.home.thermostats.get("bedroom").mode is Mode.AUTO
            assert rig.apis.home.thermostats.get("bedroom").heat_setpoint_c == 19.5

            heard: list[dict[tuple[int, int], Any]] = []
            pairing.dispatcher_connect(heard.append)
            await pairing.subscribe([living["target"]])
            rig.apis.home.thermostats.apply("living", SetRequest(heat_setpoint_c=23.0), by="page")
            await until(lambda: any(each.get(living["target"], {}).get("value") == 23.0 for each in heard))

            assert len(rig.homekit.record.controllers) == 1
            await pairing.remove_pairing(pairing.pairing_data["iOSPairingId"])
            assert not rig.homekit.record.controllers
            assert rig.homekit.announcement["sf"] == "1"


async def test_a_restart_keeps_the_pairing_and_the_places(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig, closing(await rig.pair(rig.homekit.new_code())) as pairing:
        before = await places(pairing)
        data = dict(pairing.pairing_data)
    async with open_homekit(tmp_path) as rig, closing(rig.load(data)) as pairing:
        assert await places(pairing) == before
        assert await pairing.put_characteristics([(*before["living"]["target"], 18.5)]) == {}
        assert rig.apis.program("living").setpoints.heat_setpoint_c == 18.5


async def test_a_wrong_code_is_refused_and_ten_of_them_make_it_void(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        code = rig.homekit.new_code()
        wrong = "111-22-333" if code != "111-22-333" else "111-22-334"
        for _ in range(10):
            with pytest.raises(AuthenticationError):
                await rig.pair(wrong)
        assert rig.homekit.code_left_s == 0
        with pytest.raises(BusyError):
            await rig.pair(code)
        async with closing(await rig.pair(rig.homekit.new_code())):
            with pytest.raises(SettingInvalid, match="unpair first"):
                rig.homekit.new_code()


async def test_nobody_pairs_without_a_code_or_with_a_paired_hub(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        with pytest.raises(BusyError):
            await rig.pair("031-45-154")
        code = rig.homekit.new_code()
        async with closing(await rig.pair(code)):
            with pytest.raises((BusyError, UnavailableError)):
                await rig.pair(code)


async def test_a_disk_that_refuses_is_answered_before_anybody_believes_to_be_paired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_homekit(tmp_path) as rig:
        code = rig.homekit.new_code()
        with monkeypatch.context() as full:

            async def refuse(_: object) -> None:
                raise StorageFull("the disk is full")

            full.setattr(rig.homekit._store, "commit", refuse)
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the controller makes of a refusal
                await rig.pair(code)
        assert rig.homekit.announcement["sf"] == "1"
        async with closing(await rig.pair(rig.homekit.new_code())) as pairing:
            assert await pairing.list_pairings()
            assert b'"controllers":[{' in (tmp_path / "state" / "homekit.json").read_bytes()


async def test_what_a_controller_sets_is_on_the_disk_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_homekit(tmp_path) as rig, closing(await rig.pair(rig.homekit.new_code())) as pairing:
        target = (await places(pairing))["living"]["target"]
        thermostats = rig.apis.home.thermostats
        saved = thermostats.save
        with monkeypatch.context() as full:

            async def refuse() -> None:
                raise StorageFull("the disk is full")

            full.setattr(thermostats, "save", refuse)
            answer = await pairing.put_characteristics([(*target, 21.5)])
            assert answer[target]["status"] < 0
        assert await read(pairing, target) == 21.5
        is_saved = asyncio.Event()
        answers: list[bool] = []

        async def save() -> None:
            await saved()
            is_saved.set()

        monkeypatch.setattr(thermostats, "save", save)
        for wanted in (22.0, 22.5):
            is_saved.clear()
            assert await pairing.put_characteristics([(*target, wanted)]) == {}
            answers.append(is_saved.is_set())
        assert answers == [True, True]


async def test_another_controller_is_added_and_removed_by_the_first(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig, closing(await rig.pair(rig.homekit.new_code())) as pairing:
        other = "0F7B9D3C-1111-4000-8000-000000000001"
        await pairing.add_pairing(other, bytes(range(32)).hex(), "User")
        assert {each["pairingId"] for each in await pairing.list_pairings()} == {
            other,
            pairing.pairing_data["iOSPairingId"],
        }
        assert len(rig.homekit.record.controllers) == 2
        await pairing.remove_pairing(other)
        assert [each.id for each in rig.homekit.record.controllers] == [pairing.pairing_data["iOSPairingId"]]


async def test_a_code_is_for_one_pairing(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        code = rig.homekit.new_code()
        async with closing(await rig.pair(code)) as pairing:
            await pairing.remove_pairing(pairing.pairing_data["iOSPairingId"])
        with pytest.raises(BusyError):
            await rig.pair(code)
        # Nor is one that was made before the hub was unpaired by hand.
        rig.homekit.new_code()
        await rig.homekit.unpair()
        assert rig.homekit.code_left_s == 0


async def test_unpairing_at_the_hub_ends_open_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not only once the loop looks.
    monkeypatch.setattr("agent.apis.homekit.service.REFRESH_S", 3600.0)
    async with open_homekit(tmp_path) as rig, closing(await rig.pair(rig.homekit.new_code())) as pairing:
        await places(pairing)
        driver = rig.homekit.driver
        assert driver is not None
        assert driver.http_server.connections
        assert await rig.homekit.unpair() == 1
        await until(lambda: not driver.http_server.connections)


async def test_what_a_zone_cannot_do_is_refused_and_the_app_sees_the_truth(tmp_path: Path) -> None:
    async with open_homekit(tmp_path, BOILER) as rig, closing(await rig.pair(rig.homekit.new_code())) as pairing:
        living = (await places(pairing))["living"]
        assert "cooling" not in living
        answer = await pairing.put_characteristics([(*living["target_state"], 2)])
        assert answer[living["target_state"]]["status"] < 0
        assert await read(pairing, living["target_state"]) == 1
        answer = await pairing.put_characteristics([(*living["target"], "warm")])
        assert answer[living["target"]]["status"] < 0
        # Siri asks a heating for auto.
        assert await pairing.put_characteristics([(*living["target_state"], 3)]) == {}
        assert rig.apis.home.thermostats.get("living").mode is Mode.HEAT


async def test_the_local_api_and_aurra_home_say_how_to_pair(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        made = await rig.apis.client("aurra_home")
        async with rig.apis.session() as client:
            grant = {"client_id": made.client_id, "client_secret": made.secret, "grant_type": "client_credentials"}
            async with client.post("/aurra-home/v1/auth/token", json=grant) as response:
                token = (await response.json())["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            body = {"device_id": "living", "platform": "HomeKit", "user_token": "x"}
            link = "/aurra-home/v1/integration/voice-assistant"
            async with client.post(link, json=body, headers=headers) as response:
                assert response.status == 200
                assert "climahub homekit code" in (await response.json())["message"]
            async with rig.apis.port.socket_session() as local:
                async with local.post("/v1/homekit/code") as response:
                    code = (await response.json())["code"]
                async with closing(await rig.pair(code)):
                    async with local.get("/v1/homekit") as response:
                        assert len((await response.json())["controllers"]) == 1
                    async with client.post(link, json=body, headers=headers) as response:
                        assert "already" in (await response.json())["message"]
                    async with local.delete("/v1/homekit/controllers") as response:
                        assert await response.json() == {"removed": 1}
        async with rig.apis.port.session(Role.OWNER) as owner, owner.post("/v1/homekit/code") as response:
            # A token may not make a secret that outlives it.
            assert response.status == 403


async def test_changes_are_in_the_audit_trail_under_the_controllers_name(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        async with closing(await rig.pair(rig.homekit.new_code())) as pairing:
            living = (await places(pairing))["living"]
            await pairing.put_characteristics([(*living["target"], 21.5)])
            who = pairing.pairing_data["iOSPairingId"].upper()[:8]
        entries = await rig.apis.port.hub.port.audit.entries(entries_max=100)
        found = {(each.entry.action, each.entry.name, each.entry.origin) for each in entries}
        assert ("set_homekit_thermostat", f"homekit:{who}", "127.0.0.1") in found
        assert ("pair_homekit", f"homekit:{who}", "127.0.0.1") in found


async def test_strangers_are_few_and_get_nothing(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        opened = [await asyncio.open_connection("127.0.0.1", rig.port) for _ in range(6)]
        driver = rig.homekit.driver
        assert driver is not None
        await until(lambda: len(driver.http_server.connections) == 4)
        reader, writer = opened[0]
        writer.write(b"GET /accessories HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        for _, each in opened:
            each.close()
        await until(lambda: not driver.http_server.connections)


async def test_the_key_is_the_users_alone(tmp_path: Path) -> None:
    async with open_homekit(tmp_path) as rig:
        path = tmp_path / "state" / "homekit.json"
        await until(path.exists)
        assert path.stat().st_mode & 0o077 == 0
        assert json.loads(path.read_text())["private_key"] == rig.homekit.record.private_key
        assert rig.homekit.record.private_key not in repr(rig.homekit.record)
