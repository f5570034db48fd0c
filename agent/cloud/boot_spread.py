"""When a hub that has just booted sends its first requests: hubs that lose power together come back together.

Pure: no clock and no I/O. Must never delay a hub that has been up for a while, nor the poll for commands, which has a
random phase of its own.
"""

import random
from collections.abc import Mapping

from agent.cloud.contract import QUOTAS, Endpoint

BOOT_SPREAD_S = 120.0
"""The first request to an endpoint after a boot goes out at a random moment of so many seconds: as long as a batch of
readings waits to fill, so that 5,000 hubs add 42 requests a second for each endpoint. With 60 s, settings and the first
readings of 200 hubs had a second with 3.4 times the mean of the settled fleet."""

SPREAD_AT_START = (Endpoint.SETTINGS_GET,)
"""Endpoints that may be used at once after a boot (`agent.cloud.quota.REQUESTS_FREE_AT_BOOT`)."""

SPREAD_AFTER_WINDOW = (Endpoint.TELEMETRY, Endpoint.OTA_CHECK)
"""Endpoints whose whole quota is free one window after the boot, at the same instant on all hubs of a fleet."""


def first_requests_ms(now_ms: int, rng: random.Random) -> Mapping[Endpoint, int]:
    """Return the boot time before which an endpoint gets no request; nothing once the first window is over.

    Args:
        now_ms: Boot time at which the agent starts.
        rng: Different for each hub.
    """
    times_ms: dict[Endpoint, int] = {}
    for endpoint in (*SPREAD_AT_START, *SPREAD_AFTER_WINDOW):
        window_ms = QUOTAS[endpoint].window_s * 1000
        if now_ms < window_ms:
            begin_ms = now_ms if endpoint in SPREAD_AT_START else window_ms
            times_ms[endpoint] = begin_ms + int(rng.uniform(0.0, BOOT_SPREAD_S) * 1000)
    return times_ms
