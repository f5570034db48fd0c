"""The calibration of single sensors in the local API: the request, the answer and the handler.

The JSON form is an interface: fields may be added, never renamed. Values are in the unit of the sensor's kind.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from agent.errors import SettingInvalid
from agent.local.routes import Handler, LocalRequest
from hal.interface import SensorKind

if TYPE_CHECKING:
    from agent.sensors.service import SensorsService


class CalibrationReport(msgspec.Struct, frozen=True):
    """A sensor after its calibration.

    Attributes:
        device: Empty for one of the hub's own sensors.
        sensor: Its name at the hub.
        kind: What it measures.
        offset: What is added to each of its values now.
        is_learned: The true value was learned from, and no offset set: the sensor is in the hub's own case.
    """

    device: str
    sensor: str
    kind: str
    offset: float
    is_learned: bool


def handlers(sensors: "SensorsService") -> Mapping[str, Handler]:
    """Return the handler; the argument carries the change out."""
    from agent.sensors.service import CalibrationChange  # noqa: PLC0415 - `climahub sensors` does without

    async def calibrate_sensor(request: LocalRequest) -> CalibrationReport:
        wanted = request.body
        try:
            kind = SensorKind(wanted.kind) if wanted.kind else None
        except ValueError:
            raise SettingInvalid(f"choose temperature, humidity or pressure: {wanted.kind} is no kind") from None
        change = CalibrationChange(wanted.reads, wanted.offset, wanted.take_from, wanted.clear)
        done = await sensors.calibrate(wanted.sensor, kind, change, by=request.caller.name)
        return CalibrationReport(done.device, done.sensor, done.kind.value, done.offset, done.is_learned)

    return {"calibrate_sensor": calibrate_sensor}
