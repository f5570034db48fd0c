"""How an interrupted update continues, for apps and system images; and explanations of RAUC's errors."""

import pytest

from agent.ota import recovery
from agent.ota.image_installer import explain_rauc_error
from agent.ota.launcher import BASE, FailedRelease, LauncherState
from agent.ota.lifecycle import UpdateEvent, UpdateRecord, UpdateState, transition
from agent.ota.manifest import Offer, PayloadType
from agent.ota.recovery import ATTEMPTS_MAX, RESTARTS_MAX, SYSTEM_STARTS_MAX, SystemBoot

OFFER = Offer("3.0.0", "ab" * 32, 100)
OLD, LATER, NEW = SystemBoot("A", "boot-1"), SystemBoot("A", "boot-2"), SystemBoot("B", "boot-2")
ACCOUNT = LauncherState(good="a", floor=2)
FAILED = LauncherState(good=BASE, floor=2, failed=FailedRelease("3.0.0", 3, "the outbox cannot be written"))


def at(state: UpdateState, **changes: object) -> UpdateRecord:
    values = {"boot_slot": "A", "payload_type": PayloadType.RAUC} | changes
    return UpdateRecord(state=state, offer=OFFER, sequence=3, **values)  # type: ignore[arg-type]


def app_at(state: UpdateState, **changes: object) -> UpdateRecord:
    return UpdateRecord(state=state, offer=Offer("2.0.0", "ab" * 32, 100), sequence=2, **changes)  # type: ignore[arg-type]


ON_TRIAL = LauncherState(good="base", trial="a", trial_version="2.0.0", trial_sequence=2, tries_left=1)


@pytest.mark.parametrize(
    ("record", "account", "running", "event"),
    [
        (app_at(UpdateState.DOWNLOADING), ON_TRIAL, "a", None),
        (app_at(UpdateState.READY), ON_TRIAL, "a", UpdateEvent.STARTED),
        (app_at(UpdateState.TRIAL), ON_TRIAL, "a", None),
        (app_at(UpdateState.READY), ON_TRIAL, "base", None),
        (app_at(UpdateState.READY, restarts=RESTARTS_MAX), ON_TRIAL, "base", UpdateEvent.ABORT),
        (app_at(UpdateState.TRIAL), ON_TRIAL, "base", UpdateEvent.ABORT),
        (app_at(UpdateState.TRIAL), ON_TRIAL.with_failed_trial("late"), "base", UpdateEvent.FAIL),
        (app_at(UpdateState.READY), ON_TRIAL.with_failed_trial("damaged", is_damaged=True), "base", UpdateEvent.ABORT),
        (app_at(UpdateState.TRIAL), ON_TRIAL.with_failed_trial("damaged", is_damaged=True), "base", UpdateEvent.FAIL),
        (app_at(UpdateState.READY, slot="b"), LauncherState(good="base", floor=2), "base", None),
        (app_at(UpdateState.APPLYING), LauncherState(good="base", floor=2), "base", UpdateEvent.RESUME),
        (app_at(UpdateState.READY), LauncherState(), "base", None),
        (app_at(UpdateState.APPLYING), LauncherState(), "base", UpdateEvent.RESUME),
        (app_at(UpdateState.APPLYING, attempts=ATTEMPTS_MAX), LauncherState(), "base", UpdateEvent.ABORT),
        (app_at(UpdateState.TRIAL), LauncherState(good="a", floor=2), "a", UpdateEvent.CONFIRMED),
        (
            app_at(UpdateState.TRIAL),
            LauncherState(good="b", floor=1, failed=FailedRelease("1.0.0", 1)),
            "b",
            UpdateEvent.ABORT,
        ),
        (app_at(UpdateState.COMPLETED), LauncherState(), "base", None),
    ],
)
def test_interrupted_app_update_is_reconciled(
    record: UpdateRecord, account: LauncherState, running: str, event: UpdateEvent | None
) -> None:
    found = recovery.reconcile_app(record, account, running)
    assert (found[0] if found else None) == event


@pytest.mark.parametrize(
    ("record", "account", "boot", "event"),
    [
        (at(UpdateState.VERIFYING), ACCOUNT, OLD, None),
        (at(UpdateState.APPLYING, boot_slot=""), ACCOUNT, OLD, UpdateEvent.RESUME),
        (at(UpdateState.APPLYING), ACCOUNT, OLD, UpdateEvent.RESUME),
        (at(UpdateState.APPLYING, attempts=ATTEMPTS_MAX), ACCOUNT, OLD, UpdateEvent.ABORT),
        (at(UpdateState.APPLYING), ACCOUNT, NEW, UpdateEvent.INSTALLED),
        (at(UpdateState.READY), ACCOUNT, OLD, None),
        (at(UpdateState.READY), ACCOUNT, LATER, None),
        (at(UpdateState.READY), ACCOUNT, NEW, UpdateEvent.STARTED),
        (at(UpdateState.READY, restarts=1, boot_id="boot-1"), ACCOUNT, OLD, None),
        (at(UpdateState.READY, restarts=RESTARTS_MAX, boot_id="boot-1"), ACCOUNT, OLD, UpdateEvent.ABORT),
        (at(UpdateState.READY, restarts=SYSTEM_STARTS_MAX - 1, boot_id="boot-1"), ACCOUNT, LATER, None),
        (at(UpdateState.READY, restarts=SYSTEM_STARTS_MAX, boot_id="boot-1"), ACCOUNT, LATER, UpdateEvent.FAIL),
        (at(UpdateState.READY, restarts=1, boot_id="boot-1"), FAILED, LATER, UpdateEvent.FAIL),
        (at(UpdateState.TRIAL), ACCOUNT, NEW, None),
        (at(UpdateState.TRIAL), FAILED, NEW, None),
        (at(UpdateState.TRIAL), LauncherState(floor=3), NEW, UpdateEvent.CONFIRMED),
        (at(UpdateState.TRIAL), ACCOUNT, LATER, UpdateEvent.FAIL),
        (at(UpdateState.TRIAL), ACCOUNT, SystemBoot("", "boot-2"), UpdateEvent.ABORT),
        (at(UpdateState.COMPLETED), ACCOUNT, LATER, None),
        (at(UpdateState.FAILED), ACCOUNT, NEW, None),
    ],
)
def test_interrupted_image_update_is_reconciled(
    record: UpdateRecord, account: LauncherState, boot: SystemBoot, event: UpdateEvent | None
) -> None:
    found = recovery.reconcile_image(record, account, boot)
    assert (found[0] if found else None) == event


def test_old_system_reports_why_the_new_one_failed() -> None:
    assert recovery.reconcile_image(at(UpdateState.TRIAL), FAILED, LATER) == (
        UpdateEvent.FAIL,
        "the outbox cannot be written",
    )
    found = recovery.reconcile_image(at(UpdateState.TRIAL), ACCOUNT, LATER)
    assert found is not None
    assert "the boot loader went back" in found[1]


def test_failure_of_another_release_is_not_attributed() -> None:
    other = LauncherState(failed=FailedRelease("3.0.0", 2, "older"))
    assert recovery.find_recorded_failure(at(UpdateState.TRIAL), other) == ""
    assert (
        recovery.find_recorded_failure(at(UpdateState.TRIAL), LauncherState(failed=FailedRelease("3.0.0", 3, "")))
        == "it failed its trial"
    )


def test_boot_loader_fallback_from_a_confirmed_system_is_reported() -> None:
    assert "went back to the system in slot A" in recovery.find_relapse(at(UpdateState.COMPLETED), OLD)
    assert recovery.find_relapse(at(UpdateState.COMPLETED), NEW) == ""
    assert recovery.find_relapse(at(UpdateState.COMPLETED), SystemBoot("", "boot-1")) == ""
    assert recovery.find_relapse(at(UpdateState.FAILED), OLD) == ""
    assert recovery.find_relapse(at(UpdateState.COMPLETED, payload_type=PayloadType.APP), OLD) == ""


def test_each_system_has_its_own_confirmed_app() -> None:
    record = at(UpdateState.READY, app_slot="a")
    account = LauncherState(good=BASE)
    assert recovery.select_app_slot(record, account, OLD) == "a"
    assert recovery.select_app_slot(record, account, NEW) == BASE
    assert recovery.select_app_slot(at(UpdateState.READY), LauncherState(good="b"), OLD) == "b"


def test_app_of_the_old_system_is_recorded_once() -> None:
    record = transition(at(UpdateState.READY), UpdateEvent.RESTART, app_slot="a", boot_id="boot-1", fresh_sensors=3)
    record = transition(record, UpdateEvent.RESTART, app_slot=BASE, boot_id="boot-2", fresh_sensors=0)
    assert (record.app_slot, record.boot_id, record.restarts, record.fresh_sensors) == ("a", "boot-2", 2, 3)
    assert transition(record, UpdateEvent.STARTED, app_slot="b").app_slot == "a"
    assert transition(at(UpdateState.READY), UpdateEvent.STARTED, app_slot="b").app_slot == "b"
    handovers = transition(
        transition(at(UpdateState.APPLYING), UpdateEvent.HANDED_OVER, boot_slot="A"),
        UpdateEvent.HANDED_OVER,
        boot_slot="A",
    )
    assert (handovers.handovers, handovers.boot_slot) == (2, "A")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            "Installation error: Compatible mismatch: Expected 'climahub-pi4' but bundle manifest has 'kettle'",
            "it is for 'kettle', and this machine is a 'climahub-pi4'",
        ),
        ("signature verification failed: Verify error: self-signed certificate", "does not trust its signature"),
        ("Failed updating slot rootfs.1: failed to write: No space left on device", "does not fit"),
        ("Bundle format 'plain' not allowed", "does not allow this one"),
        ("something new", "RAUC could not install the image. RAUC reports: something new"),
        ("", "RAUC reports: nothing"),
    ],
)
def test_rauc_errors_are_explained(said: str, means: str) -> None:
    words = explain_rauc_error(said)
    assert means in words
    assert said in words


def test_long_rauc_error_is_cut() -> None:
    assert len(explain_rauc_error("x" * 5000)) < 500
