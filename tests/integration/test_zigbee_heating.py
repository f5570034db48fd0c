"""A room heated by an emulated plug or valve through the real zigpy and bellows: comfort and safety as with a relay."""

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from agent.climate.model import Block, Mode, Schedule, ZoneProgram
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings, pi_settings_for
from hal.interface import HvacAction, HvacDemand
from hal.sim.building import FLAT
from hal.zigbee import output_devices, output_line, output_table
from hal.zigbee.output_line import LineTiming
from lab.simulation.heating import HeatedHome, HeatedHomeOptions
from lab.simulation.heating_year import MINUTE_MS, START_MS
from lab.simulation.safety_oracle import SafetyOracle
from tests.integration.test_zigbee_outputs import HEAT, OFF, Zone, zone
from tests.integration.zigbee_bench import hasten

ROOM = "living"
DAY_MIN = 24 * 60
OUTAGE_MIN = 120
WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 27.0), Block("Night", "22:00", "06:00", 18.0, 28.0)))
NEAR_RADIATOR_K = 4.0
"""A valve on a warm radiator measures this much more than the room."""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


class Home(HeatedHome):
    """A home whose living room is heated by what the device really does; `None` for a relay."""

    def __init__(self) -> None:
        law = pi_settings_for(Emitter.RADIATOR, is_shared=False, min_on_s=180.0)
        zones = tuple(ZoneSettings(zone_id=each.name, sensors=((each.name, 1.0),), law=law) for each in FLAT.zones)
        settings = ClimateSettings(zones=zones)
        self.demand = HvacDemand()
        self.is_on: bool | None = None
        self.truths_c: list[float] = []
        # Of what the device does; `oracle` is of what is demanded.
        self.device_oracle = SafetyOracle(settings)
        program = ZoneProgram(mode=Mode.HEAT, schedules={"week": WEEK}, schedule="week")
        super().__init__(
            HeatedHomeOptions(
                settings=settings,
                seed=3,
                start_utc_ms=START_MS,
                programs={each.name: program for each in FLAT.zones},
            )
        )

    def _apply(self, demand: HvacDemand) -> None:
        self.demand = demand
        if self.is_on is None:
            super()._apply(demand)

    def heat(self, *, is_on: bool) -> None:
        """Heat by what the device does, until the next step."""
        self.is_on = is_on
        action = HvacAction.HEAT if is_on else HvacAction.OFF
        real = HvacDemand({**self.demand.zones, ROOM: action})
        self.device_oracle.check_demand(real, self.at_ms)
        super()._apply(real)

    def minute(self) -> HvacDemand:
        """Go on for a minute; return the demand on the device."""
        self.run(self.at_ms + MINUTE_MS)
        self.truths_c.append(self.truth_c(ROOM))
        return HEAT if self.demand.zones[ROOM] is HvacAction.HEAT else OFF


def error_k(home: Home, minutes: Sequence[int]) -> float:
    """Return the mean distance from 21 °C in the afternoons and evenings."""
    errors = [abs(home.truths_c[minute] - 21.0) for minute in minutes if 11 * 60 <= minute % DAY_MIN < 21 * 60]
    return sum(errors) / len(errors)


@functools.cache
def with_relay(minutes_off: int = 0) -> Home:
    """Return a home after three days with a relay, which the third day begins by being off for so long."""
    home = Home()
    for _ in range(2 * DAY_MIN):
        home.minute()
    for _ in range(minutes_off):
        home.heat(is_on=False)
        home.minute()
    home.is_on = None
    for _ in range(DAY_MIN - minutes_off):
        home.minute()
    return home


async def live(home: Home, device: Zone, minutes: int, *, is_open: int) -> None:
    """Heat for so long; ``is_open`` is the attribute that tells what the device does."""
    for _ in range(minutes):
        demand = home.minute()
        await device.apply(demand)
        # The emulated stick is on the same loop.
        await asyncio.sleep(0)
        wanted = demand is HEAT
        if home.is_on is not wanted:
            await device.hub.until(lambda: bool(device.value[is_open]) is wanted)  # noqa: B023 - awaited in the loop
        home.heat(is_on=bool(device.value[is_open]))


async def test_room_with_a_plug_is_as_warm_as_with_a_relay_and_no_rule_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_table, "RADIO_S_MAX", 0.3)
    monkeypatch.setattr(output_devices, "LEASE_S", 15.0)
    monkeypatch.setattr(output_line, "SWITCH", LineTiming(20.0, 1.0, 90.0, 1.0))
    relay = with_relay()
    async with zone(tmp_path, "switch", "plug") as plug:
        home = Home()
        await live(home, plug, 2 * DAY_MIN, is_open=0x0000)
        second_day = range(DAY_MIN, 2 * DAY_MIN)
        assert error_k(home, second_day) <= error_k(relay, second_day) + 0.05
        # The radio is gone for two hours: the plug goes off by itself, the hub says so, and heats again afterwards.
        plug.sensors.pull_out()
        await plug.fault(HEAT, "stick")
        await plug.hub.until(lambda: plug.value[0x0000] == 0)
        home.device_oracle.record_kill(home.at_ms)
        # Until the demand is off: a plug that comes back in the middle of a pulse is on for less than the minimum time.
        outage_min, demand = 0, OFF
        while outage_min < OUTAGE_MIN or demand is HEAT:
            home.heat(is_on=False)
            demand = home.minute()
            outage_min += 1
        plug.sensors.put_back()
        await plug.follows(OFF)
        await live(home, plug, DAY_MIN - outage_min, is_open=0x0000)
        third_day = range(2 * DAY_MIN, 3 * DAY_MIN)
        assert error_k(home, third_day) <= error_k(with_relay(outage_min), third_day) + 0.05
        assert (home.oracle.summary(), home.device_oracle.summary()) == ([], [])
        assert home.device_oracle.starts[ROOM] > 10


async def test_room_with_a_valve_is_as_warm_as_with_a_relay_and_no_rule_is_broken(tmp_path: Path) -> None:
    relay = with_relay()
    async with zone(tmp_path, "valve", "valve") as valve:
        home, shown_c = Home(), 0.0
        for _ in range(2 * DAY_MIN):
            near_c = home.truth_c(ROOM) + (NEAR_RADIATOR_K if home.is_on else 0.0)
            if abs(near_c - shown_c) > 0.5:
                shown_c = near_c
                valve.sensors.set_values("one", {"room_temperature_c": round(near_c, 1)})
            await live(home, valve, 1, is_open=0x0008)
        second_day = range(DAY_MIN, 2 * DAY_MIN)
        assert error_k(home, second_day) <= error_k(relay, second_day) + 0.05
        assert (home.oracle.summary(), home.device_oracle.summary()) == ([], [])
        assert home.device_oracle.starts[ROOM] > 10
