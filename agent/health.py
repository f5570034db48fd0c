"""Judges whether this hub works: for a release on trial, for the service manager's watchdog, and before a restart.

A lost cloud proves nothing about a release, so no check here depends on it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cloud.connectivity import ConnectivityState
from agent.errors import StorageFull
from agent.foundation.beat import next_beat
from agent.foundation.host import Host
from agent.foundation.start_history import StartHistory
from agent.foundation.text import plural
from agent.local.machine_problems import card_moved
from agent.local.problems import GIVE_KEY
from agent.local.status import HubStatus
from agent.pairing.service import PairingQueries
from agent.telemetry.service import TelemetryService
from hal.radio import RadioStatus

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

_log = logging.getLogger(__name__)

FRESH_INTERVALS = 3
"""A sensor is fresh when its last good value is at most this many reporting intervals old."""
FRESH_S_MIN = 300.0
"""A sensor is fresh in any case when its last good value is younger: relayed sensors report when they like."""

ANCHOR_S_MAX = 900.0
"""How long a restart waits for the time. A hub that never learns the time must still restart."""
ANCHOR_POLL_S = 5.0

PREVIOUS_END_S_MAX = 10.0
"""How long the report of a failed release waits for the record of earlier processes."""
PREVIOUS_END_POLL_S = 0.2

ALIVE_S = 30.0
"""How often the watchdog is fed, where the service manager does not ask for it more often."""

LOCAL_API_S_MAX = 5.0
_REQUEST = b"GET /v1/status HTTP/1.0\r\nHost: hub\r\n\r\n"
_OK = {b"HTTP/1.0 200", b"HTTP/1.1 200"}
_OK_BYTES = 12

Check = Callable[[], Awaitable[str]]
"""Returns what is wrong; empty where nothing is."""


class Health:
    """The health of a running hub, and what depends on it."""

    def __init__(
        self,
        *,
        status: Callable[[], HubStatus],
        telemetry: TelemetryService,
        pairing: PairingQueries,
        climate: "Callable[[], ClimateService | None]",
        cloud_state: Callable[[], str],
        host: Host,
        starts: StartHistory | None,
        socket: Path | None,
    ) -> None:
        """Prepare.

        Args:
            status: Makes the status document.
            telemetry: Flushed before a restart.
            pairing: Knows the radio and its sensors.
            climate: Returns the control; `None` where the hub drives nothing.
            cloud_state: Returns the state of the link to the cloud, for the service manager's status line.
            host: The service manager and the machine.
            starts: The record of this and earlier processes; `None` where there is one process only.
            socket: The socket of the local API; `None` where it is not served.
        """
        self._status = status
        self._telemetry = telemetry
        self._pairing = pairing
        self._climate = climate
        self._cloud_state = cloud_state
        self._host = host
        self._starts = starts
        self._socket = socket

    def control_problem(self) -> str:
        """Return why heating and cooling do not work; empty where they do, or where the hub drives nothing."""
        climate = self._climate()
        if climate is None:
            return ""
        return "nothing has been decided for a minute" if climate.is_hung else climate.output_problem

    def checks(self) -> Mapping[str, Check]:
        """Return the checks of a release on trial, by name."""
        return trial_checks(
            self._status,
            socket=self._socket,
            control_problem=self.control_problem,
            radio_problem=self._radio_problem,
        )

    def _radio_problem(self) -> str:
        radio = self._pairing.radio
        return radio_problem(radio.radio, is_needed=bool(self._pairing.sensors)) if radio else ""

    def readiness_checks(self, interval_s: Callable[[], float]) -> Mapping[str, Callable[[], str]]:
        """Return the checks of `/readyz` by name; each returns its problem, empty where it has none.

        Args:
            interval_s: Returns the reporting interval.
        """
        return {
            "control": self.control_problem,
            "disk": lambda: self._status().outbox.problem,
            "sensors": lambda: sensor_problem(self._status(), interval_s()),
        }

    def fresh_sensors(self, interval_s: float) -> int:
        """Return how many sensors have delivered a good value recently, at this reporting interval."""
        return fresh_sensors(self._status(), interval_s)

    async def previous_end(self) -> str:
        """Return how the process before this one ended, once that is known; empty where it is not known in time."""
        starts = self._starts
        if starts is None:
            return ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREVIOUS_END_S_MAX):
                while not starts.records:  # noqa: ASYNC110 - read once, at the start
                    await asyncio.sleep(PREVIOUS_END_POLL_S)
        return " ".join(f"{each.end.value} {each.detail}" for each in starts.records[-2:-1]).strip()

    async def wait_for_clock(self) -> None:
        """Wait until this boot has learnt the time, or `ANCHOR_S_MAX`: readings of a boot without it never get one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANCHOR_S_MAX):
                await self.flush()
                while not self._telemetry.is_anchored:  # noqa: ASYNC110 - the clock has no event for it
                    await asyncio.sleep(ANCHOR_POLL_S)

    async def reboot(self, reason: str) -> None:
        """Restart the machine after writing what is in memory. A full disk does not prevent it.

        Raises:
            RebootFailed: The machine does not restart.
        """
        await self.flush()
        await self._host.reboot(reason)

    async def flush(self) -> None:
        """Write the readings in memory to the disk; log where the disk has no room."""
        try:
            await self._telemetry.flush()
        except StorageFull as error:
            _log.warning("readings may be lost by the restart: %s", error)

    async def feed_watchdog(self) -> None:
        """Report to the service manager until cancelled.

        A hung control loop is a hung hub: without a report the service manager restarts it.
        """
        period_s = min(ALIVE_S, (self._host.watchdog_s or 2 * ALIVE_S) / 2)
        while True:
            climate = self._climate()
            if climate is None or not climate.is_hung:
                self._host.alive(self._status_line())
            await next_beat(period_s)

    def _status_line(self) -> str:
        """Return what `systemctl status` shows of the hub."""
        outbox, state = self._telemetry.outbox, self._cloud_state()
        pending = outbox.stats().pending if outbox else 0
        line = f"cloud {state}, {plural(pending, 'reading')} waiting"
        if state != ConnectivityState.UNPROVISIONED:
            return line
        return f"{line}; {card_moved().advice if self._status().machine.is_card_moved else GIVE_KEY}"


def fresh_sensors(status: HubStatus, interval_s: float) -> int:
    """Return how many sensors have delivered a good value recently."""
    age_s_max = fresh_s_max(interval_s)
    return sum(each.age_s is not None and each.age_s <= age_s_max and each.quality == "good" for each in status.sensors)


def fresh_s_max(interval_s: float) -> float:
    """Return the age up to which a sensor is fresh, at this reporting interval."""
    return max(FRESH_S_MIN, FRESH_INTERVALS * interval_s)


def sensor_problem(status: HubStatus, interval_s: float) -> str:
    """Return that no sensor is fresh; empty where one is, and on a hub that has no sensors yet."""
    if not status.sensors or fresh_sensors(status, interval_s):
        return ""
    count = plural(len(status.sensors), "measured value")
    return f"check the sensors (climahub status): of {count} none was good in the last {fresh_s_max(interval_s):g} s"


def radio_problem(radio: RadioStatus, *, is_needed: bool) -> str:
    """Return a fault of the radio that the release causes; empty for others, such as a missing stick.

    Args:
        radio: The state of the radio.
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
    """Return the checks of a release on trial, by name.

    Args:
        status: Makes the status document.
        socket: The socket of the local API; `None` where it is not served.
        control_problem: Returns why heating and cooling do not work; empty where they do.
        radio_problem: Returns the fault of the radio that the release causes.
    """

    async def control() -> str:
        return control_problem()

    async def radio() -> str:
        return radio_problem()

    async def outbox() -> str:
        return status().outbox.problem

    async def local_api() -> str:
        return await _local_api_problem(socket) if socket is not None else ""

    return {"control": control, "local API": local_api, "outbox": outbox, "radio": radio}


async def _local_api_problem(socket: Path) -> str:
    """Ask the hub's own local API, as a technician does."""
    try:
        async with asyncio.timeout(LOCAL_API_S_MAX):
            reader, writer = await asyncio.open_unix_connection(socket)
            with contextlib.closing(writer):
                writer.write(_REQUEST)
                answer = await reader.readexactly(_OK_BYTES)
    except TimeoutError:
        return f"no answer within {LOCAL_API_S_MAX:g} s"
    except (OSError, asyncio.IncompleteReadError) as error:
        return getattr(error, "strerror", None) or "no connection"
    return "" if answer in _OK else f"no usable answer ({answer[:20]!r})"
