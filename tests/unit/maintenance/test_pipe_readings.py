"""When supply and return are settled, and what they say then."""

from math import isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.maintenance.pipe_readings import (
    EXCESS_K_MIN,
    ON_S_MIN,
    READING_S,
    REST,
    STILL_K,
    STILL_S,
    PipeChannel,
    PipePair,
    Steady,
    follow_steady,
    is_swapped,
    readings_of,
    spread_of,
    units_of,
)

WARM = PipePair(50.0, 41.0)


def heated(minutes: int, pair: PipePair = WARM, before: Steady = REST, output: float = 1.0) -> Steady:
    for _ in range(minutes):
        before = follow_steady(before, pair, 20.0, output, 60.0)
    return before


def test_a_zone_that_is_heated_for_long_enough_with_still_pipes_gives_a_reading() -> None:
    settling = heated(int(ON_S_MIN / 60) - 1)
    assert (settling.counted_s, settling.on_s) == (0.0, ON_S_MIN - 60.0)
    made = heated(int(READING_S / 60), before=settling)
    assert made.is_complete
    assert made.supply_ks / made.counted_s == pytest.approx(30.0)
    assert made.spread_ks / made.counted_s == pytest.approx(9.0)


@pytest.mark.parametrize("pair", [PipePair(50.0 + STILL_K + 0.1, 41.0), PipePair(50.0, 41.0 - STILL_K - 0.1)])
def test_a_pipe_that_moves_has_to_settle_anew(pair: PipePair) -> None:
    moved = follow_steady(heated(30), pair, 20.0, 1.0, 60.0)
    assert (moved.counted_s, moved.still_s, moved.on_s) == (0.0, 0.0, 31 * 60.0)
    assert heated(int(STILL_S / 60) - 1, pair, moved).counted_s == 0.0
    assert heated(int(STILL_S / 60), pair, moved).counted_s > 0.0


def test_another_output_is_another_state() -> None:
    assert follow_steady(heated(30), WARM, 20.0, 0.8, 60.0).still_s == 0.0
    assert follow_steady(heated(30), WARM, 20.0, 0.95, 60.0).still_s > 0.0


@pytest.mark.parametrize(
    ("pair", "room_c", "output"),
    [
        (PipePair(None, 41.0), 20.0, 1.0),
        (PipePair(50.0, None), 20.0, 1.0),
        (WARM, None, 1.0),
        (WARM, 20.0, 0.0),
    ],
    ids=["no supply", "no return", "no room", "not heated"],
)
def test_without_heat_or_a_temperature_it_begins_anew(pair: PipePair, room_c: float | None, output: float) -> None:
    assert follow_steady(heated(30), pair, room_c, output, 60.0) == REST


def test_a_reading_is_the_transfer_units_of_the_emitter_and_the_excess_in_this_weather() -> None:
    spread, supply = readings_of(30.0, 9.0, 1.0, 2.0)
    assert (spread.channel, spread.value) == (PipeChannel.SPREAD, log(units_of(30.0, 9.0)))
    assert units_of(30.0, 9.0) == pytest.approx(0.357 / 30.0**0.2, rel=0.01)
    assert spread_of(units_of(30.0, 9.0), 30.0) == pytest.approx(9.0)
    assert (supply.channel, supply.value) == (PipeChannel.SUPPLY, log(30.0))
    assert [each.band for each in readings_of(40.0, 9.3, 1.0, 4.9)] == [spread.band, supply.band]
    (alone,) = readings_of(30.0, 9.0, 1.0, None)
    assert alone == spread


def test_weather_and_output_are_other_states_and_a_warmer_supply_is_none() -> None:
    bands = {
        tuple(each.band for each in readings_of(excess_k, 0.3 * excess_k, output, outdoor_c))
        for excess_k in (15.0, 30.0)
        for output in (0.3, 0.6, 1.0)
        for outdoor_c in (-8.0, 2.0)
    }
    assert len(bands) == 6


@pytest.mark.parametrize(
    ("excess_k", "spread_k"),
    [(EXCESS_K_MIN - 0.1, 2.0), (30.0, 29.0), (-3.0, 1.0), (30.0, -4.0), (float("nan"), 1.0)],
    ids=["cold", "return off its pipe", "supply off its pipe", "swapped", "no number"],
)
def test_what_is_no_pair_on_warm_pipes_says_nothing(excess_k: float, spread_k: float) -> None:
    assert readings_of(excess_k, spread_k, 1.0, 2.0) == []


def test_a_return_as_warm_as_the_supply_is_a_small_spread_and_a_warmer_one_the_supply() -> None:
    assert readings_of(30.0, -0.4, 1.0, 2.0)[0].value == readings_of(30.0, 0.0, 1.0, 2.0)[0].value
    assert not is_swapped(30.0, -0.4)
    assert is_swapped(21.0, -9.0)
    assert not is_swapped(1.0, -3.0), "cold pipes are as they are"


@given(
    excess_k=st.floats(-1e6, 1e6) | st.just(float("nan")),
    spread_k=st.floats(-1e6, 1e6),
    output=st.floats(0.0, 1.0),
    outdoor_c=st.none() | st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_number_gives_a_bounded_state_and_a_finite_value(
    excess_k: float, spread_k: float, output: float, outdoor_c: float | None
) -> None:
    for each in readings_of(excess_k, spread_k, output, outdoor_c):
        assert 0 <= each.band < 512
        assert isfinite(each.value)
