"""What a push is checked for, in which order, and what each refusal tells a client."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.apis.amps import assumptions
from agent.apis.amps.capabilities import CapabilityMap, capability_map
from agent.apis.amps.push import Push, check_push
from agent.apis.amps.refusals import STATUSES, AmpsRefused
from agent.apis.amps.wire import decode_push, time_text
from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN
from agent.foundation import rfc3339
from agent.home.actions import Command, Execution
from agent.home.temperatures import to_fahrenheit, to_fahrenheit_hundredths

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_781_085_600_000  # 2026-06-10T10:00:00Z


def commands(*, heats: bool = True, cools: bool = True, fahrenheit: bool = False) -> CapabilityMap:
    return capability_map(can_heat=heats, can_cool=cools, takes_fahrenheit=fahrenheit)


def pushed(
    command: str = "heat",
    parameters: object = None,
    *,
    known: CapabilityMap | None = None,
    now_ms: int | None = NOW_MS,
    start: str | None = None,
    end: str | None = None,
) -> Push:
    given = {"parameters": parameters, "start": start, "end": end}
    action = {"command": command, **{name: value for name, value in given.items() if value is not None}}
    body = decode_push(msgspec.json.encode({"action": action}))
    return check_push(body.action, known or commands(), now_utc_ms=now_ms, timezone=BERLIN)


def refused(
    command: str = "heat",
    parameters: object = None,
    *,
    known: CapabilityMap | None = None,
    now_ms: int | None = NOW_MS,
    start: str | None = None,
    end: str | None = None,
) -> AmpsRefused:
    with pytest.raises(AmpsRefused) as caught:
        pushed(command, parameters, known=known, now_ms=now_ms, start=start, end=end)
    assert caught.value.code in STATUSES
    return caught.value


def celsius(**values: float) -> dict[str, Any]:
    return {name: {"value": value, "unit": "celsius"} for name, value in values.items()}


def test_the_map_is_what_the_equipment_can_do() -> None:
    assert list(commands(cools=False)) == ["heat", "idle", "follow_schedule"]
    assert list(commands(heats=False)) == ["cool", "idle", "follow_schedule"]
    assert list(commands()) == ["heat", "cool", "auto", "idle", "follow_schedule"]
    built = msgspec.json.decode(msgspec.json.encode(commands()))
    assert built["heat"] == {
        "parameters": {"target": {"unit": "celsius", "min": SETPOINT_C_MIN, "max": SETPOINT_C_MAX}},
        "execution": ["immediate", "scheduled", "windowed"],
    }
    assert built["auto"]["execution"] == ["immediate", "scheduled"]
    assert built["follow_schedule"] == {"parameters": {}, "execution": ["immediate"]}
    target = msgspec.json.decode(msgspec.json.encode(commands(fahrenheit=True)))["heat"]["parameters"]["target"]
    assert (target["unit"], target["units"]) == ("celsius", ["celsius", "fahrenheit"])


def test_the_five_commands() -> None:
    assert pushed("heat", celsius(target=21.37)) == Push(Command.HEAT, 21.37, None, False, None, None)
    assert pushed("cool", celsius(target=24)) == Push(Command.COOL, None, 24, False, None, None)
    band = pushed("auto", celsius(heatSetpoint=20, coolSetpoint=24))
    assert band == Push(Command.AUTO, 20, 24, False, None, None)
    assert pushed("idle") == pushed("idle", {}) == Push(Command.IDLE, None, None, False, None, None)
    assert pushed("follow_schedule", {}).command is Command.FOLLOW_SCHEDULE


def test_a_command_that_is_not_in_the_map() -> None:
    for command, known in (("cool", commands(cools=False)), ("auto", commands(heats=False)), ("fly", commands())):
        error = refused(command, celsius(target=21), known=known)
        assert error.code == "COMMAND_NOT_SUPPORTED"
        capabilities = error.details["deviceCapabilities"]
        assert capabilities["supportedActions"] == capabilities["supportedModes"] == [each.value for each in known]
        assert capabilities["commands"] == known
        assert error.details["unsupportedModes"] == [command]


def test_parameters_that_are_not_declared_or_missing() -> None:
    error = refused("heat", celsius(target=21, fan=1, coolSetpoint=3))
    assert error.code == "UNSUPPORTED_PARAMETER"
    assert error.details["unsupportedParameters"] == ["fan", "coolSetpoint"]
    assert error.details["deviceCapabilities"]["supportedParameters"] == ["target"]
    assert refused("idle", celsius(target=21)).code == "UNSUPPORTED_PARAMETER"
    missing = refused("auto", celsius(heatSetpoint=20))
    assert missing.code == assumptions.VALIDATION_ERROR
    assert (missing.details["reason"], missing.details["parameter"]) == ("missing_parameter", "coolSetpoint")


def test_units() -> None:
    error = refused("heat", {"target": {"value": 70, "unit": "fahrenheit"}})
    assert error.code == "UNSUPPORTED_UNIT"
    assert error.details["providedUnit"] == "fahrenheit"
    assert error.details["supportedUnits"] == ["celsius"]
    assert refused("heat", {"target": {"value": 70, "unit": "percent"}}, known=commands(fahrenheit=True)).details[
        "supportedUnits"
    ] == ["celsius", "fahrenheit"]


def test_bounds_are_those_of_the_climate_control() -> None:
    for value in (SETPOINT_C_MIN, SETPOINT_C_MAX):
        pushed("heat", celsius(target=value))
    for value in (SETPOINT_C_MIN - 0.01, SETPOINT_C_MAX + 0.01, -1e300):
        error = refused("heat", celsius(target=value))
        assert error.code == "PARAMETER_OUT_OF_RANGE"
        found = {name: error.details[name] for name in ("parameter", "value", "min", "max", "unit")}
        assert found == {
            "parameter": "target",
            "value": value,
            "min": SETPOINT_C_MIN,
            "max": SETPOINT_C_MAX,
            "unit": "celsius",
        }


@given(tenths=st.integers(-500, 1500))
def test_every_tenth_of_a_degree_fahrenheit_is_kept_or_refused_with_the_bounds(tenths: int) -> None:
    known, value = commands(fahrenheit=True), tenths / 10
    parameters = {"target": {"value": value, "unit": "fahrenheit"}}
    if not 39.2 <= value <= 95:
        error = refused("heat", parameters, known=known)
        assert (error.details["min"], error.details["max"], error.details["unit"]) == (39.2, 95, "fahrenheit")
        return
    push = pushed("heat", parameters, known=known)
    assert push.is_fahrenheit
    assert push.heat_setpoint_c is not None
    assert SETPOINT_C_MIN <= push.heat_setpoint_c <= SETPOINT_C_MAX
    assert to_fahrenheit_hundredths(push.heat_setpoint_c) == value
    if tenths % 10 == 0:
        assert to_fahrenheit(push.heat_setpoint_c) == value


@pytest.mark.parametrize("cool", [19.0, 20.0, 20.5])
def test_a_band_that_is_inverted_or_too_narrow(cool: float) -> None:
    error = refused("auto", celsius(heatSetpoint=20, coolSetpoint=cool))
    assert error.code == "PARAMETER_OUT_OF_RANGE"
    assert (error.details["parameter"], error.details["min"]) == ("coolSetpoint", 21.0)
    assert error.details["reason"] == assumptions.BAND_TOO_NARROW
    pushed("auto", celsius(heatSetpoint=20, coolSetpoint=21))


def test_a_band_in_fahrenheit() -> None:
    known = commands(fahrenheit=True)
    band = {"heatSetpoint": {"value": 68, "unit": "fahrenheit"}, "coolSetpoint": {"value": 69, "unit": "fahrenheit"}}
    error = refused("auto", band, known=known)
    assert (error.details["min"], error.details["unit"]) == (69.8, "fahrenheit")
    band["coolSetpoint"] = {"value": 24, "unit": "celsius"}
    mixed = refused("auto", band, known=known)
    assert (mixed.code, mixed.details["supportedUnits"]) == ("UNSUPPORTED_UNIT", ["fahrenheit"])


def test_execution_shapes() -> None:
    for command, parameters, rest, asked in (
        ("follow_schedule", None, {"start": "30m"}, Execution.SCHEDULED),
        ("follow_schedule", None, {"end": "30m"}, Execution.WINDOWED),
        ("idle", None, {"start": "30m", "end": "1h"}, Execution.WINDOWED),
        ("auto", celsius(heatSetpoint=20, coolSetpoint=24), {"start": "30m", "end": "1h"}, Execution.WINDOWED),
    ):
        error = refused(command, parameters, start=rest.get("start"), end=rest.get("end"))
        assert error.code == "EXECUTION_NOT_SUPPORTED"
        assert error.details["requestedExecution"] == asked
        assert error.details["supportedExecution"] == list(commands()[Command(command)].execution)


@pytest.mark.parametrize(
    ("start", "utc"),
    [
        ("2026-06-10T22:00:00", "2026-06-10T20:00:00.000Z"),  # the house is two hours ahead in summer
        ("2026-06-10T22:00:00Z", "2026-06-10T22:00:00.000Z"),
        ("2026-06-10T22:00:00.250+01:00", "2026-06-10T21:00:00.250Z"),
        ("2026-06-10T22:00", "2026-06-10T20:00:00.000Z"),
        ("30m", "2026-06-10T10:30:00.000Z"),
        ("1.5h", "2026-06-10T11:30:00.000Z"),
        ("0.25h", "2026-06-10T10:15:00.000Z"),
        ("720h", "2026-07-10T10:00:00.000Z"),
    ],
)
def test_the_three_forms_of_a_time(start: str, utc: str) -> None:
    push = pushed("heat", celsius(target=21), start=start)
    assert push.start_utc_ms is not None
    assert time_text(push.start_utc_ms) == utc
    assert push.end_utc_ms is None


@pytest.mark.parametrize(
    ("now", "start", "utc"),
    [
        # skipped: as if the clocks had not changed
        ("2026-03-28T12:00:00Z", "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
        # comes twice: the first
        ("2026-10-24T12:00:00Z", "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
    ],
)
def test_wall_clock_times_of_the_nights_when_the_clocks_change(now: str, start: str, utc: str) -> None:
    push = pushed("heat", celsius(target=21), start=start, now_ms=rfc3339.parse(now))
    assert push.start_utc_ms is not None
    assert time_text(push.start_utc_ms) == utc


@pytest.mark.parametrize(
    ("rest", "code", "reason"),
    [
        ({"end": "2h"}, "INVALID_TIME_WINDOW", "end_without_start"),
        ({"start": "2h", "end": "2h"}, "INVALID_TIME_WINDOW", "end_not_after_start"),
        ({"start": "2h", "end": "90m"}, "INVALID_TIME_WINDOW", "end_not_after_start"),
        ({"start": "1h", "end": "2026-12-01T00:00:00Z"}, "INVALID_TIME_WINDOW", "end_out_of_range"),
        ({"start": "soon"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "1.555h"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "-30m"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "2026-06-11"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "2026-06-31T10:00:00"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "2026-06-11T10:00:00" + "0" * 99}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "9999-12-31T23:59:59"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "1h", "end": "later"}, "INVALID_TIME_WINDOW", "time_not_understood"),
        ({"start": "0m"}, "START_IN_PAST", None),
        ({"start": "2026-06-10T12:00:00"}, "START_IN_PAST", None),
        ({"start": "2020-01-01T00:00:00Z"}, "START_IN_PAST", None),
        ({"start": "720.01h"}, "START_OUT_OF_RANGE", None),
        ({"start": "2026-07-10T10:00:01Z"}, "START_OUT_OF_RANGE", None),
    ],
)
def test_times_that_are_refused(rest: dict[str, str], code: str, reason: str | None) -> None:
    error = refused("heat", celsius(target=21), start=rest.get("start"), end=rest.get("end"))
    assert (error.code, error.details.get("reason")) == (code, reason)
    assert "deviceCapabilities" in error.details


def test_a_window() -> None:
    push = pushed("cool", celsius(target=24), start="30m", end="2026-06-11T05:00:00")
    assert push.end_utc_ms is not None
    assert time_text(push.end_utc_ms) == "2026-06-11T03:00:00.000Z"


def test_while_the_time_is_unknown_only_immediate_pushes_are_taken() -> None:
    assert pushed("heat", celsius(target=21), now_ms=None).start_utc_ms is None
    assert refused("heat", celsius(target=21), now_ms=None, start="30m").code == assumptions.SERVICE_UNAVAILABLE


def test_the_order_of_the_checks() -> None:
    everything_wrong = {"target": {"value": 99, "unit": "kelvin"}, "fan": {"value": 1, "unit": "percent"}}
    assert refused("fly", everything_wrong, start="soon").code == "COMMAND_NOT_SUPPORTED"
    assert refused("heat", everything_wrong, start="soon").code == "UNSUPPORTED_PARAMETER"
    del everything_wrong["fan"]
    assert refused("heat", everything_wrong, start="soon").code == "UNSUPPORTED_UNIT"
    everything_wrong["target"]["unit"] = "celsius"
    assert refused("heat", everything_wrong, start="soon").code == "PARAMETER_OUT_OF_RANGE"
    assert refused("follow_schedule", start="soon").code == "EXECUTION_NOT_SUPPORTED"
    assert refused("heat", celsius(target=21), start="soon").code == "INVALID_TIME_WINDOW"


@pytest.mark.parametrize("unit", ["celsius", "fahrenheit"])
@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**25, -(10**25), 2**63], ids=["+400", "-400", "+25", "-25", "2^63"]
)
def test_a_whole_number_that_no_float_holds_is_out_of_range(value: int, unit: str) -> None:
    sent = f'{{"action":{{"command":"heat","parameters":{{"target":{{"value":{value},"unit":"{unit}"}}}}}}}}'
    body = decode_push(sent.encode())
    with pytest.raises(AmpsRefused) as caught:
        check_push(body.action, commands(fahrenheit=True), now_utc_ms=NOW_MS, timezone=BERLIN)
    assert caught.value.code == "PARAMETER_OUT_OF_RANGE"
    assert len(msgspec.json.encode(caught.value.details)) < 4096
