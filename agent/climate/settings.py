"""How a home's equipment and zones are to be treated: values that do not change while the hub runs. Pure."""

from enum import StrEnum

import msgspec

from agent.climate.pi_controller import PULSES_PER_CYCLE, PiSettings
from agent.climate.short_cycle_protection import ShortCycleLimits

ZONES_MAX = 8


class Emitter(StrEnum):
    """What gives the heat to a room: how fast it is decides how the law acts."""

    RADIATOR = "radiator"
    FLOOR = "floor"
    AIR = "air"


PI_SETTINGS = {
    Emitter.RADIATOR: PiSettings(
        gain_per_k=0.17, integral_s=3000.0, cycle_s=900.0, ramp_gain_per_k=0.45, thermal_mass_gain_per_k=0.12
    ),
    Emitter.FLOOR: PiSettings(gain_per_k=0.25, integral_s=4 * 3600.0, cycle_s=3600.0, ramp_gain_per_k=0.25),
    Emitter.AIR: PiSettings(
        gain_per_k=0.3, integral_s=2400.0, cycle_s=900.0, ramp_gain_per_k=0.3, thermal_mass_gain_per_k=0.12
    ),
}
"""Found on the simulated house (tests/bench/bench_climate.py) for radiators; the others scaled by their lag. A heated
floor is its room's largest wall itself: it needs nothing beside."""

SHARED_CYCLE_FACTOR = 0.9
"""Zones that take turns at a source keep it running: they can afford shorter cycles."""

PULSE_SHARE_OF_MIN_ON = 0.45
"""An on time is a little more than two pulses: so it is never cut off at the minimum."""


def pi_settings_for(emitter: Emitter, *, is_shared: bool, min_on_s: float) -> PiSettings:
    """Return how the law acts.

    Args:
        emitter: What gives the heat to the room.
        is_shared: Zones share a source: even pulses spare it starts, at the price of some hundredths of a kelvin.
        min_on_s: Of the zone's relay.
    """
    law = PI_SETTINGS[emitter]
    cycle_s = law.cycle_s * (SHARED_CYCLE_FACTOR if is_shared else 1.0)
    pulse_s_min = max(PULSE_SHARE_OF_MIN_ON * min_on_s, cycle_s / PULSES_PER_CYCLE if is_shared else 0.0)
    return msgspec.structs.replace(law, cycle_s=cycle_s, pulse_s_min=pulse_s_min)


class ZoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One zone.

    Attributes:
        zone_id: Its name; also that of its output.
        sensors: The sensors that measure it, with their weights.
        can_heat: Whether its output heats.
        can_cool: Whether it cools.
        law: How the law acts.
        limits: Of its own relay.
        frost_c: Below it the zone is heated whatever its mode.
        over_c: At or above it the zone is not heated.
        under_c: At or below it the zone is not cooled.
        stale_s: Older readings do not count.
        fallback_duty_max: Of heating without any sensor of its own.
        fallback_s_max: For how long.
        failure_s: So much heating without a rise is a failure.
        has_optimum_start: Whether it recovers ahead of a warmer block.
    """

    zone_id: str
    sensors: tuple[tuple[str, float], ...] = ()
    can_heat: bool = True
    can_cool: bool = False
    law: PiSettings = PI_SETTINGS[Emitter.RADIATOR]
    limits: ShortCycleLimits = ShortCycleLimits(180.0, 180.0, 6)
    frost_c: float = 6.0
    over_c: float = 30.0
    under_c: float = 16.0
    stale_s: float = 1800.0
    fallback_duty_max: float = 0.3
    fallback_s_max: float = 72 * 3600.0
    failure_s: float = 2 * 3600.0
    has_optimum_start: bool = True


class HeatSourceKind(StrEnum):
    """What makes heat and cold for all zones."""

    NONE = "none"
    """Every zone has its own equipment."""
    BOILER = "boiler"
    HEAT_PUMP = "heat_pump"


class HeatSourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The shared source.

    Attributes:
        kind: What it is.
        limits: Its minimum times; they hold for each stage and for the auxiliary heat as well.
        stages: 1 or 2.
        stage2_error_k: The second stage helps where the neediest zone is so far off,
        stage2_after_s: for so long at the first stage.
        pump_overrun_s: The pump runs on so long after the source.
        fan_overrun_s: Likewise the fan.
        has_aux: Whether there is auxiliary heat.
        aux_error_k: It helps where the neediest zone is so far below its setpoint,
        aux_after_s: for so long; at once while the source is known to fail.
        changeover_s: Rest between heating and cooling; the reversing valve turns in it.
        is_valve_on_in_heating: Whether the reversing valve is energised to heat ("B"); to cool ("O") otherwise.
    """

    kind: HeatSourceKind = HeatSourceKind.NONE
    limits: ShortCycleLimits = ShortCycleLimits(300.0, 300.0, 6)
    stages: int = 1
    stage2_error_k: float = 1.5
    stage2_after_s: float = 900.0
    pump_overrun_s: float = 300.0
    fan_overrun_s: float = 60.0
    has_aux: bool = False
    aux_error_k: float = 2.0
    aux_after_s: float = 3600.0
    changeover_s: float = 600.0
    is_valve_on_in_heating: bool = False


class ClimateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole home."""

    zones: tuple[ZoneSettings, ...]
    heat_source: HeatSourceSettings = HeatSourceSettings()
