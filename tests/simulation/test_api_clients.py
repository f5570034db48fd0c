"""Two clients fight over one boiler on a whole hub: over a change of the clock, an unknown time, restarts and cuts."""

from datetime import UTC, datetime

import msgspec
import pytest

from agent.climate import effective_setpoint, holds, requests, service, short_cycle_protection, zone
from agent.climate.model import Mode
from agent.climate.short_cycle_protection import ShortCycleState
from agent.home.thermostats import Thermostats
from lab.simulation.api_clients import Ask, not_superseded
from lab.simulation.options import CALM_S, MachineFault, MachineFaultKind, Options, PlannedCommand
from lab.simulation.reading_oracle import DELIVERY_S_MAX
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text


def at(year: int, month: int, day: int, hour: int) -> int:
    """Return an instant in ms."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


HOUR_S = 3600.0
UNKNOWN_S = 3 * HOUR_S
CONFIG = """[climate]
heat_source = "boiler"
frost_c = 12
zones = [
  { id = "living", sensors = ["sim/temperature"] },
  { id = "kitchen", sensors = ["kitchen 1"] },
]
[apis]
amps = true
aurra_home = true
"""
FIGHT = Options(
    days=2.0 - CALM_S / 86_400,
    sensors=8,
    faults="none",
    machine_faults=(
        MachineFault(MachineFaultKind.NETWORK_CUT, UNKNOWN_S + 600, 40 * HOUR_S),
        MachineFault(MachineFaultKind.PROCESS_KILLED, 10 * HOUR_S, 5.0),
        # The hub is down, then without the time, while the clocks of the house change 13 hours after the beginning.
        MachineFault(MachineFaultKind.POWER_CUT, 13 * HOUR_S - 100, 300.0, 200.0),
        MachineFault(MachineFaultKind.POWER_CUT, 30 * HOUR_S, 100.0, HOUR_S),
    ),
    releases=False,
    commands=(
        PlannedCommand(10.0, "config_update", {"timezone": "Europe/Brussels"}),
        PlannedCommand(UNKNOWN_S - 100, "reboot", {"delay_seconds": 0}),
    ),
    config_text=CONFIG,
    client_requests_per_day=300.0,
    unsynchronised_s=UNKNOWN_S,
)
SHORT = msgspec.structs.replace(
    FIGHT,
    days=3 / 24,
    calm_s=DELIVERY_S_MAX,
    start_utc_ms=at(2026, 1, 10, 7),
    machine_faults=tuple(
        MachineFault(MachineFaultKind.POWER_CUT, hour * HOUR_S, 60.0) for hour in (0.4, 0.8, 1.1, 1.5, 1.9, 2.3, 2.7)
    ),
    commands=(),
    unsynchronised_s=0.0,
    client_requests_per_day=2000.0,
)


@pytest.fixture(autouse=True)
def _colder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a night so cold that a room without heat falls below its frost limit within hours."""
    monkeypatch.setattr("hal.sim.weather.MEAN_C", -15.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "start_utc_ms"),
    [
        pytest.param(1, at(2026, 3, 28, 12), id="an hour is left out"),
        pytest.param(2, at(2026, 10, 24, 12), id="an hour comes twice"),
    ],
)
def test_two_clients_fight_over_one_boiler(seed: int, start_utc_ms: int) -> None:
    verdict = simulate(msgspec.structs.replace(FIGHT, seed=seed, start_utc_ms=start_utc_ms))
    assert not verdict.violations, as_text(verdict, f"seed {seed}")
    assert verdict.crashes == 3
    assert verdict.commands.executed == 2
    assert verdict.apis["actions of a client carried out"] > 150
    assert verdict.apis["settings of a client"] > 150
    assert verdict.apis["looks at a zone in frost"] > 50
    assert verdict.apis["restarts by hand"] > 5


def is_broken(promise: str, options: Options) -> bool:
    verdict = simulate(options, until_broken=(promise,))
    return promise in {violation.promise for violation in verdict.violations}


@pytest.mark.slow
def test_two_clients_over_power_cuts() -> None:
    verdict = simulate(SHORT)
    assert not verdict.violations, as_text(verdict, "short")
    assert verdict.crashes == 7


@pytest.mark.slow
def test_settings_that_are_only_in_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SNAPSHOT_DELAY_S", 3600.0)
    rare = msgspec.structs.replace(SHORT, client_requests_per_day=300.0)
    assert is_broken("a client is shown what it asked", rare)


@pytest.mark.slow
def test_an_action_without_effect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Thermostats.apply

    def forget(self: Thermostats, zone_id: str, request: requests.ClimateRequest, **rest: str) -> tuple[str, ...]:
        return () if rest["by"] == "api:amps" else apply(self, zone_id, request, **rest)

    monkeypatch.setattr(Thermostats, "apply", forget)
    assert is_broken("a client is shown what it asked", msgspec.structs.replace(SHORT, days=0.1))


@pytest.mark.slow
def test_a_hold_that_outlives_its_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (effective_setpoint, holds):
        monkeypatch.setattr(module, "has_ended", lambda hold, now: False)
    rare = msgspec.structs.replace(SHORT, client_requests_per_day=200.0, machine_faults=())
    assert is_broken("a client is shown what it asked", rare)


@pytest.mark.slow
def test_a_boiler_without_minimum_times_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        short_cycle_protection,
        "assume_stopped",
        lambda now_ms, starts_ms=(): ShortCycleState(False, now_ms - 10**7, ()),
    )
    assert is_broken("equipment is protected", SHORT)


@pytest.mark.slow
def test_frost_protection_that_obeys_the_clients_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone, "_is_frost", lambda *args, **rest: False)
    night = msgspec.structs.replace(SHORT, days=0.5, client_requests_per_day=100.0, start_utc_ms=at(2026, 3, 28, 18))
    assert is_broken("no room freezes", msgspec.structs.replace(night, machine_faults=()))


def test_which_requests_may_be_in_force() -> None:
    def ask(asked_s: float, settled_s: float | None, *, may_be_lost: bool = False) -> Ask:
        return Ask(Mode.HEAT, 20.0, asked_s, settled_s, may_be_lost=may_be_lost)

    first, waiting, last = ask(1, 1), ask(2, None), ask(3, 3)
    assert not_superseded([first, last]) == [last]
    assert not_superseded([first, waiting]) == [waiting]
    assert not_superseded([waiting, last]) == [waiting, last]
    lost = ask(3, 3, may_be_lost=True)
    assert not_superseded([first, lost]) == [first, lost]
