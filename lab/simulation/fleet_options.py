"""What a simulated fleet has to live through, and when. Pure."""

from typing import Literal

import msgspec

FleetScenario = Literal["boot", "power-cut", "outage", "clock-unknown", "key-revoked", "rollout", "rollout-bad"]

START_S = 600
"""The time after the first boot in which a fleet settles."""

INCIDENT_AT_S = 1770
"""When the scenario's incident begins; the mean rate is that of the time from `START_S` until then. Not at a full
minute: right after maintenance (`agent.foundation.beat`) a power cut would find everything settled on the disk."""

LASTS_S = {"power-cut": 300, "outage": 1800, "clock-unknown": 300, "key-revoked": 1800}
"""How long the incident lasts: until the power or the cloud is back, or a person has installed a new key."""

AFTER_S = 900
"""The time after the end of the incident in which the fleet is watched for its peak; after an unknown clock longer."""

CLOCK_UNKNOWN_S = (1200.0, 1264.0)
"""How long a boot is without the time after that power cut; a daemon asks its servers every 64 s (chronyd)."""

REVOKED_SHARE = 0.1
LATENCY_S_MAX = 0.2
LOOK_S = 60.0
"""How often the operator of a rollout looks at the fleet."""


class FleetOptions(msgspec.Struct, frozen=True):
    """One simulation of a fleet.

    Attributes:
        hubs: How many.
        days: How long.
        sensors: Series of each house; 7 are the hub's own.
        seed: Everything random follows from it.
        scenario: What happens.
        jitter_s: The first boots, and those after a power cut, are spread evenly over so many seconds.
    """

    hubs: int
    days: float = 0.125
    sensors: int = 7
    seed: int = 1
    scenario: FleetScenario = "boot"
    jitter_s: float = 20.0

    @property
    def duration_s(self) -> int:
        """How long, in seconds."""
        return int(self.days * 86_400)
