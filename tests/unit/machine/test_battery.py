"""A machine is powered off only where mains, gauge and voltage agree that its battery is empty; doubt keeps it on."""

import itertools
from collections.abc import Iterable

import pytest

from agent.machine.battery import (
    JUMP_PERCENT,
    MINUTES_MAX,
    POINTS_MAX,
    BatteryState,
    SupplyReading,
    advance,
    cell_v,
    doubt,
    is_on_battery,
    minutes_left,
    must_power_off,
)

LIMIT = 10.0
LOOK_MS = 10_000


def after(
    looks: Iterable[tuple[bool | None, float | None]], *, voltage_v: float | None = 3.4, limit: float = LIMIT
) -> tuple[BatteryState, list[int]]:
    """Advance by one look every ten seconds; return the state, and the looks at which the machine was to go off."""
    state, offs = BatteryState(), []
    for number, (is_mains_on, percent) in enumerate(looks):
        reading = SupplyReading(number * LOOK_MS, is_mains_on, percent, voltage_v)
        state = advance(state, reading, limit_percent=limit)
        if must_power_off(state, limit_percent=limit):
            offs.append(number)
    return state, offs


def falling(start: float, step: float, count: int) -> list[float]:
    return [start - step * number for number in range(count)]


def on_battery(percents: Iterable[float | None]) -> list[tuple[bool | None, float | None]]:
    return [(False, percent) for percent in percents]


def test_a_falling_charge_on_battery_powers_off_a_minute_after_the_limit() -> None:
    looks = on_battery(falling(20, 0.5, 40))
    _, offs = after(looks)
    first_low = next(number for number, (_, percent) in enumerate(looks) if percent is not None and percent <= LIMIT)
    assert offs[0] == first_low + 6


@pytest.mark.parametrize(
    ("looks", "voltage_v", "limit"),
    [
        ([(True, percent) for percent in falling(20, 0.5, 60)], 3.4, LIMIT),
        ([(None, percent) for percent in falling(20, 0.5, 60)], 3.4, LIMIT),
        (on_battery([0.0] * 100), 3.4, LIMIT),
        (on_battery([9.0] * 100), 3.4, LIMIT),
        (on_battery(falling(20, 0.5, 40)), 3.9, LIMIT),
        (on_battery(falling(20, 0.5, 40)), 7.8, LIMIT),
        (on_battery(falling(20, 0.5, 40)), 3.4, 0.0),
        (on_battery([80.0] * 10 + [5.0] * 100), 3.4, LIMIT),
        (on_battery([None] * 100), 3.4, LIMIT),
        (on_battery([*falling(13, 0.5, 5), 14.5, *falling(13, 0.2, 50)]), 3.4, LIMIT),
        (
            [*itertools.chain.from_iterable([(False, 9.0 - n * 0.3), (True, 8.9 - n * 0.3)] for n in range(29))],
            3.4,
            LIMIT,
        ),
        (
            [*itertools.chain.from_iterable([*on_battery([9.0 - n * 0.3] * 5), (None, 9.0)] for n in range(20))],
            3.4,
            LIMIT,
        ),
    ],
    ids=[
        "mains is on",
        "no mains signal",
        "gauge stuck at zero",
        "gauge stuck below the limit",
        "voltage of a charged cell",
        "voltage of two charged cells",
        "no limit",
        "gauge jumps and stays",
        "gauge unreadable",
        "charge rises on battery",
        "mains flickers",
        "mains signal is lost now and then",
    ],
)
def test_every_doubt_keeps_the_machine_on(
    looks: list[tuple[bool | None, float | None]], voltage_v: float, limit: float
) -> None:
    assert after(looks, voltage_v=voltage_v, limit=limit)[1] == []


def test_after_a_jump_the_charge_must_fall_again() -> None:
    _, offs = after(on_battery([80.0] * 10 + falling(9, 0.1, 60)))
    assert offs
    assert 9 - 0.1 * (offs[0] - 10) <= 7.0


def test_mains_that_returns_ends_everything() -> None:
    state, offs = after([*on_battery(falling(11, 0.2, 10)), (True, 9.0)])
    assert (offs, is_on_battery(state), state.points) == ([], False, ())


def test_an_unknown_voltage_does_not_hinder() -> None:
    assert after(on_battery(falling(20, 0.5, 40)), voltage_v=None)[1]


def test_contradiction_is_said_until_the_mains_has_been_on() -> None:
    looks = on_battery([*falling(50, 0.5, 5), 51.0])
    state, _ = after(looks)
    assert "check the mains signal" in doubt(state)
    state, _ = after([*looks, (True, 51.0)])
    assert doubt(state) == ""


def test_a_gauge_that_its_voltage_contradicts_is_said_on_mains_too() -> None:
    assert "gauge" in doubt(after([(True, 2.0)], voltage_v=4.1)[0])
    assert doubt(after([(True, 2.0)], voltage_v=3.3)[0]) == ""


def test_minutes_left_are_those_to_the_limit_at_the_rate_of_this_outage() -> None:
    state, _ = after(on_battery(falling(50, 0.1, 61)))
    # 0.6 % a minute, 34 % above the limit.
    assert minutes_left(state, limit_percent=10) == pytest.approx(34 / 0.6, abs=1)
    assert minutes_left(state, limit_percent=0) == pytest.approx(44 / 0.6, abs=1)
    assert minutes_left(after([(True, 50.0)])[0], limit_percent=0) is None


@pytest.mark.parametrize("percents", [[50.0] * 100, falling(50, 0.1, 20), [None] * 40, [50.0]])
def test_minutes_left_are_unknown_before_the_charge_has_fallen(percents: list[float | None]) -> None:
    assert minutes_left(after(on_battery(percents))[0], limit_percent=0) is None


def test_minutes_and_points_are_bounded() -> None:
    state, _ = after(on_battery(falling(90, 0.002, 4000)))
    assert len(state.points) == POINTS_MAX
    assert minutes_left(after(on_battery(falling(90, 0.01, 120)))[0], limit_percent=0) == MINUTES_MAX


@pytest.mark.parametrize(
    ("voltage_v", "expected"), [(3.7, 3.7), (4.35, 4.35), (6.4, 3.2), (8.4, 4.2), (12.4, 12.4 / 3)]
)
def test_cells_in_series(voltage_v: float, expected: float) -> None:
    assert cell_v(voltage_v) == pytest.approx(expected)


def test_a_jump_is_larger_than_any_consumption() -> None:
    state, _ = after(on_battery([50.0, 50.0 - JUMP_PERCENT - 0.1]))
    assert state.high_percent == 50.0 - JUMP_PERCENT - 0.1
