"""The simulated twins of the hub's zones, which test keys see and change. They know no output and no schedule.

A twin can do what its zone can do and has a program and a temperature of its own, which follows its setpoints slowly.
It begins anew with each start of the agent. Must never import the climate's service, nor be given one: that is what
keeps a test key from the boiler.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo

import msgspec

from agent.climate import effective_setpoint, holds, requests
from agent.climate.effective_setpoint import EffectiveSetpoint
from agent.climate.model import COOLING_MODES, HEATING_MODES, ZoneProgram
from agent.climate.requests import ClimateRequest
from agent.errors import UnknownDevice
from agent.foundation.clock import Now
from agent.home.thermostat import Thermostat
from hal.interface import HvacAction

START_C = 19.0
AMBIENT_C = 17.0
"""What a twin cools down, or warms up, to by itself."""
HEAT_K_PER_H = 3.0
COOL_K_PER_H = 3.0
DRIFT_K_PER_H = 0.5

REASON = "a simulated zone: no output is switched"


class Twin(msgspec.Struct, frozen=True):
    """One simulated zone.

    Attributes:
        program: What test clients have set.
        temperature_c: At `at_ms`.
        at_ms: Boot time of `temperature_c`.
        last_action: The action that was put in force last; empty for none.
    """

    program: ZoneProgram
    temperature_c: float
    at_ms: int
    last_action: str = ""


def action_of(twin: Twin, effective: EffectiveSetpoint) -> HvacAction:
    """Return what the output of a twin would do."""
    setpoints = effective.setpoints
    if effective.mode in HEATING_MODES and twin.temperature_c < setpoints.heat_setpoint_c:
        return HvacAction.HEAT
    if effective.mode in COOLING_MODES and twin.temperature_c > setpoints.cool_setpoint_c:
        return HvacAction.COOL
    return HvacAction.OFF


def advance(twin: Twin, effective: EffectiveSetpoint, now_ms: int) -> Twin:
    """Return a twin at a later time: straight towards its setpoint, or slowly towards `AMBIENT_C`."""
    hours = max(0, now_ms - twin.at_ms) / 3_600_000
    present_c, setpoints = twin.temperature_c, effective.setpoints
    match action_of(twin, effective):
        case HvacAction.HEAT:
            then_c = min(setpoints.heat_setpoint_c, present_c + HEAT_K_PER_H * hours)
        case HvacAction.COOL:
            then_c = max(setpoints.cool_setpoint_c, present_c - COOL_K_PER_H * hours)
        case _:
            step_k = DRIFT_K_PER_H * hours
            then_c = max(AMBIENT_C, present_c - step_k) if present_c > AMBIENT_C else min(AMBIENT_C, present_c + step_k)
            if effective.mode in HEATING_MODES and present_c >= setpoints.heat_setpoint_c:
                then_c = max(then_c, setpoints.heat_setpoint_c)
            if effective.mode in COOLING_MODES and present_c <= setpoints.cool_setpoint_c:
                then_c = min(then_c, setpoints.cool_setpoint_c)
    return msgspec.structs.replace(twin, temperature_c=then_c, at_ms=now_ms)


class TwinThermostats:
    """The twins of all zones, with the methods of `agent.home.thermostats.Thermostats` that actions need."""

    def __init__(
        self,
        zones: Callable[[], Mapping[str, Thermostat]],
        *,
        now: Callable[[], Now],
        timezone: Callable[[], tzinfo],
        new_id: Callable[[], str],
    ) -> None:
        """Prepare.

        Args:
            zones: Returns the real zones, by id: what they are called and can do. Their state is not used.
            now: Returns the present instant.
            timezone: Returns that of the house.
            new_id: Makes the id of a hold.
        """
        self._zones = zones
        self._now = now
        self._timezone = timezone
        self._new_id = new_id
        self._twins: dict[str, Twin] = {}

    @property
    def is_unread(self) -> bool:
        """Whether the twins are not known yet; they always are."""
        return False

    def get(self, zone_id: str) -> Thermostat:
        """Return the present state of a twin.

        Raises:
            UnknownDevice: There is no such zone.
        """
        real = self._real(zone_id)
        twin, effective = self._advanced(zone_id)
        return msgspec.structs.replace(
            real,
            temperature_c=twin.temperature_c,
            humidity_percent=None,
            mode=effective.mode,
            heat_setpoint_c=effective.setpoints.heat_setpoint_c,
            cool_setpoint_c=effective.setpoints.cool_setpoint_c,
            eco=twin.program.eco,
            action=action_of(twin, effective),
            is_online=True,
            schedule="",
            schedules={},
            hold=next(iter(effective_setpoint.active_holds(twin.program, self._now())), None),
            holds=twin.program.holds,
            setpoint_reason=effective.reason,
            label=effective.label,
            until_utc_ms=effective.until_utc_ms,
            reason=REASON,
            problem="",
        )

    def check(self, zone_id: str, request: ClimateRequest) -> None:
        """Refuse what a zone can never do.

        Raises:
            UnknownDevice: There is no such zone.
            SettingInvalid: The equipment of the zone cannot carry out the mode.
        """
        requests.check_mode(request, self._real(zone_id).modes, zone_id)

    def apply(self, zone_id: str, request: ClimateRequest, *, by: str, action_id: str = "") -> tuple[str, ...]:
        """Put a request in force in a twin.

        Args:
            zone_id: The zone.
            request: The change.
            by: Who requests it; a twin keeps no account of that.
            action_id: The action that this carries out.

        Raises:
            UnknownDevice: There is no such zone.
            SettingInvalid: The request does not fit the zone.
        """
        del by
        self.check(zone_id, request)
        twin, _ = self._advanced(zone_id)
        program = requests.apply(twin.program, request, self._now(), self._timezone(), new_id=self._new_id())
        self._twins[zone_id] = msgspec.structs.replace(twin, program=program, last_action=action_id)
        return (zone_id,)

    def last_action(self, zone_id: str) -> str:
        """Return the id of the action that was put in force last; empty for none."""
        twin = self._twins.get(zone_id)
        return twin.last_action if twin else ""

    async def save(self) -> None:
        """Nothing to save: a twin begins anew with each start."""

    def _real(self, zone_id: str) -> Thermostat:
        real = self._zones().get(zone_id)
        if real is None:
            raise UnknownDevice(f"name another zone: there is no {zone_id[:64]}")
        return real

    def _advanced(self, zone_id: str) -> tuple[Twin, EffectiveSetpoint]:
        """Return a twin as it is now, with what is in force."""
        now = self._now()
        twin = self._twins.get(zone_id)
        if twin is None:
            modes = self._real(zone_id).modes
            twin = Twin(ZoneProgram(mode=modes[0]), START_C, now.now_ms)
        program = holds.tidy(twin.program, now, None)
        effective = effective_setpoint.resolve(program, now, None, self._timezone())
        twin = advance(msgspec.structs.replace(twin, program=program), effective, now.now_ms)
        self._twins[zone_id] = twin
        return twin, effective
