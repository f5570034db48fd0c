"""The AURRA Home Smart Thermostat API, version 1.0.0, answered by the hub."""
