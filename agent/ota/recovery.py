"""Decides how an update continues that an earlier run of the agent left unfinished. Pure.

An earlier run may have ended by a restart, a crash or a power cut. The state that it left is compared with what the
launcher (apps) or the boot loader (system images) did meanwhile. Must never read a file or call RAUC: the installers
do.
"""

import msgspec

from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import UpdateEvent, UpdateRecord, UpdateState
from agent.ota.manifest import PayloadType

ATTEMPTS_MAX = 5
"""Starts of the agent in the middle of one installation, before the update ends."""
RESTARTS_MAX = 5
"""Restarts for a trial that did not begin (the launcher cannot write its state, the machine does not go down)."""
SYSTEM_STARTS_MAX = 2
"""Restarts of the machine after which the old system runs again, before a system image fails: a power cut during the
start of the new system looks the same as a boot loader that went back."""
SYSTEM_LEAVES_MAX = 10
"""Attempts to leave a failed system: a machine whose other system does not start must not restart for ever."""

_OPEN_SINCE_APPLYING = {UpdateState.APPLYING, UpdateState.READY, UpdateState.TRIAL}

Outcome = tuple[UpdateEvent, str] | None
"""The event that happened in the meantime, with the reason of a failure; `None` for nothing."""


class SystemBoot(msgspec.Struct, frozen=True):
    """The system that runs.

    Attributes:
        slot: Its slot, as the boot loader names it; empty while RAUC does not answer.
        id: The boot id of the kernel: changes with each start of the machine.
    """

    slot: str
    id: str


# Apps, started by the launcher.


def reconcile_app(record: UpdateRecord, launcher: LauncherState, running: str) -> Outcome:
    """Return what happened to the update of an app since the record was written.

    Args:
        record: As the last run of the agent left it.
        launcher: As the launcher left it.
        running: The slot that this process was started from.
    """
    if record.state not in _OPEN_SINCE_APPLYING or not record.sequence:
        return None
    release = (record.offer.version, record.sequence)
    if launcher.trial and (launcher.trial_version, launcher.trial_sequence) == release:
        return _reconcile_trial(record, is_running=running == launcher.trial)
    if (launcher.failed.version, launcher.failed.sequence) == release:
        # A slot that was damaged before its first start proves nothing about the release.
        is_unproven = launcher.failed.is_damaged and record.state is UpdateState.READY
        return UpdateEvent.ABORT if is_unproven else UpdateEvent.FAIL, launcher.failed.reason
    if launcher.floor >= record.sequence and launcher.good == running != BASE:
        return UpdateEvent.CONFIRMED, ""
    return _reconcile_without_trial(record)


def _reconcile_without_trial(record: UpdateRecord) -> Outcome:
    if record.state is UpdateState.READY:
        return None
    if record.state is UpdateState.TRIAL:
        return UpdateEvent.ABORT, f"the launcher's state was lost during the trial; {_OFFERED_AGAIN}"
    return (UpdateEvent.RESUME, "") if record.attempts < ATTEMPTS_MAX else (UpdateEvent.ABORT, _TOO_OFTEN)


def _reconcile_trial(record: UpdateRecord, *, is_running: bool) -> Outcome:
    if is_running:
        return None if record.state is UpdateState.TRIAL else (UpdateEvent.STARTED, "")
    if record.state is UpdateState.TRIAL:
        return UpdateEvent.ABORT, "check the disk: the launcher went back and could not record the reason"
    if record.restarts >= RESTARTS_MAX:
        return UpdateEvent.ABORT, "check that the service starts the hub through the launcher: it did not start it"
    return None


# System images, started by the boot loader.


def is_system_image(record: UpdateRecord) -> bool:
    """Tell whether the update is a system image."""
    return record.payload_type is PayloadType.RAUC


def is_new_system(record: UpdateRecord, boot: SystemBoot) -> bool:
    """Tell whether the system of the image runs."""
    return bool(record.boot_slot and boot.slot) and boot.slot != record.boot_slot


def reconcile_image(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> Outcome:
    """Return what happened to the update of the system since the record was written.

    Args:
        record: As the last run of the agent left it, in either system.
        launcher: Holds the floor, and the reason of a failed trial.
        boot: The system that runs now.
    """
    if record.state not in _OPEN_SINCE_APPLYING or not record.sequence:
        return None
    if not boot.slot:
        return UpdateEvent.ABORT, "RAUC is gone from this machine; the state of the system image is unknown"
    if is_new_system(record, boot):
        return _reconcile_new_system(record, launcher)
    return _reconcile_old_system(record, launcher, boot)


def _reconcile_new_system(record: UpdateRecord, launcher: LauncherState) -> Outcome:
    if record.state is UpdateState.APPLYING:
        return UpdateEvent.INSTALLED, ""
    if record.state is UpdateState.READY:
        return UpdateEvent.STARTED, ""
    return (UpdateEvent.CONFIRMED, "") if launcher.floor >= record.sequence else None


def _reconcile_old_system(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> Outcome:
    reason = find_recorded_failure(record, launcher)
    if reason or record.state is UpdateState.TRIAL:
        return UpdateEvent.FAIL, reason or "the boot loader went back to the old system during the trial"
    if record.state is UpdateState.APPLYING:
        return (UpdateEvent.RESUME, "") if record.attempts < ATTEMPTS_MAX else (UpdateEvent.ABORT, _TOO_OFTEN)
    if record.boot_id == boot.id:
        # The machine did not restart since it was asked to.
        return (UpdateEvent.ABORT, _STAYS_UP) if record.restarts >= RESTARTS_MAX else None
    return (UpdateEvent.FAIL, _DOES_NOT_START) if record.restarts >= SYSTEM_STARTS_MAX else None


def find_recorded_failure(record: UpdateRecord, launcher: LauncherState) -> str:
    """Return why the trial of this system image failed, from the launcher's state; empty where it has not."""
    failed = launcher.failed
    is_this = (failed.version, failed.sequence) == (record.offer.version, record.sequence)
    return (failed.reason or "it failed its trial") if is_this else ""


def is_failed_system(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> bool:
    """Tell whether the system that runs is one that failed, which must not be marked good."""
    is_failed = is_system_image(record) and record.state is UpdateState.FAILED
    return is_failed and is_new_system(record, boot) and launcher.floor < record.sequence


def find_start_overrun(record: UpdateRecord, starts_max: int) -> str:
    """Return why the trial of a system image fails at this start of the agent; empty where it goes on.

    Args:
        record: This start is counted.
        starts_max: How often the release on trial may be started.
    """
    if record.starts <= starts_max:
        return ""
    return f"its agent was started {starts_max} times without confirming the release"


def find_relapse(record: UpdateRecord, boot: SystemBoot) -> str:
    """Return the fault to report where the old system runs, although the new one was confirmed; else nothing."""
    is_replaced = is_system_image(record) and record.state is UpdateState.COMPLETED and bool(boot.slot)
    if not is_replaced or boot.slot != record.boot_slot:
        return ""
    return (
        f"the boot loader went back to the system in slot {boot.slot}, though release {record.offer.version} was"
        " confirmed; check the card, which may be worn out"
    )


def select_app_slot(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> str:
    """Return the slot of the app that belongs to the system that runs.

    The apps in the slots were made for the old system, so the new one runs the app of its own package.
    """
    if is_new_system(record, boot):
        return BASE
    return record.app_slot or launcher.good


_OFFERED_AGAIN = "the release may be offered again"
_TOO_OFTEN = (
    f"its installation was begun {ATTEMPTS_MAX} times and never finished; climahub status shows how the agent ended"
    " each time"
)
_STAYS_UP = (
    f"the machine was asked to restart {RESTARTS_MAX} times and did not, or RAUC could not be reached; see the log, and"
    " docs/install.md on polkit"
)
_DOES_NOT_START = (
    f"the machine started its old system again, {SYSTEM_STARTS_MAX} times: the new one does not start; test it on a"
    " bench"
)
