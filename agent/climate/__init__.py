"""Keeps the home comfortable and safe: control law, protection of the equipment, schedule, holds."""
