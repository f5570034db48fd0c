"""One zone temperature from several sensors: stale, bad and contradicting ones do not count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import fusion
from agent.climate.fusion import CONTRADICTION_K, SensorSample, ZoneTemperature, fuse, rooms_for_outputs
from hal.interface import Quality, ZoneOutput

STALE_S = 1000.0


def room(*samples: SensorSample, home_median_c: float | None = None) -> ZoneTemperature:
    return fuse(samples, stale_s=STALE_S, home_median_c=home_median_c)


def test_sensors_are_averaged_by_weight() -> None:
    fused = room(SensorSample("a", 20.0, 0.0, weight=3.0), SensorSample("b", 22.0, 10.0))
    assert (fused.value_c, fused.used, fused.coldest_c, fused.age_s) == (20.5, 2, 20.0, 0.0)
    assert fused.problem == ""


def test_ageing_reading_loses_weight_until_it_is_stale() -> None:
    values = [
        room(SensorSample("a", 20.0, 0.0), SensorSample("b", 22.0, age_s)).value_c
        for age_s in (500.0, 750.0, 990.0, 1001.0)
    ]
    assert values == pytest.approx([21.0, 20.667, 20.039, 20.0], abs=0.001)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (SensorSample("a", 20.0, 1001.0), "a has been silent for 17 min"),
        (SensorSample("a", 20.0, 0.0, Quality.SUSPECT), "a is suspect"),
        (SensorSample("a", 20.0, 0.0, Quality.BAD), "a is bad"),
        (SensorSample("a", 80.0, 0.0), "a reports 80.0 °C"),
        (SensorSample("a", float("nan"), 0.0), "a reports nan"),
    ],
)
def test_invalid_sensor_is_left_out_with_its_reason(sample: SensorSample, words: str) -> None:
    alone = room(sample)
    assert (alone.value_c, alone.coldest_c) == (None, None)
    assert words in alone.problem
    assert not alone.has_contradiction
    both = room(sample, SensorSample("b", 21.0, 5.0))
    assert not both.has_contradiction
    assert (both.value_c, both.used) == (21.0, 1)


def test_jumped_sensors_count_for_frost_only() -> None:
    fused = room(
        SensorSample("a", 2.0, 0.0, last_valid_c=20.0),
        SensorSample("b", 3.0, 0.0, last_valid_c=20.0),
        SensorSample("c", 1.0, 2000.0, last_valid_c=20.0),
        SensorSample("d", 0.0, 0.0, Quality.BAD, last_valid_c=20.0),
    )
    assert (fused.value_c, fused.coldest_c, fused.warmest_c) == (None, 2.0, None)
    assert fused.has_contradiction
    assert room(SensorSample("a", 2.0, 0.0, last_valid_c=20.0), SensorSample("b", 21.0, 0.0)).coldest_c == 21.0


def test_no_sensor_means_no_temperature() -> None:
    assert room().value_c is None
    assert not room().has_contradiction
    assert room().problem == "no sensor has reported yet"
    assert fusion.await_readings([]) is fusion.NO_READING
    assert fusion.await_readings(["a"]).problem == "no sensor has reported yet: a"
    assert fusion.await_readings([*"abcde"]).problem == "no sensor has reported yet: a, b, c and 2 more"


def test_contradicting_sensor_of_three_is_left_out() -> None:
    fused = room(SensorSample("a", 20.0, 0.0), SensorSample("b", 20.5, 0.0), SensorSample("c", 35.0, 0.0))
    assert (fused.value_c, fused.warmest_c) == (20.25, 20.5)
    assert "c contradicts" in fused.problem
    assert fused.has_contradiction


def test_single_sensor_counts_until_it_is_stale() -> None:
    assert room(SensorSample("a", 20.0, STALE_S)).value_c == pytest.approx(20.0)


def test_home_median_decides_between_two_contradicting_sensors() -> None:
    two = (SensorSample("a", 20.0, 0.0), SensorSample("b", 35.0, 0.0))
    assert room(*two, home_median_c=21.0).value_c == 20.0
    assert room(*two, home_median_c=33.0).value_c == 35.0
    assert room(*two, home_median_c=21.0).warmest_c == 35.0


def test_two_contradicting_sensors_give_no_temperature() -> None:
    near = room(SensorSample("a", 20.0, 0.0), SensorSample("b", 25.0, 0.0))
    assert (near.value_c, near.coldest_c, near.warmest_c) == (22.5, 20.0, 25.0)
    assert "disagree by 5.0 K" in near.problem
    assert near.has_contradiction
    torn = room(SensorSample("a", 20.0, 0.0), SensorSample("b", 35.0, 0.0))
    assert (torn.value_c, torn.coldest_c, torn.warmest_c) == (None, 20.0, 35.0)
    assert "disagree by 15.0 K" in torn.problem
    assert torn.has_contradiction


@given(
    st.lists(st.tuples(st.floats(-20, 60), st.floats(0, 2000), st.sampled_from(Quality), st.floats(0.1, 5)), max_size=6)
)
def test_fused_temperature_lies_among_the_valid_readings(made: list[tuple[float, float, Quality, float]]) -> None:
    samples = [SensorSample(str(i), *entry) for i, entry in enumerate(made)]
    fused = fuse(samples, stale_s=STALE_S)
    good = [s.value_c for s in samples if s.quality is Quality.GOOD and s.age_s <= STALE_S and -15 <= s.value_c <= 55]
    assert (fused.coldest_c is None) == (not good)
    if fused.value_c is None:
        assert not good or (len(good) == 2 and max(good) - min(good) > CONTRADICTION_K)
    if fused.value_c is not None:
        assert min(good) - 1e-9 <= fused.value_c <= max(good) + 1e-9


def test_device_that_measures_its_own_zone_is_not_given_its_temperature() -> None:
    valve, other = ZoneOutput("z", device="0x01"), ZoneOutput("y", device="0x02")
    named = {"valve in z": "0x01"}
    assert rooms_for_outputs([(valve, ["attic"], 20.5), (other, ["hall"], None)], named) == {"z": 20.5}
    assert rooms_for_outputs([(valve, ["attic", "valve in z"], 20.5)], named) == {}
    assert rooms_for_outputs([(valve, ["0x01"], 20.5)], {}) == {}
