"""Amps' HVAC push: zones as devices with a capability map, commands as actions with a life cycle."""
