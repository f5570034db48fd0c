"""What a new life of the agent makes of an image of the whole system that it finds half-way. Pure.

Such an image brings an agent of its own, and the boot loader chooses between two systems of which each has one. So two
accounts must fit each other: which system runs, which only the machine knows, and which app the launcher starts in it.
Decides that, and what RAUC's refusals mean. Must never ask the machine: `imaging` does.
"""

import re

import msgspec

from agent.ota.launcher import BASE, LauncherState
from agent.ota.lifecycle import ATTEMPTS_MAX, RESTARTS_MAX, UpdateEvent, UpdateRecord, UpdateState
from agent.ota.manifest import PayloadType

STARTS_MAX = 2
"""Restarts of the machine after which the old system may run again, before the image is given up: a power cut in the
middle of one looks the same as a boot loader that went back."""
LEAVES_MAX = 10
"""Lives of the agent in a system that failed, of which each goes back: a machine whose other system does not come up
must not restart for ever."""
WORDS_CHARS_MAX = 300

_MISMATCH = re.compile(r"Compatible mismatch: Expected '([^']*)' but bundle manifest has '([^']*)'")
_UNTRUSTED = re.compile("signature verification failed|failed to verify signature|Invalid signature", re.IGNORECASE)
_FULL = re.compile("No space left|larger than|too large|does not fit", re.IGNORECASE)
_FORMAT = re.compile(r"[Bb]undle format '?(\w+)'? not allowed")


class SystemBoot(msgspec.Struct, frozen=True):
    """What runs.

    Attributes:
        slot: Of the system, as the boot loader names it; empty where nobody can say.
        id: Changes with each start of the machine.
    """

    slot: str
    id: str


def is_system_image(record: UpdateRecord) -> bool:
    """Tell whether the update is an image of the whole system."""
    return record.payload_type is PayloadType.RAUC


def is_new_system(record: UpdateRecord, boot: SystemBoot) -> bool:
    """Tell whether the system that runs is that of the image."""
    return bool(record.boot_slot and boot.slot) and boot.slot != record.boot_slot


def reconcile_image(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> tuple[UpdateEvent, str] | None:
    """Return what must have happened to an image while nobody looked, with the reason of a failure; or nothing.

    Args:
        record: As the last life left it.
        launcher: The account of the slots: it holds the floor, and why a trial failed.
        boot: What runs now.
    """
    if record.state not in {UpdateState.APPLYING, UpdateState.READY, UpdateState.TRIAL} or not record.sequence:
        return None
    if not boot.slot:
        return UpdateEvent.ABORT, "RAUC is gone from this machine; what became of the image is not known"
    if is_new_system(record, boot):
        return _in_new_system(record, launcher)
    return _in_old_system(record, launcher, boot)


def _in_new_system(record: UpdateRecord, launcher: LauncherState) -> tuple[UpdateEvent, str] | None:
    if record.state is UpdateState.APPLYING:
        return UpdateEvent.INSTALLED, ""
    if record.state is UpdateState.READY:
        return UpdateEvent.STARTED, ""
    return (UpdateEvent.CONFIRMED, "") if launcher.floor >= record.sequence else None


def _in_old_system(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> tuple[UpdateEvent, str] | None:
    reason = recorded_failure(record, launcher)
    if reason or record.state is UpdateState.TRIAL:
        return UpdateEvent.FAIL, reason or "the boot loader went back to the system before it had proved itself"
    if record.state is UpdateState.APPLYING:
        return (UpdateEvent.RESUME, "") if record.attempts < ATTEMPTS_MAX else (UpdateEvent.ABORT, _TOO_OFTEN)
    if record.boot_id == boot.id:
        # Nobody has restarted the machine since it was asked to.
        return (UpdateEvent.ABORT, _STAYS_UP) if record.restarts >= RESTARTS_MAX else None
    return (UpdateEvent.FAIL, _DOES_NOT_START) if record.restarts >= STARTS_MAX else None


def recorded_failure(record: UpdateRecord, launcher: LauncherState) -> str:
    """Return why this image failed its trial, as the account has it; empty where it has not."""
    failed = launcher.failed
    is_this = (failed.version, failed.sequence) == (record.offer.version, record.sequence)
    return (failed.reason or "it failed its trial") if is_this else ""


def is_failed_system(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> bool:
    """Tell whether the system that runs is that of an image that was given up, which must not be marked good."""
    is_failed = is_system_image(record) and record.state is UpdateState.FAILED
    return is_failed and is_new_system(record, boot) and launcher.floor < record.sequence


def find_start_overrun(record: UpdateRecord, starts_max: int) -> str:
    """Return why this image is given up at the beginning of a life of its agent; empty where it is not.

    Args:
        record: This life counted.
        starts_max: How often the release on trial may be started.
    """
    if record.starts <= starts_max:
        return ""
    return f"its agent was started {starts_max} times, and did not prove itself"


def find_relapse(record: UpdateRecord, boot: SystemBoot) -> str:
    """Return what is to be told where a system runs that an image had replaced for good; else nothing."""
    is_replaced = is_system_image(record) and record.state is UpdateState.COMPLETED and bool(boot.slot)
    if not is_replaced or boot.slot != record.boot_slot:
        return ""
    return (
        f"the boot loader went back to the system in slot {boot.slot}, though release {record.offer.version} had proved"
        " itself; the card may be worn out"
    )


def select_app_slot(record: UpdateRecord, launcher: LauncherState, boot: SystemBoot) -> str:
    """Return which app is the good one in the system that runs.

    In the new system, its own: what lies in the slots was made for the old one. In the old system, what was good there.
    """
    if is_new_system(record, boot):
        return BASE
    return record.app_slot or launcher.good


def explain_rauc_error(said: str) -> str:
    """Return what RAUC's reason for refusing an image means to a technician, with RAUC's own words.

    Source: the messages of RAUC 1.8, as its tests and real runs show them; one that is not known is passed on.
    """
    said = " ".join(said.split())[:WORDS_CHARS_MAX]
    if found := _MISMATCH.search(said):
        return (
            f"the image is for {found[2]!r}, and this machine is a {found[1]!r} (compatible in RAUC's system.conf);"
            f" publish the image for this hardware. RAUC says: {said}"
        )
    if _UNTRUSTED.search(said):
        meaning = "RAUC does not trust who signed the image; sign it with a key whose certificate RAUC's keyring holds"
    elif _FULL.search(said):
        meaning = "the image does not fit into the machine's slot; make it smaller"
    elif _FORMAT.search(said):
        meaning = "RAUC's system.conf does not admit the format of the image; build it in another (bundle-formats)"
    else:
        meaning = "RAUC could not install the image"
    return f"{meaning}. RAUC says: {said or 'nothing'}"


_TOO_OFTEN = (
    f"its installation was begun {ATTEMPTS_MAX} times and never came to its end; climahub status shows how the agent"
    " ended each time"
)
_STAYS_UP = (
    f"the machine was asked to restart {RESTARTS_MAX} times and did not, or RAUC could not be told; see the log, and"
    " docs/install.md on polkit"
)
_DOES_NOT_START = (
    f"the machine started its old system again, {STARTS_MAX} times: the new one does not come up; try it on a bench"
)
