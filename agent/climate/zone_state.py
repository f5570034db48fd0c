"""The state of a zone, the inputs of one step, and the zone's request. Pure."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from agent.climate.effective_setpoint import EffectiveSetpoint
from agent.climate.emitter import CycleState
from agent.climate.fault_detection import CoolingMonitor, HeatingMonitor, StuckSensorState
from agent.climate.fusion import ZoneTemperature
from agent.climate.heat_trace import HeatTrace
from agent.climate.heating_effect import HeatingEffect
from agent.climate.open_window import OpenWindowState
from agent.climate.pi_controller import PiState
from agent.climate.power_draw import PowerDraw
from agent.climate.sensor_probe import SensorProbe
from agent.climate.short_cycle_protection import ShortCycleState
from agent.climate.supply_pipe import SupplyPipe
from hal.interface import HvacAction
from hal.radio import PowerState

_T = TypeVar("_T")

FULL_LEVEL = 0.9

UNKNOWN_TEMPERATURE = (
    "check the sensor's battery, and its name in climate.zones against `climahub status`: the temperature is unknown,"
    " so the zone is heated all the time at a low duty"
)

UNMOVED_SHARE = 0.9
"""A sensor that shows the same for this share of the heating is suspected before the equipment; the output may have
been on already when it stopped."""


UNLEARNED_SHARE_MAX = 0.9
"""A zone that was measured for two and a half hours shows the duty that it needs, and others like it."""


class ZoneState(msgspec.Struct, frozen=True):
    """The state of a zone from step to step.

    Attributes:
        relay: The switching history of its output.
        law: The state of its controller.
        action: What its output has actually done since the last step.
        direction: Whether the controller is set for heating or cooling.
        last_on_ms: When its output was on last; `None` for never.
        is_frost: Frost protection is active.
        lost_since_ms: Since when it has no valid sensor; `None` with one.
        mean_duty: Its recent heating duty.
        heating_monitor: Detects heating faults.
        is_ramp: A recovery is active.
        frost_since_ms: Since when frost protection is active; `None` if it is not.
        thermal_mass_c: The temperature of its walls; `None` if unknown.
        value_c: Its last known temperature in this run of the agent; `None` for never.
        sensors: The sensors of the block at that time.
        cooling_monitor: Detects ineffective cooling.
        last_known_c: Its last known temperature, also before a restart; `None` for never.
        unlearned_share: The share of `mean_duty` that stands for a time without measurement.
        learned_outdoor_c: The mean outdoor temperature while `mean_duty` was learned; `None` if it was never known.
        learned_at_ms: When `mean_duty` was learned last, in a heating mode with a valid sensor; `None` for never.
        stuck_sensor: Detects stuck sensors.
        is_precautionary: It is heated because its temperature is unknown.
        window: What is known about its windows.
        sensor_probe: Finds out whether silent sensors are dead.
        heat_trace: What the heat of the last hours does to its sensors.
        cycle: What the cycles of its output have shown of its emitter.
        was_on: Its output was on before the last step.
        is_floor_hot: Its floor is at its limit.
        level: The share of full output that it gives while it is on: less than 1 with a modulating boiler.
        supply_pipe: What the thermometer on its supply pipe shows.
        power_draw: What the meter of its equipment shows.
        starts: How often its output was switched on since the hub was started.
    """

    relay: ShortCycleState
    law: PiState = PiState()
    action: HvacAction = HvacAction.OFF
    direction: HvacAction = HvacAction.HEAT
    last_on_ms: int | None = None
    is_frost: bool = False
    lost_since_ms: int | None = None
    mean_duty: float = 0.0
    heating_monitor: HeatingMonitor = HeatingMonitor()
    is_ramp: bool = False
    frost_since_ms: int | None = None
    thermal_mass_c: float | None = None
    value_c: float | None = None
    sensors: tuple[str, ...] = ()
    cooling_monitor: CoolingMonitor = CoolingMonitor()
    last_known_c: float | None = None
    unlearned_share: float = 1.0
    learned_outdoor_c: float | None = None
    learned_at_ms: int | None = None
    stuck_sensor: StuckSensorState = StuckSensorState()
    is_precautionary: bool = False
    window: OpenWindowState = OpenWindowState()
    sensor_probe: SensorProbe = SensorProbe()
    heat_trace: HeatTrace = HeatTrace()
    cycle: CycleState = CycleState()
    was_on: bool = False
    is_floor_hot: bool = False
    level: float = 1.0
    supply_pipe: SupplyPipe = SupplyPipe()
    power_draw: PowerDraw = PowerDraw()
    starts: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it heats with nearly all that it has: only then is the lack of an effect a fault."""
        return self.action is HvacAction.HEAT and self.level >= FULL_LEVEL

    @property
    def is_unheated(self) -> bool:
        """Whether its output is on and its room, its supply pipe or its plug does not show it as it always did."""
        return self.heating_monitor.is_failing or self.supply_pipe.is_failing or self.power_draw.is_failing

    @property
    def is_heated_in_vain(self) -> bool:
        """Whether heating has had no effect that anything shows; a sensor that may be stuck counts too."""
        return self.is_unheated or self.stuck_sensor.is_reported

    @property
    def equipment_problem(self) -> str:
        """The fault of its heating and the remedy, for people: what shows most first; empty without a fault."""
        return self.power_draw.problem or self.supply_pipe.problem or self.heating_monitor.problem

    @property
    def known_need(self) -> float | None:
        """The mean heating duty of a day and a night; `None` before enough of it was learned."""
        return self.mean_duty / (1.0 - self.unlearned_share) if self.unlearned_share < UNLEARNED_SHARE_MAX else None

    @property
    def problem(self) -> str:
        """The fault of its equipment or sensors and the remedy, for people; empty without a fault."""
        monitor = self.heating_monitor
        # A fault that was found by a fall has shown that the sensor moves.
        is_by_rise = monitor.is_failing and not monitor.effect.is_failing
        is_unmoved = is_by_rise and self.stuck_sensor.heated_s >= UNMOVED_SHARE * monitor.on_s
        if self.stuck_sensor.is_reported or is_unmoved:
            return (
                "restart or replace the sensor, then check the heating: the zone is heated and does not get warmer, and"
                f" its sensor {self.stuck_sensor.text}"
            )
        if self.is_precautionary:
            return UNKNOWN_TEMPERATURE
        return self.equipment_problem or self.cooling_monitor.problem


class PeerZone(msgspec.Struct, frozen=True):
    """Another zone that is heated and measured: its temperature and duty."""

    value_c: float
    duty: float


class ZoneInputs(msgspec.Struct, frozen=True):
    """The inputs of one step.

    Attributes:
        temperature: Of the zone, as far as it is known.
        effective: The setpoints in force.
        heat_setpoint_c: Of `effective`, or the higher one of a recovery.
        is_ramp: A recovery is active.
        recovery_duty: The duty that a recovery prescribes in place of the control law; `None` for none.
        held_duty: The duty that is expected to keep the setpoint after it; the law goes on with it.
        structure_duty: The duty that the structure takes by the learned model of the zone; `None` if not known.
        coldest_c: The lowest valid value of any sensor in the home.
        others_c: The known temperatures of the other zones, sorted.
        active_c: The known temperatures of the other zones that are not off, sorted.
        needing_heat_c: The known temperatures of the other zones that need heat, sorted; see `zone.needs_heat`.
        peers: The other zones that are heated and measured.
        outdoor_c: The outdoor temperature; `None` if it is not known.
        is_dark: The sun is down for sure.
        others_duty: The sum of the usual duties of the zones that share the heat source.
        sharing: What is known of the heating of those zones.
        floor_c: The temperature of its floor; `None` if it is not known.
        supply_c: The temperature of its supply pipe; `None` if it is not known.
        power: What the plug of its equipment reported last; `None` for nothing.
        open_contact: The first window contact of the zone that is open; empty for none.
        probe_duty: By how much the duty is moved to find out about a silent sensor.
        weather_duty: The duty that the outdoor temperature adds to that of the law in heating.
    """

    temperature: ZoneTemperature
    effective: EffectiveSetpoint
    heat_setpoint_c: float
    is_ramp: bool = False
    recovery_duty: float | None = None
    held_duty: float = 0.0
    structure_duty: float | None = None
    coldest_c: float | None = None
    others_c: tuple[float, ...] = ()
    active_c: tuple[float, ...] = ()
    needing_heat_c: tuple[float, ...] = ()
    peers: tuple[PeerZone, ...] = ()
    outdoor_c: float | None = None
    is_dark: bool = False
    others_duty: float = 0.0
    sharing: tuple[HeatingEffect, ...] = ()
    floor_c: float | None = None
    supply_c: float | None = None
    power: PowerState | None = None
    open_contact: str = ""
    probe_duty: float = 0.0
    weather_duty: float = 0.0


class ZoneRequest(msgspec.Struct, frozen=True):
    """What a zone requests of the equipment.

    Attributes:
        action: To be done now, if the equipment may.
        duty: The share of time in which the zone requests it, 0 to 1.
        error_k: The distance from its setpoint, positive if something is to be done.
        is_urgent: It serves protection, not comfort.
        reason: Why, for people.
        is_at_limit: The zone is at the upper (heating) or lower (cooling) limit of its present action.
    """

    action: HvacAction
    duty: float
    error_k: float
    is_urgent: bool
    reason: str
    is_at_limit: bool = False


def of_others(number: int, numbered: Sequence[tuple[_T, int]]) -> tuple[_T, ...]:
    """Return the values of all zones but one."""
    return tuple([value for value, i in numbered if i != number])
