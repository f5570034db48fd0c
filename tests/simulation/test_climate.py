"""The whole hub heats in virtual time while everything goes wrong: no rule of safety is broken, no reading lost."""

import pytest

from agent.climate import short_cycle_protection
from agent.climate.short_cycle_protection import ShortCycleState
from lab.simulation.options import HEATED, FaultProfile, Options
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "seed"), [("none", 1), ("default", 2), ("harsh", 3)])
def test_the_hub_heats_and_breaks_no_rule(faults: FaultProfile, seed: int) -> None:
    verdict = simulate(Options(days=0.25, seed=seed, faults=faults, config_text=HEATED))
    assert not verdict.violations, as_text(verdict, f"seed {seed}")
    assert verdict.readings.taken > 4000


@pytest.mark.slow
def test_planted_loss_of_minimum_off_times_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        short_cycle_protection,
        "assume_stopped",
        lambda now_ms, starts_ms=(): ShortCycleState(False, now_ms - 10**7, ()),
    )
    options = Options(days=0.3, seed=3, faults="harsh", config_text=HEATED)
    verdict = simulate(options, until_broken=("equipment is protected",))
    assert "equipment is protected" in {violation.promise for violation in verdict.violations}
