"""The server's state as frozen records, and the transitions between them. Pure: no clock, no storage.

Every record has a `key`, unique among its kind, and a `shelf`: the list that it belongs to, such as the pending
commands of one hub. A store needs these two only.
"""

import hashlib
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lab.refcloud import contract
from lab.refcloud.contract import SensorType
from lab.refcloud.models import DeviceSettings, OtaStatus, SettingsUpdate


class CloudRecord(Protocol):
    """A record of a store."""

    @property
    def key(self) -> str:
        """Unique among the records of its class."""
        ...

    @property
    def shelf(self) -> str:
        """The list that it belongs to."""
        ...


class _DeviceRecord(Struct, frozen=True):
    """A record of which there is one for each device; all are on one shelf."""

    device_id: str

    @property
    def key(self) -> str:
        """The device."""
        return self.device_id

    @property
    def shelf(self) -> str:
        """One shelf for all."""
        return ""


class DeviceKind(StrEnum):
    """Only a hub may register sensors."""

    HUB = "hub"
    SENSOR = "sensor"


class CloudDevice(_DeviceRecord, frozen=True):
    """A hub, or a sensor that may be bound to one.

    Attributes:
        device_id: For a sensor, the `device_id` of its readings.
        batch: The rollout batch that firmware is offered to.
        hub_id: A sensor's hub; empty while it is bound to none.
        latitude: The last position that came with telemetry, in degrees; so too `longitude`.
    """

    kind: DeviceKind
    name: str
    serial_number: str
    batch: str
    hub_id: str = ""
    ieee_address: str = ""
    latitude: float | None = None
    longitude: float | None = None


class LastRequest(Struct, frozen=True):
    """The last request that came with a device's key, since the cloud was started.

    Attributes:
        at_ms: When, in UTC milliseconds.
        user_agent: What the device calls itself: "climahub/0.1.0".
        request: The endpoint.
        answered: The status that it was answered with; 0 where the connection was cut.
    """

    at_ms: int
    user_agent: str
    request: str
    answered: int


class DeviceHealth(Struct, frozen=True):
    """The health of a device, for the cloud's operator.

    Attributes:
        sighting: `None` where it was not seen since the cloud was started.
        problems: What is wrong, in words.
    """

    sighting: LastRequest | None
    problems: tuple[str, ...] = ()


class CloudCredential(Struct, frozen=True):
    """A key, known only by its hash. A revoked one stays, so that it can never be given out again."""

    key_sha256: str
    device_id: str
    is_revoked: bool = False

    @property
    def key(self) -> str:
        """The hash."""
        return self.key_sha256

    @property
    def shelf(self) -> str:
        """The keys of one device."""
        return self.device_id


def key_sha256(api_key: str) -> str:
    """Return the SHA-256 of a key in hex, the only form in which it is stored."""
    return hashlib.sha256(api_key.encode()).hexdigest()


class CloudSettings(_DeviceRecord, frozen=True):
    """The settings of one device."""

    settings: DeviceSettings


def with_update(settings: DeviceSettings, update: SettingsUpdate) -> DeviceSettings:
    """Return the settings with the fields of the update that were sent."""
    changes = {name: value for name in update.__struct_fields__ if (value := getattr(update, name)) is not UNSET}
    return msgspec.structs.replace(settings, **changes)


class CommandState(StrEnum):
    """The state of a command. The device reports `acked` and `failed`."""

    PENDING = "pending"
    ACKED = "acked"
    FAILED = "failed"
    EXPIRED = "expired"


class CloudCommand(Struct, frozen=True):
    """A command for one device. Times are UTC milliseconds."""

    command_id: str
    device_id: str
    type: str
    created_ms: int
    expires_ms: int
    payload: dict[str, Any] | UnsetType = UNSET
    state: CommandState = CommandState.PENDING
    closed_ms: int | None = None
    error_message: str = ""
    result: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The id."""
        return self.command_id

    @property
    def shelf(self) -> str:
        """Separate for pending and closed commands, so that a poll does not read the closed ones."""
        return command_shelf(self.device_id, is_pending=self.state is CommandState.PENDING)


def command_shelf(device_id: str, *, is_pending: bool) -> str:
    """Return the shelf of a device's pending or closed commands."""
    return f"{'pending' if is_pending else 'closed'}/{device_id}"


class CloudFirmware(Struct, frozen=True):
    """A published firmware, offered to some batches. The image itself is kept apart."""

    version: str
    sha256: str
    size_bytes: int
    release_notes: str
    batches: tuple[str, ...]
    offered_ms: int

    @property
    def key(self) -> str:
        """The version."""
        return self.version

    @property
    def shelf(self) -> str:
        """One shelf for all."""
        return ""


class OtaStatusPost(Struct, frozen=True):
    """One POST /v1/ota/status. `is_legal`: the state machine has this edge."""

    at_ms: int
    version: str
    status: OtaStatus
    is_legal: bool
    progress_percent: int | None = None
    error_message: str = ""


class OtaHistory(_DeviceRecord, frozen=True):
    """The status posts of one device, oldest first, the newest `contract.OTA_HISTORY_MAX` of them."""

    posts: tuple[OtaStatusPost, ...] = ()
    posts_total: int = 0
    illegal_total: int = 0

    def is_legal(self, version: str, status: OtaStatus) -> bool:
        """Tell whether `contract.OTA_EDGES` leads from the last post to this one.

        Another version is another run of the state machine, and may begin only where the last one has ended.
        """
        if not self.posts:
            return status in contract.OTA_EDGES["idle"]
        last = self.posts[-1]
        if last.version == version:
            return status == last.status or status in contract.OTA_EDGES[last.status]
        return last.status in {"completed", "failed"} and status in contract.OTA_EDGES["idle"]

    def appended(self, post: OtaStatusPost) -> "OtaHistory":
        """Return the history with one more post."""
        return OtaHistory(
            device_id=self.device_id,
            posts=(*self.posts, post)[-contract.OTA_HISTORY_MAX :],
            posts_total=self.posts_total + 1,
            illegal_total=self.illegal_total + (not post.is_legal),
        )


class ReadingVerdict(StrEnum):
    """The verdict on one reading. All three are accepted."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"


class AcceptedReading(Struct, frozen=True, gc=False):
    """A reading that the server has. In a listing the verdict is always `stored`: that is what is kept."""

    device_id: str
    sensor_type: SensorType
    at_ms: int
    value: float
    verdict: ReadingVerdict = ReadingVerdict.STORED


class ReadingTally(_DeviceRecord, frozen=True):
    """The verdicts on the readings of one key. The three are disjoint: `accepted` is their sum."""

    batches: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0

    @property
    def accepted(self) -> int:
        """Readings that the device may forget."""
        return self.stored + self.duplicates + self.conflicting

    def added(self, verdicts: list[ReadingVerdict]) -> "ReadingTally":
        """Return the tally with one more batch."""
        duplicates = verdicts.count(ReadingVerdict.DUPLICATE)
        conflicting = verdicts.count(ReadingVerdict.CONFLICTING)
        return ReadingTally(
            device_id=self.device_id,
            batches=self.batches + 1,
            stored=self.stored + len(verdicts) - duplicates - conflicting,
            duplicates=self.duplicates + duplicates,
            conflicting=self.conflicting + conflicting,
        )
