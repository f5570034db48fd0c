"""What a release on trial has to show, beside a loop that is on time. Not the cloud: losing it proves nothing."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from agent.local.status import HubStatus
from hal.radio import RadioStatus

FRESH_INTERVALS = 3
"""A sensor is fresh if it has delivered within so many of its intervals."""
FRESH_S_MIN = 300.0
"""And in any case if within this: relayed sensors keep their own time."""
PORT_S_MAX = 5.0
_ASK = b"GET /v1/status HTTP/1.0\r\nHost: hub\r\n\r\n"
_YES = {b"HTTP/1.0 200", b"HTTP/1.1 200"}
_YES_BYTES = 12

Check = Callable[[], Awaitable[str]]


def fresh_sensors(status: HubStatus, interval_s: float) -> int:
    """Return how many sensors have delivered a good value lately."""
    age_s_max = max(FRESH_S_MIN, FRESH_INTERVALS * interval_s)
    return sum(each.age_s is not None and each.age_s <= age_s_max and each.quality == "good" for each in status.sensors)


def radio_problem(radio: RadioStatus, *, is_needed: bool) -> str:
    """Return what is wrong with the radio that is the release's own fault: a stick that was pulled out is not.

    Args:
        radio: How it is.
        is_needed: Sensors are paired with it.
    """
    return radio.problem if is_needed and radio.needs_software else ""


def trial_checks(
    status: Callable[[], HubStatus],
    *,
    socket: Path | None,
    control_problem: Callable[[], str],
    radio_problem: Callable[[], str],
) -> Mapping[str, Check]:
    """Return the checks by name.

    Args:
        status: What the hub says of itself.
        socket: Of the local API; `None` where there is none.
        control_problem: Tells why heating and cooling do not work; empty where they do, or where there are none.
        radio_problem: The same of the radio (`radio_problem`).
    """

    async def control() -> str:
        return control_problem()

    async def radio() -> str:
        return radio_problem()

    async def outbox() -> str:
        return status().outbox.problem

    async def port() -> str:
        return await _asked(socket) if socket is not None else ""

    return {"control": control, "outbox": outbox, "port": port, "radio": radio}


async def _asked(socket: Path) -> str:
    """Ask the hub's own door, as the technician will."""
    try:
        async with asyncio.timeout(PORT_S_MAX):
            reader, writer = await asyncio.open_unix_connection(socket)
            with contextlib.closing(writer):
                writer.write(_ASK)
                answer = await reader.readexactly(_YES_BYTES)
    except TimeoutError:
        return f"no answer within {PORT_S_MAX:g} s"
    except (OSError, asyncio.IncompleteReadError) as error:
        return getattr(error, "strerror", None) or "no connection"
    return "" if answer in _YES else f"no usable answer ({answer[:20]!r})"
