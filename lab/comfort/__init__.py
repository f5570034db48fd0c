"""Comfort on a family of houses: the hub's control law beside hysteresis, TPI and an oracle, on `hal.sim.houses`."""
