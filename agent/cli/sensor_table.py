"""The table of `climahub sensors`: the hub's own channels with bus, chip and driver, then each relayed device."""

from collections.abc import Sequence

from agent.foundation.format import duration, measured
from agent.local.hardware import BinarySensorReport, BoardChannelReport, LiveSensorReport, LiveSensorsReport
from agent.local.zigbee import PairedSensor, RadioOutputReport, ZigbeeReport
from hal.interface import SensorKind

OWN_HEADINGS = ("OWN", "VALUE", "AGE", "BUS", "CHIP", "DRIVER", "")
HEADINGS = ("SENSOR", "VALUES", "AGE", "BATTERY", "LINK", "")
OUTPUT_HEADINGS = ("OUTPUT", "DRIVES", "NOW", "IF THE HUB DIES", "")
_ASIDE = {SensorKind.BATTERY_LEVEL, SensorKind.SIGNAL_STRENGTH}
"""Kinds that have a column of their own."""


def as_text(report: LiveSensorsReport, radio: ZigbeeReport) -> str:
    """Return a line for each channel of the hub's own and for each relayed device, a heading first."""
    paired = {sensor.device: sensor for sensor in radio.sensors}
    own = [] if report.channels else [_own_row(sensor) for sensor in report.sensors if not sensor.device]
    measuring = [sensor.device for sensor in report.sensors if sensor.device]
    devices = dict.fromkeys([*measuring, *(state.device for state in report.binary), *paired])
    relayed = [
        _relayed_row(
            device,
            [each for each in report.sensors if each.device == device],
            [each for each in report.binary if each.device == device],
            paired.get(device),
        )
        for device in devices
    ]
    parts = []
    if report.channels:
        parts.append(_table(OWN_HEADINGS, [_channel_row(channel) for channel in report.channels]))
    if own or relayed:
        parts.append(_table(HEADINGS, [*own, *relayed]))
    if radio.outputs:
        parts.append(_table(OUTPUT_HEADINGS, [_output_row(output) for output in radio.outputs]))
    if primary := [channel for channel in report.channels if channel.primary]:
        lines = (f"  {channel.quantity}: {channel.sensor}: {channel.primary}" for channel in primary)
        parts.append("\n".join(("The hub's own in the cloud:", *lines)))
    return "\n\n".join(parts) or "this hub has no sensor"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns; the last one is free text."""
    every = [headings, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(headings) - 1)]
    return "\n".join(
        "  ".join([*(f"{row[column]:{width}}" for column, width in enumerate(widths)), row[-1]]).rstrip()
        for row in every
    )


def _channel_row(channel: BoardChannelReport) -> Sequence[str]:
    return (
        channel.sensor,
        _value(channel),
        _age(channel.age_s if channel.value is not None else None),
        channel.bus or "machine",
        channel.chip or "-",
        channel.driver or "-",
        "; ".join(filter(None, (channel.problem, channel.doubt))),
    )


def _own_row(sensor: LiveSensorReport) -> Sequence[str]:
    age = "now" if sensor.value is not None else "-"
    told = "; ".join(filter(None, (sensor.problem, sensor.doubt)))
    return sensor.sensor, f"{sensor.kind} {_value(sensor)}", age, "", "", told


def _age(age_s: float | None) -> str:
    return "-" if age_s is None else duration(age_s) if age_s else "now"


def _value(sensor: LiveSensorReport | BoardChannelReport) -> str:
    """Return a value with its uncertainty, where it has one."""
    text = measured(sensor.value, sensor.unit)
    return text if sensor.uncertainty is None or sensor.value is None else f"{text} ±{sensor.uncertainty:.1f}"


def _output_row(output: RadioOutputReport) -> Sequence[str]:
    is_used, alone = bool(output.drives), {True: "goes off", False: "stays on", None: "not known yet"}
    return (
        output.line,
        output.drives or "-",
        "-" if output.is_on is None else "on" if output.is_on else "off",
        alone[output.goes_off_alone] if is_used else "-",
        output.problem or output.about,
    )


def _relayed_row(
    device: str,
    values: Sequence[LiveSensorReport],
    states: Sequence[BinarySensorReport],
    paired: PairedSensor | None,
) -> tuple[str, ...]:
    by_kind = {each.kind: each for each in values}
    battery, signal = (by_kind.get(kind) for kind in (SensorKind.BATTERY_LEVEL, SensorKind.SIGNAL_STRENGTH))
    shown = ", ".join(
        [*(state.text for state in states), *(measured(v.value, v.unit) for v in values if v.kind not in _ASIDE)]
    )
    ages = [
        age_s for age_s in [*(each.age_s for each in values), *(each.age_s for each in states)] if age_s is not None
    ]
    lqi = paired.lqi_last_hop if paired else None
    problems = [text for each in values for text in (each.problem, each.doubt)] + ([paired.problem] if paired else [])
    if paired is not None and paired.is_online is False:
        problems.append("silent: check its battery, then its distance from the hub")
    return (
        paired.name if paired else device,
        shown or "-",
        duration(min(ages)) if ages else "-",
        measured(battery.value, battery.unit) if battery else "",
        f"LQI {lqi}" if lqi is not None else measured(signal.value, signal.unit) if signal else "",
        "; ".join(dict.fromkeys(filter(None, problems))),
    )
