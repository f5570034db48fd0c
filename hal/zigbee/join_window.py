"""The time in which sensors may join: opens it, closes it, and leaves the stick's policy as it was."""

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
"""bellows' name of the task that sets the joining policy, sleeps through the window and sets the policy back."""


class JoinWindow:
    """At most one is open."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401
        outlet: RadioEvents,
        group: asyncio.TaskGroup,
        monotonic_ms: Callable[[], int],
    ) -> None:
        self._app = app
        self._outlet = outlet
        self._group = group
        self._monotonic_ms = monotonic_ms
        self._timer: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether sensors may join."""
        return self._outlet.report.join_window_until_ms is not None

    async def open(self, seconds: int, *, through: str, install_code: InstallCode | None) -> None:
        """Open it, in the place of one that is open.

        Raises:
            ValueError: The time, an address or the install code is none.
            SensorUnavailable: The router did not answer.
        """
        if not 1 <= seconds <= JOIN_WINDOW_S_MAX:
            raise ValueError(f"a window lasts from 1 to {JOIN_WINDOW_S_MAX} seconds, not {seconds}")
        router = eui64(through) if through else None
        link_key = None
        if install_code is not None:
            link_key = _link_key(install_code)
        self._forget()
        if router is not None:
            await self._ask(router, through, seconds)
        if install_code is not None:
            # Only the one whose key the stick was given can join, wherever it does: the router alone is no help then.
            for address in install_code.addresses:
                await self._app.permit_with_link_key(eui64(address), link_key, seconds)
        else:
            await self._app.permit(seconds, node=router)
        self._outlet.window(self._monotonic_ms() + seconds * 1000)
        self._timer = self._group.create_task(self._end(seconds), name="window")

    async def close(self) -> None:
        """Close it."""
        self._forget()
        self._outlet.window(None)
        # With 0 seconds bellows sets back what an install code has left behind.
        await self._app.permit(0)

    async def _end(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        self._timer = None
        # A stick that is gone is noticed elsewhere; its window ends with it.
        with contextlib.suppress(zigpy.exceptions.ZigbeeException, TimeoutError):
            await self.close()

    def _forget(self) -> None:
        """Stop the timers of the window before: bellows' own would set its policy back in the midst of the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in asyncio.all_tasks():
            if task.get_name() == _POLICY_TASK:
                task.cancel()

    async def _ask(self, router: Any, name: str, seconds: int) -> None:  # noqa: ANN401
        try:
            await self._app.get_device(ieee=router).zdo.permit(seconds)
        except KeyError:
            raise SensorUnavailable(f"there is no router {name} in the network") from None
        except (zigpy.exceptions.DeliveryError, TimeoutError) as error:
            raise SensorUnavailable(f"the router {name} does not answer; is it plugged in?") from error


def _plain_key(code: bytes) -> Any:  # noqa: ANN401
    # zigpy would take a shorter one, too.
    return t.KeyData(code) if len(code) == KEY_BYTES else None


def _link_key(given: InstallCode) -> Any:  # noqa: ANN401
    try:
        key = _plain_key(given.code) if given.is_link_key else zigpy.util.convert_install_code(given.code)
    except ValueError:
        key = None
    if key is None:
        # zigpy's own message repeats the code.
        raise ValueError("the install code is wrong: its checksum does not fit; check it against the label")
    return key


def eui64(text: str) -> Any:  # noqa: ANN401
    """Return an address as zigpy writes it.

    Raises:
        ValueError: It is none.
    """
    if re.fullmatch("0x[0-9a-f]{16}", text) is None:
        raise ValueError(f"{text!r} is no IEEE address: 0x and 16 lower-case hex digits")
    return t.EUI64(reversed(bytes.fromhex(text[2:])))
