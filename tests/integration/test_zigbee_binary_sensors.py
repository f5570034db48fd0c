"""Contacts and motion sensors on the real zigpy and bellows: enrolled, heard, kept, and used by control."""

from pathlib import Path

import pytest

pytest.importorskip("bellows")

from agent.climate.binary_sensors import BinaryLookup
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction
from hal.radio import BinaryKind
from hal.zigbee.radio_state import decode_devices
from tests.integration.zigbee_bench import Hub, Stand, hasten, one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def told(hub: Hub) -> list[tuple[BinaryKind, bool | None]]:
    return [(state.kind, state.is_active) for state in hub.network.binary_states]


@pytest.mark.parametrize(
    ("model", "quantity", "kind"),
    [("contact", "contact", BinaryKind.CONTACT), ("occupancy", "occupancy", BinaryKind.OCCUPANCY)],
)
async def test_sensor_is_set_up_and_heard(tmp_path: Path, model: str, quantity: str, kind: BinaryKind) -> None:
    async with Stand(tmp_path, house=one(model)).running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
        assert told(hub) == [(kind, False)]
        for is_active in (True, False, True):
            sensors.set_values("one", {quantity: float(is_active)})
            await hub.until(lambda: told(hub) == [(kind, is_active)])  # noqa: B023 - awaited in the loop
        (state,) = hub.network.binary_states
        assert (state.device, state.is_online) == (device, True)
        # The cloud gets nothing of it.
        assert {str(reading.kind) for reading in hub.readings} <= {"battery_level"}
        await hub.network.remove(device)
        assert list(hub.network.binary_states) == []


async def test_open_window_stays_open_over_a_restart_and_motion_does_not(tmp_path: Path) -> None:
    house = one("contact") + one("occupancy").replace('"one"', '"hall"')
    stand = Stand(tmp_path, house=house)
    async with stand.running() as (sensors, hub):
        await hub.pair(sensors, "one")
        await hub.pair(sensors, "hall")
        sensors.set_values("one", {"contact": 1})
        sensors.set_values("hall", {"occupancy": 1})
        await hub.until(lambda: [is_active for _, is_active in told(hub)] == [True, True])
        await hub.until(
            lambda: (
                BinaryKind.CONTACT in decode_devices(stand.store.read("zigbee-sensors.json"), "boot").sensors[0].binary
                and decode_devices(stand.store.read("zigbee-sensors.json"), "boot")
                .sensors[0]
                .binary[BinaryKind.CONTACT]
                is True
            )
        )
    async with stand.running() as (sensors, hub):
        assert told(hub) == [(BinaryKind.CONTACT, True), (BinaryKind.OCCUPANCY, None)]
        sensors.set_values("one", {"contact": 0})
        await hub.until(lambda: told(hub)[0] == (BinaryKind.CONTACT, False))


async def test_zone_pauses_for_its_contact_and_is_heated_less_while_nobody_moves(tmp_path: Path) -> None:
    house = one("contact") + one("occupancy").replace('"one"', '"hall"')
    async with Stand(tmp_path, house=house).running() as (sensors, hub):
        names = {"window": await hub.pair(sensors, "one"), "hall": await hub.pair(sensors, "hall")}
        found = BinaryLookup([*names, "t"], states=lambda: hub.network.binary_states, devices=lambda: names)
        zone = ZoneSettings(zone_id="z", sensors=(("t", 1.0), *((name, 1.0) for name in names)))
        start_ms = hub.network.binary_states[0].heard_ms
        control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), Now("boot", start_ms, None))

        def step(later_s: float) -> tuple[HvacAction, str]:
            now = Now("boot", start_ms + 3_600_000 + round(later_s * 1000), None)
            states = found.states()
            made = control.step(now, {"t": SensorReading(17.0, now.now_ms)}, binary_states=states)
            return made.demand.zones["z"], made.reasons[0]

        sensors.set_values("hall", {"occupancy": 1})
        await hub.until(lambda: (BinaryKind.OCCUPANCY, True) in told(hub))
        assert step(0.0)[0] is HvacAction.HEAT
        sensors.set_values("one", {"contact": 1})
        await hub.until(lambda: (BinaryKind.CONTACT, True) in told(hub))
        action, reason = step(600.0)
        assert (action, reason.split(" (")[0]) == (HvacAction.OFF, "paused: window is open")
        sensors.set_values("one", {"contact": 0})
        sensors.set_values("hall", {"occupancy": 0})
        await hub.until(lambda: {is_active for _, is_active in told(hub)} == {False})
        step(1200.0)
        effective = control.zones["z"].effective
        assert effective is not None
        assert (effective.setpoints.heat_setpoint_c, effective.text[-12:]) == (17.0, "nobody there")
        assert control.zones["z"].detected == ("window: closed", "hall: nobody there")
