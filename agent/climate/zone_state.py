"""What a zone remembers, what it is told, and what it wants. Pure."""

import msgspec

from agent.climate.fault_detection import CoolingMonitor, HeatingMonitor
from agent.climate.fusion import ZoneTemperature
from agent.climate.holds import EffectiveSetpoint
from agent.climate.pi_controller import PiState
from agent.climate.sensor_loss import PeerZone
from agent.climate.short_cycle_protection import ShortCycleState
from agent.climate.stuck_sensor import StuckSensorState
from hal.interface import HvacAction

UNWATCHED = (
    "nobody knows how cold it is, so it gets some heat all the time; check the sensor's battery, and its name in"
    " climate.zones against `climahub status`"
)


class ZoneState(msgspec.Struct, frozen=True):
    """What a zone remembers from step to step.

    Attributes:
        relay: Of its relay.
        law: Of its controller.
        action: What its output has really been doing since the last step.
        direction: Which of heating and cooling the controller is set for.
        last_on_ms: When its output was on last; `None` for never.
        is_frost: Frost protection is at work.
        lost_since_ms: Since when its sensors say nothing; `None` where they do.
        mean_duty: Of heating, of late.
        watch: See `Watch`.
        is_ramp: A recovery is under way.
        frost_since_ms: Since when frost protection is at work; `None` where it is not.
        thermal_mass_c: How warm its walls are; `None` where nobody knows.
        value_c: Its temperature when that was known last; `None` for never.
        sensors: Those of the block then.
        cooling: See `watch.Cooling`.
        last_known_c: Its temperature when that was known last, before a restart too; `None` for never.
        unlearned_share: The share of `mean_duty` that stands for a time of which nothing is known.
        learned_at_ms: When `mean_duty` was learned last: while it was measured and to be heated; `None` for never.
        stuck_sensor: See `stuck_sensor`.
        is_precautionary: It is heated because nobody knows how cold it is.
    """

    relay: ShortCycleState
    law: PiState = PiState()
    action: HvacAction = HvacAction.OFF
    direction: HvacAction = HvacAction.HEAT
    last_on_ms: int | None = None
    is_frost: bool = False
    lost_since_ms: int | None = None
    mean_duty: float = 0.0
    watch: HeatingMonitor = HeatingMonitor()
    is_ramp: bool = False
    frost_since_ms: int | None = None
    thermal_mass_c: float | None = None
    value_c: float | None = None
    sensors: tuple[str, ...] = ()
    cooling: CoolingMonitor = CoolingMonitor()
    last_known_c: float | None = None
    unlearned_share: float = 1.0
    learned_at_ms: int | None = None
    stuck_sensor: StuckSensorState = StuckSensorState()
    is_precautionary: bool = False

    @property
    def problem(self) -> str:
        """What is the matter with its equipment or its sensors, in words; empty where nothing is."""
        is_still = self.watch.is_failing and self.stuck_sensor.heated_s >= self.watch.on_s
        if self.stuck_sensor.is_stuck or is_still:
            why = f"its sensor {self.stuck_sensor.text}, not a digit more or less"
            return f"it is heated and does not get warmer: {why}; restart or replace the sensor, then check what heats"
        if self.is_precautionary:
            return UNWATCHED
        return self.watch.problem or self.cooling.problem


class ZoneInputs(msgspec.Struct, frozen=True):
    """What a zone is told at a step.

    Attributes:
        room: Its temperature, as far as it is known.
        in_force: What it is to reach.
        heat_setpoint_c: Of `in_force`, or more during a recovery ahead of a block.
        feed_forward: Duty that the recovery needs beside what keeps the temperature.
        is_ramp: A recovery is under way.
        coldest_c: The lowest that any believable sensor of the home says.
        others_c: The temperatures of the other zones that are known, in order.
        active_c: Of those, the temperatures of the zones that are not off, in order.
        needing_heat_c: Of those, the temperatures of the zones that need heat, in order; see `needs_heat`.
        peers: The other zones that are heated and measured.
    """

    room: ZoneTemperature
    in_force: EffectiveSetpoint
    heat_setpoint_c: float
    feed_forward: float = 0.0
    is_ramp: bool = False
    coldest_c: float | None = None
    others_c: tuple[float, ...] = ()
    active_c: tuple[float, ...] = ()
    needing_heat_c: tuple[float, ...] = ()
    peers: tuple[PeerZone, ...] = ()


class ZoneRequest(msgspec.Struct, frozen=True):
    """What a zone wants.

    Attributes:
        action: To be done now, if the equipment may.
        duty: The share of time for which it wants that, 0 to 1.
        error_k: How far it is from its setpoint, positive where something is to be done.
        is_urgent: It is about protection, not comfort.
        reason: Why, in words.
        is_at_limit: Its room is at the limit of what its output does now.
    """

    action: HvacAction
    duty: float
    error_k: float
    is_urgent: bool
    reason: str
    is_at_limit: bool = False
