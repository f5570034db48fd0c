"""The whole hub in virtual time, with faults and an oracle: `climahub rehearse`. Needs the extra `rehearsal`."""
