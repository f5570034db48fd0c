"""The hub's own button and status LED: what is pressed is asked for, what the hub does is shown.

What is decided is decided by `button` and `light`. Must never reset the hub by itself: a reset that the button asks for
waits for somebody who is signed in. Must always give the LED back to what it showed before.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.errors import ClimahubError
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.machine import button as press
from agent.machine.button import ButtonState, Hold, Request
from agent.machine.light import Condition, pattern
from hal.errors import HalError
from hal.interface import Button, Led

_log = logging.getLogger(__name__)

BUTTON_ID = "button"
"""By this id a person confirms the reset that the button asks for, as the cloud's command by its own."""

CONFIRM_S_MAX = 600.0
"""How long a reset waits for its confirmation: as that of the cloud's command does."""

LOOK_S = 0.25
"""While the button is held. Shorter while its contacts bounce."""

IDLE_S = 3600.0
"""The kernel reports each change; this is for a kernel that lost one."""

RETRY_S = 60.0
"""After a failure of the button or the LED."""

CONDITION_S = 30.0
"""How old the hub's condition may be that the LED shows: finding it out costs a Pi some milliseconds."""


class StatusLight:
    """The LED of one hub, implementing `hal.interface.Led` for whoever borrows it for a while."""

    def __init__(self, led: Led, choose: Callable[[], "tuple[tuple[bool, int], ...]"]) -> None:
        """Touch nothing yet.

        Args:
            led: The LED.
            choose: Returns the pattern to show now.
        """
        self.name = led.name
        self._led = led
        self._choose = choose
        self._is_borrowed = False
        self._changed = Signal()
        self._problem = ProblemLog(_log, "the status LED shows nothing")

    def changed(self) -> None:
        """Show another state at once, not with the next cycle."""
        self._changed.set()

    async def light(self, *, is_on: bool) -> None:
        """See `Led`: from now on the borrower decides."""
        self._is_borrowed = True
        await self._led.light(is_on=is_on)

    async def release(self) -> None:
        """See `Led`: from now on the hub's state is shown again."""
        self._is_borrowed = False
        self._changed.set()

    async def run(self) -> None:
        """Show the state until cancelled; the LED shows then what it showed before."""
        try:
            while True:
                try:
                    for is_on, span_ms in self._choose():
                        if not self._is_borrowed:
                            await self._led.light(is_on=is_on)
                        if await self._changed.wait(span_ms / 1000):
                            break
                    self._problem.clear()
                except HalError as error:
                    self._problem.report(str(error))
                    await asyncio.sleep(RETRY_S)
        finally:
            with contextlib.suppress(HalError):
                await self._led.release()


class Panel:
    """Button and LED of one hub."""

    def __init__(
        self,
        led: Led | None,
        button: Button | None,
        *,
        shows_status: bool,
        condition: Callable[[], Condition],
        is_pairing: Callable[[], bool],
        pair: Callable[[], Awaitable[None]],
        reset: Callable[[], Awaitable[None]],
        now_ms: Callable[[], int],
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            led: `None` without one.
            button: `None` without one.
            shows_status: Whether the LED shows the hub's state, not only what it is asked to.
            condition: Returns how the hub is.
            is_pairing: Returns whether sensors may join.
            pair: Lets sensors join; raises what is to be shown.
            reset: Resets the hub to its factory state; raises what is to be shown.
            now_ms: Boot time.
            add_fault: Records what has happened for the technician.
        """
        self._button = button
        self._condition = condition
        self._is_pairing = is_pairing
        self._pair = pair
        self._reset = reset
        self._now_ms = now_ms
        self._add_fault = add_fault
        self._state = ButtonState()
        self._problem = ProblemLog(_log, "the button does nothing")
        self._reset_until_ms = 0
        self._confirmed = asyncio.Event()
        self._shown: tuple[int, Condition] | None = None
        self._light = StatusLight(led, self._pattern) if led is not None and shows_status else None
        self._led = led

    @property
    def led(self) -> Led | None:
        """The LED for whoever wants to show something for a while."""
        return self._light or self._led

    @property
    def problem(self) -> str:
        """Why the button does nothing, remedy first; empty where nothing is known against it."""
        if self._state.is_stuck:
            return f"release or replace the button of the hub: it has been pressed for {press.STUCK_MS // 1000} s"
        return self._problem.text

    @property
    def reset_left_s(self) -> int | None:
        """How long a reset that the button asked for still waits for its confirmation; `None` where none does."""
        left_ms = self._reset_until_ms - self._now_ms()
        return -(-left_ms // 1000) if left_ms > 0 else None

    def confirm(self) -> None:
        """Confirm the reset, as a person who is signed in.

        Raises:
            KeyError: None is waiting.
        """
        if self.reset_left_s is None:
            raise KeyError(BUTTON_ID)
        self._reset_until_ms = 0
        self._confirmed.set()

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {}
        if self._light is not None:
            loops["status light"] = self._light.run
        if self._button is not None:
            loops |= {"button": self._follow, "button reset": self._carry_out}
        return loops

    def _pattern(self) -> tuple[tuple[bool, int], ...]:
        now_ms = self._now_ms()
        if self._shown is None or now_ms - self._shown[0] >= CONDITION_S * 1000:
            self._shown = now_ms, self._condition()
        return pattern(
            press.hold(self._state),
            self._shown[1],
            is_reset_asked=self.reset_left_s is not None,
            is_pairing=self._is_pairing(),
        )

    async def _follow(self) -> None:
        """Follow the button until cancelled."""
        wait_s = 0.0
        while self._button is not None:
            try:
                is_pressed = await self._button.wait(wait_s)
            except HalError as error:
                self._problem.report(str(error))
                self._state = ButtonState()
                await asyncio.sleep(RETRY_S)
                continue
            self._problem.clear()
            before = press.hold(self._state)
            self._state, request = press.advance(self._state, is_pressed=is_pressed, at_ms=self._now_ms())
            if press.hold(self._state) is not before and self._light is not None:
                self._light.changed()
            if request is not None:
                await self._ask(request)
            wait_s = self._wait_s(is_pressed=is_pressed)

    def _wait_s(self, *, is_pressed: bool) -> float:
        if press.is_settled(self._state):
            return IDLE_S
        return LOOK_S if is_pressed and press.hold(self._state) is not Hold.RELEASED else press.DEBOUNCE_MS / 1000

    async def _ask(self, request: Request) -> None:
        if request is Request.RESET:
            self._reset_until_ms = self._now_ms() + int(CONFIRM_S_MAX * 1000)
            self._say("the button asks for a factory reset: confirm it at the page, or by climahub commands")
            return
        try:
            await self._pair()
        except (ClimahubError, HalError) as error:
            self._say(f"the button opens no join window: {error}")
        else:
            self._say("the button has opened a join window")

    async def _carry_out(self) -> None:
        """Reset the hub once a person has confirmed it."""
        while True:
            await self._confirmed.wait()
            self._confirmed.clear()
            try:
                await self._reset()
            except ClimahubError as error:
                self._say(f"the hub was not reset: {error}")

    def _say(self, text: str) -> None:
        _log.warning("%s", text)
        self._add_fault(text)
