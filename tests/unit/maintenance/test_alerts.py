"""Alerts begin once at the threshold, end with hysteresis or by a person, and are known after a restart."""

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.maintenance.alert_service import FILE_BYTES_MAX, MaintenanceAlerts
from agent.maintenance.alerts import (
    ALERTS_MAX,
    ANSWERS_MAX,
    HUB,
    NOTE_CHARACTERS_MAX,
    Alert,
    AlertState,
    Answer,
    Verdict,
    answered,
    muted,
    resolve,
    review,
)
from agent.maintenance.assessment import NEEDED, Finding, FindingState
from agent.maintenance.indicators import Indicator
from agent.maintenance.machine_readings import MachineIndicator

NOW_MS = 1_790_000_000_000


def finding(confidence: float | None, *, shift: float = 0.2) -> Finding:
    state = FindingState.UNKNOWN if confidence is None else FindingState.NEEDED
    return Finding(Indicator.WARMTH, state, confidence, "31 % more run time", NOW_MS - 1, shift)


def seen(confidence: float | None, *, shift: float = 0.2) -> Mapping[str, Sequence[Finding]]:
    return {"living": [finding(confidence, shift=shift)]}


def after(state: AlertState, *looks: Mapping[str, Sequence[Finding]]) -> AlertState:
    ids = itertools.count(len(state.alerts))
    for found in looks:
        state = review(state, found, utc_ms=NOW_MS, new_id=lambda: str(next(ids)))
    return state


def states(state: AlertState) -> list[str]:
    return ["open" if each.is_open else each.resolved_by for each in state.alerts]


def test_a_confidence_that_wavers_about_the_threshold_is_one_alert() -> None:
    state = after(AlertState(), seen(0.71), seen(0.72), seen(0.6), seen(0.8), seen(0.51))
    assert states(state) == ["open"]
    (alert,) = state.alerts
    assert (alert.alert_id, alert.confidence, alert.made_utc_ms) == ("alt_0", 0.72, NOW_MS)
    assert (alert.issue, alert.action[:12]) == ("less heat from the same run time", "check filter")
    assert states(after(AlertState(), seen(0.71))) == []


def test_an_alert_ends_well_below_the_threshold_and_another_may_begin() -> None:
    assert states(after(AlertState(), seen(0.9), seen(0.49))) == [HUB]
    assert states(after(AlertState(), seen(0.9), seen(0.49), seen(0.8))) == [HUB, "open"]


def test_what_is_unknown_begins_no_alert_and_ends_none() -> None:
    assert after(AlertState(), seen(None)) == AlertState()
    assert states(after(AlertState(), seen(0.9), seen(None))) == ["open"]


def test_a_resolved_alert_returns_only_when_it_has_clearly_grown() -> None:
    state = after(AlertState(), seen(0.9, shift=0.2))
    state = muted(resolve(state, "alt_0", by="anna", utc_ms=NOW_MS), "living", "warmth", 0.2)
    assert states(after(state, seen(0.95, shift=0.29))) == ["anna"]
    grown = after(state, seen(0.95, shift=0.31))
    assert (states(grown), grown.mutes) == (["anna", "open"], ())
    small = muted(AlertState(), "living", "warmth", 0.02)
    assert states(after(small, seen(0.9, shift=0.069))) == []
    assert states(after(small, seen(0.9, shift=0.071))) == ["open"]


def test_a_mute_ends_with_what_it_was_about() -> None:
    state = after(muted(AlertState(), "living", "warmth", 0.2), seen(0.49))
    assert state.mutes == ()
    assert states(after(state, seen(0.9))) == ["open"]


def test_the_alerts_and_mutes_of_a_zone_that_is_gone_end() -> None:
    state = muted(after(AlertState(), seen(0.9)), "living", "run_time", 0.2)
    gone = after(state, {"attic": []})
    assert (states(gone), gone.mutes) == ([HUB], ())


def test_the_alerts_and_mutes_of_a_machine_that_is_gone_end() -> None:
    vibrating = {"living": [msgspec.structs.replace(finding(0.9), indicator=MachineIndicator.VIBRATION)]}
    state = muted(after(AlertState(), vibrating), "living", "current", 0.2)
    assert states(after(state, vibrating)) == ["open"]
    gone = after(state, seen(None))
    assert (states(gone), gone.mutes) == ([HUB], ())


def test_old_alerts_make_room_but_no_open_one() -> None:
    state = after(AlertState(), seen(0.9))
    old = tuple(msgspec.structs.replace(state.alerts[0], alert_id=f"old_{number}", resolved_utc_ms=1, resolved_by="a")
                for number in range(ALERTS_MAX))  # fmt: skip
    full = after(AlertState((*state.alerts, *old)), seen(0.9))
    assert [full.alerts[0], len(full.alerts), full.alerts[1].alert_id] == [state.alerts[0], ALERTS_MAX, "old_1"]


def test_the_longest_alerts_fit_the_file() -> None:
    text = "ä" * 250
    alert = Alert("alt_0123456789", "z" * 64, "warmth", text, text, text, 0.123456789, NOW_MS, NOW_MS, NOW_MS, "x" * 64)
    note = "\N{EXTRATERRESTRIAL ALIEN}" * NOTE_CHARACTERS_MAX
    answer = Answer("z" * 64, "warmth", Verdict.CONFIRMED, note, "x" * 64, NOW_MS, 0.123, text, (1.2345,) * 6, NOW_MS)
    state = AlertState((alert,) * ALERTS_MAX, answers=(answer,) * ANSWERS_MAX)
    assert len(msgspec.json.encode(state)) < FILE_BYTES_MAX / 1.5


def answer(verdict: Verdict, *, by: str = "anna", utc_ms: int = NOW_MS) -> Answer:
    return Answer("living", "warmth", verdict, "", by, utc_ms)


@pytest.mark.parametrize("verdict", [Verdict.CONFIRMED, Verdict.NOTHING_FOUND])
def test_an_answer_ends_the_alert_until_it_has_grown(verdict: Verdict) -> None:
    state = answered(after(AlertState(), seen(0.9)), answer(verdict), 0.2)
    assert (states(after(state, seen(0.95))), state.answers) == (["anna"], (answer(verdict),))
    assert states(after(state, seen(0.95, shift=0.31))) == ["anna", "open"]


def test_after_a_service_the_next_alert_is_not_muted() -> None:
    state = answered(after(AlertState(), seen(0.9)), answer(Verdict.NOTHING_FOUND), 0.2)
    state = answered(state, answer(Verdict.SERVICED, utc_ms=NOW_MS + 5), 0.2)
    assert states(after(state, seen(0.9))) == ["anna", "open"]
    assert (state.serviced_utc_ms("living"), state.serviced_utc_ms("attic")) == (NOW_MS + 5, None)
    last = state.last_answer("living", "warmth")
    assert last is not None
    assert (last.verdict, state.last_answer("living", "run_time")) == (Verdict.SERVICED, None)


def test_old_answers_make_room() -> None:
    state = AlertState()
    for number in range(ANSWERS_MAX + 1):
        state = answered(state, answer(Verdict.CONFIRMED, utc_ms=number), 0.0)
    assert (len(state.answers), state.answers[0].utc_ms, len(state.mutes)) == (ANSWERS_MAX, 1, 1)


class Hub:
    """The alerts of one process of a hub: what people see, and what listeners heard."""

    boot_id = "b"

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk | None = None,
        utc_ms: int | None = NOW_MS,
        threshold: float = NEEDED,
    ) -> None:
        self.faults: list[str] = []
        self.heard: list[tuple[str, bool]] = []
        self.utc = utc_ms
        self.alerts = MaintenanceAlerts(
            directory,
            clock=self,
            disk=disk or Disk(),
            worker=InlineWorker(),
            new_id=lambda: directory.name,
            add_fault=self.faults.append,
            remove_fault=self.faults.remove,
            threshold=threshold,
        )
        self.alerts.on_change(lambda alert: self.heard.append((alert.alert_id, alert.is_open)))

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return self.utc


async def started(directory: Path, *, disk: Disk | None = None, utc_ms: int | None = NOW_MS) -> Hub:
    hub = Hub(directory, disk=disk, utc_ms=utc_ms)
    await hub.alerts.load()
    return hub


async def test_an_alert_is_logged_and_shown_once_also_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub = await started(tmp_path)
    for _ in range(3):
        await hub.alerts.review(seen(0.9))
    (fault,) = hub.faults
    assert fault.startswith(f"alert alt_{tmp_path.name}: living: less heat from the same run time: 31 % more run time;")
    assert caplog.text.count("31 % more run time") == 1
    again = await started(tmp_path)
    await again.alerts.review(seen(0.9))
    assert (again.faults, again.heard) == ([fault], [])
    ended = await again.alerts.resolve(f"alt_{tmp_path.name}", by="anna", findings=seen(0.9))
    assert ended is not None
    assert (ended.resolved_by, again.faults, again.heard) == ("anna", [], [(ended.alert_id, False)])
    assert await again.alerts.resolve(ended.alert_id, by="bert", findings={}) == ended
    assert await again.alerts.resolve("alt_9", by="bert", findings={}) is None
    await again.alerts.review(seen(0.9))
    assert again.faults == []


async def test_a_configured_threshold_begins_and_ends_alerts_with_the_same_hysteresis(tmp_path: Path) -> None:
    hub = Hub(tmp_path, threshold=0.9)
    await hub.alerts.load()
    for confidence, is_open in ((0.89, False), (0.9, True), (0.69, True), (0.67, False), (0.8, False)):
        await hub.alerts.review(seen(confidence))
        assert bool(hub.faults) is is_open, confidence


async def test_without_the_time_or_zones_no_alert_begins(tmp_path: Path) -> None:
    hub = await started(tmp_path, utc_ms=None)
    await hub.alerts.review(seen(0.9))
    hub.utc = NOW_MS
    await hub.alerts.review({})
    assert (hub.alerts.newest_first, os.listdir(tmp_path)) == ((), [])  # noqa: PTH208 - an empty directory


async def test_the_alert_of_the_last_heated_zone_ends_with_it(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    await hub.alerts.review(seen(0.9))
    again = await started(tmp_path)
    assert len(again.faults) == 1
    await again.alerts.review({})
    assert (again.faults, again.alerts.newest_first[0].resolved_by) == ([], HUB)


async def test_a_disk_that_refuses_has_no_alert_yet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub = await started(tmp_path / "missing")
    await hub.alerts.review(seen(0.9))
    assert (hub.faults, hub.heard) == ([], [])
    assert "waits for the disk" in caplog.text
    (tmp_path / "missing").mkdir()
    await hub.alerts.review(seen(0.9))
    assert (len(hub.faults), hub.heard) == (1, [("alt_missing", True)])
