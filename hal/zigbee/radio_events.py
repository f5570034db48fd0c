"""What the radio has to say to the agent: readings, events of joining sensors, and how it is itself."""

import logging
from collections import deque

import msgspec

from hal.interface import Reading
from hal.radio import JoinEvent, RadioState, RadioStatus
from hal.zigbee.thread_mailbox import ThreadMailbox

_log = logging.getLogger(__name__)

READINGS_MAX = 20_000
"""What waits while the agent does not fetch it: half an hour at ten reports a second."""

EVENTS_MAX = 1000

STEPS_MAX = 30


class RadioEvents:
    """Written by the radio's thread, read by the agent's."""

    def __init__(self) -> None:
        self.readings: ThreadMailbox[Reading] = ThreadMailbox(READINGS_MAX)
        self.events: ThreadMailbox[JoinEvent] = ThreadMailbox(EVENTS_MAX)
        self.report = RadioStatus(RadioState.STARTING)
        self._steps: deque[str] = deque(maxlen=STEPS_MAX)

    def step(self, text: str) -> None:
        """Note what was tried."""
        _log.info("%s", text)
        self._steps.append(text)
        self.report = msgspec.structs.replace(self.report, steps=tuple(self._steps))

    def state(self, state: RadioState, problem: str = "", *, needs_software: bool = False) -> None:
        """Say how the radio is; who waits for readings is told."""
        self.report = msgspec.structs.replace(self.report, state=state, problem=problem, needs_software=needs_software)
        if state is not RadioState.UP:
            self.window(None)
        self.readings.wake()

    def place(self, *, port: str, channel: int, pan_id: int) -> None:
        """Say where the stick is, and which network it has."""
        self.report = msgspec.structs.replace(self.report, port=port, channel=channel, pan_id=pan_id)

    def window(self, until_ms: int | None) -> None:
        """Say until when sensors may join."""
        self.report = msgspec.structs.replace(self.report, join_window_until_ms=until_ms)
