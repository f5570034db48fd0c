"""Weeks of a heated home with everything going wrong: no rule is broken, no room is cold; planted bugs are found."""

import pytest

from agent.climate import sensor_loss, short_cycle_protection, zone
from agent.climate.short_cycle_protection import Downtime, ShortCycleLimits, ShortCycleState
from lab.simulation.heating_year import ROOMS, HeatingYear, HomeFault, HomeFaultKind


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_weeks_with_faults_break_no_rule(seed: int) -> None:
    verdict = HeatingYear(seed, days=15).run()
    assert verdict.is_clean, verdict
    assert verdict.steps > 15 * 1440 * 0.95
    assert sum(verdict.struck.values()) > 5


@pytest.mark.parametrize("rule", ["minimum off time", "minimum on time"])
def test_missing_short_cycle_protection_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(_: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
        del limits, now_ms
        return is_wanted, ""

    monkeypatch.setattr(short_cycle_protection, "apply_limits", careless)
    verdict = HeatingYear(4, days=8).run(until_broken=rule)
    assert any(rule in text for text in verdict.broken)
    assert verdict.steps < 7.5 * 1440


@pytest.mark.slow
def test_restart_without_saved_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(saved: ShortCycleState, limits: ShortCycleLimits, downtime: Downtime) -> ShortCycleState:
        del saved, limits
        return short_cycle_protection.assume_stopped(downtime.off_since_ms - 10_000_000)

    monkeypatch.setattr(short_cycle_protection, "restore", forgetful)
    assert any(
        "minimum off time" in text
        for seed in (1, 4)
        for text in HeatingYear(seed, days=10).run(until_broken="minimum off time").broken
    )


def test_missing_temperature_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone, "_is_hot", lambda settings, room: False)
    monkeypatch.setattr(zone, "_is_frost", lambda state, settings, known_c: known_c is not None)
    verdict = HeatingYear(1, days=3).run(until_broken="heated above the limit")
    assert any("above the limit" in text for text in verdict.broken)


@pytest.fixture
def colder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a colder winter: in that of seed 5 a home without any heat does not fall below 6.8 °C."""
    monkeypatch.setattr("lab.simulation.safety_oracle.COLD_C", 9.0)


def winter(*kinds: HomeFaultKind, days: int = 12) -> list[HomeFault]:
    """Return faults that begin on the first morning and do not end."""
    rooms = ROOMS if HomeFaultKind.RADIO_DEAD not in kinds else ROOMS[:1]
    return sorted(
        HomeFault(303 + number, days * 1440, kind, room) for number, kind in enumerate(kinds) for room in rooms
    )


@pytest.mark.slow
@pytest.mark.usefixtures("colder")
@pytest.mark.parametrize(
    "kinds",
    [
        (HomeFaultKind.RADIO_DEAD,),
        (HomeFaultKind.DEAD_WHILE_OFF,),
        (HomeFaultKind.NEVER_HEARD,),
        (HomeFaultKind.FROZEN,),
        (HomeFaultKind.OFFLINE, HomeFaultKind.REBOOTS),
        (HomeFaultKind.CRASHES,),
    ],
)
def test_fault_of_weeks_in_winter_leaves_no_room_cold(kinds: tuple[HomeFaultKind, ...]) -> None:
    verdict = HeatingYear(5, days=12, home_faults=winter(*kinds)).run()
    assert verdict.is_clean, verdict


@pytest.mark.slow
@pytest.mark.usefixtures("colder")
def test_missing_frost_precaution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_loss, "_precaution", lambda state, settings, inputs, choice, **_: choice)
    year = HeatingYear(5, days=12, home_faults=winter(HomeFaultKind.DEAD_WHILE_OFF))
    assert any("a cold room" in text for text in year.run(until_broken="a cold room").broken)


@pytest.mark.slow
@pytest.mark.usefixtures("colder")
def test_off_time_that_restarts_with_each_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def anew(saved: ShortCycleState, limits: ShortCycleLimits, downtime: Downtime) -> ShortCycleState:
        del limits
        return short_cycle_protection.assume_stopped(downtime.off_since_ms, (*saved.starts_ms, downtime.off_since_ms))

    monkeypatch.setattr(short_cycle_protection, "restore", anew)
    year = HeatingYear(5, days=12, home_faults=winter(HomeFaultKind.CRASHES))
    assert any("a cold room" in text for text in year.run(until_broken="a cold room").broken)
