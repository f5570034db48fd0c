"""The common beat of loops that look at something now and then: those of one pace wake the processor once.

A wake-up costs more than most of these looks. For looks at the hub itself only: what reaches the cloud has a moment of
its own on each hub, or a fleet that has booted together would ask in the same second.
"""

import asyncio
import math

EARLY = 1 / 30
"""A timer may end a little early: what wakes in this last part of a period has had its beat."""


async def next_beat(period_s: float) -> None:
    """Sleep until the event loop's time is a multiple of a period: at most that period and a thirtieth of it."""
    now_s = asyncio.get_running_loop().time()
    beats = math.floor(now_s / period_s + EARLY) + 1
    await asyncio.sleep(beats * period_s - now_s)
