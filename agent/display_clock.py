"""Tells sensors with a display what time it is in the house, in the device settings' zone, while that is known."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from hal.radio import ShowsTime

SHOW_TIME_S = 30.0
"""A clock that is set, and a new time zone, are on the displays with their next question after that."""


async def show_time(network: ShowsTime, local_time: Callable[[], datetime | None]) -> None:
    """Keep the network's clock right, until cancelled.

    Args:
        network: Its sensors ask for the time.
        local_time: Returns what time it is in the house's zone; `None` while that is not known.
    """
    while True:
        network.show_time(local_time())
        await asyncio.sleep(SHOW_TIME_S)
