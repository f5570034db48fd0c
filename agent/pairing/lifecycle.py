"""The stages of a sensor on its way to the cloud: the transition table and the records. Pure: no clock, no I/O.

`transitions` decides what an event changes; `loops`, `actions` and `registration` act after `store` saved the change.
`PairingProgress` holds the latest steps in memory, for the person who is pairing a sensor.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from hal.interface import SensorKind

STEPS_MAX = 200


class PairingStage(StrEnum):
    """The stage of a sensor. Each is saved before anything is done because of it."""

    JOINED = "joined"
    INTERVIEWED = "interviewed"
    KEYED = "keyed"
    REGISTERED = "registered"
    RELAYING = "relaying"
    LEAVING = "leaving"
    REMOVED = "removed"


class PairingEvent(StrEnum):
    """What happens to a sensor.

    `interview` and `recognise` both end an interview: `recognise` that of a sensor with a known identity. `adopt` gives
    a sensor the identity of the one it replaces.
    """

    JOIN = "join"
    INTERVIEW = "interview"
    RECOGNISE = "recognise"
    KEY = "key"
    REGISTER = "register"
    ADOPT = "adopt"
    RELEASE = "release"
    REMOVE = "remove"
    FORGET = "forget"


EDGES: Mapping[tuple[PairingStage, PairingEvent], PairingStage] = MappingProxyType(
    {
        (PairingStage.JOINED, PairingEvent.JOIN): PairingStage.JOINED,
        (PairingStage.JOINED, PairingEvent.INTERVIEW): PairingStage.INTERVIEWED,
        (PairingStage.JOINED, PairingEvent.RECOGNISE): PairingStage.REGISTERED,
        (PairingStage.JOINED, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.INTERVIEWED, PairingEvent.JOIN): PairingStage.INTERVIEWED,
        (PairingStage.INTERVIEWED, PairingEvent.KEY): PairingStage.KEYED,
        (PairingStage.INTERVIEWED, PairingEvent.REGISTER): PairingStage.REGISTERED,
        (PairingStage.INTERVIEWED, PairingEvent.ADOPT): PairingStage.REGISTERED,
        (PairingStage.INTERVIEWED, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.KEYED, PairingEvent.JOIN): PairingStage.KEYED,
        (PairingStage.KEYED, PairingEvent.KEY): PairingStage.KEYED,
        (PairingStage.KEYED, PairingEvent.REGISTER): PairingStage.REGISTERED,
        (PairingStage.KEYED, PairingEvent.ADOPT): PairingStage.REGISTERED,
        (PairingStage.KEYED, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.REGISTERED, PairingEvent.JOIN): PairingStage.REGISTERED,
        (PairingStage.REGISTERED, PairingEvent.RELEASE): PairingStage.RELAYING,
        (PairingStage.REGISTERED, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.RELAYING, PairingEvent.JOIN): PairingStage.RELAYING,
        (PairingStage.RELAYING, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.LEAVING, PairingEvent.REMOVE): PairingStage.LEAVING,
        (PairingStage.LEAVING, PairingEvent.FORGET): PairingStage.REMOVED,
        (PairingStage.REMOVED, PairingEvent.JOIN): PairingStage.JOINED,
        (PairingStage.REMOVED, PairingEvent.REMOVE): PairingStage.LEAVING,
    }
)
"""A sensor whose key is in the keys file goes from interviewed to registered: its key is not stored here."""

UNFINISHED = frozenset({PairingStage.JOINED, PairingStage.INTERVIEWED, PairingStage.KEYED})
GONE = frozenset({PairingStage.LEAVING, PairingStage.REMOVED})


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram: what docs/pairing.md shows."""
    edges = [f"    {stage} --> {target}: {event}" for (stage, event), target in EDGES.items()]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {PairingStage.JOINED}: {PairingEvent.JOIN}", *edges))


class PairingRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sensor.

    Attributes:
        device: Its `RelayedSensor.device`.
        stage: Its stage.
        name: The name that a person gave it; empty for none.
        key: The key that a technician gave; empty again once the cloud has accepted it. A secret.
        sensor_id: The cloud's id; empty before registration. Never deleted: a sensor that joins again keeps it.
        serial_number: From the cloud.
        ieee_address: Empty for a sensor without one.
        kinds: What it measures, from the interview.
        about: Vendor and model, from the interview.
        replaces: The device whose name and identity it takes over after its interview.
        problem: Why pairing does not proceed, and what to do; empty for no problem.
        is_away: It has left the network by itself.
    """

    device: str
    stage: PairingStage = PairingStage.JOINED
    name: str = ""
    key: str = ""
    sensor_id: str = ""
    serial_number: str = ""
    ieee_address: str = ""
    kinds: tuple[SensorKind, ...] = ()
    about: str = ""
    replaces: str = ""
    problem: str = ""
    is_away: bool = False

    @property
    def is_relayed(self) -> bool:
        """Whether its readings are accepted from the radio."""
        return self.stage not in GONE


class JoinWindow(msgspec.Struct, frozen=True, omit_defaults=True, rename={"reversed_address": "or_address"}):
    """A join window: the time in which sensors may join, and what the first of them is given.

    Attributes:
        boot_id: The boot that `until_ms` counts from; a window does not outlive a restart of the machine.
        until_ms: Boot time of its end.
        is_many: It stays open after a sensor has joined.
        through: The only router that lets sensors join; empty for all.
        ieee_address: The only sensor that is expected; empty for any.
        reversed_address: The same address with its bytes reversed: some vendors print it so, and only the join tells.
        code: The install code or link key, in hex. A secret.
        is_link_key: `code` is a link key.
        name: The sensor's name.
        key: The sensor's ClimaSense key. A secret.
        replaces: The device whose name and identity the sensor takes over.
        device: The sensor that has joined and is not interviewed yet.
    """

    boot_id: str
    until_ms: int
    is_many: bool = False
    through: str = ""
    ieee_address: str = ""
    reversed_address: str = ""
    code: str = ""
    is_link_key: bool = False
    name: str = ""
    key: str = ""
    replaces: str = ""
    device: str = ""


class PairingState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about pairing that is stored.

    Attributes:
        sensors: By device, in the order in which they joined.
        window: The open join window.
    """

    sensors: Mapping[str, PairingRecord] = msgspec.field(default_factory=dict)
    window: JoinWindow | None = None


def transition(record: PairingRecord, event: PairingEvent, **changes: Any) -> PairingRecord:  # noqa: ANN401 (fields of a record)
    """Return the record after an event, with other fields changed.

    Raises:
        ValueError: The table does not have this transition: a defect of the caller.
    """
    target = EDGES.get((record.stage, event))
    if target is None:
        raise ValueError(f"sensor {record.device} is {record.stage}: it cannot {event}")
    return msgspec.structs.replace(record, stage=target, **changes)


def display_name(record: PairingRecord) -> str:
    """Return the sensor's name and device for a message."""
    return f'"{record.name}" ({record.device})' if record.name else record.device


class PairingStepKind(StrEnum):
    """What happened."""

    WINDOW_OPEN = "window_open"
    WINDOW_CLOSED = "window_closed"
    JOINED = "joined"
    INTERVIEWED = "interviewed"
    CONFIGURED = "configured"
    FAILED = "failed"
    LEFT = "left"
    KEYED = "keyed"
    REGISTERED = "registered"
    REFUSED = "refused"
    WAITS = "waits"
    RELAYING = "relaying"
    ACCEPTED = "accepted"
    REMOVED = "removed"


class PairingStep(msgspec.Struct, frozen=True):
    """One step of pairing.

    Attributes:
        number: Counts up, so that a client that polls finds the new ones.
        at_ms: Boot time.
        kind: What happened.
        device: The sensor; empty for the join window.
        detail: For people.
    """

    number: int
    at_ms: int
    kind: PairingStepKind
    device: str = ""
    detail: str = ""


class PairingProgress:
    """The latest steps of pairing. In memory, bounded."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._steps: deque[PairingStep] = deque(maxlen=STEPS_MAX)
        self._number = 0
        self._awaiting_reading: set[str] = set()

    @property
    def steps(self) -> Sequence[PairingStep]:
        """The latest `STEPS_MAX`, oldest first."""
        return tuple(self._steps)

    def add(self, kind: PairingStepKind, device: str = "", detail: str = "", *, at_ms: int | None = None) -> None:
        """Add a step that happened at ``at_ms``, or now."""
        self._number += 1
        self._steps.append(PairingStep(self._number, self._now_ms() if at_ms is None else at_ms, kind, device, detail))

    def await_reading(self, device: str) -> None:
        """Report the next accepted reading of a sensor as a step: a pairing ends with it."""
        self._awaiting_reading.add(device)

    def record_acceptance(self, devices: Iterable[str]) -> None:
        """Take note that the cloud accepted readings of these devices."""
        if self._awaiting_reading:
            for device in self._awaiting_reading.intersection(devices):
                self._awaiting_reading.discard(device)
                self.add(PairingStepKind.ACCEPTED, device, "the cloud has its first reading")
