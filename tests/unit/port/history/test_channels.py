import pytest

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.holds import with_hold
from agent.climate.model import Hold, HoldKind, Mode, Until, ZoneProgram
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from agent.port.history.channels import STALE_MS, HistoryChannel, channel_of, sensor_values, zone_values
from agent.telemetry.intake import ChannelState
from hal.interface import HUB, Quality, Reading, SensorKind

T = SensorKind.TEMPERATURE


def state(value: float = 20.5, *, at_ms: int = 0, quality: Quality = Quality.GOOD) -> ChannelState:
    return ChannelState(latest=Reading("d", "s", T, value, at_ms, quality))


def test_a_channel_of_a_sensor_is_named_by_device_sensor_and_kind() -> None:
    channels = {(HUB, "hwmon/cpu/temp1", T): state(), ("0x01", "", SensorKind.HUMIDITY): state(45.0)}
    assert sensor_values(channels, now_ms=0) == {
        "sensor/hub/hwmon/cpu/temp1/temperature": 20.5,
        "sensor/0x01//humidity": 45.0,
    }


def test_a_name_holds_nothing_that_separates() -> None:
    assert list(sensor_values({("a/b,c", "d e,f", T): state()}, now_ms=0)) == ["sensor/a_b_c/d_e_f/temperature"]


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (ChannelState(), None),
        (state(at_ms=2_000_000, quality=Quality.BAD), None),
        (state(at_ms=2_000_000, quality=Quality.SUSPECT), 20.5),
        (state(at_ms=1_000_000), 20.5),
        (state(at_ms=999_999), None),
    ],
)
def test_a_value_that_is_old_or_implausible_is_none(found: ChannelState, value: float | None) -> None:
    assert list(sensor_values({("d", "s", T): found}, now_ms=1_000_000 + STALE_MS).values()) == [value]


def test_ids_are_read_again() -> None:
    assert channel_of("zone/living/output") == HistoryChannel("zone/living/output", "living", "", "", "output", "")
    assert channel_of("zone/living/heat_setpoint").unit == "°C"
    own = channel_of("sensor/hub/hwmon/cpu/temp1/temperature")
    assert (own.device, own.sensor, own.quantity, own.unit) == ("hub", "hwmon/cpu/temp1", "temperature", "°C")
    assert channel_of("sensor/0x01//humidity").sensor == ""


@pytest.mark.parametrize("odd", ["", "zone", "sensor", "/", "sensor/x", "another/kind/of"])
def test_an_odd_id_raises_nothing(odd: str) -> None:
    assert channel_of(odd).id == odd


def controller(mode: Mode) -> ClimateController:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="living", sensors=(("t", 1.0),), can_cool=True),))
    control = ClimateController(settings, ClimateSnapshot(), Now("boot", 10_000_000, None))
    now = Now("boot", 10_000_000, None)
    hold = Hold(id="h", kind=HoldKind.HOLD, until=Until.CHANGED, mode=mode, heat_setpoint_c=21.0, cool_setpoint_c=25.0)
    control.set_program("living", with_hold(ZoneProgram(), hold, now))
    return control


def after(control: ClimateController, value_c: float) -> dict[str, float | None]:
    for minute in range(1, 30):
        now_ms = 10_000_000 + minute * 60_000
        reading = SensorReading(value_c, now_ms, Quality.GOOD)
        control.step(Now("boot", now_ms, None), {"t": reading})
    return zone_values(control)


def test_a_zone_records_what_it_measures_wants_and_does() -> None:
    assert after(controller(Mode.HEAT), 15.0) == {
        "zone/living/temperature": 15.0,
        "zone/living/output": 1.0,
        "zone/living/heat_setpoint": 21.0,
    }
    cooled = after(controller(Mode.COOL), 30.0)
    assert cooled["zone/living/cool_setpoint"] == 25.0
    assert cooled["zone/living/output"] == -1.0
    assert "zone/living/heat_setpoint" not in cooled
    assert after(controller(Mode.OFF), 18.0) == {"zone/living/temperature": 18.0, "zone/living/output": 0.0}


def test_before_the_first_decision_there_is_nothing() -> None:
    assert zone_values(None) == {}
    assert zone_values(controller(Mode.HEAT)) == {}
