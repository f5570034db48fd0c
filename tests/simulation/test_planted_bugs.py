"""The oracle's own proof: each planted bug of the agent must be caught. A judge that never says no is no judge."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from agent.cloud import quota
from agent.cloud.client import EndpointClient, TelemetryClient
from agent.cloud.contract import QUOTAS, Endpoint, Quota
from agent.foundation import database
from agent.telemetry.batching import Batch, RetryQueue
from agent.telemetry.outbox import blobs
from agent.telemetry.outbox.protocol import Lane, PendingReading
from agent.telemetry.outbox.store import SqliteOutbox
from lab.simulation.options import MachineFault, MachineFaultKind, Options
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict
from lab.simulation.virtual_loop import WIND_UP_S

WireReading = tuple[str, float, int, str | None]

OUTAGE_AND_CRASHES = Options(
    days=0.25,
    seed=2,
    sensors=30,
    faults="none",
    config_text="commands_idle_poll_interval_s = 15\n",
    machine_faults=(
        MachineFault(MachineFaultKind.NETWORK_CUT, at_s=1000.0, lasts_s=14_000.0),
        MachineFault(MachineFaultKind.POWER_CUT, at_s=9000.0, lasts_s=60.0),
        MachineFault(MachineFaultKind.PROCESS_KILLED, at_s=15_100.0, lasts_s=5.0),
        MachineFault(MachineFaultKind.POWER_CUT, at_s=17_000.0, lasts_s=60.0),
    ),
)


def is_broken(promise: str, options: Options = OUTAGE_AND_CRASHES) -> bool:
    return promise in promises_broken(simulate(options, until_broken=(promise,)))


def promises_broken(verdict: Verdict) -> set[str]:
    return {violation.promise for violation in verdict.violations}


def test_without_a_planted_bug_the_scenario_passes() -> None:
    verdict = simulate(OUTAGE_AND_CRASHES)
    assert verdict.violations == []
    assert verdict.crashes == 3
    assert verdict.readings.accepted > 10_000


def test_a_simulation_ends_with_the_promise_that_had_to_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTAS, Endpoint.TELEMETRY, Quota(61, 60))
    verdict = simulate(OUTAGE_AND_CRASHES, until_broken=("quota kept",))
    assert [violation.promise for violation in verdict.violations] == ["quota kept"]
    assert verdict.virtual_s == pytest.approx(verdict.violations[0].at_s, abs=WIND_UP_S)
    assert verdict.virtual_s < 20_000


def test_acknowledging_more_than_was_sent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    send = TelemetryClient.post_telemetry

    async def send_all_but_one(self: TelemetryClient, readings: Iterable[WireReading]) -> int | None:
        return await send(self, list(readings)[:-1] or list(readings))

    monkeypatch.setattr(TelemetryClient, "post_telemetry", send_all_but_one)
    assert is_broken("nothing lost")


def test_deleting_before_the_answer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    claim, settle = SqliteOutbox.claim, SqliteOutbox.settle

    async def claim_and_forget(self: SqliteOutbox, lane: Lane, readings_max: int) -> list[PendingReading]:
        items = await claim(self, lane, readings_max)
        await settle(self, items)
        await self.maintain()
        return items

    async def settle_the_rest(self: SqliteOutbox, items: Sequence[PendingReading]) -> None:
        await settle(self, [item for item in items if item.seq in self._tables._progress._sizes])

    monkeypatch.setattr(SqliteOutbox, "claim", claim_and_forget)
    monkeypatch.setattr(SqliteOutbox, "settle", settle_the_rest)
    assert is_broken("nothing lost")


def test_reusing_a_key_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = blobs.encode
    monkeypatch.setattr(blobs, "encode", lambda series, offset_ms, values: encode(series, [0] * len(values), values))
    assert promises_broken(simulate(OUTAGE_AND_CRASHES)) & {"nothing altered", "nothing invented"}


def test_leaving_out_the_sync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SYNCHRONOUS", "NORMAL")
    assert is_broken("nothing lost")


def test_a_quota_off_by_one_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTAS, Endpoint.TELEMETRY, Quota(61, 60))
    assert is_broken("quota kept")


def test_a_window_that_is_too_short_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "MARGIN_MS", -10_000)
    assert is_broken("quota kept")


def test_altering_a_value_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = blobs.encode
    monkeypatch.setattr(
        blobs, "encode", lambda series, offset_ms, values: encode(series, offset_ms, [round(v) for v in values])
    )
    assert is_broken("nothing altered")


def test_forgetting_a_batch_that_failed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: RetryQueue, part: Batch) -> None: ...

    monkeypatch.setattr(RetryQueue, "requeue", forget)
    machine_faults = (MachineFault(MachineFaultKind.NETWORK_CUT, at_s=1000.0, lasts_s=3000.0),)
    options = Options(days=0.1, sensors=30, faults="none", machine_faults=machine_faults)
    assert is_broken("everything delivered", options)


def test_a_livelock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spin(self: EndpointClient, endpoint: Endpoint) -> None:
        while self.wait_s(endpoint):  # noqa: ASYNC110 - this is the bug
            await asyncio.sleep(0)

    monkeypatch.setattr(EndpointClient, "ready", spin)
    assert is_broken("time passes")
