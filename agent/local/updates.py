"""The update document of the local API, and the requests that steer updates.

The JSON form is an interface: fields may be added, never renamed.
"""

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus

import msgspec

from agent import __version__
from agent.errors import BundleUntrusted, Corrupt, Rejected, StorageFull
from agent.local.routes import Handler, LocalRequest, RequestRefused
from agent.ota.launcher import BASE, SLOTS
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService

UNSIGNED_WARNING = "UNSIGNED RELEASES ARE ADMITTED (ota.allow_unsigned): whoever controls the cloud controls this hub"


class RefusedReport(msgspec.Struct, frozen=True):
    """An offer that the hub will not accept again."""

    version: str
    reason: str


class UpdateReport(msgspec.Struct, frozen=True):
    """The updates of a hub.

    Attributes:
        version: The version of the running release.
        slot: The slot that it runs from: "a", "b" or "base".
        launcher: The version of the launcher; 0 where the hub was started without it and cannot be updated.
        good: The slot whose release is confirmed.
        floor: The version floor: a release up to this sequence number is not installed.
        state: The state of the current update, or of the last one.
        target: The version of that update.
        percent: The progress of its download or installation.
        signed_by: The id of the key that signed it; empty before that is known, and for an unsigned release.
        is_paused: A technician has paused updates.
        waiting_for: The reason why the update waits; empty where it does not.
        error: The reason why the last update failed.
        warning: A warning for the owner of this hub.
        trusted_keys: The ids of the keys whose releases are installed.
        failed: The version of the last release that failed its trial; empty for none.
        refused: Offers that the hub will not accept again, the oldest first.
        kind: "app", or "rauc" for an image of the whole system.
        system: The running system's slot, as the boot loader names it; empty where RAUC is not set up.
        revoked_keys: The ids of keys that are never trusted again.
        checked: The result of the last check with the cloud; empty before the first.
        trial_left_s: The least time until the release on trial is committed; nothing without a trial.
        trial_deadline_s: The time until the trial is given up.
        trial_problems: The problems of the trial now, by check.
        trial_starts_left: How often the release may still be started.
        slot_reason: Why the package runs although a slot is confirmed; empty where it is not so.
    """

    version: str
    slot: str
    launcher: int
    good: str
    floor: int
    state: str
    target: str
    percent: int
    signed_by: str
    is_paused: bool
    waiting_for: str
    error: str
    warning: str
    trusted_keys: list[str]
    failed: str
    refused: list[RefusedReport]
    kind: str = "app"
    system: str = ""
    revoked_keys: list[str] = []
    checked: str = ""
    trial_left_s: int | None = None
    trial_deadline_s: int | None = None
    trial_problems: Mapping[str, str] = {}
    trial_starts_left: int | None = None
    slot_reason: str = ""


def build_updates(updates: UpdateService) -> UpdateReport:
    """Return the document."""
    record, launcher, running = updates.store.record, updates.launcher_state, updates.context.running
    keys, problem = (
        sorted(each.hex() for each in updates.trust_store.trusted_keys()),
        "; ".join(updates.trust_store.problems),
    )
    if not keys and not problem:
        problem = "put a public key into ota.keys_dir: no key is trusted, so no release is installed"
    if not running.launcher:
        problem = "start the hub through the launcher (docs/updates.md): without it nothing can be installed"
    if updates.is_unsigned_allowed:
        problem = UNSIGNED_WARNING
    report = UpdateReport(
        version=running.version,
        slot=running.slot or BASE,
        launcher=running.launcher,
        good=launcher.good,
        floor=launcher.floor,
        state=record.state.value,
        target=record.offer.version,
        percent=updates.percent,
        signed_by=record.signer,
        is_paused=record.is_paused,
        waiting_for=updates.run_control.blocked_reason,
        error=record.error,
        warning=problem,
        trusted_keys=keys,
        failed=launcher.failed.version,
        refused=[RefusedReport(each.version, each.reason) for each in record.refusals],
        kind=record.payload_type.value,
        system=updates.image_installer.boot.slot,
        revoked_keys=sorted(updates.trust_store.keyring.revoked),
        checked=updates.outcome.text,
        slot_reason=running.reason,
    )
    if record.state is not UpdateState.TRIAL:
        return report
    left_s, deadline_s = updates.trial.remaining_s()
    trial = updates.trial.progress
    is_app = launcher.trial == running.slot
    return msgspec.structs.replace(
        report,
        trial_left_s=round(left_s),
        trial_deadline_s=round(deadline_s),
        trial_problems=trial.problems if trial and trial.healthy_since_s is None else {},
        trial_starts_left=launcher.tries_left if is_app else None,
    )


def update_line(updates: UpdateService | None) -> str:
    """Return the progress of the current update for the status; empty where there is none."""
    if updates is None or not updates.store.record.is_open:
        return ""
    record = updates.store.record
    what = f"release {record.offer.version}: "
    if record.state is not UpdateState.TRIAL:
        return what + (updates.run_control.blocked_reason or record.state.value)
    left_s, deadline_s = updates.trial.remaining_s()
    return f"{what}on trial, committed in {_minutes(left_s)} at the earliest, rolled back in {_minutes(deadline_s)}"


def _minutes(seconds: float) -> str:
    return f"{-(-round(seconds) // 60)} min"


class TrialReport(msgspec.Struct, frozen=True):
    """A release on trial, from the launcher's state."""

    slot: str
    version: str
    sequence: int
    tries_left: int


class SlotsReport(msgspec.Struct, frozen=True):
    """The slots of a hub, for the diagnostics command.

    Attributes:
        active: The version of the running release.
        slot: The slot that it runs from: "a", "b" or "base"; empty on a hub without updates.
        good: The slot whose release is confirmed.
        idle: The slot for the next release.
        trial: The release on trial; nothing without a trial.
        failed: The version of the last release that failed its trial; empty for none.
        failed_reason: The reason of that failure.
        floor: The version floor: a release up to this sequence number is not installed.
        system: The running system's slot, as the boot loader names it; empty where RAUC is not set up.
        state: The state of the current update, or of the last one.
        target: The version of that update.
    """

    active: str
    slot: str = ""
    good: str = ""
    idle: str = ""
    trial: TrialReport | None = None
    failed: str = ""
    failed_reason: str = ""
    floor: int = 0
    system: str = ""
    state: str = ""
    target: str = ""


def build_slots(updates: UpdateService | None) -> SlotsReport:
    """Return the slots for the diagnostics command."""
    if updates is None:
        return SlotsReport(active=__version__)
    account, running, record = updates.launcher_state, updates.context.running, updates.store.record
    trial = TrialReport(account.trial, account.trial_version, account.trial_sequence, account.tries_left)
    return SlotsReport(
        active=running.version,
        slot=running.slot,
        good=account.good,
        idle=next(slot for slot in SLOTS if slot not in {account.good, running.slot}),
        trial=trial if account.trial else None,
        failed=account.failed.version,
        failed_reason=account.failed.reason,
        floor=account.floor,
        system=updates.image_installer.boot.slot,
        state=record.state.value,
        target=record.offer.version,
    )


class AcceptedBundle(msgspec.Struct, frozen=True):
    """The release of a bundle that has been taken in."""

    version: str
    sequence: int


def handlers(updates: UpdateService | None) -> Mapping[str, Handler]:
    """Return the handlers of updates; none where this hub cannot be updated."""
    if updates is None:
        return {}

    async def get_update(_: LocalRequest) -> UpdateReport:
        return build_updates(updates)

    async def check_update(_: LocalRequest) -> UpdateReport:
        with _refusing():
            outcome = await updates.check_now()
        return msgspec.structs.replace(build_updates(updates), checked=outcome)

    async def pause_updates(_: LocalRequest) -> UpdateReport:
        with _refusing():
            await updates.set_paused(is_paused=True)
        return build_updates(updates)

    async def resume_updates(_: LocalRequest) -> UpdateReport:
        with _refusing():
            await updates.set_paused(is_paused=False)
        return build_updates(updates)

    async def roll_back(_: LocalRequest) -> UpdateReport:
        with _refusing():
            await updates.roll_back()
        return build_updates(updates)

    async def install_bundle(request: LocalRequest) -> AcceptedBundle:
        with _refusing():
            header = await updates.install(request.body)
        return AcceptedBundle(header.manifest.version, header.manifest.sequence)

    return {
        each.__name__: each
        for each in (get_update, check_update, pause_updates, resume_updates, roll_back, install_bundle)
    }


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Answer a bundle that no wait makes better apart from what keeps an update from being carried out now."""
    try:
        yield
    except BundleUntrusted as error:
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "bundle_invalid", str(error)) from error
    except (Rejected, StorageFull, Corrupt) as error:
        raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "refused", str(error)) from error
