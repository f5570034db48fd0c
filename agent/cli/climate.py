"""`climahub climate`: shows and controls the zones. The hub itself works in Celsius."""

import contextlib
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.climate.model import ALL_ZONES, WEEK, Until
from agent.errors import Rejected
from agent.foundation.format import duration
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.home.temperatures import fahrenheit, from_fahrenheit
from agent.local.climate import ClimateReport, HoldReport, ZoneReport

NO_ZONES = "add zones to [climate] in the configuration: this hub drives nothing"
_UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"


class Temperature(click.ParamType[float]):
    """Degrees Celsius, or Fahrenheit with an F behind: 21, 21.5C, 70F."""

    name = "temperature"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return degrees Celsius."""
        text = str(value).strip().upper().removesuffix("°C").removesuffix("C")
        is_fahrenheit = text.endswith("F")
        try:
            degrees = float(text.removesuffix("F").removesuffix("°"))
        except ValueError:
            degrees = math.nan
        if not math.isfinite(degrees):
            self.fail(f"write 21, 21.5C or 70F: {value!r} is not a temperature", param, ctx)
        return from_fahrenheit(degrees) if is_fahrenheit else degrees


class Duration(click.ParamType[float]):
    """A duration: 90m, 2h, 1.5d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        try:
            seconds = float(number) * _UNITS_S[text[len(number) :].strip() or "m"]
        except (ValueError, KeyError):
            seconds = math.nan
        if not math.isfinite(seconds):
            self.fail(f"write 90m, 2h or 1d: {value!r} is not a duration", param, ctx)
        return seconds


_zone_option = click.option("--zone", default=ALL_ZONES, metavar="ZONE", help="The zone. [default: all]")
_heat_option = click.option(
    "--heat", type=Temperature(), metavar="T", help="Heat below this temperature: 21, 21.5C or 70F."
)
_cool_option = click.option("--cool", type=Temperature(), metavar="T", help="Cool above this temperature.")
_mode_option = click.option("--mode", type=click.Choice(["heat", "cool", "auto", "off"]), help="The mode.")


@click.group(
    invoke_without_command=True,
    epilog=epilog(
        "climahub climate",
        "climahub climate status --unit F",
        "climahub climate set --mode auto --heat 20 --cool 25",
        "climahub climate hold --zone living --heat 70F --until next",
        'climahub climate away --until "sun 18:00"',
        "climahub climate schedule living --put week.json",
        exits=_EXITS,
    ),
)
@config_option
@socket_option
@click.pass_context
def climate(context: click.Context, config_file: Path | None, socket_path: Path | None) -> int:
    """Show every zone, or control it: set, hold, resume, eco, schedules. Without a command: show."""
    if context.invoked_subcommand is None:
        return _show(config_file, socket_path)
    if config_file or socket_path:
        raise click.UsageError(f"put --config and --socket after {context.invoked_subcommand}")
    return exit_codes.OK


@climate.command(epilog=epilog("climahub climate status", "climahub climate status --unit F", exits=_EXITS))
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@click.option("--unit", type=click.Choice(["C", "F"]), default="C", show_default=True, help="Unit of the temperatures.")
@config_option
@socket_option
def status(as_json: bool, unit: str, config_file: Path | None, socket_path: Path | None) -> int:
    """Show every zone: temperature, setpoints, action and reason."""
    return _show(config_file, socket_path, as_json=as_json, unit=unit)


def _show(config_file: Path | None, socket_path: Path | None, *, as_json: bool = False, unit: str = "C") -> int:
    def show(path: Path) -> None:
        body = hub_client.fetch(path, "/v1/climate")
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, ClimateReport), unit))

    return run_on_hub(show, config_file, socket_path)


@climate.command("set", epilog=epilog("climahub climate set --zone living --mode heat --heat 20.5", exits=_EXITS))
@_zone_option
@_mode_option
@_heat_option
@_cool_option
@config_option
@socket_option
def set_(zone: str, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401 - click
    """Set the mode, and the setpoints for times without a schedule."""
    order = {"do": "set", "mode": given["mode"], "heat_setpoint_c": given["heat"], "cool_setpoint_c": given["cool"]}
    return _change(zone, order, config_file, socket_path)


@climate.command(
    epilog=epilog(
        "climahub climate hold --heat 21 --until next",
        "climahub climate hold --zone bathroom --boost --for 30m",
        "climahub climate hold --away",
        "climahub climate hold --heat 18 --start 22:00 --until 05:00",
        exits=_EXITS,
    )
)
@_zone_option
@_mode_option
@_heat_option
@_cool_option
@click.option("--away", "kind", flag_value="away", help="Nobody is at home: 16 and 28 °C by default.")
@click.option("--boost", "kind", flag_value="boost", help="Heat more: by default 2 K for an hour.")
@click.option(
    "--start",
    default="",
    metavar="TIME",
    help='HH:MM, "sun 18:00" or 2026-01-31T18:00, in the home\'s time zone. [default: now]',
)
@click.option(
    "--until",
    default="",
    metavar="TIME",
    help="The same, or `next` for the schedule's next block. [default: until resumed]",
)
@click.option("--for", "for_s", type=Duration(), default=0.0, metavar="TIME", help="A duration: 90m, 2h.")
@click.option("--id", "hold_id", default="", metavar="ID", help="The id by which to replace or cancel the hold.")
@config_option
@socket_option
def hold(zone: str, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401 - click
    """Hold other setpoints: until the next block, until a time, or until resumed."""
    order = {
        "do": "hold",
        "kind": given["kind"] or "hold",
        "mode": given["mode"],
        "heat_setpoint_c": given["heat"],
        "cool_setpoint_c": given["cool"],
        "start": given["start"],
        "until": given["until"],
        "for_s": given["for_s"],
        "id": given["hold_id"],
    }
    return _change(zone, order, config_file, socket_path)


@climate.command(
    epilog=epilog(
        'climahub climate away --until "sun 18:00"',
        "climahub climate away --start 2026-12-24T08:00 --until 2027-01-02T16:00 --heat 15",
        exits=_EXITS,
    )
)
@_zone_option
@_heat_option
@_cool_option
@click.option("--start", default="", metavar="TIME", help="As for --until. [default: now]")
@click.option(
    "--until",
    required=True,
    metavar="TIME",
    help='When it is to be warm again: HH:MM, "sun 18:00" or 2026-01-31T18:00, in the home\'s time zone.',
)
@config_option
@socket_option
def away(zone: str, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401 - click
    """Nobody is at home until a time: by then it is warm again. `climahub climate resume` ends it."""
    order = {
        "do": "hold",
        "kind": "away",
        "heat_setpoint_c": given["heat"],
        "cool_setpoint_c": given["cool"],
        "start": given["start"],
        "until": given["until"],
    }
    return _change(zone, order, config_file, socket_path)


@climate.command(
    epilog=epilog(
        "climahub climate report --zone kitchen --window open",
        "climahub climate report --absent",
        "climahub climate report --present",
        exits=_EXITS,
    )
)
@_zone_option
@click.option("--window", type=click.Choice(["open", "closed"]), help="The windows of the zone.")
@click.option("--present/--absent", "is_present", default=None, help="Whether somebody is there.")
@config_option
@socket_option
def report(
    zone: str, window: str | None, is_present: bool | None, config_file: Path | None, socket_path: Path | None
) -> int:
    """Tell the hub what another system sees: an open window, or that nobody is there."""
    if window is None and is_present is None:
        raise click.UsageError("give --window, --present or --absent")
    is_window_open = None if window is None else window == "open"
    order = {"do": "report", "is_window_open": is_window_open, "is_present": is_present}
    return _change(zone, order, config_file, socket_path)


@climate.command(epilog=epilog("climahub climate resume", "climahub climate resume --id 7a1c9e52", exits=_EXITS))
@_zone_option
@click.option("--id", "hold_id", default="", metavar="ID", help="Cancel only this hold, which may be a planned one.")
@config_option
@socket_option
def resume(zone: str, hold_id: str, config_file: Path | None, socket_path: Path | None) -> int:
    """End every current hold. Planned holds stay."""
    order = {"do": "cancel", "id": hold_id} if hold_id else {"do": "resume"}
    return _change(zone, order, config_file, socket_path)


@climate.command(epilog=epilog("climahub climate eco on --heat-limit 17", "climahub climate eco off", exits=_EXITS))
@click.argument("switch", type=click.Choice(["on", "off"]))
@_zone_option
@click.option("--heat-limit", type=Temperature(), metavar="T", help="The highest heat setpoint.")
@click.option("--cool-limit", type=Temperature(), metavar="T", help="The lowest cool setpoint.")
@config_option
@socket_option
def eco(
    switch: str,
    zone: str,
    heat_limit: float | None,
    cool_limit: float | None,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Limit every setpoint, whatever its origin."""
    order = {"do": "eco", "is_enabled": switch == "on", "heat_limit_c": heat_limit, "cool_limit_c": cool_limit}
    return _change(zone, order, config_file, socket_path)


@climate.command(
    epilog=epilog(
        "climahub climate calendar",
        "climahub climate calendar --from 2026-12-24 --to 2026-12-26 --as sun",
        "climahub climate calendar --from 2026-12-26 --clear",
        exits=_EXITS,
    )
)
@_zone_option
@click.option("--from", "first", metavar="DATE", help="The first date: 2026-12-24.")
@click.option("--to", "last", default="", metavar="DATE", help="The last date. [default: that of --from]")
@click.option("--as", "as_day", type=click.Choice([*WEEK]), help="The day of the week whose blocks the dates follow.")
@click.option("--clear", is_flag=True, help="Take the exceptions of these dates back.")
@config_option
@socket_option
def calendar(zone: str, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401 - click
    """Show the dates that follow another day of the week, or set them: holidays, shifts."""
    if not given["first"]:
        return run_on_hub(lambda path: _show_calendar(path, zone), config_file, socket_path)
    if bool(given["as_day"]) is given["clear"]:
        raise click.UsageError("give --as with a day of the week, or --clear")
    order = {"do": "calendar", "first": given["first"], "last": given["last"], "as_day": given["as_day"]}
    return _change(zone, order, config_file, socket_path)


def _show_calendar(path: Path, zone: str) -> None:
    shown = [
        f"{found.zone}: {each['first']} to {each['last']} as {each['as_day']}"
        for found in _fetch_zones(path, zone)
        for each in found.calendar
    ]
    click.echo("\n".join(shown) or "every date follows its own day of the week")


@climate.command(
    epilog=epilog(
        "climahub climate schedule living",
        "climahub climate schedule living --put week.json",
        "climahub climate schedule all --follow holiday",
        exits=_EXITS,
    )
)
@click.argument("zone")
@click.option("--put", type=click.File("rb"), metavar="FILE", help="Store a schedule (docs/climate.md) and follow it.")
@click.option("--follow", metavar="NAME", help="Follow a stored schedule.")
@click.option("--none", "is_none", is_flag=True, help="Follow no schedule.")
@click.option("--drop", metavar="NAME", help="Delete a schedule.")
@config_option
@socket_option
def schedule(zone: str, config_file: Path | None, socket_path: Path | None, **given: Any) -> int:  # noqa: ANN401 - click
    """Show a zone's schedules as JSON, or store, follow and delete them."""
    if sum(bool(given[name]) for name in ("put", "follow", "is_none", "drop")) > 1:
        raise click.UsageError("use one of --put, --follow, --none and --drop at a time")
    if given["put"] is not None:
        try:
            document = msgspec.json.decode(given["put"].read())
        except DECODE_ERRORS as error:
            raise click.BadParameter(f"{given['put'].name} is not JSON: {error}", param_hint="--put") from error
        return _change(zone, {"do": "put_schedule", "schedule": document}, config_file, socket_path)
    if given["follow"] or given["is_none"]:
        return _change(zone, {"do": "follow_schedule", "name": given["follow"] or ""}, config_file, socket_path)
    if given["drop"]:
        return _change(zone, {"do": "drop_schedule", "name": given["drop"]}, config_file, socket_path)

    def show(path: Path) -> None:
        for found in _fetch_zones(path, zone):
            shown = {"zone": found.zone, "follows": found.schedule, "schedules": found.schedules}
            click.echo(msgspec.json.format(msgspec.json.encode(shown)))

    return run_on_hub(show, config_file, socket_path)


def _change(zone: str, order: dict[str, Any], config_file: Path | None, socket_path: Path | None) -> int:
    def change(path: Path) -> None:
        body = msgspec.json.encode(order)
        hub_client.fetch(path, f"/v1/climate/{quote(zone, safe='')}", method="POST", content=body)
        for found in _fetch_zones(path, zone):
            click.echo(f"{found.zone}: {_setpoints(found, 'C')}, {found.mode}; {found.setpoint_text}")

    return run_on_hub(change, config_file, socket_path)


def _fetch_zones(path: Path, zone: str) -> list[ZoneReport]:
    """Return one zone of the hub, or all of them.

    Raises:
        Rejected: The hub has no such zone.
    """
    zones = hub_client.decode(hub_client.fetch(path, "/v1/climate"), ClimateReport).zones
    found = [each for each in zones if zone in {each.zone, ALL_ZONES}]
    if not found:
        known = ", ".join(each.zone for each in zones)
        raise Rejected(f"name one of {known}: there is no zone {zone}" if known else NO_ZONES)
    return found


def as_text(report: ClimateReport, unit: str = "C") -> str:
    """Return the report as lines, problems first."""
    if not report.zones:
        return NO_ZONES
    lines = [f"! {text}" for text in _problems(report)]
    if lines:
        lines.append("")
    rows = [("ZONE", "ROOM", "SET", "MODE", "ACTION")]
    rows += [(z.zone, _degrees(z.room_c, unit), _setpoints(z, unit), z.mode, z.action) for z in report.zones]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for number, row in enumerate(rows):
        cells = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append(f"{cells}  {report.zones[number - 1].reason if number else 'REASON'}")
    lines += [f"{zone.zone}: {'; '.join(zone.detected)}" for zone in report.zones if zone.detected]
    lines += [f"{zone.zone}: floor {_degrees(zone.floor_c, unit)}" for zone in report.zones if zone.floor_c is not None]
    for zone in report.zones:
        lines += [f"{zone.zone}: {held.kind} {held.id}, {_span(held, report.timezone)}" for held in zone.holds]
    if report.outdoor_c is not None:
        lines.append(f"outdoors: {_degrees(report.outdoor_c, unit)}")
    if report.heat_source is not None:
        extra = " with auxiliary heat" if report.heat_source.is_aux_on else ""
        pump = ", pump on" if report.heat_source.is_pump_on else ""
        stage = f", stage {report.heat_source.stage}" if report.heat_source.stage else ""
        lines.append(f"heat source: {report.heat_source.action}{stage}{extra}{pump}")
    return "\n".join(lines)


def _span(held: HoldReport, timezone: str) -> str:
    """Return the beginning and end of a hold in the home's time zone."""
    begins = f"from {_home_time(held.start, timezone)}" if held.start else "now"
    if held.end:
        return f"{begins}, until {_home_time(held.end, timezone)}"
    if held.left_s is not None:
        return f"{begins}, for {duration(held.left_s)} more"
    return f"{begins}, until {'the next block' if held.until == Until.NEXT_BLOCK else 'resumed'}"


def _home_time(text: str, timezone: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - 8 ms, for a hold with a time

    instant = datetime.fromisoformat(text)
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError):
        return f"{instant.astimezone(ZoneInfo(timezone)):%a %d %b %H:%M}"
    return text


def _problems(report: ClimateReport) -> Iterator[str]:
    yield from report.problems
    for zone in report.zones:
        if zone.problem:
            yield f"{zone.zone}: {zone.problem}"
        if zone.sensor_problem:
            yield f"{zone.zone}: {zone.sensor_problem}"


def _setpoints(zone: ZoneReport, unit: str) -> str:
    return f"{_degrees(zone.heat_setpoint_c, unit, bare=True)} to {_degrees(zone.cool_setpoint_c, unit)}"


def _degrees(value_c: float | None, unit: str, *, bare: bool = False) -> str:
    if value_c is None:
        return "-"
    value = fahrenheit(value_c) if unit == "F" else value_c
    return f"{value:.1f}" if bare else f"{value:.1f} °{unit}"
