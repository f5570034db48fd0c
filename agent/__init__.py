"""climahub: the firmware agent of a thermostat hub. `docs/architecture.md` is the map of the rooms."""

__version__ = "0.1.0"
