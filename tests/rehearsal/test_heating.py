"""Weeks of a heated home with everything going wrong: no rule is broken, no room is cold; planted bugs are found."""

import msgspec
import pytest

from agent.climate import guard, kept, zone
from agent.climate.guard import Guard, GuardLimits
from agent.climate.house import HouseState, just_started
from agent.climate.settings import ClimateSettings
from agent.rehearsal.heating_year import Year


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_weeks_with_faults_break_no_rule(seed: int) -> None:
    verdict = Year(seed, days=15).run()
    assert verdict.is_clean, verdict
    assert verdict.steps > 15 * 1440 * 0.95
    assert sum(verdict.struck.values()) > 5


@pytest.mark.parametrize("rule", ["minimum off time", "minimum on time"])
def test_a_guard_that_does_not_guard_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(_: Guard, limits: GuardLimits, now_ms: int, *, is_wanted: bool) -> tuple[bool, str]:
        del limits, now_ms
        return is_wanted, ""

    monkeypatch.setattr(guard, "allowed", careless)
    assert any(rule in text for text in Year(4, days=8).run().broken)


@pytest.mark.slow
def test_a_restart_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(saved: Guard, *, saved_ms: int, now_ms: int, is_same_boot: bool) -> Guard:
        del saved, saved_ms, is_same_boot
        return guard.just_stopped(now_ms - 10_000_000)

    def careless(settings: ClimateSettings, now_ms: int) -> HouseState:
        # Without the rest before heat and cool, which is longer than the minimum off time and hides the bug.
        return msgspec.structs.replace(just_started(settings, now_ms), acted_ms=None)

    monkeypatch.setattr(kept, "just_started", careless)
    monkeypatch.setattr(guard, "restored", forgetful)
    found = [text for seed in (1, 4) for text in Year(seed, days=10).run().broken]
    assert any("minimum off time" in text for text in found)


def test_a_limit_that_does_not_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone, "_is_hot", lambda settings, room: False)
    monkeypatch.setattr(zone, "_is_frost", lambda state, settings, known_c: known_c is not None)
    assert any("above the limit" in text for text in Year(1, days=3).run().broken)
