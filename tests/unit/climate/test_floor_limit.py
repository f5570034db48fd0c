"""The floor's limit: a hot floor ends the heating, a lost probe bounds it, frost protection goes on."""

import pytest

from agent.climate.controller import ClimateController
from agent.climate.floor_limit import PROBE_C_MAX, known_floor_c
from agent.climate.fusion import SensorReading
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings, pi_settings_for
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction, Quality
from tests.unit.climate.single_zone_home import House

LIMIT_C = 29.0


@pytest.mark.parametrize(
    ("reading", "known_c"),
    [
        (SensorReading(28.0, 100_000), 28.0),
        (None, None),
        (SensorReading(28.0, 100_000, Quality.SUSPECT), None),
        (SensorReading(PROBE_C_MAX + 1.0, 100_000), None),
        (SensorReading(28.0, 0), None),
        (SensorReading(28.0, 0, silence_s_max=3600.0), 28.0),
    ],
)
def test_only_a_good_plausible_and_recent_value_is_known(reading: SensorReading | None, known_c: float | None) -> None:
    assert known_floor_c(reading, now_ms=1_850_000, stale_s=1800.0) == known_c


class HeatedFloor:
    """A cold room over a slab with more power than its floor stands; the slab is what the probe measures."""

    def __init__(self, setpoint_c: float, *, room_c: float | None = None, mode: Mode = Mode.HEAT) -> None:
        zone = ZoneSettings(
            zone_id="z",
            sensors=(("room", 1.0),),
            law=pi_settings_for(Emitter.FLOOR, is_shared=False, min_on_s=180.0),
            floor_sensor="floor",
            floor_c_max=LIMIT_C,
        )
        self.control = ClimateController(ClimateSettings(zones=(zone,)), ClimateSnapshot(), Now("b", 0, None))
        self.control.set_program("z", ZoneProgram(mode=mode, setpoints=Setpoints(setpoint_c, 35.0)))
        self.house = House(15.0, 6000.0, slab_j_per_k=5e6)
        self.room_c = room_c
        self.minute, self.is_on = 0, False
        self.on_min, self.highest_c, self.reasons = 0, 0.0, set[str]()

    def run(self, hours: float, *, probe_c: float | None = None, is_lost: bool = False) -> None:
        self.on_min = 0
        for _ in range(round(hours * 60)):
            self.minute += 1
            self.house.advance(is_on=self.is_on, dt_s=60.0)
            now = Now("b", self.minute * 60_000, None)
            # A value that never changes would be a stuck sensor.
            room_c = self.house.air_c if self.room_c is None else self.room_c + 0.01 * (self.minute % 2)
            readings = {"room": SensorReading(round(room_c, 2), now.now_ms)}
            if not is_lost:
                floor_c = self.house.emitter_c if probe_c is None else probe_c
                readings["floor"] = SensorReading(round(floor_c, 2), now.now_ms)
            made = self.control.step(now, readings)
            self.is_on = made.demand.zones["z"] is HvacAction.HEAT
            self.on_min += self.is_on
            self.highest_c = max(self.highest_c, self.house.emitter_c)
            self.reasons.add(made.reasons[0].partition(":")[2].strip().split(" has ")[0])


def test_a_floor_stays_at_its_limit_and_below_it_the_room_is_heated_as_ever() -> None:
    home = HeatedFloor(26.0)
    home.run(24)
    # The relay's minimum on time is all that it may go beyond.
    assert LIMIT_C - 0.1 < home.highest_c < LIMIT_C + 0.6
    assert "the floor" in home.reasons
    cool = HeatedFloor(15.0)
    cool.run(24)
    assert "the floor" not in cool.reasons
    assert cool.house.air_c == pytest.approx(15.0, abs=0.7)


def test_without_its_probe_a_zone_is_heated_little() -> None:
    home = HeatedFloor(26.0, room_c=15.0)
    home.run(24, is_lost=True)
    assert home.on_min == pytest.approx(0.3 * 24 * 60, rel=0.1)
    assert any("check the floor probe floor" in reason for reason in home.reasons)


def test_frost_protection_goes_on_at_a_low_duty_over_a_floor_that_seems_hot() -> None:
    home = HeatedFloor(20.0, room_c=4.0, mode=Mode.OFF)
    home.run(24, probe_c=40.0)
    assert home.on_min == pytest.approx(0.3 * 24 * 60, rel=0.1)
    home = HeatedFloor(20.0, room_c=4.0, mode=Mode.OFF)
    home.run(12, is_lost=True)
    assert home.on_min > 0.95 * 12 * 60
