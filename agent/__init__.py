"""climahub: the firmware agent of a thermostat hub. `docs/architecture.md` has the map."""

__version__ = "0.1.0"
