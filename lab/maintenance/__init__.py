"""Simulated fleets with known faults, on which the confidence of predictive maintenance is fitted and judged."""
