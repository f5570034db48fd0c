"""What to do with the stick that is plugged in: use it, form a network, restore one, or refuse. Pure.

The network that a hub owns is what its file says. A stick is ours when trust centre, extended PAN ID and network key
are those of the file; PAN ID and channel may have moved (Zigbee specification, 3.6.1.10 and 4.7.3).
"""

import hashlib
from enum import Enum

import msgspec


class NetworkSettings(msgspec.Struct, frozen=True):
    """What makes a network that network.

    Attributes:
        ieee: The coordinator's EUI-64, lower-case hex without colons; empty for one that is not known yet.
        extended_pan_id: 16 lower-case hex digits.
        key: The network key, 32 lower-case hex digits. A secret.
        pan_id: From 0 to 0xFFFE; may move.
        channel: From 11 to 26; may move.
    """

    ieee: str
    extended_pan_id: str
    key: str
    pan_id: int = 0
    channel: int = 0

    def is_same(self, other: "NetworkSettings") -> bool:
        """Tell whether sensors of one network are sensors of the other."""
        return (self.extended_pan_id, self.key) == (other.extended_pan_id, other.key) and (
            self.ieee == other.ieee or not (self.ieee and other.ieee)
        )


class NetworkPhase(Enum):
    """How far the network of the file is on the stick."""

    PLANNED = "planned"
    """Its settings are chosen; forming it may have begun."""
    FORMED = "formed"
    """The stick has it, and there is a backup."""
    RESTORING = "restoring"
    """A person has chosen that the stick shall have the last backup, whatever it holds now."""


class OwnershipDecision(Enum):
    """What to do."""

    USE = "use"
    FORM = "form"
    RESTORE = "restore"
    REFUSE = "refuse"


def fingerprint(extended_pan_id: str) -> str:
    """Return what is kept of a network over a factory reset."""
    return hashlib.sha256(f"zigbee {extended_pan_id}".encode()).hexdigest()


def choose(
    stick: NetworkSettings | None,
    *,
    phase: NetworkPhase | None,
    ours: NetworkSettings | None,
    remembered: str,
    has_sensors: bool,
    takes_over: bool,
) -> OwnershipDecision:
    """Decide.

    Args:
        stick: What the stick holds; `None` for a blank one.
        phase: What the file says of our network; `None` where there is no file.
        ours: Our network; `None` where there is no file.
        remembered: Fingerprint of the network that the hub gave its stick last, or empty. It outlives a factory reset.
        has_sensors: Whether the hub knows sensors: then there was no factory reset, and what is missing got lost.
        takes_over: Whether a hub without a network takes the one that it finds.
    """
    is_remembered = stick is not None and fingerprint(stick.extended_pan_id) == remembered
    is_given_up = is_remembered and not has_sensors
    if phase is None or ours is None:
        if stick is None or is_given_up:
            return OwnershipDecision.FORM
        return OwnershipDecision.USE if takes_over or is_remembered else OwnershipDecision.REFUSE
    is_ours = stick is not None and stick.is_same(ours)
    match phase:
        case NetworkPhase.RESTORING:
            return OwnershipDecision.RESTORE
        case NetworkPhase.PLANNED:
            return OwnershipDecision.FORM if stick is None or is_ours or is_given_up else OwnershipDecision.REFUSE
        case NetworkPhase.FORMED:
            if stick is None:
                return OwnershipDecision.RESTORE
            return OwnershipDecision.USE if is_ours else OwnershipDecision.REFUSE


def refusal_message(stick: NetworkSettings, *, port: str, sensors: int, has_network: bool) -> str:
    """Return what a person is told of a stick that was refused, and what there is to choose from."""
    place = f"PAN 0x{stick.pan_id:04x}, channel {stick.channel}"
    holds = f"the stick at {port} holds a network that is not this hub's ({place})"
    if has_network:
        return (
            f"{holds}: this hub's {sensors} sensors would not be heard. Plug in the hub's own stick or a blank one,"
            " or write the hub's network onto this stick with `climahub zigbee backup FILE` and"
            " `climahub zigbee restore FILE`: the other network is gone then"
        )
    return (
        f"{holds}, and this hub has none yet. Plug in a blank stick, or restore a backup with"
        " `climahub zigbee restore FILE`, or set zigbee.take_over = true to use the stick's network as it is"
    )
