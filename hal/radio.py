"""The words for a network that new sensors can join: what the pairing room asks of a radio, and what it is told.

`hal.sim` and `hal.zigbee` implement `PairableNetwork`; a recording does not. No behaviour here.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from hal.interface import RelayedSensor, SensorNetwork

JOIN_WINDOW_S_MAX = 254
"""The longest pairing window; 255 would mean "for ever" (Zigbee specification, Mgmt_Permit_Joining_req)."""

NOT_REPORTED_YET = "read at set-up; the sensor has not reported it by itself yet"
"""The reason of a reading that is suspect only because it is the first: no problem, but nothing to heat by either."""


class RadioState(StrEnum):
    """How the radio is."""

    STARTING = "starting"
    UP = "up"
    LOST = "lost"
    """Gone: unplugged, silent, reset. It is being restarted with growing pauses."""
    REFUSED = "refused"
    """There, but not ours: it holds the network of another hub. A person has to choose."""


class JoinStep(StrEnum):
    """How far a sensor that joins has come."""

    JOINED = "joined"
    INTERVIEWED = "interviewed"
    CONFIGURED = "configured"
    FAILED = "failed"
    LEFT = "left"


class JoinEvent(msgspec.Struct, frozen=True):
    """Something happened to a sensor on its way into the network, or out of it.

    Attributes:
        device: Its `RelayedSensor.device`.
        step: What happened.
        at_ms: When, in milliseconds of this boot's monotonic clock.
        sensor: What it is, from `INTERVIEWED` on.
        detail: For people: maker and model, or why it failed and what to do.
    """

    device: str
    step: JoinStep
    at_ms: int
    sensor: RelayedSensor | None = None
    detail: str = ""


class InstallCode(msgspec.Struct, frozen=True):
    """What lets one named sensor, and no other, join (Zigbee Base Device Behaviour 10.1).

    Attributes:
        ieee_address: EUI-64 as `0x` and 16 lower-case hex digits.
        code: The code with its CRC, 8, 10, 14 or 18 bytes. A secret.
        is_link_key: `code` is the link key itself, 16 bytes, not to be hashed (older Bosch labels).
        or_address: Another address that the sensor may have, where the label leaves it open; empty for none.
    """

    ieee_address: str
    code: bytes
    is_link_key: bool = False
    or_address: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the sensor may have, the likeliest last."""
        return (self.or_address, self.ieee_address) if self.or_address else (self.ieee_address,)


class SensorLink(msgspec.Struct, frozen=True):
    """What the radio knows of one sensor.

    Attributes:
        device: Its `RelayedSensor.device`.
        manufacturer: As it calls itself; may be empty.
        model: As it calls itself; may be empty.
        is_online: Whether it keeps to its own reporting rhythm; `None` while that is not known yet.
        is_sleepy: Whether it sleeps between reports (battery).
        last_seen_ms: When its last frame was received, on this boot's monotonic clock; `None` for never.
        lqi_last_hop: Link quality from 0 to 255 of the last hop only, which may be a router's; `None` if unknown.
        problem: What it does not report any more, and what to do; empty where nothing is wrong.
        notes: For people: what it measures besides and is not taken; that its model is in no table.
        is_interviewed: Whether it has said what it is.
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


class RadioStatus(msgspec.Struct, frozen=True):
    """How the radio is, for people.

    Attributes:
        state: In one word.
        problem: What is wrong and what to do; empty when it is up.
        port: Where the stick was found.
        channel: From 11 to 26; 0 while unknown.
        pan_id: Of the network; 0 while unknown.
        steps: What was tried last, oldest first: the probing of the port, the restarts.
        needs_software: It cannot come up before a package is installed.
        window_until_ms: Until when sensors may join, on this boot's monotonic clock; `None` while closed.
    """

    state: RadioState
    problem: str = ""
    port: str = ""
    channel: int = 0
    pan_id: int = 0
    steps: tuple[str, ...] = ()
    needs_software: bool = False
    join_window_until_ms: int | None = None


@runtime_checkable
class PairableNetwork(SensorNetwork, Protocol):
    """A network of relayed sensors that new ones can join."""

    @property
    def radio(self) -> RadioStatus:
        """How the radio is now."""
        ...

    @property
    def links(self) -> Sequence[SensorLink]:
        """What is known of each member of the network: those that `sensors` lists, routers, and all others."""
        ...

    async def join_events(self) -> Sequence[JoinEvent]:
        """Wait for something to happen to a joining or leaving sensor and return it, oldest first, at least one.

        Events wait for the next call, in a bounded buffer whose oldest make room.
        """
        ...

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        """Let sensors join, for 1 to `JOIN_WINDOW_S_MAX` seconds; a window that is open is replaced.

        Args:
            seconds: For how long.
            through: The router, by its IEEE address, that alone takes them in; empty for all and the stick itself.
            install_code: The one sensor that may join, and its secret.

        Raises:
            ValueError: The time, an address or the install code is none; the message never holds the code.
            NetworkLost: There is no radio now.
            SensorUnavailable: The router did not answer.
        """
        ...

    async def close_join_window(self) -> None:
        """Let no more sensors join.

        Raises:
            NetworkLost: There is no radio now; no window is open either.
        """
        ...

    async def remove(self, device: str) -> None:
        """Tell a sensor to leave and forget it; one that does not answer is forgotten all the same.

        Raises:
            ValueError: This is no device's name.
            NetworkLost: There is no radio now.
        """
        ...

    async def backup(self) -> bytes:
        """Return the network's settings as Open Coordinator Backup JSON. Holds the network key: a secret.

        Raises:
            NetworkLost: There is no radio now, and no backup either.
        """
        ...

    async def restore(self, data: bytes) -> None:
        """Write a backup to the stick and start anew with it. Whatever network the stick held is gone.

        Raises:
            NetworkLost: There is no radio now, or the stick did not take it.
            ValueError: `data` is no such backup; the message says why, and holds nothing of it.
        """
        ...


@runtime_checkable
class ShowsTime(SensorNetwork, Protocol):
    """A network whose sensors show the time on their displays."""

    def show_time(self, now: datetime | None) -> None:
        """Take what time it is, in the house's zone, and go on from there; `None` while that is not known."""
        ...
