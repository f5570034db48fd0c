"""What an emulated device drives: a plug's relay with its timer, and a radiator valve that follows its setpoint.

Zigbee Cluster Library, sections 3.8 (on/off; On with timed off: 3.8.2.3.6) and 6.3 (thermostat). Pure. Must not know
how a message travels.
"""

import math
import struct

from lab.ncp import models, zcl
from lab.ncp.attributes import AttributeKey, AttributeTable
from lab.ncp.models import DeviceModel

OFF, ON, TOGGLE = 0x00, 0x01, 0x02
ON_WITH_TIMED_OFF = 0x42

_ON_OFF, _ON_TIME = 0x0000, 0x4001
_ACCEPT_ONLY_WHEN_ON = 0x01
_NO_TIMER = 0xFFFF
_TENTHS = 10

_LOCAL_TEMPERATURE, _DEMAND, _SETPOINT = 0x0000, 0x0008, 0x0012
_DEMAND_PERCENT_PER_K = 50
_CENTIDEGREES = 100


class Actuators:
    """The relays and valves of one device. Timers run on without a network, and end with the supply."""

    def __init__(self, model: DeviceModel, attributes: AttributeTable) -> None:
        self._model = model
        self._attributes = attributes
        self._off_at_s: dict[int, float] = {}

    def due_s(self) -> float | None:
        """Return when the next timer ends."""
        return min(self._off_at_s.values(), default=None)

    def advance(self, now_s: float) -> None:
        """Let timers end and count down."""
        for endpoint, off_at_s in list(self._off_at_s.items()):
            left = max(0, math.ceil((off_at_s - now_s) * _TENTHS))
            self._attributes[self._key(endpoint, _ON_TIME)] = left
            if not left:
                self._set(endpoint, OFF)

    def switch(self, endpoint: int, frame: zcl.ZclFrame, now_s: float) -> zcl.ZclStatus:
        """Carry out a command of the on/off cluster.

        Raises:
            struct.error: It ends too early.
        """
        state = self._key(endpoint, _ON_OFF)
        has_timer = self._key(endpoint, _ON_TIME) in self._attributes
        if state not in self._attributes or not (
            frame.command in {OFF, ON, TOGGLE} or (frame.command == ON_WITH_TIMED_OFF and has_timer)
        ):
            return zcl.ZclStatus.UNSUPPORTED_CLUSTER_COMMAND
        if self._model.ignores_commands:
            return zcl.ZclStatus.SUCCESS
        is_on = bool(self._attributes.number(state))
        if frame.command != ON_WITH_TIMED_OFF:
            self._set(endpoint, int(not is_on) if frame.command == TOGGLE else frame.command)
            return zcl.ZclStatus.SUCCESS
        control, on_time, _ = struct.unpack_from("<BHH", frame.payload)
        if not is_on and control & _ACCEPT_ONLY_WHEN_ON:
            return zcl.ZclStatus.SUCCESS
        left = max(self._attributes.number(self._key(endpoint, _ON_TIME)), on_time)
        self._set(endpoint, ON)
        if left != _NO_TIMER:
            self._attributes[self._key(endpoint, _ON_TIME)] = left
            self._off_at_s[endpoint] = now_s + left / _TENTHS
        return zcl.ZclStatus.SUCCESS

    def regulate(self) -> None:
        """Let the valves follow their setpoints, by the temperature that they measure."""
        if not self._model.is_regulator:
            return
        for key in self._attributes.keys_of(models.THERMOSTAT, _DEMAND):
            local, setpoint = (
                self._attributes.number((*key[:2], attribute)) for attribute in (_LOCAL_TEMPERATURE, _SETPOINT)
            )
            percent = round((setpoint - local) * _DEMAND_PERCENT_PER_K / _CENTIDEGREES)
            self._attributes[key] = 0 if self._model.ignores_commands else min(100, max(0, percent))

    def _set(self, endpoint: int, value: int) -> None:
        self._off_at_s.pop(endpoint, None)
        if (timer := self._key(endpoint, _ON_TIME)) in self._attributes:
            self._attributes[timer] = 0
        self._attributes[self._key(endpoint, _ON_OFF)] = value

    def _key(self, endpoint: int, attribute: int) -> AttributeKey:
        return endpoint, models.ON_OFF, attribute
