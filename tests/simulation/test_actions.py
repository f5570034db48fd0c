"""Actions of clients on a whole hub with faults: taken once, carried out once, over cuts at every operation."""

import msgspec
import pytest

from agent.apis.webhooks import service as webhooks
from agent.apis.webhooks.attempts import Decision, Next
from agent.climate.requests import ClimateRequest
from agent.facts.store import FactStore
from agent.foundation.json_store import JsonStore
from agent.home import action_service, actions
from lab.simulation.crash_points import sweep
from lab.simulation.options import FaultProfile, MachineFault, MachineFaultKind, Options, PlannedCommand
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text
from tests.simulation.test_climate import HEATED

CONFIG = f"{HEATED}\n[apis]\namps = true\n"
CALM = Options(days=0.1, seed=1, faults="none", config_text=CONFIG, actions_per_day=1000.0)
SHORT = Options(
    days=0.3 / 24,
    seed=2,
    faults="none",
    machine_faults=(),
    releases=False,
    calm_s=600.0,
    config_text=f"{CONFIG}[storage]\ncommit_interval_s = 300\n",
    actions_per_day=2000.0,
)
"""Eighteen minutes with some twenty actions."""


def test_actions_on_a_calm_hub() -> None:
    verdict = simulate(CALM)
    assert not verdict.violations, as_text(verdict, "calm")
    assert verdict.faults["actions completed"] > 20
    assert verdict.faults["actions cancelled"] > 5
    assert verdict.faults["holds of actions ended by a person"] > 5


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "seed"), [("default", 2), ("harsh", 3), ("harsh", 4)])
def test_actions_on_a_hub_with_faults(faults: FaultProfile, seed: int) -> None:
    verdict = simulate(msgspec.structs.replace(CALM, days=0.5, actions_per_day=400.0, faults=faults, seed=seed))
    assert not verdict.violations, as_text(verdict, f"seed {seed}")
    assert verdict.faults["actions completed"] > 10


@pytest.mark.slow
def test_a_power_cut_at_every_operation() -> None:
    verdict = sweep(SHORT, stride=5)
    assert not verdict.violations
    assert verdict.points == verdict.recovered > 30


@pytest.mark.slow
def test_a_window_without_its_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(action: actions.HomeAction) -> ClimateRequest:
        return climate_request(msgspec.structs.replace(action, end_utc_ms=None))

    climate_request = actions.climate_request
    monkeypatch.setattr(actions, "climate_request", endless)
    verdict = simulate(msgspec.structs.replace(CALM, days=0.25, actions_per_day=400.0))
    assert "a window ends" in {violation.promise for violation in verdict.violations}


@pytest.mark.slow
def test_actions_that_are_only_in_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(store: JsonStore[object], value: object) -> None:
        if store.path.name != action_service.FILE_NAME:
            await save(store, value)

    save = JsonStore._save
    monkeypatch.setattr(JsonStore, "_save", keep)
    verdict = simulate(msgspec.structs.replace(CALM, days=0.25, faults="harsh", seed=3))
    assert "an action that was taken is kept" in {violation.promise for violation in verdict.violations}


TOLD = msgspec.structs.replace(CALM, actions_per_day=600.0, webhooks=True, facts=True)


def test_the_end_of_every_action_is_told() -> None:
    verdict = simulate(TOLD)
    assert not verdict.violations, as_text(verdict, "told")
    assert verdict.faults["facts"] > 10
    assert verdict.faults["webhooks"] > 40
    assert verdict.faults["webhooks again"] > 2
    assert verdict.faults["webhooks refused"] > 2


@pytest.mark.slow
def test_the_end_of_every_action_is_told_on_a_hub_with_faults() -> None:
    verdict = simulate(msgspec.structs.replace(TOLD, days=0.2, actions_per_day=500.0, faults="harsh", seed=4))
    assert not verdict.violations, as_text(verdict, "seed 4")
    assert verdict.crashes > 1
    assert verdict.faults["webhooks"] > 40


@pytest.mark.slow
def test_a_power_cut_at_every_operation_with_webhooks() -> None:
    verdict = sweep(msgspec.structs.replace(SHORT, webhooks=True, facts=True), stride=19)
    assert not verdict.violations
    assert verdict.points == verdict.recovered > 12


@pytest.mark.slow
def test_a_webhook_that_is_given_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "decide", lambda result, attempts, rng: Decision(Next.DONE))
    promises = {violation.promise for violation in simulate(TOLD).violations}
    assert {"the end of an action is told", "webhooks arrive in order"} <= promises


@pytest.mark.slow
def test_endpoints_that_are_only_in_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(store: JsonStore[object], value: object) -> None:
        if store.path.name != webhooks.ENDPOINTS_FILE:
            await save(store, value)

    save = JsonStore._save
    monkeypatch.setattr(JsonStore, "_save", keep)
    cut = (MachineFault(MachineFaultKind.POWER_CUT, 1800.0, 60.0),)
    verdict = simulate(msgspec.structs.replace(TOLD, days=0.05, machine_faults=cut))
    assert "an endpoint that is registered is kept" in {violation.promise for violation in verdict.violations}


@pytest.mark.slow
def test_facts_that_are_lost_with_a_restart_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(store: FactStore) -> None:
        await close(store)
        store._database.path.unlink()

    close = FactStore.close
    monkeypatch.setattr(FactStore, "close", forget)
    restart = (PlannedCommand(3600.0, "reboot", None),)
    verdict = simulate(msgspec.structs.replace(TOLD, days=0.1, commands=restart))
    assert "a fact is kept as it was" in {violation.promise for violation in verdict.violations}
