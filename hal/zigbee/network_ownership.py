"""Decides whose network the stick holds: use it, form a new one, restore the hub's own, or refuse. Pure.

The hub's network is the one in its file. The stick holds it if trust centre, extended PAN ID and network key are equal;
PAN ID and channel may have changed (Zigbee specification, 3.6.1.10 and 4.7.3).
"""

import hashlib
from enum import Enum

import msgspec


class NetworkSettings(msgspec.Struct, frozen=True):
    """Identity of a network.

    Attributes:
        ieee: The coordinator's EUI-64, lower-case hex without colons; empty while unknown.
        extended_pan_id: 16 lower-case hex digits.
        key: The network key, 32 lower-case hex digits. A secret.
        pan_id: From 0 to 0xFFFE; may change.
        channel: From 11 to 26; may change.
    """

    ieee: str
    extended_pan_id: str
    key: str
    pan_id: int = 0
    channel: int = 0

    def is_same(self, other: "NetworkSettings") -> bool:
        """Return whether both are the same network."""
        return (self.extended_pan_id, self.key) == (other.extended_pan_id, other.key) and (
            self.ieee == other.ieee or not (self.ieee and other.ieee)
        )


class NetworkPhase(Enum):
    """Progress of writing the hub's network to the stick."""

    PLANNED = "planned"
    """The settings are chosen; forming the network may have started."""
    FORMED = "formed"
    """The stick holds the network, and there is a backup."""
    RESTORING = "restoring"
    """A person has ordered to write the last backup to the stick, whatever it holds now."""


class OwnershipDecision(Enum):
    """What to do with the stick."""

    USE = "use"
    FORM = "form"
    RESTORE = "restore"
    REFUSE = "refuse"


def fingerprint(extended_pan_id: str) -> str:
    """Return the hash of a network that is kept over a factory reset."""
    return hashlib.sha256(f"zigbee {extended_pan_id}".encode()).hexdigest()


def decide(
    stick: NetworkSettings | None,
    *,
    phase: NetworkPhase | None,
    own: NetworkSettings | None,
    remembered: str,
    has_sensors: bool,
    takes_over: bool,
) -> OwnershipDecision:
    """Decide what to do with the stick.

    Args:
        stick: The stick's network; `None` for a blank stick.
        phase: Phase of the hub's own network; `None` without one.
        own: The hub's own network; `None` without one.
        remembered: Fingerprint of the network last written to the stick, or empty. It outlives a factory reset.
        has_sensors: Whether the hub has sensors: then there was no factory reset, and a missing file was lost.
        takes_over: Whether a hub without a network uses the one on the stick.
    """
    is_remembered = stick is not None and fingerprint(stick.extended_pan_id) == remembered
    is_given_up = is_remembered and not has_sensors
    if phase is None or own is None:
        if stick is None or is_given_up:
            return OwnershipDecision.FORM
        return OwnershipDecision.USE if takes_over or is_remembered else OwnershipDecision.REFUSE
    is_own = stick is not None and stick.is_same(own)
    match phase:
        case NetworkPhase.RESTORING:
            return OwnershipDecision.RESTORE
        case NetworkPhase.PLANNED:
            return OwnershipDecision.FORM if stick is None or is_own or is_given_up else OwnershipDecision.REFUSE
        case NetworkPhase.FORMED:
            if stick is None:
                return OwnershipDecision.RESTORE
            return OwnershipDecision.USE if is_own else OwnershipDecision.REFUSE


def refusal_text(stick: NetworkSettings, *, port: str, sensors: int, has_network: bool) -> str:
    """Return the problem of a refused stick, and the choices of the person."""
    network = f"PAN 0x{stick.pan_id:04x}, channel {stick.channel}"
    holds = f"the stick at {port} holds a network that is not this hub's ({network})"
    if has_network:
        return (
            f"{holds}: this hub's {sensors} sensors cannot be received. Plug in the hub's own stick or a blank one,"
            " or write the hub's network onto this stick with `climahub zigbee backup FILE` and"
            " `climahub zigbee restore FILE`; this erases the other network"
        )
    return (
        f"{holds}, and this hub has none yet. Plug in a blank stick, or restore a backup with"
        " `climahub zigbee restore FILE`, or set zigbee.take_over = true to use the stick's network as it is"
    )
