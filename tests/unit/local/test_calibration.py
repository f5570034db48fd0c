"""The request for a calibration: what it changes, and what it is refused for."""

from pathlib import Path

import pytest

from agent.errors import SettingInvalid, UnknownSensor
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.calibration import CalibrationReport, handlers
from agent.local.routes import CalibrationRequest, Caller, LocalRequest, Role
from agent.sensors.service import SensorsService
from hal.interface import HUB, Reading, SensorKind

PIPE = "w1-28-00000a1b2c3d/ds18b20/temperature"


@pytest.fixture
def sensors(tmp_path: Path) -> SensorsService:
    clock = SystemClock(trust_wall_clock=True)
    service = SensorsService(
        tmp_path, in_case=(), rooms=(), devices=dict, clock=clock, disk=Disk(), worker=InlineWorker()
    )
    service.judge(Reading(HUB, PIPE, SensorKind.TEMPERATURE, 21.0, clock.monotonic_ms()))
    return service


async def answer(sensors: SensorsService, wanted: CalibrationRequest) -> object:
    request = LocalRequest({}, Caller("anna", Role.SERVICE, "socket"), body=wanted)
    return await handlers(sensors)["calibrate_sensor"](request)


async def test_the_sensor_shows_the_true_value_from_then_on(sensors: SensorsService) -> None:
    done = await answer(sensors, CalibrationRequest(PIPE, reads=20.5))
    assert done == CalibrationReport("", PIPE, "temperature", -0.5, is_learned=False)
    assert sensors.judge(Reading(HUB, PIPE, SensorKind.TEMPERATURE, 21.0, 0)).value == 20.5


async def test_what_is_refused(sensors: SensorsService) -> None:
    with pytest.raises(SettingInvalid, match="colour is no kind"):
        await answer(sensors, CalibrationRequest(PIPE, kind="colour", reads=20.5))
    with pytest.raises(UnknownSensor, match="climahub sensors"):
        await answer(sensors, CalibrationRequest("attic", reads=20.5))
    with pytest.raises(SettingInvalid, match="give one of"):
        await answer(sensors, CalibrationRequest(PIPE))
