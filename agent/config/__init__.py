"""The configuration of the hub: its keys, its typed form, and the ways to load, check and show it."""

from agent.config.hardware_tables import BoardConfig, BoilerConfig, LinuxConfig, RelayedSensorsConfig, ZigbeeConfig
from agent.config.loading import Resolved, load, load_board, load_boiler, resolve, resolve_text
from agent.config.tables import ClimateConfig, CloudConfig, Config, OtaConfig, StorageConfig

__all__ = [
    "BoardConfig",
    "BoilerConfig",
    "ClimateConfig",
    "CloudConfig",
    "Config",
    "LinuxConfig",
    "OtaConfig",
    "RelayedSensorsConfig",
    "Resolved",
    "StorageConfig",
    "ZigbeeConfig",
    "load",
    "load_board",
    "load_boiler",
    "resolve",
    "resolve_text",
]
