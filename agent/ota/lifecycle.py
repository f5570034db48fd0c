"""The state machine of an update: states, events, the table of transitions, and the report to the cloud for each. Pure.

Must never touch a file or the network: the workflow acts on the next record once the store has it on the disk.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, TypedDict, Unpack

import msgspec

from agent.foundation.text import sanitize
from agent.ota.keyring import Keyring
from agent.ota.manifest import Offer, PayloadType, is_same_version

UNCOUNTED_STARTS_MAX = 3
"""Stops in good order in one trial whose start is not counted."""
REPORTS_MAX = 8
"""All states of one update, and a failure of the previous one."""
REFUSALS_MAX = 16
DOWNLOADS_MAX = 5
"""Download requests that are remembered over a restart of the machine: the quota of an hour."""
REASON_CHARACTERS_MAX = 400
"""Of a reason: the file has room for 25, in an alphabet of four bytes."""
PROGRESS_PERCENT = 10
"""The step in which progress is reported."""


class UpdateState(StrEnum):
    """The state of an update; on the disk before anything is done because of it."""

    IDLE = "idle"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    VERIFYING = "verifying"
    APPLYING = "applying"
    READY = "ready"
    TRIAL = "trial"
    COMPLETED = "completed"
    FAILED = "failed"


class UpdateEvent(StrEnum):
    """What happens to an update.

    `offer`: the cloud offers a release. `sideload`: a technician brings a bundle to the hub. `handed_over`: RAUC has
    the system image. `installed`: the release lies in its slot. `restart`: the launcher starts it next, or the machine
    restarts. `started`: it runs. `start_counted`: the agent of a system image was started, also when a system that
    failed runs again. `confirmed`: the trial passed. `fail`: this release is never taken again. `abort`: the update
    ends, and the same release may be offered again.
    """

    OFFER = "offer"
    SIDELOAD = "sideload"
    DOWNLOADED = "downloaded"
    VERIFY = "verify"
    VERIFIED = "verified"
    RESUME = "resume"
    HANDED_OVER = "handed_over"
    INSTALLED = "installed"
    RESTART = "restart"
    STARTED = "started"
    START_COUNTED = "start_counted"
    CONFIRMED = "confirmed"
    FAIL = "fail"
    ABORT = "abort"


_OPEN = (
    UpdateState.DOWNLOADING,
    UpdateState.DOWNLOADED,
    UpdateState.VERIFYING,
    UpdateState.APPLYING,
    UpdateState.READY,
    UpdateState.TRIAL,
)
_CLOSED = (UpdateState.IDLE, UpdateState.COMPLETED, UpdateState.FAILED)

EDGES: Mapping[tuple[UpdateState, UpdateEvent], UpdateState] = MappingProxyType(
    {(state, UpdateEvent.OFFER): UpdateState.DOWNLOADING for state in (*_CLOSED, UpdateState.DOWNLOADING)}
    | {(state, UpdateEvent.SIDELOAD): UpdateState.DOWNLOADED for state in (*_CLOSED, UpdateState.DOWNLOADING)}
    | {
        (UpdateState.DOWNLOADING, UpdateEvent.DOWNLOADED): UpdateState.DOWNLOADED,
        (UpdateState.DOWNLOADED, UpdateEvent.VERIFY): UpdateState.VERIFYING,
        (UpdateState.VERIFYING, UpdateEvent.VERIFIED): UpdateState.APPLYING,
        (UpdateState.APPLYING, UpdateEvent.RESUME): UpdateState.APPLYING,
        (UpdateState.APPLYING, UpdateEvent.HANDED_OVER): UpdateState.APPLYING,
        (UpdateState.APPLYING, UpdateEvent.INSTALLED): UpdateState.READY,
        (UpdateState.READY, UpdateEvent.RESTART): UpdateState.READY,
        (UpdateState.READY, UpdateEvent.STARTED): UpdateState.TRIAL,
        (UpdateState.READY, UpdateEvent.CONFIRMED): UpdateState.COMPLETED,
        (UpdateState.TRIAL, UpdateEvent.START_COUNTED): UpdateState.TRIAL,
        (UpdateState.FAILED, UpdateEvent.START_COUNTED): UpdateState.FAILED,
        (UpdateState.TRIAL, UpdateEvent.CONFIRMED): UpdateState.COMPLETED,
    }
    | {(state, UpdateEvent.FAIL): UpdateState.FAILED for state in _OPEN}
    | {(state, UpdateEvent.ABORT): UpdateState.FAILED for state in _OPEN}
)

CLOUD_STATUS: Mapping[UpdateState, str] = MappingProxyType(
    {
        UpdateState.DOWNLOADING: "downloading",
        UpdateState.DOWNLOADED: "downloaded",
        UpdateState.VERIFYING: "verifying",
        UpdateState.APPLYING: "applying",
        UpdateState.COMPLETED: "completed",
        UpdateState.FAILED: "failed",
    }
)
"""The states in the words of the cloud (contract section 6.3), which has none for slots and trials."""


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram, for docs/updates.md."""
    edges = [f"    {state} --> {target}: {event}" for (state, event), target in EDGES.items()]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {UpdateState.IDLE}", *edges))


class StatusReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One report to the cloud (contract section 6.3)."""

    version: str
    status: str
    progress_percent: int | None = None
    error_message: str = ""


class RefusedOffer(msgspec.Struct, frozen=True):
    """An offer that is not taken again: this version with this checksum.

    Attributes:
        version: Of the offer.
        sha256: Of the offer.
        reason: Why.
        facts: Digest of what the bundle was compared with (keys, model, launcher): the refusal is void once that has
            changed. Empty where the release failed its trial.
    """

    version: str
    sha256: str
    reason: str
    facts: str = ""


class UpdateRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The present update, and what is kept of earlier ones. The stored names are those of 0.1.

    Attributes:
        state: Of the update.
        offer: The cloud's; for a sideloaded bundle, from its own header.
        is_sideloaded: A technician brought it, not the cloud.
        sequence: Of the release, once its header was verified.
        signer: Id of the key that signed it; empty for an unsigned bundle.
        error: Why it failed.
        attempts: Starts of the agent in the middle of the installation.
        slot: Slot of an app, once it is installed.
        digest: Of the content of that slot.
        fresh_sensors: How many sensors delivered before the restart: the trial compares with it.
        restarts: Restarts that were requested to begin the trial.
        uncounted_starts: Starts of its trial that were not counted, since they ended in good order.
        payload_type: App or system image; the next five attributes are of system images only.
        handovers: How often RAUC was asked to install it.
        boot_slot: The slot of the old system, as the boot loader names it.
        boot_id: The boot in which the machine was last asked to restart.
        starts: Starts of the agent in the new system; the launcher counts those of an app.
        app_slot: The launcher's good slot in the old system, which is good again where the hub goes back.
        reports: What the cloud has not received yet, oldest first.
        refusals: Offers that are not taken again, oldest first.
        is_paused: A technician has paused updates.
        keyring: A copy of `keyring.json`.
        downloads_utc_ms: When the last downloads were requested; 0 where the time was unknown.
    """

    state: UpdateState = UpdateState.IDLE
    offer: Offer = Offer("")
    is_sideloaded: bool = msgspec.field(default=False, name="is_brought")
    sequence: int = 0
    signer: str = ""
    error: str = ""
    attempts: int = 0
    restarts: int = 0
    slot: str = ""
    digest: str = ""
    fresh_sensors: int = 0
    uncounted_starts: int = msgspec.field(default=0, name="refunds")
    payload_type: PayloadType = PayloadType.APP
    handovers: int = msgspec.field(default=0, name="handed")
    boot_slot: str = ""
    boot_id: str = ""
    starts: int = 0
    app_slot: str = ""
    reports: Annotated[tuple[StatusReport, ...], msgspec.Meta(max_length=REPORTS_MAX)] = msgspec.field(
        default=(), name="posts"
    )
    refusals: Annotated[tuple[RefusedOffer, ...], msgspec.Meta(max_length=REFUSALS_MAX)] = ()
    is_paused: bool = msgspec.field(default=False, name="is_held")
    keyring: Keyring = Keyring()
    downloads_utc_ms: Annotated[tuple[int, ...], msgspec.Meta(max_length=DOWNLOADS_MAX)] = msgspec.field(
        default=(), name="downloads"
    )

    @property
    def is_open(self) -> bool:
        """Whether the update is under way."""
        return self.state in _OPEN


class EventDetails(TypedDict, total=False):
    """The details of an event.

    `OFFER` and `SIDELOAD` have an `offer`; `FAIL` and `ABORT` a `reason`, `FAIL` also `facts`; `VERIFIED` has
    `sequence`, `signer` and `payload_type`; `INSTALLED` of an app has `slot` and `digest`; `RESTART` has
    `fresh_sensors`. For a system image, `HANDED_OVER` has `boot_slot`, `RESTART` has `boot_id` and `app_slot`, and
    `STARTED` has `app_slot`.
    """

    offer: Offer
    reason: str
    facts: str
    sequence: int
    signer: str
    payload_type: PayloadType
    slot: str
    digest: str
    fresh_sensors: int
    boot_slot: str
    boot_id: str
    app_slot: str


def transition(record: UpdateRecord, event: UpdateEvent, **details: Unpack[EventDetails]) -> UpdateRecord:
    """Return the record after an event.

    Args:
        record: Before it.
        event: What happened.
        details: Of the event.

    Raises:
        ValueError: It cannot happen in this state.
    """
    # Foreign text has no limit of length; the record must fit its file.
    if "reason" in details:
        details["reason"] = sanitize(details["reason"], characters_max=REASON_CHARACTERS_MAX)
    state = EDGES.get((record.state, event))
    if state is None:
        raise ValueError(f"{event} cannot happen to an update that is {record.state}")
    changes: dict[str, object] = {"state": state}
    reason = details.get("reason", "")
    if event in {UpdateEvent.OFFER, UpdateEvent.SIDELOAD}:
        fresh = UpdateRecord(
            reports=record.reports, refusals=record.refusals, is_paused=record.is_paused, keyring=record.keyring
        )
        record = msgspec.structs.replace(fresh, offer=details["offer"], is_sideloaded=event is UpdateEvent.SIDELOAD)
    elif event is UpdateEvent.START_COUNTED:
        changes["starts"] = record.starts + 1
    elif event in _INTERMEDIATE:
        changes |= _intermediate_changes(record, event, details)
    elif event is UpdateEvent.FAIL:
        refusal = RefusedOffer(record.offer.version, record.offer.sha256, reason, details.get("facts", ""))
        known = tuple(each for each in record.refusals if not _is_same(each, record.offer))
        changes |= {"error": reason, "refusals": (*known, refusal)[-REFUSALS_MAX:]}
    elif event is UpdateEvent.ABORT:
        changes["error"] = reason
    return with_status_report(msgspec.structs.replace(record, **changes), was=record.state)


_INTERMEDIATE = {
    UpdateEvent.VERIFIED,
    UpdateEvent.RESUME,
    UpdateEvent.HANDED_OVER,
    UpdateEvent.INSTALLED,
    UpdateEvent.RESTART,
    UpdateEvent.STARTED,
}


def _intermediate_changes(record: UpdateRecord, event: UpdateEvent, details: EventDetails) -> dict[str, object]:
    """Return what an event between `DOWNLOADED` and the end changes, besides the state."""
    match event:
        case UpdateEvent.VERIFIED:
            kind = details.get("payload_type", PayloadType.APP)
            signer = details.get("signer", "")
            return {"sequence": details["sequence"], "signer": signer, "payload_type": kind, "attempts": 1}
        case UpdateEvent.RESUME:
            return {"attempts": record.attempts + 1}
        case UpdateEvent.HANDED_OVER:
            return {"handovers": record.handovers + 1, "boot_slot": details["boot_slot"]}
        case UpdateEvent.INSTALLED:
            return {"slot": details.get("slot", ""), "digest": details.get("digest", "")}
        case UpdateEvent.STARTED:
            return {"app_slot": record.app_slot or details.get("app_slot", "")}
        case _:
            return {
                "restarts": record.restarts + 1,
                "fresh_sensors": max(record.fresh_sensors, details.get("fresh_sensors", 0)),
                "boot_id": details.get("boot_id", ""),
                "app_slot": record.app_slot or details.get("app_slot", ""),
            }


def with_status_report(record: UpdateRecord, *, was: UpdateState) -> UpdateRecord:
    """Return the record with a report of its new state.

    A sideloaded bundle is reported as downloaded at once: the contract has no other way to "downloaded" (section 6.4).
    """
    status = CLOUD_STATUS.get(record.state)
    if status is None or (record.state is was and record.state is not UpdateState.DOWNLOADING):
        return record
    reports = record.reports
    if record.is_sideloaded and record.state is UpdateState.DOWNLOADED:
        reports = append_report(reports, StatusReport(record.offer.version, CLOUD_STATUS[UpdateState.DOWNLOADING], 100))
    percent = 0 if record.state is UpdateState.DOWNLOADING else None
    report = StatusReport(
        record.offer.version, status, percent, record.error if record.state is UpdateState.FAILED else ""
    )
    return msgspec.structs.replace(record, reports=append_report(reports, report))


def append_report(reports: tuple[StatusReport, ...], report: StatusReport) -> tuple[StatusReport, ...]:
    """Return the reports with one more; it replaces progress of the same update."""
    if reports and (reports[-1].version, reports[-1].status) == (report.version, report.status):
        reports = reports[:-1]
    return (*reports, report)[-REPORTS_MAX:]


def find_refusal(record: UpdateRecord, offer: Offer, facts: str = "") -> str:
    """Return why an offer is not taken; empty where it is.

    Args:
        record: With the refusals.
        offer: The cloud's.
        facts: Digest of what bundles are compared with now.
    """
    for each in record.refusals:
        if _is_same(each, offer) and each.facts in {"", facts}:
            return each.reason
    return ""


def is_resumable(record: UpdateRecord, offer: Offer) -> bool:
    """Tell whether the download of an offer can continue what an ended update has downloaded."""
    is_lost = record.state is UpdateState.FAILED and not any(_is_same(each, record.offer) for each in record.refusals)
    is_same = is_same_version(record.offer.version, offer.version) and record.offer.sha256 == offer.sha256
    return is_lost and is_same and not record.is_sideloaded


def _is_same(refusal: RefusedOffer, offer: Offer) -> bool:
    return is_same_version(refusal.version, offer.version) and refusal.sha256 == offer.sha256
