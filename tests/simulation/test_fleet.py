"""Fleets of a few hubs against one cloud: what an operator does and what befalls all of them at once."""

from collections.abc import Callable

import pytest

from lab.simulation.fleet import simulate_fleet
from lab.simulation.fleet_options import FleetOptions, FleetScenario
from lab.simulation.fleet_verdict import FleetVerdict, as_text


def found(scenario: FleetScenario, *, hubs: int = 4, hours: float = 1.0, jitter_s: float = 20.0) -> FleetVerdict:
    verdict, curve = simulate_fleet(FleetOptions(hubs=hubs, days=hours / 24, scenario=scenario, jitter_s=jitter_s))
    assert not verdict.has_failed, as_text(verdict, "")
    assert verdict.requests == curve.total > 0
    assert "passed" in as_text(verdict, "")
    return verdict


def test_hubs_that_boot_together_do_not_ask_together() -> None:
    verdict = found("boot", hubs=30, hours=0.2, jitter_s=0.0)
    # All of them at once would be thirty requests in a second.
    assert verdict.start.second <= 9
    assert verdict.accepted > 30 * 7


def test_a_fleet_comes_back_after_a_power_cut() -> None:
    verdict = found("power-cut")
    assert verdict.crashes == 4
    assert verdict.after is not None
    assert verdict.after.second <= 4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_fleet() -> None:
    def once() -> FleetVerdict:
        return found("power-cut", hubs=2, hours=0.7)

    first, second = once(), once()
    assert (first.minutes, first.taken, first.accepted) == (second.minutes, second.taken, second.accepted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "hours", "expected"),
    [
        ("outage", 1.5, lambda verdict: verdict.after is not None),
        ("clock-unknown", 1.4, lambda verdict: verdict.crashes == 3),
        ("key-revoked", 1.6, lambda verdict: 3 <= verdict.refused <= 40),
    ],
)
def test_nothing_is_lost(scenario: FleetScenario, hours: float, expected: Callable[[FleetVerdict], bool]) -> None:
    assert expected(found(scenario, hubs=3, hours=hours))


@pytest.mark.slow
def test_a_good_release_reaches_all_hubs_in_stages() -> None:
    verdict = found("rollout", hubs=3, hours=2.2)
    assert (verdict.offered, verdict.committed, verdict.is_halted) == (3, 3, False)


@pytest.mark.slow
def test_a_release_that_dies_is_halted_in_its_first_stage() -> None:
    verdict = found("rollout-bad", hubs=3, hours=1.6)
    assert (verdict.offered, verdict.committed, verdict.is_halted) == (1, 0, True)
    assert verdict.rolled_back == 1
