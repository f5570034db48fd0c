"""Predictive maintenance: how the heating of each zone drifts from its own past. It reports, and never acts."""
