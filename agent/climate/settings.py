"""Settings of the home, its zones and its heat source, from the configuration and the board's outputs. Pure.

They do not change while the hub runs.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from agent.climate.pi_controller import PiSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.config import ClimateConfig
from agent.config.zones import missing_outputs
from agent.errors import ConfigInvalid
from hal.interface import ZoneOutput

ZONES_MAX = 8


class Emitter(StrEnum):
    """What heats a room. Its speed determines the settings of the controller."""

    RADIATOR = "radiator"
    FLOOR = "floor"
    AIR = "air"


class Equipment(StrEnum):
    """What the output of a zone drives, where zones share no heat source. A start costs wear, fuel or noise."""

    BOILER = "boiler"
    HEAT_PUMP = "heat_pump"
    FURNACE = "furnace"
    ELECTRIC = "electric"
    VALVE = "valve"


CYCLE_S = {
    Equipment.BOILER: 2400.0,
    Equipment.HEAT_PUMP: 3600.0,
    Equipment.FURNACE: 720.0,
    Equipment.ELECTRIC: 720.0,
    Equipment.VALVE: 1200.0,
}
"""The goals for starts, as the length of a cycle: 1.5 an hour for a boiler, 1 for a compressor, 5 for a furnace (its
air has little mass; Honeywell's installation guides set thermostats to 5 cycles an hour for a furnace, 9 for electric
heat), 5 for electric heaters, 3 for valves of others' heat."""

RIPPLE_K_MAX = {
    Equipment.BOILER: 2.0,
    Equipment.HEAT_PUMP: 0.5,
    Equipment.FURNACE: 0.6,
    Equipment.ELECTRIC: 0.5,
    Equipment.VALVE: 0.8,
}
"""Where a cycle moves the temperature by more, it becomes shorter: fast rooms need more starts to be kept."""

MIN_ON_S = {
    Equipment.BOILER: 300.0,
    Equipment.HEAT_PUMP: 600.0,
    Equipment.FURNACE: 240.0,
    Equipment.ELECTRIC: 60.0,
    Equipment.VALVE: 180.0,
}
"""The default of a relay's minimum on time."""

SPLIT_UNIT_MIN_ON_S = 240.0
"""The same for a zone's own heat pump that heats or cools air. The control board of a split unit holds its compressor
by itself: on for 2 minutes (service manual of Haier's HSU-07HV03) to 5 (Sanyo's SAP-CM1822A), off for 3. With 600 s
rooms err by up to a half more than with hysteresis of 0.3 K, with 180 s cooling starts more often than once an hour."""

SPLIT_UNIT_RIPPLE_K_MAX = 0.6
"""As for a furnace. In the cold the length of a cycle follows from it, not from the minimum on time."""

USUAL_EQUIPMENT = {
    Emitter.RADIATOR: Equipment.BOILER,
    Emitter.FLOOR: Equipment.VALVE,
    Emitter.AIR: Equipment.FURNACE,
}
"""Taken where the configuration does not name the equipment. A single zone's valve is its boiler."""

PI_SETTINGS = {
    Emitter.RADIATOR: PiSettings(
        gain_per_k=0.17, integral_s=3000.0, cycle_s=2400.0, ramp_gain_per_k=0.45, thermal_mass_gain_per_k=0.12
    ),
    Emitter.FLOOR: PiSettings(
        gain_per_k=0.35,
        integral_s=30_000.0,
        cycle_s=24_000.0,
        pulse_s_min=400.0,
        ramp_gain_per_k=0.35,
        edge_s_per_k=9000.0,
        edge_pulses=6.0,
        ripple_k_max=0.6,
        response_s=3600.0,
    ),
    Emitter.AIR: PiSettings(
        gain_per_k=0.1, integral_s=3000.0, cycle_s=1440.0, ramp_gain_per_k=0.3, thermal_mass_gain_per_k=0.06
    ),
}
"""Determined on the tuning half of the simulated houses (tests/bench/bench_comfort.py). A gain times the ripple of a
cycle must be small against the duty, so the fast air heating has the lowest. A heated floor takes hours to fill and to
empty: the room follows it like an integrator, which carries a high gain. It is the largest wall of its room itself and
needs no feed-forward for the walls."""

SHARED_CYCLE_FACTOR = 1.1
"""Zones in turns do not always follow each other without a gap."""

SHARED_PUMP_CYCLE_FACTOR = 1.5
"""The same for rooms on one heat pump, whose low duties leave more gaps: 1.4 starts an hour without it, one with it."""

PULSE_SHARE_OF_MIN_ON = 0.45
"""An on time is a little more than two pulses, so that the minimum on time never prolongs it."""


def pi_settings_for(
    emitter: Emitter, *, is_shared: bool, min_on_s: float, equipment: Equipment | None = None
) -> PiSettings:
    """Return the settings of a controller.

    Args:
        emitter: What heats the room.
        is_shared: Zones share a heat source.
        min_on_s: The minimum on time of the zone's relay.
        equipment: What the zone's output drives; the usual one by default. Unused if zones share a heat source.
    """
    settings = PI_SETTINGS[emitter]
    driven = Equipment.BOILER if is_shared else equipment or USUAL_EQUIPMENT[emitter]
    goal_s = CYCLE_S[driven] * (SHARED_CYCLE_FACTOR if is_shared else 1.0)
    ripple_k_max = SPLIT_UNIT_RIPPLE_K_MAX if _is_split_unit(emitter, driven) else RIPPLE_K_MAX[driven]
    return msgspec.structs.replace(
        settings,
        cycle_s=max(settings.cycle_s, goal_s) if emitter is Emitter.FLOOR else goal_s,
        pulse_s_min=max(settings.pulse_s_min, PULSE_SHARE_OF_MIN_ON * min_on_s),
        ripple_k_max=settings.ripple_k_max if emitter is Emitter.FLOOR else ripple_k_max,
        min_on_s=min_on_s,
    )


def _is_split_unit(emitter: Emitter, driven: Equipment) -> bool:
    """Return whether a zone has its own heat pump, and that one drives air."""
    return emitter is Emitter.AIR and driven is Equipment.HEAT_PUMP


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
        has_setback_limit: A setback from which it does not get warm in time is raised.
        floor_sensor: The name of its floor probe; empty for none.
        floor_c_max: At or above this temperature of its floor it is not heated.
        supply_sensor: The name of the thermometer on its supply pipe; empty for none.
        return_sensor: The name of the one on its return pipe; empty for none.
        power_meter: The name or device of the plug that measures what its equipment draws; empty for none.
        absence_setback_k: Setpoints are moved by this much while nobody is there ...
        absence_delay_s: ... for this time.
        window_pause_s_max: The longest pause for a window that shows in the temperature only; 0 for no such pause.
        emitter: The configured emitter; empty if it is not known. A wrong one is reported.
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
    stale_s: float = 7200.0
    fallback_duty_max: float = 0.3
    fallback_s_max: float = 72 * 3600.0
    failure_s: float = 2 * 3600.0
    has_optimum_start: bool = True
    has_setback_limit: bool = False
    floor_sensor: str = ""
    floor_c_max: float = 29.0
    supply_sensor: str = ""
    return_sensor: str = ""
    power_meter: str = ""
    absence_setback_k: float = 3.0
    absence_delay_s: float = 1800.0
    window_pause_s_max: float = 1800.0
    emitter: str = ""


class HeatSourceKind(StrEnum):
    """What makes heat and cold for all zones."""

    NONE = "none"
    """Every zone has its own equipment."""
    BOILER = "boiler"
    HEAT_PUMP = "heat_pump"


class FlowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The flow temperature of a modulating boiler.

    Attributes:
        flow_c_max: Its highest flow temperature.
        exponent: By which the output of the emitters follows their temperature above the room's.
    """

    flow_c_max: float
    exponent: float = 1.3


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
        flow: Of a boiler that modulates; `None` for one that is switched on and off.
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
    flow: FlowSettings | None = None


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


def with_start_goal(settings: ClimateSettings) -> ClimateSettings:
    """Return the settings with laws that know the shared heat source.

    Their cycles are long enough for a heat pump, and the minimum on time of the source is theirs too.
    """
    source = settings.heat_source
    if source.kind is HeatSourceKind.NONE:
        return settings
    goal_s = 0.0
    if source.kind is HeatSourceKind.HEAT_PUMP:
        goal_s = CYCLE_S[Equipment.HEAT_PUMP] * (SHARED_PUMP_CYCLE_FACTOR if len(settings.zones) > 1 else 1.0)
    zones = [
        msgspec.structs.replace(
            zone,
            law=msgspec.structs.replace(
                zone.law,
                cycle_s=max(zone.law.cycle_s, goal_s),
                min_on_s=max(zone.law.min_on_s, source.limits.min_on_s),
            ),
        )
        for zone in settings.zones
    ]
    return msgspec.structs.replace(settings, zones=tuple(zones))


def _own_meter(output: ZoneOutput, outputs: Sequence[ZoneOutput]) -> str:
    """Return the device that switches a zone, as it may measure the load; empty where it switches other zones, too."""
    return output.device if [each.device for each in outputs].count(output.device) == 1 else ""


def climate_settings(
    config: ClimateConfig, outputs: Sequence[ZoneOutput], flow: FlowSettings | None = None
) -> ClimateSettings | None:
    """Return the settings of the home; `None` for a configuration without zones.

    Args:
        config: Zones and heat source.
        outputs: Of the board; empty if it drives nothing.
        flow: Of a boiler that modulates.

    Raises:
        ConfigInvalid: The board has no output for a zone; the message names all such zones.
    """
    if not config.zones:
        return None
    offered = {output.name: output for output in outputs}
    if problem := missing_outputs(config.zones, offered):
        raise ConfigInvalid(problem)
    is_shared = config.heat_source != "none"
    equipment = _zone_equipment(config)
    outdoor_sensor = "" if config.outdoor_sensor == "none" else config.outdoor_sensor
    zones = tuple(
        ZoneSettings(
            zone_id=zone.id,
            sensors=tuple(zip(zone.sensors, zone.weights, strict=True)),
            can_heat=offered[zone.id].can_heat,
            can_cool=offered[zone.id].can_cool and config.heat_source != "boiler",
            law=pi_settings_for(
                emitter,
                # A modulating boiler runs while one of several valves is open: its starts are not theirs.
                is_shared=is_shared and (flow is None or len(config.zones) == 1),
                min_on_s=(min_on_s := _relay_min_on_s(config, emitter)),
                equipment=equipment,
            ),
            limits=ShortCycleLimits(min_on_s, config.relay_min_off_s, config.relay_starts_per_hour_max),
            frost_c=config.frost_c,
            over_c=config.over_c,
            under_c=config.under_c,
            stale_s=config.sensor_stale_s,
            fallback_duty_max=config.fallback_duty_max,
            fallback_s_max=config.fallback_s_max,
            failure_s=config.failure_s,
            has_optimum_start=config.optimum_start,
            has_setback_limit=config.setback_limit,
            floor_sensor=zone.floor_sensor,
            floor_c_max=zone.floor_c_max,
            supply_sensor=zone.supply_sensor,
            return_sensor=zone.return_sensor,
            power_meter=zone.power_meter or _own_meter(offered[zone.id], outputs),
            absence_setback_k=config.absence_setback_k,
            absence_delay_s=config.absence_delay_s,
            window_pause_s_max=config.window_pause_s_max,
            emitter=emitter.value,
        )
        for zone, emitter in [(zone, Emitter(zone.emitter or config.emitter)) for zone in config.zones]
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
        flow=flow,
    )
    return ClimateSettings(zones=zones, heat_source=heat_source, outdoor_sensor=outdoor_sensor)


def _zone_equipment(config: ClimateConfig) -> Equipment | None:
    """Return what the outputs of zones drive; `None` if the configuration does not say."""
    if config.heat_source != "none":
        return Equipment.VALVE
    return None if config.zone_equipment == "auto" else Equipment(config.zone_equipment)


def _relay_min_on_s(config: ClimateConfig, emitter: Emitter) -> float:
    """Return the minimum on time of a zone's relay."""
    if config.relay_min_on_s is not None:
        return config.relay_min_on_s
    driven = _zone_equipment(config) or USUAL_EQUIPMENT[emitter]
    return SPLIT_UNIT_MIN_ON_S if _is_split_unit(emitter, driven) else MIN_ON_S[driven]
