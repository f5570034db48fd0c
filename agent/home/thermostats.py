"""The thermostats of the hub: their state, and the one path on which every interface changes them.

The page, the command line and the APIs all come through `Thermostats.apply`, so that one file checks a request and a
change through one interface is seen by all others at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

import msgspec

from agent.climate import requests
from agent.climate.holds import CLIENT_HOLDS_MAX, HOLDS_MAX
from agent.climate.model import ALL_ZONES
from agent.climate.requests import ClimateRequest
from agent.errors import StorageFull, UnknownDevice
from agent.home.changes import HomeChanges
from agent.home.humidity import HumidityLookup
from agent.home.thermostat import Thermostat, read_thermostat

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

CLIENT_PREFIX = "api:"
"""How the names of callers begin that are clients of an API: `api:amps/NAME`. Used where the names are given, too."""


LOST_AT_RESTART = "The change is in force now; it is lost at a restart unless the disk takes it before"
"""What a caller is answered whose change the disk has refused. The snapshots of the control go on trying."""

SAVE_S_MAX = 4.0
"""How long a caller waits for the disk; the command line gives up after five. An SD card takes up to a second."""


class Thermostats:
    """The zones of one hub.

    Attributes:
        changes: Tells what changes.
    """

    def __init__(
        self,
        climate: "ClimateService | None",
        *,
        humidity: HumidityLookup,
        changes: HomeChanges,
        new_id: Callable[[], str],
        name_of: Callable[[str], str] = str,
    ) -> None:
        """Prepare.

        Args:
            climate: The control; `None` where the hub drives nothing.
            humidity: Finds the humidity of a zone.
            changes: Tells what a request changes.
            new_id: Makes the id of a hold.
            name_of: Returns the name of a zone for people, which every interface shows; by default its id.
        """
        self._climate = climate
        self._humidity = humidity
        self._new_id = new_id
        self._name_of = name_of
        self._saving: asyncio.Task[None] | None = None
        self.changes = changes

    @property
    def zone_ids(self) -> tuple[str, ...]:
        """The ids of all zones, in the order of the configuration."""
        return tuple(self._climate.control.zones) if self._climate else ()

    @property
    def outdoor_mean_c(self) -> float | None:
        """The mean outdoor temperature of about a week; `None` if it is not known."""
        return self._climate.control.outdoor_mean_c if self._climate else None

    def timezone(self) -> tzinfo:
        """Return the time zone of the house; UTC where the hub drives nothing."""
        return self._climate.timezone() if self._climate else UTC

    def all(self) -> tuple[Thermostat, ...]:
        """Return the present state of every zone, in the order of the configuration."""
        return tuple(self.get(zone_id) for zone_id in self.zone_ids)

    def get(self, zone_id: str) -> Thermostat:
        """Return the present state of a zone.

        Raises:
            UnknownDevice: There is no such zone.
        """
        if self._climate is None or zone_id not in self._climate.control.zones:
            raise _unknown(zone_id, self.zone_ids)
        humidity_percent = self._humidity.zone_percent(zone_id)
        return read_thermostat(self._climate, zone_id, humidity_percent, name=self._name_of(zone_id))

    def check(self, zone_id: str, request: ClimateRequest) -> "ClimateService":
        """Refuse what a zone can never do, and return the control of the zones.

        Raises:
            UnknownDevice: There is no such zone.
            SettingInvalid: The equipment of a zone cannot carry out the mode.
        """
        names = self.zone_ids if zone_id == ALL_ZONES else (zone_id,)
        climate = self._climate
        if climate is None or not all(name in climate.control.zones for name in names):
            raise _unknown(zone_id, self.zone_ids)
        for name in names:
            equipment = climate.control.zones[name].settings
            usable = requests.usable_modes(can_heat=equipment.can_heat, can_cool=equipment.can_cool)
            requests.check_mode(request, usable, name)
        return climate

    def apply(self, zone_id: str, request: ClimateRequest, *, by: str, action_id: str = "") -> tuple[str, ...]:
        """Put one request in force, as `apply_all` does."""
        return self.apply_all(zone_id, [request], by=by, action_id=action_id)

    def apply_all(
        self, zone_id: str, asked: Sequence[ClimateRequest], *, by: str, action_id: str = ""
    ) -> tuple[str, ...]:
        """Put requests in force at once, all or none, and return the zones reached. `save` has them on the disk.

        Of all zones, those in which a hold would change nothing are left as they are.

        Args:
            zone_id: A zone, or `ALL_ZONES`.
            asked: The changes, one after the other; none changes nothing.
            by: Who requests them: the name of the caller.
            action_id: The action that they carry out; `last_action` returns it then, also after a restart.

        Raises:
            UnknownDevice: There is no such zone.
            SettingInvalid: A request does not fit a zone; nothing changes in any zone.
        """
        if not asked:
            return ()
        names = self.zone_ids if zone_id == ALL_ZONES else (zone_id,)
        climate, *_ = [self.check(zone_id, request) for request in asked]
        zones = climate.control.zones
        # What time has done until now is not this caller's.
        self.changes.look()
        now, timezone = climate.now(), climate.timezone()
        holds_max = CLIENT_HOLDS_MAX if by.startswith(CLIENT_PREFIX) else HOLDS_MAX
        programs, unmoved = {}, None
        for name in names:
            program = zones[name].program
            try:
                for request in asked:
                    program = requests.apply(
                        program, request, now, timezone, new_id=self._new_id(), holds_max=holds_max
                    )
                    requests.check_effect(program, request, now, timezone, name)
                programs[name] = msgspec.structs.replace(program, last_action=action_id or program.last_action)
            except requests.HoldWithoutEffect as error:
                unmoved = error
        if unmoved and not programs:
            raise unmoved
        for name, program in programs.items():
            climate.set_program(name, program)
        self.changes.look(by)
        return tuple(programs)

    def last_action(self, zone_id: str) -> str:
        """Return the id of the action that was put in force last in a zone; empty for none, and without the zone."""
        zone = self._climate.control.zones.get(zone_id) if self._climate else None
        return zone.program.last_action if zone else ""

    @property
    def is_unread(self) -> bool:
        """Whether the disk has not given what is set for the zones yet."""
        return self._climate is not None and self._climate.is_unread

    async def save(self) -> None:
        """Write what is set for the zones now: it is on the disk when this returns.

        Raises:
            StorageFull: The disk refuses. It stays in force, and is written later; the message says so to whoever has
                changed something.
        """
        if self._climate is None:
            return
        try:
            await self._climate.save()
        except StorageFull as error:
            raise StorageFull(f"{error}. {LOST_AT_RESTART}") from error

    async def save_in_time(self) -> None:
        """Write what is set for the zones now, for a caller who waits for the answer.

        One write runs at a time: one that hangs goes on, and no other is queued behind it.

        Raises:
            StorageFull: See `save`; also where the disk hangs.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + SAVE_S_MAX
        while (running := self._saving) is not None:
            # It may have begun before this change.
            await _wait_until(running, ends_s)
        # A task: a write that has begun cannot be cancelled.
        saving = self._saving = loop.create_task(self.save())
        saving.add_done_callback(self._end)
        await _wait_until(saving, ends_s)
        saving.result()

    def _end(self, saving: "asyncio.Task[None]") -> None:
        self._saving = None
        if not saving.cancelled():
            # Looked at, as nobody may wait for it: the control reports what its own writes meet.
            saving.exception()


async def _wait_until(saving: "asyncio.Task[None]", ends_s: float) -> None:
    """Wait until a write has ended.

    Raises:
        StorageFull: It has not, at this time of the loop.
    """
    await asyncio.wait({saving}, timeout=max(0.0, ends_s - asyncio.get_running_loop().time()))
    if not saving.done():
        raise StorageFull(f"check the disk: it has not answered within {SAVE_S_MAX:.0f} s. {LOST_AT_RESTART}")


def _unknown(zone_id: str, known: tuple[str, ...]) -> UnknownDevice:
    return UnknownDevice(f"name another zone: there is no {zone_id[:64]}; there is {', '.join(known) or 'none'}")
