"""Value types that more than one room speaks of. No behaviour, no I/O."""

from hal.interface import HUB, Quality, Reading, SensorKind

__all__ = ["HUB", "Quality", "Reading", "SensorKind"]
