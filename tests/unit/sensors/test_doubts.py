"""Doubts about single sensors: each fault is found, its look-alikes are not, and no doubt is for ever."""

import math
import random
from collections.abc import Iterable

import pytest

from agent.sensors import doubts
from agent.sensors.doubts import (
    BIT_JUMPS_MIN,
    DOUBT_MS_MAX,
    ERRATIC_READINGS,
    ERRATIC_TURNS_MIN,
    FROZEN_EVIDENCE,
    FROZEN_READINGS_MIN,
    WINDOW_READINGS,
    ErraticDetector,
    JumpDetector,
    Liveliness,
    StuckBitDetector,
)

MINUTE_MS = 60_000

Detector = JumpDetector | ErraticDetector | StuckBitDetector


def reasons(detector: Detector, values: Iterable[float], *, gap_ms: int = MINUTE_MS) -> list[str]:
    return [detector.observe(value, index * gap_ms) for index, value in enumerate(values)]


def settles(start: float, end: float, lag_s: float, minutes: int = 30) -> list[float]:
    """Return what a thermometer shows each minute that is carried into other air."""
    return [start] * 3 + [end + (start - end) * math.exp(-60.0 * (i + 0.5) / lag_s) for i in range(minutes)]


@pytest.mark.parametrize(
    ("value", "before", "is_doubted"),
    [
        (85.0, 21.0, True),
        (85.0, None, True),
        (85.0, 84.5, False),
        (85.0, doubts.PIPE_C, False),
        (85.0625, 21.0, False),
        (127.9375, None, True),
        (127.94, 84.0, True),
        (127.0, 84.0, False),
    ],
)
def test_values_of_a_ds18b20_that_are_none(value: float, before: float | None, *, is_doubted: bool) -> None:
    assert bool(doubts.power_up_reason(value, before)) is is_doubted


@pytest.mark.parametrize("change", [2.5, -4.0, 12.0])
def test_a_jump_that_stays_is_found_at_the_next_reading(change: float) -> None:
    found = reasons(JumpDetector(), [21.0, 21.02, 21.0, 21.0 + change, 21.02 + change, 21.1 + change])
    assert found[:4] == [""] * 4
    assert "jumped from 21.0 to" in found[4]
    assert found[5]


@pytest.mark.parametrize("lag_s", [40.0, 120.0, 300.0, 900.0])
@pytest.mark.parametrize("end_c", [-5.0, 15.0, 60.0])
def test_a_sensor_that_is_carried_elsewhere_is_believed(lag_s: float, end_c: float) -> None:
    assert not any(reasons(JumpDetector(), settles(21.0, end_c, lag_s)))
    assert not any(reasons(ErraticDetector(), settles(21.0, end_c, lag_s)))


def test_reports_far_apart_show_no_jump() -> None:
    assert not any(reasons(JumpDetector(), [21.0, 21.0, 21.0, 16.0, 16.0, 16.0], gap_ms=doubts.STEADY_GAP_MS + 1))


def test_a_glitch_is_no_jump() -> None:
    assert not any(reasons(JumpDetector(), [21.0, 21.0, 21.0, 24.0, 21.0, 21.0, 21.0]))


def test_a_jump_is_forgiven_when_the_value_is_back() -> None:
    assert not reasons(JumpDetector(), [21.0, 21.0, 26.0, 26.0, 26.0, 21.1])[-1]


def test_a_jump_is_believed_after_a_time() -> None:
    readings = DOUBT_MS_MAX // MINUTE_MS
    found = reasons(JumpDetector(), [21.0, 21.0] + [26.0] * (readings + 5))
    assert found[2 + readings - 1]
    assert not found[2 + readings]
    assert not found[-1]


def test_back_and_forth_is_found() -> None:
    rng = random.Random(1)
    found = reasons(ErraticDetector(), [21.0 + rng.choice([0.0, 1.8]) for _ in range(30)])
    assert "back and forth" in found[14]
    calm = reasons(ErraticDetector(), [21.0, 23.0] * 6 + [21.0] * (ERRATIC_READINGS + 1))
    assert calm[ERRATIC_TURNS_MIN + 1]
    assert not calm[-1]


def test_a_door_is_opened_twice() -> None:
    assert not any(reasons(ErraticDetector(), [21.0, 19.0, 20.5, 19.0, 20.5, 21.0, 21.0, 21.0]))
    assert not any(reasons(ErraticDetector(), [21.0, 19.0] * 20, gap_ms=doubts.STEADY_GAP_MS + 1))


def alive(noise: float, *, hours: int = 26, seed: int = 1, steps: int = 100, every_min: int = 1) -> Liveliness:
    """Return a channel that has been seen for some hours."""
    rng, channel = random.Random(seed), Liveliness()
    for minute in range(0, hours * 60, every_min):
        channel.observe(round((21.0 + rng.gauss(0, noise)) * steps) / steps, minute * MINUTE_MS)
    return channel


def freeze(*channels: Liveliness, readings: int) -> str:
    for _ in range(readings):
        for channel in channels:
            channel.observe(21.005, channel.at_ms + MINUTE_MS)
    return doubts.frozen_reason(list(channels))


def test_a_frozen_chip_is_found_in_a_quarter_of_an_hour() -> None:
    chip = alive(0.01), alive(0.1), alive(0.05)
    assert freeze(*chip, readings=12)
    assert "its last 12 readings" in doubts.frozen_reason(list(chip))


def test_what_is_read_each_five_minutes_does_not_delay_it() -> None:
    quick, slow = alive(0.01), [alive(noise, every_min=5) for noise in (0.1, 0.05)]
    freeze(*slow, readings=1)
    # A first repetition may be chance, and is no reason to wait for ten.
    assert not freeze(quick, readings=15)
    assert not doubts.frozen_reason([quick, *slow])
    freeze(*slow, readings=2)
    assert "its last 15 readings" in doubts.frozen_reason([quick, *slow])


@pytest.mark.parametrize("seed", range(4))
def test_chips_in_a_room_that_stands_still_are_alive(seed: int) -> None:
    """Weeks in which each channel rests in the middle of a step, at its edge or anywhere, after a day that moved."""
    rng = random.Random(seed)
    noises = rng.uniform(0.3, 3.0), rng.uniform(0.3, 8.0), rng.uniform(0.3, 3.0)
    chip = [Liveliness() for _ in noises]
    most = 0.0
    for minute in range(14 * 24 * 60):
        day = minute // 1440
        for index, (channel, noise) in enumerate(zip(chip, noises, strict=True)):
            if not index or minute % 5 == 0:
                level = minute / 30.0 if not day else (0.0, 0.5, 0.3)[(day + index) % 3]
                channel.observe(float(round(level + rng.gauss(0.0, noise))), minute * MINUTE_MS)
        assert not doubts.frozen_reason(chip)
        most = max(most, sum(channel.evidence for channel in chip) if all(channel.run for channel in chip) else 0.0)
    assert 0.0 < most < FROZEN_EVIDENCE * 0.6


def test_one_frozen_thermometer_takes_longer() -> None:
    assert not freeze(alive(0.01), readings=15)
    assert freeze(alive(0.01), readings=60)


def test_a_chip_of_which_one_channel_moves_is_alive() -> None:
    frozen, moves = alive(0.01), alive(0.1)
    freeze(frozen, readings=90)
    moves.observe(50.0, 0)
    assert not doubts.frozen_reason([frozen, moves])


def test_a_coarse_sensor_may_rest() -> None:
    assert not freeze(alive(0.02, steps=10), readings=600)


def test_nothing_is_frozen_before_a_day_was_seen() -> None:
    assert not freeze(alive(0.05, hours=23), readings=50)
    assert not freeze(alive(0.05, hours=18, every_min=5), readings=50)


def test_a_frozen_value_does_not_teach_that_the_sensor_is_quiet() -> None:
    channel = alive(0.01)
    assert freeze(channel, readings=20 * WINDOW_READINGS)
    channel.observe(21.3, channel.at_ms + MINUTE_MS)
    rng = random.Random(2)
    for _ in range(2 * WINDOW_READINGS):
        channel.observe(round(21.0 + rng.gauss(0, 0.01), 2), channel.at_ms + MINUTE_MS)
    assert not doubts.frozen_reason([channel])
    assert freeze(channel, readings=60)


def test_a_chip_that_was_found_frozen_does_not_teach_that_it_is_quiet() -> None:
    channel, known = alive(0.05), alive(0.05)
    for each in (channel, known):
        freeze(each, readings=10)
    channel.is_frozen = True
    rng = random.Random(2)
    for _ in range(2 * WINDOW_READINGS):
        value, at_ms = round(21.0 + rng.gauss(0, 0.05), 2), channel.at_ms + MINUTE_MS
        channel.observe(value, at_ms)
        known.observe(value, at_ms)
    freeze(channel, known, readings=12)
    assert not channel.is_frozen
    assert channel.evidence > known.evidence


def test_few_readings_are_no_proof() -> None:
    chip = [alive(0.5, seed=seed) for seed in range(8)]
    assert not freeze(*chip, readings=FROZEN_READINGS_MIN)
    assert freeze(*chip, readings=2)


def slow(minutes: int, *, noise: float = 0.02, seed: int = 1) -> list[float]:
    """Return the numbers of a thermometer in a room that swings by 1.5 K in four hours."""
    rng = random.Random(seed)
    return [20.3 + 1.5 * math.sin(minute / 240 * math.tau) + rng.gauss(0, noise) for minute in range(minutes)]


@pytest.mark.parametrize("bit", [4, 5])
@pytest.mark.parametrize("is_one", [False, True])
def test_a_stuck_bit_is_found_within_a_few_swings(bit: int, *, is_one: bool) -> None:
    weight = 1 << bit
    numbers = [round(value * doubts.GRID) for value in slow(24 * 60)]
    numbers = [number | weight if is_one else number & ~weight for number in numbers]
    found = reasons(StuckBitDetector(), [number / doubts.GRID for number in numbers])
    assert f"worth {weight / doubts.GRID:g} K" in found[-1]


def test_no_bit_is_stuck_in_a_sensor_that_works() -> None:
    for seed in range(5):
        values = [round(value * doubts.GRID) / doubts.GRID for value in slow(3 * 24 * 60, seed=seed)]
        assert not any(reasons(StuckBitDetector(), values))


def test_a_bit_that_changes_again_is_believed() -> None:
    detector = StuckBitDetector()
    values = [21.0, 22.5] * BIT_JUMPS_MIN  # bit 4 stays where 1.5 K change it by chance, which is no jump by 1 K
    assert not any(reasons(detector, values))
    clouds = [20.0, 20.0 + 15 / 16]  # the bit is alike in both, and sun and clouds go on by turns
    assert not any(reasons(StuckBitDetector(), clouds * 10))
    jumps = [20.0, 20.0 + 18 / 16 + 15 / 16]  # 33/16: both ends have the bit alike
    assert not any(reasons(StuckBitDetector(), jumps * 10))


def test_the_grid_of_such_sensors() -> None:
    assert doubts.is_on_grid(21.0625)
    assert doubts.is_on_grid(21.062)
    assert not doubts.is_on_grid(21.05)
