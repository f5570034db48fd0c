"""Builds what is known of each sensor beyond its readings, from the parts of a hub. Decides nothing."""

from typing import Protocol

from agent.config import Config
from agent.environment import Environment
from agent.pairing.service import PairingService
from agent.sensors.air_quality import AirQuality
from agent.sensors.service import SensorsService


class HubParts(Protocol):
    """What of a hub is needed."""

    config: Config
    environment: Environment
    pairing: PairingService


def build_sensors(hub: HubParts) -> SensorsService:
    """Return calibrations and doubts of all sensors. Blocks."""
    config, environment = hub.config, hub.environment
    return SensorsService(
        config.storage.state_dir,
        in_case=config.sensors.in_case,
        rooms=[zone.sensors for zone in config.climate.zones],
        devices=hub.pairing.queries.devices_by_name,
        clock=environment.clock,
        disk=environment.disk,
        worker=environment.worker,
    )


def build_air(hub: HubParts) -> AirQuality:
    """Return the relative air indices of the hub's own gas sensors. Blocks."""
    config, environment = hub.config, hub.environment
    return AirQuality(
        config.storage.state_dir,
        environment.board,
        is_wanted=config.sensors.iaq == "relative",
        clock=environment.clock,
        disk=environment.disk,
        worker=environment.worker,
    )
