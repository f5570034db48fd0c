"""How far a sensor has come on its way to the cloud, as a table, and what is known of it. Pure: no clock, no I/O.

Owns the stages and the edges between them. `changes` decides what an event means; `room` and `registering` do what is
decided, after `store` has it on the disk.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from hal.interface import SensorKind


class PairingStage(StrEnum):
    """How far a sensor has come. Each is on the disk before anything is done because of it."""

    JOINED = "joined"
    INTERVIEWED = "interviewed"
    KEYED = "keyed"
    REGISTERED = "registered"
    RELAYING = "relaying"
    LEAVING = "leaving"
    REMOVED = "removed"


class PairingEvent(StrEnum):
    """What happens to a sensor.

    `interview` and `recognise` both end an interview: the second one that of a sensor whose identity is known. `adopt`
    is a sensor that takes the identity of another over.
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
"""A sensor whose key stands in the keys file goes from interviewed to registered: its key is not kept here."""

UNFINISHED = frozenset({PairingStage.JOINED, PairingStage.INTERVIEWED, PairingStage.KEYED})
GONE = frozenset({PairingStage.LEAVING, PairingStage.REMOVED})


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram: what docs/pairing.md shows."""
    edges = [f"    {stage} --> {target}: {event}" for (stage, event), target in EDGES.items()]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {PairingStage.JOINED}: {PairingEvent.JOIN}", *edges))


class PairingRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sensor as the store keeps it.

    Attributes:
        device: Its `RelayedSensor.device`.
        stage: How far it has come.
        name: As people call it; empty where nobody has named it yet.
        key: The key that a technician gave; empty again once the cloud has taken it. A secret.
        sensor_id: What the cloud calls it; empty before that is known. Kept for ever: a rejoin keeps identity.
        serial_number: As the cloud says.
        ieee_address: Where it has one.
        kinds: What it measures, from the interview.
        about: Maker and model, from the interview.
        replaces: The device whose name and identity it is to take over after its interview.
        problem: Why it does not get on, and what to do; empty where nothing is wrong.
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
        """Whether its readings may be taken in."""
        return self.stage not in GONE


class JoinWindow(msgspec.Struct, frozen=True, omit_defaults=True, rename={"reversed_address": "or_address"}):
    """A time in which sensors may join, and what the first one is to be given.

    Attributes:
        boot_id: The boot in whose time it ends; a window does not outlive a restart of the machine.
        until_ms: Boot time of its end.
        is_many: It stays open when a sensor has joined.
        through: The router that alone takes sensors in; empty for all.
        ieee_address: The one sensor that is expected; empty for any.
        reversed_address: Its address backwards, as some makers print it; nobody knows before it joins.
        code: Its install code or link key, in hex. A secret.
        is_link_key: `code` is a link key.
        name: The sensor's name.
        key: The sensor's key. A secret.
        replaces: The device whose name and identity it is to take over.
        device: The sensor that has come, before it is interviewed.
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
    """All that the room keeps.

    Attributes:
        sensors: By device, in the order in which they came.
        window: The open one.
    """

    sensors: Mapping[str, PairingRecord] = msgspec.field(default_factory=dict)
    window: JoinWindow | None = None


def transition(record: PairingRecord, event: PairingEvent, **changes: Any) -> PairingRecord:  # noqa: ANN401 (fields of a record)
    """Return the record as it is after an event, with other fields changed.

    Raises:
        ValueError: The table has no such edge: a defect of the caller.
    """
    target = EDGES.get((record.stage, event))
    if target is None:
        raise ValueError(f"sensor {record.device} is {record.stage}: it cannot {event}")
    return msgspec.structs.replace(record, stage=target, **changes)


def display_name(record: PairingRecord) -> str:
    """Return what to call a sensor in a sentence."""
    return f'"{record.name}" ({record.device})' if record.name else record.device
