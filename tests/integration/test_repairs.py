"""Each repair of a running hub: it does what it says, and doing it twice does no more."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cloud.contract import Endpoint
from agent.foundation.clock import TimeKnowledge
from agent.local.repair_table import REPAIRS
from agent.local.routes import Role
from agent.ota.lifecycle import RefusedOffer, UpdateEvent, UpdateState
from agent.ota.manifest import Offer
from hal.interface import HUB, Reading, SensorKind
from hal.sim.network import SimNetwork
from lab.refcloud.contract import Endpoint as Asked
from tests.integration.conftest import Cloud, until
from tests.integration.port_rig import ZONES, PortRig, open_port

replace: Any = msgspec.structs.replace
DAY_S = 86_400


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PortRig]:
    async with open_port(tmp_path, config_text=f"{ZONES}[board.sim]\nsensors_count = 24\n") as made:
        yield made


async def repair(rig: PortRig, name: str, target: str = "", *, role: Role = Role.OWNER) -> tuple[int, dict[str, Any]]:
    async with (
        rig.session(role) as client,
        client.post(f"/v1/repairs/{name}", params={"target": target} if target else None) as response,
    ):
        return response.status, await response.json()


async def twice(rig: PortRig, name: str, target: str = "") -> str:
    """Carry a repair out two times; return what the second said."""
    for _ in range(2):
        status, answer = await repair(rig, name, target)
        assert status == 200, answer
    assert answer["repair"] == name
    return str(answer["done"])


def sim_network(rig: PortRig) -> SimNetwork:
    network = rig.hub.environment.board.network
    assert isinstance(network, SimNetwork)
    return network


async def test_list_of_repairs_describes_each(rig: PortRig) -> None:
    async with rig.session(Role.VIEWER) as client, client.get("/v1/repairs") as response:
        listed = (await response.json())["repairs"]
    assert [each["name"] for each in listed] == list(REPAIRS)
    assert len(listed) >= 10
    assert all(each["effect"].endswith(".") for each in listed)


async def test_impossible_repair_is_refused_with_its_reason(rig: PortRig) -> None:
    assert (await repair(rig, "make-coffee"))[0] == 404
    assert (await repair(rig, "forget-sensor"))[0] == 400
    status, answer = await repair(rig, "reset-update", role=Role.SERVICE)
    assert (status, answer["error"]) == (403, "forbidden")
    assert "sign in as owner" in answer["detail"]
    assert (await repair(rig, "retry-cloud", role=Role.VIEWER))[0] == 403
    status, answer = await repair(rig, "set-up-reporting", "0xffffffffffffffff")
    assert (status, answer["error"]) == (503, "no_answer")


async def test_a_repair_that_does_not_end_is_not_waited_for(rig: PortRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.checks.repairs.REPAIR_S_MAX", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(rig.hub.telemetry, "flush", hang)
    status, answer = await repair(rig, "flush-outbox")
    assert (status, answer["error"]) == (503, "no_answer")
    assert "in a minute" in answer["detail"]


async def test_retry_cloud_ends_the_waiting_after_failures(rig: PortRig) -> None:
    client = rig.hub.client
    await until(lambda: client.connectivity.health[Endpoint.SETTINGS_GET].failures)
    client.connectivity._not_before_ms[Endpoint.SETTINGS_GET] = rig.clock.monotonic_ms() + 300_000
    failures = client.connectivity.health[Endpoint.SETTINGS_GET].failures
    await twice(rig, "retry-cloud")
    await until(lambda: client.connectivity.health[Endpoint.SETTINGS_GET].failures > failures)


async def test_retry_cloud_sends_readings_that_wait_for_a_full_batch(tmp_path: Path, cloud: Cloud) -> None:
    async with open_port(tmp_path, cloud_url=cloud.url) as rig:
        telemetry = rig.hub.telemetry
        telemetry.uplink._linger_ms = 3_600_000
        await until(lambda: telemetry.outbox is not None)
        await until(lambda: bool(cloud.accepted))  # the hub's first look, which takes whatever is there
        # Not the instant of the hub's own reading: two of one kind and instant are one.
        telemetry.intake.offer(Reading(HUB, "hand", SensorKind.TEMPERATURE, 33.25, rig.clock.monotonic_ms() - 7))
        assert (await repair(rig, "flush-outbox"))[0] == 200
        assert (await repair(rig, "retry-cloud"))[0] == 200
        await until(lambda: any(reading.value == 33.25 for reading in cloud.accepted))


async def test_resync_settings_fetches_the_clouds_copy(tmp_path: Path, cloud: Cloud) -> None:
    async with open_port(tmp_path, cloud_url=cloud.url) as rig:
        await until(lambda: cloud.answered(Asked.SETTINGS_GET))
        before = len(cloud.answered(Asked.SETTINGS_GET))
        await twice(rig, "resync-settings")
        await until(lambda: len(cloud.answered(Asked.SETTINGS_GET)) > before)


async def test_fetch_time_asks_the_cloud_until_two_answers_agree(tmp_path: Path, cloud: Cloud) -> None:
    async with open_port(tmp_path, cloud_url=cloud.url) as rig:
        assert "the time is right" in await twice(rig, "fetch-time")
        keeper = Keeper()
        rig.hub.assembly.repairs._hub = replaced(rig, timekeeper=keeper)
        rig.hub.client._transport._timekeeper = keeper
        assert await twice(rig, "fetch-time") == "the time is known by cloud"
        assert keeper.offers >= 4


class Keeper:
    """Knows the time from the second offer on."""

    def __init__(self) -> None:
        self.offers = 0

    def knowledge(self) -> TimeKnowledge | None:
        return TimeKnowledge("cloud", 1000, 1000, 0) if self.offers > 1 else None

    def offer_server_time(self, date_utc_ms: int, *, round_trip_ms: int, is_verified: bool) -> None:
        self.offers += 1


def replaced(rig: PortRig, **changes: object) -> Any:  # noqa: ANN401 - the parts
    return replace(rig.hub.assembly.repairs._hub, **changes)


async def test_fetch_time_gives_up_where_the_cloud_is_silent(rig: PortRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.checks.repairs.TIME_S_MAX", 0.1)
    rig.hub.assembly.repairs._hub = replaced(rig, timekeeper=Keeper())
    assert "has not answered" in await twice(rig, "fetch-time")


async def test_flush_outbox_writes_what_is_in_memory(rig: PortRig) -> None:
    await until(lambda: rig.hub.telemetry.outbox is not None and rig.hub.telemetry.intake.channels)
    assert await twice(rig, "flush-outbox") == "every reading is on the disk"


async def test_free_space_removes_old_leftovers_and_nothing_else(rig: PortRig) -> None:
    state = rig.hub.config.storage.state_dir
    old, young, kept = state / "settings.json.new", state / "climate.json.new", state / "mine.json"
    for path in (old, young, kept):
        path.write_text("{}")
    begun_s = (rig.clock.utc_ms() or 0) / 1000
    os.utime(old, (begun_s - 2 * DAY_S, begun_s - 2 * DAY_S))
    _, answer = await repair(rig, "free-space")
    assert answer["done"].startswith("1 leftover removed")
    assert [path.exists() for path in (old, young, kept)] == [False, True, True]
    assert (await twice(rig, "free-space")).startswith("0 leftovers removed")


async def test_free_space_removes_so_many_at_a_time(rig: PortRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.checks.repairs.SPACE_FILES_MAX", 2)
    begun_s = (rig.clock.utc_ms() or 0) / 1000
    for number in range(5):
        path = rig.hub.config.storage.state_dir / f"{number}.new"
        path.write_text("")
        os.utime(path, (begun_s - 2 * DAY_S, begun_s - 2 * DAY_S))
    said = [(await repair(rig, "free-space"))[1]["done"].partition(",")[0] for _ in range(4)]
    assert said == ["2 leftovers removed", "2 leftovers removed", "1 leftover removed", "0 leftovers removed"]


async def test_rebuild_stores_writes_files_that_are_gone_or_damaged(rig: PortRig) -> None:
    state = rig.hub.config.storage.state_dir
    files = [state / name for name in ("settings.json", "relayed.json", "climate.json")]
    for path in files:
        path.write_bytes(b"\0")
    rig.hub.settings._problems = ["settings.json could not be read"]
    assert await twice(rig, "rebuild-stores") == "written anew: settings, the sensors' book, programs"
    assert all(path.read_bytes().startswith(b'{"sha256":"') for path in files)
    assert rig.hub.status().settings.problems == []


async def test_discard_quarantined_removes_only_what_was_put_aside(rig: PortRig) -> None:
    state = rig.hub.config.storage.state_dir
    aside, kept = state / "settings.json.corrupt-1", state / "settings.json"
    for path in (aside, kept):
        path.write_text("{}")
    _, answer = await repair(rig, "discard-quarantined")
    assert answer["done"] == "1 file removed"
    assert (aside.exists(), kept.exists()) == (False, True)
    assert await twice(rig, "discard-quarantined") == "0 files removed"


async def test_retry_registrations_forgets_refusals(rig: PortRig) -> None:
    registrar = rig.hub.pairing._registrar
    registrar._refused_until_ms["0x01"] = ("key", 10**15)
    await twice(rig, "retry-registrations")
    assert registrar._refused_until_ms == {}


async def test_set_up_reporting_sets_the_sensor_up_and_keeps_it(rig: PortRig) -> None:
    network = sim_network(rig)
    device = network.sensors[0].device
    before = list(rig.hub.pairing.queries.state.sensors)
    assert "as soon as it is awake" in await twice(rig, "set-up-reporting", device)
    assert list(rig.hub.pairing.queries.state.sensors) == before


async def test_forget_sensor_removes_it_once(rig: PortRig) -> None:
    device = sim_network(rig).sensors[0].device
    assert (await repair(rig, "forget-sensor", device))[0] == 200
    await until(lambda: device not in {sensor.device for sensor in sim_network(rig).sensors})
    status, answer = await repair(rig, "forget-sensor", device)
    assert status in {200, 404, 409}, answer
    assert device not in {sensor.device for sensor in sim_network(rig).sensors}


async def test_restart_radio_keeps_the_network(rig: PortRig) -> None:
    before = [sensor.device for sensor in sim_network(rig).sensors]
    assert await twice(rig, "restart-radio") == "the radio is restarted"
    assert [sensor.device for sensor in sim_network(rig).sensors] == before


async def test_back_up_network_gives_no_secret_away(rig: PortRig) -> None:
    assert "key" not in await twice(rig, "back-up-network")


async def test_resume_updates_ends_a_pause(rig: PortRig) -> None:
    assert rig.hub.updates is not None
    await rig.hub.updates.set_paused(is_paused=True)
    await twice(rig, "resume-updates")
    assert not rig.hub.updates.store.record.is_paused


async def test_reset_update_ends_a_stuck_download_and_forgets_refusals(rig: PortRig) -> None:
    updates = rig.hub.updates
    assert updates is not None
    await until(lambda: updates._is_running)
    refusal = RefusedOffer("2.0.0", "0" * 64, "untrusted")
    await updates.store._store.commit(lambda record: replace(record, refusals=(refusal,)))
    await updates.store.advance(UpdateEvent.OFFER, offer=Offer("2.1.0", "1" * 64, 10))
    await twice(rig, "reset-update")
    record = updates.store.record
    assert (record.state, record.error, record.refusals) == (UpdateState.FAILED, "a technician reset it", ())


async def test_reset_update_leaves_what_is_past_its_download(rig: PortRig) -> None:
    updates = rig.hub.updates
    assert updates is not None
    await until(lambda: updates._is_running)
    await updates.store._store.commit(lambda record: replace(record, state=UpdateState.READY, is_paused=True))
    status, answer = await repair(rig, "reset-update")
    assert (status, answer["error"]) == (409, "conflict")
    assert updates.store.record.state is UpdateState.READY


async def test_renew_certificate_changes_the_fingerprint_of_running_listeners(tmp_path: Path) -> None:
    async with open_port(tmp_path, port_text='port = 0\nlisten = ["127.0.0.1"]\n') as rig:
        certificate = rig.hub.port.certificate
        await certificate.context()
        before = certificate.fingerprint
        await twice(rig, "renew-certificate")
        assert certificate.fingerprint not in {"", before}


async def test_checks_run_again_after_a_repair(rig: PortRig) -> None:
    await rig.hub.assembly.checks.run()
    runner = rig.hub.assembly.checks._runner
    assert runner is not None
    assert runner._last is not None
    await repair(rig, "flush-outbox")
    assert runner._last is None
