"""The control goes on with a file whose numbers no zone could have taught, and with a clock that is set back."""

from datetime import UTC, datetime

import msgspec
import pytest

from agent.climate.controller import ClimateController
from agent.climate.emitter import CycleState
from agent.climate.fusion import SensorReading
from agent.climate.model import Block, Schedule, ZoneProgram
from agent.climate.open_window import USUAL_K_MAX, OpenWindowState
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.sensor_probe import SensorProbe
from agent.climate.sensor_rhythm import SensorRhythm
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot, ZoneSnapshot, restore
from agent.climate.zone_model import ZoneDynamics
from agent.foundation.clock import Now
from hal.interface import HvacAction

START_MS = 10_000_000
EVENING_MS = int(datetime(2026, 1, 10, 20, tzinfo=UTC).timestamp() * 1000)
SETTINGS = ClimateSettings(zones=(ZoneSettings(zone_id="z", sensors=(("t", 1.0),)),))
WEEK = Schedule("w", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 26.0)))
PROGRAM = ZoneProgram(schedules={"w": WEEK}, schedule="w")


@pytest.mark.parametrize("gain", [0.0, -5.0, 1e300])
@pytest.mark.parametrize("lag_s", [0.0, -900.0, 1e300])
def test_numbers_that_no_zone_has_do_not_stop_the_control(gain: float, lag_s: float) -> None:
    damaged = ZoneSnapshot(
        program=PROGRAM,
        learned=LearnedDynamics(model=ZoneDynamics(gain, lag_s, lag_s, lag_s), windows=5),
        cycle=CycleState(cycles=9),
    )
    rhythms = {"t": SensorRhythm(silences_s=(0.0,) * 8, changes_k=(0.0,) * 8)}
    saved = ClimateSnapshot(zones={"z": damaged}, rhythms=rhythms)
    saved = msgspec.json.decode(msgspec.json.encode(saved), type=ClimateSnapshot)
    control = ClimateController(SETTINGS, saved, Now("boot", START_MS, EVENING_MS))
    actions = set()
    for minute in range(1, 12 * 60):
        now = Now("boot", START_MS + minute * 60_000, EVENING_MS + minute * 60_000)
        made = control.step(now, {"t": SensorReading(16.5 + 0.02 * (minute % 2), now.now_ms)})
        actions.add(made.demand.zones["z"])
    assert HvacAction.HEAT in actions


def test_a_clock_that_is_set_back_ends_a_recovery_whose_block_is_now_far_ahead() -> None:
    saved = ClimateSnapshot(zones={"z": ZoneSnapshot(program=PROGRAM)})
    control = ClimateController(SETTINGS, saved, Now("boot", START_MS, EVENING_MS))

    def step(minute: int, utc_ms: int) -> bool:
        now = Now("boot", START_MS + minute * 60_000, utc_ms)
        control.step(now, {"t": SensorReading(17.0, now.now_ms)})
        return control.zones["z"].recovery is not None

    was_active = [step(minute, EVENING_MS + minute * 60_000) for minute in range(10 * 60)]
    assert was_active[-1]
    morning_before_ms = EVENING_MS - 10 * 3_600_000
    assert not step(10 * 60, morning_before_ms)


@pytest.mark.parametrize(("share", "expected"), [(-7.0, 0.0), (1e300, 1.0)])
def test_shares_that_are_none_are_taken_as_the_nearest_one(share: float, expected: float) -> None:
    damaged = ZoneSnapshot(program=PROGRAM, integral=share, mean_duty=share, unlearned_share=share)
    (zone,) = restore(ClimateSnapshot(zones={"z": damaged}), SETTINGS, Now("boot", START_MS, EVENING_MS)).zones
    assert (zone.law.integral, zone.mean_duty, zone.unlearned_share) == (expected, expected, expected)


@pytest.mark.parametrize(("number", "expected"), [(0.0, (0.0, 0.1, 0.0, 1.0)), (1e300, (10.0, 1.0, 72 * 3600.0, 10.0))])
def test_what_no_sensor_needs_to_report_is_taken_as_the_nearest(
    number: float, expected: tuple[float, float, float, float]
) -> None:
    probe = SensorProbe(needed_k=number, change_k=number, observed_s=number, scale=number)
    saved = ClimateSnapshot(zones={"z": ZoneSnapshot(program=PROGRAM, sensor_probe=probe)})
    (zone,) = restore(saved, SETTINGS, Now("boot", START_MS, EVENING_MS)).zones
    kept = zone.sensor_probe
    assert (kept.needed_k, kept.change_k, kept.observed_s, kept.scale) == expected


@pytest.mark.parametrize(("number", "fall_k", "doubt"), [(-7.0, 0.0, 0.0), (1e300, USUAL_K_MAX, 1.0)])
def test_usual_falls_that_no_zone_makes_are_taken_as_the_nearest_ones(
    number: float, fall_k: float, doubt: float
) -> None:
    damaged = ZoneSnapshot(program=PROGRAM, usual_falls_k=((number, 0.5), (0.5, number)), usual_falls_doubt=number)
    (zone,) = restore(ClimateSnapshot(zones={"z": damaged}), SETTINGS, Now("boot", START_MS, EVENING_MS)).zones
    assert (zone.window.usual_k, zone.window.doubt) == (((fall_k, 0.5), (0.5, fall_k)), doubt)


def test_usual_falls_of_too_few_or_too_many_groups_are_forgotten() -> None:
    for falls in ((), ((0.5, 0.5),), ((0.5, 0.5),) * 3):
        damaged = ZoneSnapshot(program=PROGRAM, usual_falls_k=falls, usual_falls_doubt=0.1)
        (zone,) = restore(ClimateSnapshot(zones={"z": damaged}), SETTINGS, Now("boot", START_MS, EVENING_MS)).zones
        assert zone.window == OpenWindowState()
