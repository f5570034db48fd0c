"""Interface of a radio network that sensors can join: value types and protocols, no behaviour.

`hal.sim` and `hal.zigbee` implement `PairableNetwork`; a recording does not.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from hal.interface import RelayedSensor, SensorKind, SensorNetwork

JOIN_WINDOW_S_MAX = 254
"""Longest join window; 255 would mean "for ever" (Zigbee specification, Mgmt_Permit_Joining_req)."""

NOT_REPORTED_YET = "read at set-up; the sensor has not reported it by itself yet"
"""Reason of a reading that is suspect because it was read at set-up: no fault, but not used for control either."""


class RadioState(StrEnum):
    """State of the radio."""

    STARTING = "starting"
    UP = "up"
    LOST = "lost"
    """The stick is unplugged, silent or reset; it is restarted with backoff."""
    REFUSED = "refused"
    """The stick holds the network of another hub. A person has to decide."""


class JoinStep(StrEnum):
    """Step of a joining or leaving sensor."""

    JOINED = "joined"
    INTERVIEWED = "interviewed"
    CONFIGURED = "configured"
    FAILED = "failed"
    LEFT = "left"


class JoinEvent(msgspec.Struct, frozen=True):
    """A sensor has completed a step of joining or leaving the network.

    Attributes:
        device: Its `RelayedSensor.device`.
        step: The step.
        at_ms: Time of the step, in milliseconds of this boot's monotonic clock.
        sensor: The sensor, from `INTERVIEWED` on.
        detail: For people: manufacturer and model, or the reason of a failure and the remedy.
    """

    device: str
    step: JoinStep
    at_ms: int
    sensor: RelayedSensor | None = None
    detail: str = ""


class InstallCode(msgspec.Struct, frozen=True):
    """Install code: lets one named sensor, and no other, join (Zigbee Base Device Behaviour 10.1).

    Attributes:
        ieee_address: EUI-64 as `0x` and 16 lower-case hex digits.
        code: The code with its CRC, 8, 10, 14 or 18 bytes. A secret.
        is_link_key: `code` is the link key itself, 16 bytes, not to be hashed (older Bosch labels).
        or_address: Alternative address of the sensor, if the label is ambiguous; empty without one.
    """

    ieee_address: str
    code: bytes
    is_link_key: bool = False
    or_address: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The possible addresses of the sensor, the most likely one last."""
        return (self.or_address, self.ieee_address) if self.or_address else (self.ieee_address,)


class SensorLink(msgspec.Struct, frozen=True):
    """Link of the radio to one member of the network.

    Attributes:
        device: Its `RelayedSensor.device`.
        manufacturer: As reported by the device; may be empty.
        model: As reported by the device; may be empty.
        is_online: Whether it follows its reporting rhythm; `None` while unknown.
        is_sleepy: Whether it sleeps between reports (battery).
        last_seen_ms: When its last frame was received, on this boot's monotonic clock; `None` for never.
        lqi_last_hop: Link quality from 0 to 255 of the last hop only, which may be a router's; `None` if unknown.
        problem: The kinds that it no longer reports, and the remedy; empty without a problem.
        notes: For people: channels that are not used; a model that is in no table.
        is_interviewed: Whether its interview is complete.
        outputs: Names of lines that can be an output, such as "zigbee-00124b0012345678/switch/1".
    """

    device: str
    manufacturer: str = ""
    model: str = ""
    is_online: bool | None = None
    is_sleepy: bool = True
    last_seen_ms: int | None = None
    lqi_last_hop: int | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    is_interviewed: bool = True
    outputs: tuple[str, ...] = ()


class RadioOutput(msgspec.Struct, frozen=True):
    """A configured output on a paired device.

    Attributes:
        line: Its name in the configuration.
        drives: The zone or the part of the heat source.
        is_wanted: What is demanded of it; `None` before the first demand.
        is_on: What it does, as it said last; `None` while it has said nothing.
        goes_off_alone: It goes off by itself when the hub is gone; `None` while that is not known.
        problem: Why it counts as failed, remedy first; empty if it does not.
    """

    line: str
    drives: str
    is_wanted: bool | None = None
    is_on: bool | None = None
    goes_off_alone: bool | None = None
    problem: str = ""


class BinaryKind(StrEnum):
    """What a contact or a motion sensor tells. No kind of the cloud's contract: it stays in the hub."""

    CONTACT = "contact"
    OCCUPANCY = "occupancy"


class BinaryState(msgspec.Struct, frozen=True):
    """What a contact or a motion sensor has told.

    Attributes:
        device: Its `RelayedSensor.device`.
        kind: What it tells.
        is_active: Open, or occupied; `None` while it has told nothing.
        since_ms: Since when, on this boot's monotonic clock.
        heard_ms: When it told that last, on the same clock.
        is_online: It follows its rhythm, as far as that is known.
    """

    device: str
    kind: BinaryKind
    is_active: bool | None
    since_ms: int
    heard_ms: int
    is_online: bool = True

    @property
    def text(self) -> str:
        """What it says, for people."""
        return _WORDS[self.kind, self.is_active] if self.is_online and self.is_active is not None else "silent"


_WORDS = {
    (BinaryKind.CONTACT, True): "open",
    (BinaryKind.CONTACT, False): "closed",
    (BinaryKind.OCCUPANCY, True): "somebody there",
    (BinaryKind.OCCUPANCY, False): "nobody there",
}


class PowerState(msgspec.Struct, frozen=True):
    """What a plug has reported about its load. No kind of the cloud's contract: it stays in the hub.

    Attributes:
        device: Its IEEE address.
        watts: Active power that it draws.
        heard_ms: When it reported that, on this boot's monotonic clock.
    """

    device: str
    watts: float
    heard_ms: int


class RadioStatus(msgspec.Struct, frozen=True):
    """Status of the radio, for people.

    Attributes:
        state: State of the radio.
        problem: The problem and its remedy; empty while the radio is up.
        port: Port of the stick.
        channel: From 11 to 26; 0 while unknown.
        pan_id: PAN ID of the network; 0 while unknown.
        steps: Log of the last steps, oldest first: probing of the ports, restarts.
        needs_software: A package must be installed before it can come up.
        join_window_until_ms: End of the join window, on this boot's monotonic clock; `None` while closed.
        firmware: Version of the stick's firmware; empty while unknown.
    """

    state: RadioState
    problem: str = ""
    port: str = ""
    channel: int = 0
    pan_id: int = 0
    steps: tuple[str, ...] = ()
    needs_software: bool = False
    join_window_until_ms: int | None = None
    firmware: str = ""


@runtime_checkable
class HasLinks(SensorNetwork, Protocol):
    """A network that knows which of its sensors are online."""

    @property
    def links(self) -> Sequence[SensorLink]:
        """Links of the members of the network."""
        ...


@runtime_checkable
class HasRadioOutputs(SensorNetwork, Protocol):
    """A network with plugs, relays and valves among its devices."""

    @property
    def radio_outputs(self) -> Sequence[RadioOutput]:
        """The configured ones."""
        ...


@runtime_checkable
class HasBinarySensors(SensorNetwork, Protocol):
    """A network with contacts and motion sensors."""

    @property
    def binary_states(self) -> Sequence[BinaryState]:
        """What each of them has told."""
        ...


@runtime_checkable
class MeasuresPower(SensorNetwork, Protocol):
    """A network with plugs that measure what they switch."""

    @property
    def power_states(self) -> Sequence[PowerState]:
        """What each of them has reported."""
        ...


@runtime_checkable
class LimitsSilence(SensorNetwork, Protocol):
    """A network that configures how often its sensors report."""

    def allowed_silence_s(self, device: str, kind: SensorKind) -> float | None:
        """Return how long a sensor may leave a kind unreported; `None` if it has accepted no interval for it.

        Cheap: control asks for each of its sensors at each step.
        """
        ...


@runtime_checkable
class PairableNetwork(SensorNetwork, Protocol):
    """A network of relayed sensors that further sensors can join."""

    @property
    def radio(self) -> RadioStatus:
        """Present status of the radio."""
        ...

    @property
    def links(self) -> Sequence[SensorLink]:
        """Links of all members of the network: sensors, routers, and devices without an interview."""
        ...

    async def join_events(self) -> Sequence[JoinEvent]:
        """Wait for events of joining and leaving sensors and return at least one, oldest first.

        Events are buffered between calls; a full buffer drops the oldest.
        """
        ...

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        """Let sensors join for 1 to `JOIN_WINDOW_S_MAX` seconds; an open window is replaced.

        Args:
            seconds: Duration of the window.
            through: IEEE address of the only router that admits sensors; empty for all routers and the stick.
            install_code: Install code of the only sensor that may join.

        Raises:
            ValueError: The duration, an address or the install code is invalid; the message never holds the code.
            NetworkLost: There is no radio now.
            SensorUnavailable: The router did not answer.
        """
        ...

    async def close_join_window(self) -> None:
        """Close the join window.

        Raises:
            NetworkLost: There is no radio now, so no window is open either.
        """
        ...

    async def remove(self, device: str) -> None:
        """Tell a sensor to leave and delete it, even if it does not answer.

        Raises:
            ValueError: ``device`` is no device name.
            NetworkLost: There is no radio now.
        """
        ...

    async def backup(self) -> bytes:
        """Return the network's settings as Open Coordinator Backup JSON. Contains the network key: a secret.

        Raises:
            NetworkLost: There is no radio now, and no backup either.
        """
        ...

    async def restore(self, data: bytes) -> None:
        """Write a backup to the stick and restart with it. This erases the stick's previous network.

        Raises:
            NetworkLost: There is no radio now, or the write failed.
            ValueError: `data` is no such backup; the message gives the reason and none of the data.
        """
        ...


@runtime_checkable
class ScansEnergy(SensorNetwork, Protocol):
    """A network whose radio can measure how busy its channels are."""

    async def energy_scan(self) -> Mapping[int, int]:
        """Return the energy on each channel from 11 to 26: 0 (quiet) to 255. The network stays up.

        Takes some seconds, in which the radio hears sensors late.

        Raises:
            NetworkLost: There is no radio now, or it did not finish.
        """
        ...


@runtime_checkable
class Repairable(SensorNetwork, Protocol):
    """A network whose radio and sensors can be set up again."""

    async def restart(self) -> None:
        """Restart the radio now, whatever it waits for. The network and its sensors stay.

        Raises:
            NetworkLost: There is no radio to restart.
        """
        ...

    async def set_up_again(self, device: str) -> None:
        """Have a sensor's bindings and reporting configuration written again, once it is awake.

        Raises:
            SensorUnavailable: There is no such sensor in the network.
            NetworkLost: There is no radio now.
        """
        ...


@runtime_checkable
class ShowsTime(SensorNetwork, Protocol):
    """A network whose sensors show the time on their displays."""

    def show_time(self, now: datetime | None) -> None:
        """Set the local time, which advances from then on; `None` while it is unknown."""
        ...
