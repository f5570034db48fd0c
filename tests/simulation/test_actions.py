"""Actions of clients on a whole hub with faults: taken once, carried out once, over cuts at every operation."""

from collections.abc import Sequence

import msgspec
import pytest

from agent.apis import clients
from agent.apis.aurra_home import records
from agent.apis.aurra_home.alerts import Alerts
from agent.apis.client_records import ClientRecord, find_by_secret
from agent.apis.webhooks import service as webhooks
from agent.apis.webhooks.attempts import Decision, Next
from agent.climate.requests import ClimateRequest
from agent.facts.store import FactStore
from agent.foundation.json_store import JsonStore
from agent.home import action_service, actions, spaces
from lab.simulation.crash_points import APIS_QUARTER, sweep
from lab.simulation.options import HEATED, FaultProfile, MachineFault, MachineFaultKind, Options, PlannedCommand
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text

CONFIG = f"{HEATED}\n[apis]\namps = true\n"
CALM = Options(days=0.1, seed=1, faults="none", config_text=CONFIG, actions_per_day=1000.0)
SHORT = msgspec.structs.replace(APIS_QUARTER, webhooks=False, facts=False, owner=False)


def broken(options: Options, *promises: str) -> set[str]:
    """Return the broken promises, up to those that are looked for."""
    return {violation.promise for violation in simulate(options, until_broken=promises).violations}


def test_actions_on_a_calm_hub() -> None:
    verdict = simulate(CALM)
    assert not verdict.violations, as_text(verdict, "calm")
    assert verdict.apis["actions completed"] > 20
    assert verdict.apis["actions cancelled"] > 5
    assert verdict.apis["holds of actions ended by a person"] > 5


@pytest.mark.slow
@pytest.mark.parametrize(("faults", "seed"), [("default", 2), ("harsh", 3), ("harsh", 4)])
def test_actions_on_a_hub_with_faults(faults: FaultProfile, seed: int) -> None:
    verdict = simulate(msgspec.structs.replace(CALM, days=0.5, actions_per_day=400.0, faults=faults, seed=seed))
    assert not verdict.violations, as_text(verdict, f"seed {seed}")
    assert verdict.apis["actions completed"] > 10


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
    options = msgspec.structs.replace(CALM, days=0.15, calm_s=600.0, actions_per_day=600.0)
    assert "a window ends" in broken(options, "a window ends")


@pytest.mark.slow
def test_actions_that_are_only_in_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(store: JsonStore[object], value: object) -> None:
        if store.path.name != action_service.FILE_NAME:
            await save(store, value)

    save = JsonStore._save
    monkeypatch.setattr(JsonStore, "_save", keep)
    options = msgspec.structs.replace(CALM, days=0.25, calm_s=600.0, faults="harsh", seed=3)
    assert "an action that was taken is kept" in broken(options, "an action that was taken is kept")


TOLD = msgspec.structs.replace(CALM, actions_per_day=600.0, webhooks=True, facts=True, owner=True)


def test_the_end_of_every_action_is_told() -> None:
    verdict = simulate(TOLD)
    assert not verdict.violations, as_text(verdict, "told")
    assert verdict.apis["facts"] > 10
    assert verdict.apis["webhooks"] > 40
    assert verdict.apis["webhooks again"] > 2
    assert verdict.apis["webhooks refused"] > 2


@pytest.mark.slow
def test_the_end_of_every_action_is_told_on_a_hub_with_faults() -> None:
    verdict = simulate(msgspec.structs.replace(TOLD, days=0.2, actions_per_day=500.0, faults="harsh", seed=4))
    assert not verdict.violations, as_text(verdict, "seed 4")
    assert verdict.crashes > 1
    assert verdict.apis["webhooks"] > 40


@pytest.mark.slow
def test_a_power_cut_at_every_operation_with_webhooks() -> None:
    verdict = sweep(APIS_QUARTER, stride=23)
    assert not verdict.violations
    assert verdict.points == verdict.recovered > 12


@pytest.mark.slow
def test_a_webhook_that_is_given_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "decide", lambda result, attempts, rng: Decision(Next.DONE))
    promises = {"the end of an action is reported", "webhooks arrive in order"}
    assert promises <= broken(msgspec.structs.replace(TOLD, calm_s=1800.0), *promises)


@pytest.mark.slow
def test_endpoints_that_are_only_in_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(store: JsonStore[object], value: object) -> None:
        if store.path.name != webhooks.ENDPOINTS_FILE:
            await save(store, value)

    save = JsonStore._save
    monkeypatch.setattr(JsonStore, "_save", keep)
    cut = (MachineFault(MachineFaultKind.POWER_CUT, 1800.0, 60.0),)
    options = msgspec.structs.replace(TOLD, days=0.05, calm_s=600.0, machine_faults=cut)
    assert "an endpoint that is registered is kept" in broken(options, "an endpoint that is registered is kept")


@pytest.mark.slow
def test_facts_that_are_lost_with_a_restart_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(store: FactStore) -> None:
        await close(store)
        store._database.path.unlink()

    close = FactStore.close
    monkeypatch.setattr(FactStore, "close", forget)
    restart = (PlannedCommand(3600.0, "reboot", None),)
    options = msgspec.structs.replace(TOLD, days=0.06, calm_s=600.0, commands=restart)
    assert "a fact is kept as it was" in broken(options, "a fact is kept as it was")


OWNED = msgspec.structs.replace(
    CALM,
    days=0.04,
    calm_s=600.0,
    actions_per_day=1.0,
    owner=True,
    machine_faults=tuple(MachineFault(MachineFaultKind.POWER_CUT, at_s, 60.0) for at_s in (1400.0, 2600.0)),
)
"""An hour in which an owner changes credentials, spaces and alerts, with two power cuts."""


def test_what_an_owner_was_answered_is_kept() -> None:
    verdict = simulate(OWNED)
    assert not verdict.violations, as_text(verdict, "owned")
    assert verdict.crashes == 2
    for name in ("credentials", "credentials revoked", "changes of spaces", "alerts", "alerts resolved"):
        assert verdict.apis[name] > 2, name


@pytest.mark.slow
def test_what_is_only_in_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(store: JsonStore[object], value: object) -> None:
        if store.path.name not in {clients.FILE_NAME, spaces.FILE_NAME, records.FILE_NAME}:
            await save(store, value)

    save = JsonStore._save
    monkeypatch.setattr(JsonStore, "_save", keep)
    promises = {
        "credentials are kept as answered",
        "spaces are kept as answered",
        "alerts are kept as answered, and resolved once",
    }
    assert promises <= broken(OWNED, *promises)


@pytest.mark.slow
def test_a_credential_after_its_end_and_an_alert_that_nobody_sees_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, ClientRecord] = {}

    def find(known: Sequence[ClientRecord], api: str, secret: str, utc_ms: int | None) -> ClientRecord | None:
        if (found := find_by_secret(known, api, secret, utc_ms)) is not None:
            seen[secret] = found
        return seen.get(secret)

    async def show_nothing(_: Alerts) -> None:
        return None

    monkeypatch.setattr(clients, "find_by_secret", find)
    monkeypatch.setattr(Alerts, "run", show_nothing)
    promises = {"a credential is valid until it is revoked", "people see the alerts that are not resolved"}
    assert promises <= broken(OWNED, *promises)
