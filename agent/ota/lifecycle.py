"""What may happen to an update, as a table, and what a new life of the agent makes of what it finds. Pure.

Owns the states, the edges between them, and what the cloud is told at each. Must never touch a file or the network:
The service does what is decided here, after the store has it on the disk.
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
"""Stops in good order in one trial that cost no start."""
REPORTS_MAX = 8
"""All states of one update, and a failure of the one before."""
REFUSALS_MAX = 16
DOWNLOADS_MAX = 5
"""Requests for downloads that are remembered over a restart of the machine: the quota of an hour."""
REASON_CHARACTERS_MAX = 400
"""Of why an update failed: 25 such texts, in an alphabet of four bytes, fit the file of the book."""
PROGRESS_PERCENT = 10
"""How often progress is told."""


class UpdateState(StrEnum):
    """Where an update stands. Each is on the disk before anything is done because of it."""

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
"""What the cloud calls the states (contract section 6.3); it knows nothing of slots and trials."""


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram: what docs/updates.md shows."""
    edges = [f"    {state} --> {target}: {event}" for (state, event), target in EDGES.items()]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {UpdateState.IDLE}", *edges))


class StatusReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One word to the cloud (contract section 6.3)."""

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
        facts: What the bundle was measured against (keys, model, launcher and such): once that has changed, the refusal
            is void. Empty where it is the release's own trial that failed.
    """

    version: str
    sha256: str
    reason: str
    facts: str = ""


class UpdateRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The present update, and what is remembered of those before. Stored names are those of 0.1.

    Attributes:
        state: Where it stands.
        offer: What the cloud promised; of a file that was brought, what it says of itself.
        is_sideloaded: It came as a file, not from the cloud.
        sequence: Of the release, once its header was read.
        signer: Id of the key that signed it; empty where nobody did.
        error: Why it failed.
        attempts: Lives of the agent that have begun to apply it.
        slot: Where the release lies, once it is there.
        digest: What that slot must contain.
        fresh_sensors: How many sensors delivered before the restart: what the trial is measured against.
        restarts: How often a restart was asked for to begin its trial.
        uncounted_starts: How many starts of its trial were not counted, since it was stopped in good order.
        payload_type: What it is; the rest of this is of images of the whole system only.
        handovers: How often it went to its installer.
        boot_slot: The slot of the system that ran before, as the boot loader names it.
        boot_id: The boot in which the machine was last asked to restart.
        starts: Lives of the agent in the new system; those of an app the launcher counts.
        app_slot: The launcher's good slot in that system; it is good again where the hub goes back.
        reports: What the cloud has not been with_status_report yet, oldest first.
        refusals: Offers that are not taken again, oldest first.
        is_paused: A technician keeps all updates from beginning.
        keyring: A copy of what `keyring` knows, for a file that is lost.
        downloads_utc_ms: When the last downloads were asked for, in UTC milliseconds; 0 where the time was not known.
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
        """Whether something is left to be done."""
        return self.state in _OPEN


class EventDetails(TypedDict, total=False):
    """What goes with an event.

    `offer` with `OFFER` and `BRING`, `reason` with `FAIL` and `LOSE`, `facts` with `FAIL`, `sequence`, `signer` and
    `payload_type` with `VERIFIED`, `slot` and `digest` with `PLACED`, `fresh_sensors` with `RESTART`; of an image,
    `boot_slot` with `HANDED`, `boot_id` with `RESTART`, and `app_slot` with that and `STARTED`.
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
    """Return the update after an event.

    Args:
        record: Before it.
        event: What happens.
        details: What goes with it.

    Raises:
        ValueError: It cannot happen now.
    """
    # What others wrote may be as long as they like; the record has to fit its file.
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
    elif event in _NOTED:
        changes |= _noted(record, event, details)
    elif event is UpdateEvent.FAIL:
        refusal = RefusedOffer(record.offer.version, record.offer.sha256, reason, details.get("facts", ""))
        known = tuple(each for each in record.refusals if not _is_same(each, record.offer))
        changes |= {"error": reason, "refusals": (*known, refusal)[-REFUSALS_MAX:]}
    elif event is UpdateEvent.ABORT:
        changes["error"] = reason
    return with_status_report(msgspec.structs.replace(record, **changes), was=record.state)


_NOTED = {
    UpdateEvent.VERIFIED,
    UpdateEvent.RESUME,
    UpdateEvent.HANDED_OVER,
    UpdateEvent.INSTALLED,
    UpdateEvent.RESTART,
    UpdateEvent.STARTED,
}


def _noted(record: UpdateRecord, event: UpdateEvent, details: EventDetails) -> dict[str, object]:
    """Return what an event on the way changes beside the state."""
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
    """Return the update with what the cloud is to be told of its new state.

    Of a file that was brought, it is told as of one that it sent: that it has come, all at once (contract section 6.4
    knows no other way to "downloaded").
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
    """Return what is to be told with one word more: of progress, the newest says all."""
    if reports and (reports[-1].version, reports[-1].status) == (report.version, report.status):
        reports = reports[:-1]
    return (*reports, report)[-REPORTS_MAX:]


def find_refusal(record: UpdateRecord, offer: Offer, facts: str = "") -> str:
    """Return why an offer is not taken; empty where it is.

    Args:
        record: With the refusals.
        offer: The cloud's.
        facts: What bundles are measured against now.
    """
    for each in record.refusals:
        if _is_same(each, offer) and each.facts in {"", facts}:
            return each.reason
    return ""


def is_resumable(record: UpdateRecord, offer: Offer) -> bool:
    """Tell whether what an update has left of its download is a beginning of what is offered now."""
    is_lost = record.state is UpdateState.FAILED and not any(_is_same(each, record.offer) for each in record.refusals)
    is_same = is_same_version(record.offer.version, offer.version) and record.offer.sha256 == offer.sha256
    return is_lost and is_same and not record.is_sideloaded


def _is_same(refusal: RefusedOffer, offer: Offer) -> bool:
    return is_same_version(refusal.version, offer.version) and refusal.sha256 == offer.sha256
