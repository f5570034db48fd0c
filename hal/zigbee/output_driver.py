"""Drives the outputs of paired devices on the radio's loop: one task for each line, so that none waits for another."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from hal.errors import ActuatorFault
from hal.zigbee import output_devices, valve_models
from hal.zigbee.join_window import eui64
from hal.zigbee.output_line import LineAnswer, LineState, LineStep, next_step, timer_wait_s
from hal.zigbee.output_table import LineUse, OutputTable
from hal.zigbee.reporting import NO_ANSWER_ERRORS

_log = logging.getLogger(__name__)

WAIT_S_MAX = 30.0
"""A line is looked at this often: a control that is silent is noticed in time."""


class OutputDriver:
    """The outputs during one run of the radio."""

    def __init__(self, app: Any, table: OutputTable, monotonic_ms: Callable[[], int]) -> None:  # noqa: ANN401 - zigpy is untyped here
        self._app = app
        self._table = table
        self._monotonic_ms = monotonic_ms
        self._set_up: set[str] = set()
        self._room_ms: dict[str, int] = {}

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Start to drive all lines."""
        self._table.begin()
        for use in self._table.uses.values():
            group.create_task(self._serve(use), name=f"output {use.line}")

    async def _serve(self, use: LineUse) -> None:
        name, timing = str(use.line), use.timing
        while True:
            state = self._table.state(name)
            step, wait_s = next_step(state, timing, self._monotonic_ms())
            if step is LineStep.WAIT:
                await self._write_room(use)
                await self._table.changed(name, min(wait_s, WAIT_S_MAX))
                continue
            self._table.answered(name, await self._carry_out(use, step, state), to=state.wanted)

    async def _carry_out(self, use: LineUse, step: LineStep, state: LineState) -> LineAnswer:
        line, is_wanted = use.line, bool(state.wanted)
        try:
            device = self._device(use)
            if step is LineStep.READ:
                return await output_devices.read(device, line, is_wanted=is_wanted)
            uses_timer = not timer_wait_s(state, self._monotonic_ms())
            answer = await output_devices.command(device, line, is_on=is_wanted, uses_timer=uses_timer)
            if str(line) not in self._set_up and not answer.problem:
                await self._have_reported(device, use)
        except ActuatorFault as error:
            return LineAnswer(problem=str(error))
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: %s", line, error)
            return LineAnswer(problem=f"check the supply of {line} and its distance from the hub: it does not answer")
        return answer

    async def _have_reported(self, device: Any, use: LineUse) -> None:  # noqa: ANN401
        self._set_up.add(str(use.line))
        try:
            await output_devices.set_up(device, use.line)
        except NO_ANSWER_ERRORS as error:
            # It is read in any case.
            _log.info("%s does not report its changes: %s", use.line, error)

    async def _write_room(self, use: LineUse) -> None:
        """Give a valve the temperature of its room, where it takes one and the time has come."""
        line, room_c, now_ms = use.line, self._table.room_c(str(use.line)), self._monotonic_ms()
        if line.chip != "valve" or room_c is None:
            return
        device = self._app.devices.get(eui64(line.radio_device))
        place = device and valve_models.external_temperature(device.manufacturer or "", device.model or "")
        written_ms = self._room_ms.get(str(line))
        if not place or (written_ms is not None and now_ms - written_ms < place.interval_s * 1000):
            return
        self._room_ms[str(line)] = now_ms
        try:
            problem = await output_devices.write_room(device, line, place, room_c)
        except NO_ANSWER_ERRORS as error:
            problem = str(error)
        if problem:
            _log.info("%s did not take the temperature of its room: %s", line, problem)

    def _device(self, use: LineUse) -> Any:  # noqa: ANN401
        device = self._app.devices.get(eui64(use.line.radio_device))
        if device is None or not device.is_initialized:
            raise ActuatorFault(f"pair the device of {use.line} (climahub zigbee pair): it is not in this network")
        return device
