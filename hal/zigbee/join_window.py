"""The join window: opens it, closes it in time, and restores the stick's joining policy afterwards."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any

import zigpy.exceptions
import zigpy.types as t
import zigpy.util

from hal.errors import SensorUnavailable
from hal.radio import JOIN_WINDOW_S_MAX, InstallCode
from hal.zigbee.radio_events import RadioEvents

KEY_BYTES = 16
"""A link key (Zigbee specification 4.2: AES-128)."""

_POLICY_TASK = "pre_permit"
"""bellows' name of the task that sets the joining policy, sleeps for the window's duration and restores the policy."""


class JoinWindow:
    """Controls the join window; at most one is open."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401
        events: RadioEvents,
        group: asyncio.TaskGroup,
        monotonic_ms: Callable[[], int],
    ) -> None:
        self._app = app
        self._events = events
        self._group = group
        self._monotonic_ms = monotonic_ms
        self._timer: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether sensors may join."""
        return self._events.status.join_window_until_ms is not None

    async def open(self, seconds: int, *, through: str, install_code: InstallCode | None) -> None:
        """Open a window; an open one is replaced.

        Raises:
            ValueError: The duration, an address or the install code is invalid.
            SensorUnavailable: The router did not answer.
        """
        if not 1 <= seconds <= JOIN_WINDOW_S_MAX:
            raise ValueError(f"a join window lasts from 1 to {JOIN_WINDOW_S_MAX} seconds, not {seconds}")
        router = eui64(through) if through else None
        link_key = None
        if install_code is not None:
            link_key = _link_key(install_code)
        self._cancel_timers()
        if router is not None:
            await self._permit_through(router, through, seconds)
        if install_code is not None:
            # Only the device with this key can join, through any router: permitting one router alone has no effect.
            for address in install_code.addresses:
                await self._app.permit_with_link_key(eui64(address), link_key, seconds)
        else:
            await self._app.permit(seconds, node=router)
        self._events.set_join_window(self._monotonic_ms() + seconds * 1000)
        self._timer = self._group.create_task(self._end(seconds), name="window")

    async def close(self) -> None:
        """Close the window."""
        self._cancel_timers()
        self._events.set_join_window(None)
        # With 0 seconds bellows restores the policy that an install code has changed.
        await self._app.permit(0)

    async def _end(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        self._timer = None
        # The loss of the stick is detected elsewhere; it ends the window.
        with contextlib.suppress(zigpy.exceptions.ZigbeeException, TimeoutError):
            await self.close()

    def _cancel_timers(self) -> None:
        """Cancel the timers of the previous window: bellows' timer would restore the policy during the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in asyncio.all_tasks():
            if task.get_name() == _POLICY_TASK:
                task.cancel()

    async def _permit_through(self, router: Any, name: str, seconds: int) -> None:  # noqa: ANN401
        try:
            await self._app.get_device(ieee=router).zdo.permit(seconds)
        except KeyError:
            raise SensorUnavailable(f"there is no router {name} in the network") from None
        except (zigpy.exceptions.DeliveryError, TimeoutError) as error:
            raise SensorUnavailable(f"the router {name} does not answer; check that it is plugged in") from error


def _link_key_of(code: bytes) -> Any:  # noqa: ANN401
    # zigpy accepts shorter keys as well.
    return t.KeyData(code) if len(code) == KEY_BYTES else None


def _link_key(given: InstallCode) -> Any:  # noqa: ANN401
    try:
        key = _link_key_of(given.code) if given.is_link_key else zigpy.util.convert_install_code(given.code)
    except ValueError:
        key = None
    if key is None:
        # zigpy's own message contains the code.
        raise ValueError("check the install code against the label: its checksum is wrong")
    return key


def eui64(text: str) -> Any:  # noqa: ANN401
    """Return an address in zigpy's type.

    Raises:
        ValueError: It is no EUI-64.
    """
    if re.fullmatch("0x[0-9a-f]{16}", text) is None:
        raise ValueError(f"{text!r} is no IEEE address (0x and 16 lower-case hex digits)")
    return t.EUI64(reversed(bytes.fromhex(text[2:])))
