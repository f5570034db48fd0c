"""Settings of the home, its zones and its heat source, from the configuration and the board's outputs. Pure.

They do not change while the hub runs.
"""

from enum import StrEnum

import msgspec

from agent.climate.pi_controller import PULSES_PER_CYCLE, PiSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.config import ClimateConfig
from agent.config.zones import missing_outputs
from agent.errors import ConfigInvalid
from hal.interface import HvacOutputs

ZONES_MAX = 8


class Emitter(StrEnum):
    """What heats a room. Its speed determines the settings of the controller."""

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
"""Determined on the simulated house (tests/bench/bench_climate.py) for radiators; the others are scaled by their lag. A
heated floor is the largest wall of its room itself and needs no feed-forward for the walls."""

SHARED_CYCLE_FACTOR = 0.9
"""Zones that share a heat source keep it running in turns, so their cycles may be shorter."""

PULSE_SHARE_OF_MIN_ON = 0.45
"""An on time is a little more than two pulses, so that the minimum on time never prolongs it."""


def pi_settings_for(emitter: Emitter, *, is_shared: bool, min_on_s: float) -> PiSettings:
    """Return the settings of a controller.

    Args:
        emitter: What heats the room.
        is_shared: Zones share a heat source: even pulses save it starts, at the price of some hundredths of a kelvin.
        min_on_s: The minimum on time of the zone's relay.
    """
    settings = PI_SETTINGS[emitter]
    cycle_s = settings.cycle_s * (SHARED_CYCLE_FACTOR if is_shared else 1.0)
    pulse_s_min = max(PULSE_SHARE_OF_MIN_ON * min_on_s, cycle_s / PULSES_PER_CYCLE if is_shared else 0.0)
    return msgspec.structs.replace(settings, cycle_s=cycle_s, pulse_s_min=pulse_s_min)


class ZoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One zone.

    Attributes:
        zone_id: Its name, and that of its output.
        sensors: The names and weights of its sensors.
        can_heat: Its output heats.
        can_cool: Its output cools.
        law: The settings of its controller.
        limits: Of its own relay.
        frost_c: Below this temperature the zone is heated in every mode.
        over_c: At or above this temperature it is not heated.
        under_c: At or below this temperature it is not cooled.
        stale_s: Older readings do not count.
        fallback_duty_max: The highest duty without a valid sensor.
        fallback_s_max: The longest time of heating without a valid sensor.
        failure_s: This much heating without a rise is a fault.
        has_optimum_start: It recovers ahead of a warmer block.
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
    """The shared heat source.

    Attributes:
        kind: Its kind.
        limits: Its short-cycle limits. They also hold for the second stage and for auxiliary heat.
        stages: 1 or 2.
        stage2_error_k: The second stage helps a zone that is this far from its setpoint ...
        stage2_after_s: ... for this time at the first stage.
        pump_overrun_s: The pump runs on this long after the heat source.
        fan_overrun_s: The fan runs on this long after the heat source.
        has_aux: It has auxiliary heat.
        aux_error_k: Auxiliary heat helps a zone that is this far below its setpoint ...
        aux_after_s: ... for this time; at once while the heat source is known to fail.
        changeover_s: The rest between heating and cooling, in which the reversing valve moves.
        is_valve_on_in_heating: The reversing valve is energised in heating ("B"); else in cooling ("O").
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
    """The whole home.

    Attributes:
        zones: In the order of the configuration.
        heat_source: What the zones share.
        outdoor_sensor: The name of the sensor outdoors; empty for none.
    """

    zones: tuple[ZoneSettings, ...]
    heat_source: HeatSourceSettings = HeatSourceSettings()
    outdoor_sensor: str = ""


def climate_settings(config: ClimateConfig, outputs: HvacOutputs | None) -> ClimateSettings | None:
    """Return the settings of the home; `None` for a configuration without zones.

    Raises:
        ConfigInvalid: The board has no output for a zone; the message names all such zones.
    """
    if not config.zones:
        return None
    offered = {output.name: output for output in outputs.zones} if outputs else {}
    if problem := missing_outputs(config.zones, offered):
        raise ConfigInvalid(problem)
    is_shared = config.heat_source != "none"
    outdoor_sensor = "" if config.outdoor_sensor == "none" else config.outdoor_sensor
    zones = tuple(
        ZoneSettings(
            zone_id=zone.id,
            sensors=tuple(zip(zone.sensors, zone.weights, strict=True)),
            can_heat=offered[zone.id].can_heat,
            can_cool=offered[zone.id].can_cool and config.heat_source != "boiler",
            law=pi_settings_for(
                Emitter(zone.emitter or config.emitter), is_shared=is_shared, min_on_s=config.relay_min_on_s
            ),
            limits=ShortCycleLimits(config.relay_min_on_s, config.relay_min_off_s, config.relay_starts_per_hour_max),
            frost_c=config.frost_c,
            over_c=config.over_c,
            under_c=config.under_c,
            stale_s=config.sensor_stale_s,
            fallback_duty_max=config.fallback_duty_max,
            fallback_s_max=config.fallback_s_max,
            failure_s=config.failure_s,
            has_optimum_start=config.optimum_start,
        )
        for zone in config.zones
    )
    if not is_shared:
        return ClimateSettings(zones=zones, outdoor_sensor=outdoor_sensor)
    heat_source = HeatSourceSettings(
        kind=HeatSourceKind(config.heat_source),
        limits=ShortCycleLimits(
            config.heat_source_min_on_s, config.heat_source_min_off_s, config.heat_source_starts_per_hour_max
        ),
        stages=config.heat_source_stages,
        has_aux=config.auxiliary_heat,
        is_valve_on_in_heating=config.reversing_valve == "heating",
        pump_overrun_s=config.pump_overrun_s,
    )
    return ClimateSettings(zones=zones, heat_source=heat_source, outdoor_sensor=outdoor_sensor)
