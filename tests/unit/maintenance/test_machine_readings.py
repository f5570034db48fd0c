"""What a post says: which values count, and in which operating state."""

from math import inf, isfinite, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.maintenance.machine_readings import (
    Channel,
    EnergyPost,
    VibrationPost,
    ZoneState,
    energy_band,
    readings_of,
    velocity_rms_mm_s,
    vibration_band,
)

HEATS = ZoneState(1, 5.0)


def test_a_post_gives_the_logarithms_of_what_it_measured() -> None:
    found = readings_of(EnergyPost(0, 5, 230.0, 4.0, 20.0), HEATS)
    assert [(each.channel, each.value) for each in found] == [(Channel.CURRENT, log(4.0)), (Channel.INRUSH, log(20.0))]
    (vibration,) = readings_of(VibrationPost(0, 0.4, 58.7), HEATS)
    assert (vibration.channel, vibration.value) == (Channel.AMPLITUDE, log(0.4))


@pytest.mark.parametrize(
    "post",
    [
        EnergyPost(0, 0, 230.0, 4.0),
        EnergyPost(0, 1441, 230.0, 4.0),
        EnergyPost(0, 5, 0.0, 4.0),
        EnergyPost(0, 5, 100_000.0, 4.0),
        EnergyPost(0, 5, 230.0, 0.0),
        EnergyPost(0, 5, 230.0, -4.0),
        EnergyPost(0, 5, nan, 4.0),
        EnergyPost(0, 5, 230.0, inf),
        VibrationPost(0, 0.005, 50.0),
        VibrationPost(0, nan, 50.0),
        VibrationPost(0, 1e9, 50.0),
    ],
)
def test_a_machine_at_rest_and_values_that_no_machine_has_say_nothing(post: EnergyPost | VibrationPost) -> None:
    assert readings_of(post, HEATS) == []


def test_an_inrush_that_no_machine_has_leaves_the_current() -> None:
    (found,) = readings_of(EnergyPost(0, 5, 230.0, 4.0, nan), HEATS)
    assert found.channel is Channel.CURRENT


def test_another_load_is_another_operating_state() -> None:
    usual = energy_band(5, 230.0, HEATS)
    assert energy_band(4, 232.0, ZoneState(1, 8.0)) == usual
    others = {
        energy_band(1, 230.0, HEATS),
        energy_band(5, 250.0, HEATS),
        energy_band(5, 230.0, ZoneState(2, 5.0)),
        energy_band(5, 230.0, ZoneState(1, 15.0)),
        energy_band(5, 230.0, ZoneState(1, None)),
    }
    assert len(others) == 5
    assert usual not in others


def test_another_speed_is_another_operating_state() -> None:
    usual = vibration_band(50.0, HEATS)
    assert vibration_band(51.0, HEATS) == usual
    others = {vibration_band(25.0, HEATS), vibration_band(0.0, HEATS), vibration_band(50.0, ZoneState(2))}
    assert len(others) == 3
    assert usual not in others


@given(st.floats(), st.floats(), st.floats(), st.floats(), st.one_of(st.none(), st.floats()), st.integers(0, 2))
def test_any_number_gives_a_bounded_state_and_a_finite_value(
    minutes: float, volts: float, value: float, hertz: float, outdoor_c: float | None, mode: int
) -> None:
    state = ZoneState(mode, outdoor_c)
    for post in (EnergyPost(0, minutes, volts, value, value), VibrationPost(0, value, hertz)):
        for each in readings_of(post, state):
            assert isfinite(each.value)
            assert 0 <= each.band < 3 * 32 * 8 * 64
    assert velocity_rms_mm_s(value, hertz) is None or 10.0 <= hertz <= 1000.0


def test_the_velocity_of_a_tone() -> None:
    """A peak of 0.1 g is 2.2 mm/s RMS at 50 Hz and a tenth of it at 500 Hz; without a frequency it has none."""
    assert velocity_rms_mm_s(0.1, 50.0) == pytest.approx(2.207, abs=0.001)
    assert velocity_rms_mm_s(0.1, 500.0) == pytest.approx(0.2207, abs=0.0001)
    assert velocity_rms_mm_s(0.1, 0.0) is None
    assert velocity_rms_mm_s(0.1, 5.0) is None
    assert velocity_rms_mm_s(0.1, 1001.0) is None
