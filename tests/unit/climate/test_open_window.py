"""Open windows: what counts as one, what does not, how a pause ends, and what a zone teaches."""

import msgspec
import pytest

from agent.climate import open_window
from agent.climate.fusion import ZoneTemperature
from agent.climate.open_window import FIRST_USUAL_K, PAUSE_COLD_K_MAX, SETTLED_S, OpenWindowState, WindowInputs

SETPOINT_C = 21.0
PAUSE_S = 1800.0
KNOWN = 0.8
"""The doubt about a zone that has been seen for some hours."""


class Zone:
    """A zone whose temperature a test prescribes, with a sensor that reports each minute."""

    def __init__(self, *, is_on: bool = False, outdoor_c: float | None = None, pause_s_max: float = PAUSE_S) -> None:
        self.state = OpenWindowState(doubt=KNOWN, settled_s=SETTLED_S)
        self.now_ms = 0
        self.is_on, self.outdoor_c, self.pause_s_max = is_on, outdoor_c, pause_s_max
        self.contact = ""
        self.setpoint_c: float | None = SETPOINT_C

    def step(self, value_c: float | None, *, age_s: float = 0.0, dt_s: float = 60.0) -> bool:
        self.now_ms += round(dt_s * 1000)
        temperature = ZoneTemperature(value_c, age_s, 1, value_c, names=("room",))
        given = WindowInputs(
            temperature,
            self.setpoint_c,
            self.contact,
            self.is_on,
            0.0 if self.is_on else None,
            self.outdoor_c,
            self.pause_s_max,
        )
        self.state = open_window.advance(self.state, given, now_ms=self.now_ms)
        return self.state.is_open

    def hold(self, value_c: float, minutes: int = 30, *, ripple_k: float = 0.01) -> bool:
        return True in [self.step(value_c + ripple_k * (minute % 2)) for minute in range(minutes)]

    def fall(self, k_per_min: float, minutes: int, from_c: float = SETPOINT_C) -> int | None:
        """Return the minute in which a window is found."""
        found = [self.step(from_c - k_per_min * (minute + 1)) for minute in range(minutes)]
        return found.index(True) + 1 if True in found else None

    def reason(self) -> str:
        return open_window.reason(self.state, self.pause_s_max, now_ms=self.now_ms)


def test_a_fall_that_no_zone_makes_is_a_window_within_minutes() -> None:
    zone = Zone()
    assert not zone.hold(SETPOINT_C)
    assert (zone.fall(0.5, 10) or 99) <= 4
    assert zone.reason() == "paused: a window seems open (5.0 K colder), for 23 min at most"


@pytest.mark.parametrize("k_per_min", [0.01, 0.03, 0.05])
def test_a_room_that_cools_as_rooms_do_is_none(k_per_min: float) -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    assert zone.fall(k_per_min, 60) is None


def test_the_fall_above_the_setpoint_does_not_count() -> None:
    zone = Zone()
    zone.hold(25.0)
    assert zone.fall(0.5, 8, from_c=25.0) is None
    assert zone.fall(0.05, 10) is None


def test_a_furnace_that_stops_makes_a_larger_fall_than_a_room_at_rest() -> None:
    heated, resting = Zone(is_on=True), Zone()
    for zone in (heated, resting):
        zone.hold(SETPOINT_C)
    assert heated.fall(0.25, 5) is None
    assert resting.fall(0.25, 5) is not None


def test_one_wrong_value_is_no_fall() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    assert not zone.step(18.0)
    assert not zone.hold(SETPOINT_C)


def test_a_jump_that_stays_is_the_sensor() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    assert not zone.hold(18.0, 60)


def test_a_coarse_sensor_needs_several_steps() -> None:
    zone = Zone()
    for _ in range(5):
        zone.hold(21.0, 20, ripple_k=0.0)
        assert not zone.hold(20.5, 20, ripple_k=0.0)
    assert not zone.step(21.0)
    assert not zone.hold(20.0, 5, ripple_k=0.0)
    assert zone.fall(0.5, 4, from_c=20.0) is not None


def test_the_fall_between_two_rare_readings_counts_as_far_as_it_can_be_recent() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    # Two kelvin in half an hour are a room that cools; six are not.
    assert not zone.step(19.0, dt_s=1800.0)
    assert zone.step(13.0, dt_s=1800.0)


def test_a_long_silence_and_other_sensors_prove_nothing() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    assert not zone.step(15.0, dt_s=2000.0)
    other = ZoneTemperature(12.0, 0.0, 1, 12.0, names=("another",))
    given = WindowInputs(other, SETPOINT_C, "", is_on=False, on_ago_s=None, outdoor_c=None, pause_s_max=PAUSE_S)
    assert not open_window.advance(zone.state, given, now_ms=zone.now_ms + 60_000).is_open


def test_when_it_is_warm_outside_no_window_makes_a_fall() -> None:
    zone = Zone(outdoor_c=18.5)
    zone.hold(SETPOINT_C)
    assert zone.fall(0.5, 10) is None


def test_a_zone_that_does_not_heat_and_one_without_the_detection_have_none() -> None:
    zone, other = Zone(), Zone(pause_s_max=0.0)
    zone.setpoint_c = None
    for each in (zone, other):
        each.hold(SETPOINT_C)
        assert each.fall(0.5, 10) is None


def test_a_pause_ends_when_the_temperature_has_turned() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    zone.fall(0.5, 12)
    assert zone.step(15.1)
    assert zone.step(15.8)
    assert not zone.step(16.5)
    assert not zone.hold(17.0)


def test_a_pause_ends_after_its_time() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    zone.fall(0.5, 10)
    minutes = 0
    while zone.step(16.0):
        minutes += 1
    assert 20 <= minutes <= 30
    assert not zone.hold(16.0, 60)


def test_a_pause_ends_when_the_temperature_is_lost() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    zone.fall(0.5, 10)
    assert not zone.step(None)


def test_a_contact_pauses_at_once_until_it_closes() -> None:
    zone = Zone()
    zone.contact = "kitchen window"
    assert zone.step(SETPOINT_C)
    assert zone.reason() == "paused: kitchen window is open"
    assert zone.hold(15.0, 120)
    zone.contact = ""
    assert not zone.step(15.0)
    assert not zone.hold(15.0)


def test_what_a_zone_does_is_usual_and_is_forgotten() -> None:
    zone = Zone()
    for _ in range(10):
        zone.hold(SETPOINT_C, 40)
        assert zone.fall(0.14, 4) is None
        zone.hold(20.44, 40)
    learned_k = zone.state.usual_k[1][0]
    assert learned_k == pytest.approx(0.56, abs=0.03)
    for _ in range(25 * 24):
        zone.hold(SETPOINT_C, 60)
    assert zone.state.usual_k[1][0] < 0.1


def test_the_fall_of_a_window_teaches_nothing_but_one_that_was_none_does() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    zone.fall(0.5, 10)
    while zone.step(16.0):
        pass
    assert zone.state.usual_k[1][0] <= FIRST_USUAL_K[1][0]
    small = Zone()
    small.hold(SETPOINT_C)
    assert small.fall(0.2, 5) is not None
    while small.step(20.05):
        pass
    assert small.state.usual_k[1][0] >= 0.75
    small.hold(SETPOINT_C)
    assert small.fall(0.2, 5) is None


def test_a_stove_that_is_turned_off_above_the_setpoint_teaches_and_an_aired_room_hides_no_window() -> None:
    """Found in the simulated flat: a breakfast on Saturday ended below the setpoint, all cooking before it above."""
    known, shown, aired = Zone(), Zone(), Zone()
    for zone in (known, shown, aired):
        for _ in range(4 * 24):
            zone.hold(SETPOINT_C, 60)
    assert shown.fall(0.13, 5, from_c=22.5) is None
    assert aired.fall(0.5, 6, from_c=25.0) is None
    for zone in (shown, aired):
        zone.hold(SETPOINT_C, 60)
    assert (known.fall(0.13, 5), shown.fall(0.13, 5)) == (5, None)
    assert aired.state.usual_k[1] == pytest.approx(FIRST_USUAL_K[1], rel=0.01)
    assert (aired.fall(0.5, 10) or 99) <= 4


def test_a_zone_that_is_not_known_yet_has_no_window() -> None:
    zone = Zone()
    zone.state = OpenWindowState()
    assert zone.fall(0.5, 20, from_c=21.3) is None
    for _ in range(7):
        zone.hold(SETPOINT_C, 60)
    assert zone.fall(0.5, 20) is not None


def test_the_longer_a_zone_is_known_the_smaller_a_fall_is_none_of_its_own() -> None:
    young, old = Zone(), Zone()
    for _ in range(4 * 24):
        old.hold(SETPOINT_C, 60)
    young.hold(SETPOINT_C)
    assert (old.fall(0.12, 6), young.fall(0.12, 6)) == (5, None)


def test_the_state_stays_small() -> None:
    zone = Zone()
    for second in range(4000):
        zone.step(SETPOINT_C + 0.01 * (second % 2), dt_s=1.0)
    assert len(zone.state.recent) <= 50
    assert len(msgspec.json.encode(zone.state)) < 4000


@pytest.mark.parametrize("event", ["raised", "creeping", "cold", "sensors", "pause", "long run"])
def test_a_zone_that_has_not_settled_has_no_window_and_teaches(event: str) -> None:
    zone = Zone()
    if event == "raised":
        zone.setpoint_c = SETPOINT_C - 0.5
        zone.hold(SETPOINT_C - 0.5)
        zone.setpoint_c = SETPOINT_C
    elif event == "creeping":
        zone.hold(SETPOINT_C - 0.5)
        for _ in range(10):
            zone.setpoint_c = (zone.setpoint_c or 0.0) + 0.02
            zone.step(SETPOINT_C)
    elif event == "cold":
        zone.hold(SETPOINT_C - 1.5)
    elif event == "sensors":
        zone.state = msgspec.structs.replace(zone.state, names=("another",))
    elif event == "pause":
        zone.hold(SETPOINT_C)
        zone.fall(0.5, 6)
        zone.hold(18.0, 40)
    else:
        zone.is_on = True
        zone.hold(SETPOINT_C, 40)
        zone.is_on = False
    zone.hold(SETPOINT_C, 40)
    assert zone.fall(0.25, 6) is None
    zone.hold(SETPOINT_C - 0.5, 90)
    assert max(zone.state.usual_k[1]) > 1.2
    zone.hold(SETPOINT_C, 90)
    assert zone.fall(0.25, 6) is None  # it is usual now
    zone.hold(SETPOINT_C, 90)
    assert zone.fall(1.0, 6) is not None


def test_a_room_at_the_limit_of_its_equipment_pauses_for_a_fall_that_no_zone_makes() -> None:
    zone = Zone(is_on=True)
    zone.hold(SETPOINT_C - 5.0, 90)
    assert zone.state.settled_s == 0.0
    assert zone.fall(0.3, 5, from_c=SETPOINT_C - 5.0) is None
    zone.hold(SETPOINT_C - 5.0, 90)
    assert zone.fall(0.6, 5, from_c=SETPOINT_C - 5.0) is not None


@pytest.mark.parametrize(("k_per_min", "found"), [(0.19, None), (0.21, 5)])
def test_a_fall_well_above_what_a_zone_shows_each_day_is_a_window(k_per_min: float, found: int | None) -> None:
    zone = Zone()
    for _ in range(4 * 24):
        zone.hold(SETPOINT_C, 40)
        assert zone.fall(0.14, 4) is None
        zone.hold(20.44, 40)
    zone.hold(SETPOINT_C, 60)
    assert zone.fall(k_per_min, 5) == found


def test_a_squall_of_ten_minutes_is_no_window_and_one_that_goes_on_is() -> None:
    zone = Zone()
    for _ in range(4 * 24):
        zone.hold(SETPOINT_C, 60)
    assert zone.fall(0.08, 10) is None
    zone.hold(SETPOINT_C, 90)
    assert zone.fall(0.08, 14) is not None


def test_a_pause_leaves_a_zone_no_colder_than_its_bound_unless_no_zone_falls_that_fast() -> None:
    slow, fast = Zone(), Zone()
    for zone, k_per_min in ((slow, 0.2), (fast, 0.5)):
        zone.hold(SETPOINT_C)
        assert zone.fall(k_per_min, 5) is not None
    paused_c = [value_c for value_c in (20.0 - 0.1 * minute for minute in range(25)) if slow.step(value_c)]
    assert min(paused_c) >= SETPOINT_C - PAUSE_COLD_K_MAX
    assert all(fast.step(18.5 - 0.1 * minute) for minute in range(15))


def test_a_pause_ends_when_the_temperature_has_stopped_falling() -> None:
    zone = Zone()
    zone.hold(SETPOINT_C)
    assert zone.fall(0.2, 5) is not None
    assert zone.hold(20.0, 5)
    zone.hold(20.0, 6)
    assert not zone.state.is_open
