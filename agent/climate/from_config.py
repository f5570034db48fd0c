"""From the configuration and the board's outputs to the settings of the control room. Pure."""

from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.config import ClimateConfig
from agent.config.zones import missing_outputs
from agent.errors import ConfigInvalid
from hal.interface import HvacOutputs


def climate_settings(config: ClimateConfig, outputs: HvacOutputs | None) -> ClimateSettings | None:
    """Return how the home is to be treated; `None` where the configuration names no zone.

    Raises:
        ConfigInvalid: The board has no output of a zone's name. All such zones are named.
    """
    if not config.zones:
        return None
    offered = {output.name: output for output in outputs.zones} if outputs else {}
    if problem := missing_outputs(config.zones, offered):
        raise ConfigInvalid(problem)
    has_own = config.heat_source == "none"
    zones = tuple(
        ZoneSettings(
            zone_id=zone.id,
            sensors=tuple(zip(zone.sensors, zone.weights, strict=True)),
            can_heat=offered[zone.id].can_heat,
            can_cool=offered[zone.id].can_cool and config.heat_source != "boiler",
            law=pi_settings_for(
                Emitter(zone.emitter or config.emitter), is_shared=not has_own, min_on_s=config.relay_min_on_s
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
    return ClimateSettings(zones=zones, heat_source=HeatSourceSettings() if has_own else heat_source)
