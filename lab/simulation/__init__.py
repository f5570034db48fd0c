"""The whole hub in virtual time, with faults and an oracle: `climahub simulate`. Needs the extra `simulation`."""
