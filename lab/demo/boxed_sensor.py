"""The sensor of the demo that is still in its box, and the hand that presses its button while sensors may join.

So the pairing wizard of the page has something to find. Must never open a join window: that is for the person who
watches.
"""

import asyncio
from collections.abc import Callable, Sequence

from hal.sim import SimBoard
from lab.demo.paced_loop import PacedClock

LOOK_S = 1.0
"""Of the person's time: how often to look whether sensors may join."""

UNBOXING_LOOKS = 3
"""The button is pressed when sensors may have joined for so many looks; and so long again where an interview fails."""


class BoxedSensor:
    """The sensors of a simulated house that are not in its network."""

    def __init__(self, board: SimBoard, clock: PacedClock) -> None:
        """Look into the box.

        Args:
            board: The hub in its house.
            clock: Of the house.
        """
        self._board = board
        self._clock = clock
        mesh = board.environment.mesh
        self.devices: Sequence[str] = (
            [each.device for each in board.environment.options.relayed if not mesh.is_joined(each.device)]
            if mesh
            else ()
        )

    async def run(self, on_press: Callable[[str], None]) -> None:
        """Press the buttons of those that are not in the network a moment after each opening of a join window.

        Args:
            on_press: Called with the device before its button is pressed.
        """
        looks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks = looks + 1 if self._may_join() else 0
            if looks >= UNBOXING_LOOKS:
                looks = 0
                self._press(on_press)

    def _may_join(self) -> bool:
        network = self._board.network
        return network is not None and network.radio.join_window_until_ms is not None

    def _press(self, on_press: Callable[[str], None]) -> None:
        radio, mesh = self._board.environment.radio, self._board.environment.mesh
        if radio is None or mesh is None:
            return
        for device in self.devices:
            if device in mesh.unfinished or not mesh.is_joined(device):
                on_press(device)
                mesh.press_button(device, self._clock.monotonic_ms() + radio.sim_offset_ms)
