"""What has changed in the home, by whom: compares states and tells listeners, each change once.

Every request is compared with the state just before it, and the state is compared again after each decision of the
climate control. So what time does (a block begins, a hold ends) is seen as well as what people and programs do. A
change counts for one run of the agent: what changed while it was not running is not told. A listener that must know
about that compares the first states with those that it has kept itself.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import msgspec

from agent.climate.model import Hold, Setpoints
from agent.errors import ClimahubError
from agent.foundation.clock import Now
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure
from agent.home.availability import Availability
from agent.home.thermostat import Thermostat

_log = logging.getLogger(__name__)

HUB = "hub"
"""`HomeChange.by` of what nobody requested: time, sensors and the control of the hub changed it."""

LOOK_INTERVAL_S = 15.0
"""The longest time between two comparisons; a decision of the climate control comes every ten seconds."""


class ChangeKind(StrEnum):
    """What has changed. `HomeChange.old` and `new` are of the type in brackets, `None` for nothing."""

    SETPOINTS = "setpoints"
    """The setpoints in force (`Setpoints`)."""
    MODE = "mode"
    """The mode in force (`Mode`)."""
    HOLD_PLANNED = "hold_planned"
    """A hold that begins later (`Hold`)."""
    HOLD_BEGUN = "hold_begun"
    """A hold has begun, or was replaced by another of its id (`Hold`)."""
    HOLD_ENDED = "hold_ended"
    """A hold has reached its end (`Hold`)."""
    HOLD_CANCELLED = "hold_cancelled"
    """Somebody has ended a hold, or put another in its place (`Hold`)."""
    SCHEDULE = "schedule"
    """The zone follows another schedule (its name)."""
    SCHEDULE_STORED = "schedule_stored"
    """A schedule is new or has other blocks (`Schedule`)."""
    SCHEDULE_DROPPED = "schedule_dropped"
    """A schedule was removed (`Schedule`)."""
    ECO = "eco"
    """Eco or its limits (`Eco`)."""
    ACTION = "action"
    """The output of the zone (`HvacAction`)."""
    ACTION_SETTLED = "action_settled"
    """An action of a client has come to its end (`HomeAction`). The last one is told again after a restart: at least
    once, for listeners that must not miss any."""
    ONLINE = "online"
    """A device can be reached, or no longer (`bool`). It is new where `old`, and gone where `new`, is `None`."""


class HomeChange(msgspec.Struct, frozen=True):
    """One change.

    Attributes:
        kind: What has changed.
        device_id: The zone or other device.
        old: Before; see `ChangeKind`.
        new: After; see `ChangeKind`.
        by: Who requested it: the caller's name, or `HUB`.
        at: When it was seen.
    """

    kind: ChangeKind
    device_id: str
    old: object
    new: object
    by: str
    at: Now


def compare(before: Thermostat, after: Thermostat, *, by: str, at: Now) -> list[HomeChange]:
    """Return what has changed from one state of a zone to the next.

    Args:
        before: The earlier state.
        after: The later state.
        by: Who requested it.
        at: The present instant.
    """
    pairs = [
        *_schedule_changes(before, after),
        (ChangeKind.ECO, before.eco, after.eco),
        *_hold_changes(before, after, by),
        (ChangeKind.MODE, before.mode, after.mode),
        (
            ChangeKind.SETPOINTS,
            Setpoints(before.heat_setpoint_c, before.cool_setpoint_c),
            Setpoints(after.heat_setpoint_c, after.cool_setpoint_c),
        ),
        (ChangeKind.ACTION, before.action, after.action),
    ]
    return [HomeChange(kind, after.zone_id, old, new, by, at) for kind, old, new in pairs if old != new]


_Pair = tuple[ChangeKind, object, object]


def _schedule_changes(before: Thermostat, after: Thermostat) -> Iterator[_Pair]:
    for name, old in before.schedules.items():
        if name not in after.schedules:
            yield ChangeKind.SCHEDULE_DROPPED, old, None
    for name, new in after.schedules.items():
        yield ChangeKind.SCHEDULE_STORED, before.schedules.get(name), new
    yield ChangeKind.SCHEDULE, before.schedule, after.schedule


def _hold_changes(before: Thermostat, after: Thermostat, by: str) -> Iterator[_Pair]:
    known, present = ({hold.id: hold for hold in each.holds} for each in (before, after))
    for hold_id, old in known.items():
        if hold_id not in present:
            yield ChangeKind.HOLD_ENDED if by == HUB else ChangeKind.HOLD_CANCELLED, old, None
    for hold_id, new in present.items():
        earlier = known.get(hold_id)
        is_planned = new.start_utc_ms is not None
        if earlier is None or _content(earlier) != _content(new) or (earlier.start_utc_ms is None) == is_planned:
            yield ChangeKind.HOLD_PLANNED if is_planned else ChangeKind.HOLD_BEGUN, earlier, new


def _content(hold: Hold) -> tuple[object, ...]:
    """Return what people set; the times of a hold also follow the clock."""
    return hold.kind, hold.heat_setpoint_c, hold.cool_setpoint_c, hold.mode, hold.until


Listener = Callable[[HomeChange], None]


class HomeChanges:
    """Tells listeners what has changed. Compares nothing while nobody listens."""

    def __init__(
        self,
        *,
        zones: Callable[[], Mapping[str, Thermostat]],
        sensors: Callable[[], Mapping[str, bool]],
        now: Callable[[], Now],
    ) -> None:
        """Know nothing yet.

        Args:
            zones: Returns the present state of each zone, by id.
            sensors: Returns whether each relayed sensor is online, by id.
            now: Returns the present instant.
        """
        self._zones = zones
        self._sensors = sensors
        self._now = now
        self._known: Mapping[str, Thermostat] = {}
        self._availability = Availability({}, 0)
        self._listeners: list[Listener] = []
        self._due = Signal()

    def on_change(self, listener: Listener) -> None:
        """Have ``listener`` called with each change from now on, on the loop's thread. It must not block."""
        if not self._listeners:
            self._known = self._zones()
            self._availability = Availability(self._online(), self._now().now_ms)
        self._listeners.append(listener)
        self._due.set()

    def request_look(self) -> None:
        """Have the loop compare soon: for the climate control, which must not wait for listeners."""
        self._due.set()

    def look(self, by: str = HUB) -> None:
        """Compare now, and tell what has changed.

        Args:
            by: Who has changed something since the last comparison.
        """
        if not self._listeners:
            return
        at, before = self._now(), self._known
        self._known = self._zones()
        for zone_id, after in self._known.items():
            if zone_id in before:
                for change in compare(before[zone_id], after, by=by, at=at):
                    self.tell(change)

    def look_for_devices(self) -> None:
        """Tell which devices have come or gone. No request changes that, so only the loop looks."""
        if not self._listeners:
            return
        at = self._now()
        for device_id, old, new in self._availability.advance(self._online(), at.now_ms):
            self.tell(HomeChange(ChangeKind.ONLINE, device_id, old, new, HUB, at))

    def _online(self) -> Mapping[str, bool]:
        return {zone_id: zone.is_online for zone_id, zone in self._known.items()} | dict(self._sensors())

    def tell(self, change: HomeChange) -> None:
        """Tell a change that no comparison of zones finds."""
        for listener in self._listeners:
            try:
                with contain_failure(f"telling of {change.kind} of {change.device_id}"):
                    listener(change)
            except ClimahubError as error:
                _log.warning("a listener did not take %s of %s: %s", change.kind, change.device_id, error)

    async def run(self) -> None:
        """Compare after each decision of the climate control, until cancelled."""
        while True:
            await self._due.wait(LOOK_INTERVAL_S if self._listeners else None)
            self.look()
            self.look_for_devices()
