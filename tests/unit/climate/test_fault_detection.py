"""Heating without effect and a stuck relay are detected, and only these."""

from collections.abc import Iterable

import pytest

from agent.climate.fault_detection import HeatingMonitor, expect_no_rise, monitor_heating
from agent.climate.heating_effect import HeatingEffect
from agent.climate.stuck_relay import NOT_OFF, RelayContext

FAILURE_S = 7200.0
WINTER = RelayContext(need=0.4)


def run(
    values: Iterable[float],
    *,
    is_heated: bool,
    monitor: HeatingMonitor | None = None,
    context: RelayContext = WINTER,
) -> HeatingMonitor:
    """Return what is known after a minute at each temperature, heated to 21."""
    monitor = monitor or HeatingMonitor()
    for value_c in values:
        monitor = monitor_heating(
            monitor,
            value_c=value_c,
            setpoint_c=21.0,
            is_heated=is_heated,
            dt_s=60.0,
            failure_s=FAILURE_S,
            context=context,
        )
    return monitor


def test_heating_without_a_rise_is_reported() -> None:
    assert not run([15.0] * 715, is_heated=True).is_failing
    failing = run([15.0] * 725, is_heated=True)
    assert failing.is_failing
    assert "does not get warmer" in failing.problem


def test_slow_rise_is_no_fault() -> None:
    assert not run([15.0 + minute / 200 for minute in range(1000)], is_heated=True).is_failing


def test_fault_clears_when_the_room_gets_warmer() -> None:
    failing = run([15.0] * 800, is_heated=True)
    assert not run([15.4], is_heated=True, monitor=failing).is_failing


def test_pauses_neither_count_nor_reset_the_heated_time() -> None:
    monitor = run([15.0] * 700, is_heated=True)
    monitor = run([15.0] * 300, is_heated=False, monitor=monitor)
    assert not monitor.is_failing
    assert run([15.0] * 30, is_heated=True, monitor=monitor).is_failing


def test_heating_resets_the_off_time() -> None:
    monitor = run([15.0] * 10, is_heated=True)
    monitor = run([15.0] * 300, is_heated=False, monitor=monitor)
    assert monitor.relay.off_s == 300 * 60.0
    assert any(period.start_c is not None for period in monitor.relay.periods)
    monitor = run([15.0], is_heated=True, monitor=monitor)
    assert monitor.relay == NOT_OFF


def test_a_zone_that_is_not_to_be_heated_does_not_fail() -> None:
    failing = expect_no_rise(run([15.0] * 800, is_heated=True))
    assert not failing.is_failing
    assert not run([15.0] * 700, is_heated=True, monitor=failing).is_failing
    assert run([15.0] * 730, is_heated=True, monitor=failing).is_failing


@pytest.mark.parametrize(("load", "is_failing"), [(0.5, True), (1.1, False), (1.9, True)])
def test_equipment_that_is_known_to_be_too_small_makes_no_rise_in_a_storm(load: float, *, is_failing: bool) -> None:
    """A zone of half the output at full output for days is healthy; a load that no weather makes is a fault."""
    known = HeatingMonitor(effect=HeatingEffect(load=load, learned=70, usual=0.9))
    monitor = run([15.0, 15.5], is_heated=True, monitor=known)
    assert run([15.5] * 1500, is_heated=True, monitor=monitor).is_failing is is_failing


def test_a_zone_that_has_got_warmer_before_fails_after_a_day_without_a_rise() -> None:
    risen = run([15.0, 15.5], is_heated=True)
    assert not run([15.5] * 1430, is_heated=True, monitor=risen).is_failing
    assert run([15.5] * 1450, is_heated=True, monitor=risen).is_failing


def test_near_its_setpoint_a_room_need_not_rise() -> None:
    assert not run([20.5] * 1000, is_heated=True).is_failing


def test_a_room_that_has_come_near_its_setpoint_does_not_fail() -> None:
    far = run([19.9] * 100, is_heated=True)
    assert not run([20.1] * 100, is_heated=True, monitor=far).is_failing


def test_rise_without_heating_is_reported() -> None:
    rising = [22.0 + minute / 30 for minute in range(180)]
    stuck = run(rising, is_heated=False)
    assert stuck.is_stuck
    assert "relay" in stuck.problem
    assert not run([25.0 - minute / 100 for minute in range(180)], is_heated=False, monitor=stuck).is_stuck


def test_slow_rise_without_heating_is_reported() -> None:
    """Found by review: 0.8 K an hour took a room from 17 to 36 °C, and nobody was told."""
    assert run([22.0 + 0.8 * minute / 60 for minute in range(300)], is_heated=False).is_stuck
    assert not run([22.0 + 0.3 * minute / 60 for minute in range(11 * 60)], is_heated=False).is_stuck


def test_relay_stays_reported_while_the_room_stays_at_its_maximum() -> None:
    stuck = run([22.0 + minute / 30 for minute in range(180)], is_heated=False)
    steady = run([27.9, 27.8] * 60 * 24, is_heated=False, monitor=stuck)
    assert steady.is_stuck
    assert not run([26.9], is_heated=False, monitor=steady).is_stuck
    assert not run([19.0], is_heated=True, monitor=steady).is_stuck


def test_rise_is_measured_from_the_coldest_value() -> None:
    """A window was open, and the heat that does not end shows only after that, at night."""
    night = RelayContext(is_dark=True)
    aired = run([28.0] * 90 + [25.0 + minute / 60 for minute in range(60)], is_heated=False, context=night)
    assert not aired.is_stuck
    assert run([26.0], is_heated=False, monitor=aired, context=night).is_stuck


def test_a_rise_near_the_setpoint_is_no_stuck_relay() -> None:
    assert not run([21.0] * 60 + [21.0 + minute / 33 for minute in range(65)], is_heated=False).is_stuck


def test_residual_heat_of_radiators_is_no_stuck_relay() -> None:
    assert not run([22.0 + minute / 30 for minute in range(59)], is_heated=False).is_stuck


def test_a_room_that_is_not_above_its_setpoint_may_rise() -> None:
    assert not run([15.0 + minute / 50 for minute in range(300)], is_heated=False).is_stuck


def test_summer_day_is_no_stuck_relay() -> None:
    """Found by the soak: hundreds of notices a year, all in summer."""
    calm = run([21.0] * 13 * 60, is_heated=False)
    warm = [21.0 + minute / 40 for minute in range(300)]
    assert not run(warm, is_heated=False, monitor=calm).is_stuck
    assert run(warm, is_heated=False).is_stuck
