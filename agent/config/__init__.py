"""The configuration of the hub: one table of keys, its typed form, and the ways to load, check and show it."""

from agent.config.loading import (
    BoardConfig,
    ClimateConfig,
    CloudConfig,
    Config,
    LinuxConfig,
    OtaConfig,
    RelayedSensorsConfig,
    Resolved,
    StorageConfig,
    ZigbeeConfig,
    load,
    load_board,
    resolve,
    resolve_text,
)

__all__ = [
    "BoardConfig",
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
    "resolve",
    "resolve_text",
]
