"""Shows the demo: as a live picture in the terminal, or as one line now and then where the output is no terminal.

Reads snapshots; changes nothing.
"""

import itertools
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.foundation.format import duration, measured, plural, size
from agent.local.problems import trouble
from agent.local.status import HubStatus, SensorReport
from hal.interface import SensorKind
from lab.demo.environment import CloudCondition, OutagePhase
from lab.demo.runner import DemoSnapshot, Options


class PlainDisplay:
    """Writes a line for each snapshot."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._page = ""

    def show(self, scene: DemoSnapshot) -> None:
        """Write the line, after where the page is, once."""
        if scene.page != self._page:
            self._page = scene.page
            self._write(page_hint(scene))
        self._write(line(scene))


def line(scene: DemoSnapshot) -> str:
    """Return a snapshot as a line."""
    outbox, link = scene.status.outbox, scene.status.link
    return (
        f"{house_time(scene)}  {scene.taken:>6} taken  {scene.stored:>6} accepted  {outbox.pending:>5} waiting"
        f"  link {link.state:<7}{_comfort_text(scene)}  {weather(scene.phase, scene.house_s)}"
    )


def _comfort_text(scene: DemoSnapshot) -> str:
    """Return the heating or cooling of the zones; empty where the hub drives nothing."""
    zones = scene.climate.zones
    if not zones:
        return ""
    rooms = [zone.room_c for zone in zones if zone.room_c is not None]
    span = f"{min(rooms):.1f}-{max(rooms):.1f} °C" if rooms else "no room known"
    wait = f" ({waiting(scene)})" if waiting(scene) else ""
    return f"  {span}, {sum(zone.action != 'off' for zone in zones)} of {len(zones)} heated{wait}"


def wait_of(reason: str) -> str:
    """Return what a zone waits for, the end of its reason ("minimum off time, 3 min to go"), or an empty text."""
    last = reason.rpartition("; ")[2]
    return last if last.endswith(" to go") else ""


def waiting(scene: DemoSnapshot) -> str:
    """Return what the whole house waits for before it is heated or cooled, or an empty text."""
    zones = scene.climate.zones
    if any(zone.action != "off" for zone in zones):
        return ""
    return next((wait for zone in zones if (wait := wait_of(zone.reason))), "")


def house_time(scene: DemoSnapshot) -> str:
    """Return the house's date and time."""
    text = scene.status.clock.utc
    if text is None:
        return "time unknown"
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%a %d %b %H:%M")


def weather(phase: OutagePhase, house_s: float) -> str:
    """Return the condition of the cloud, and how much longer it lasts."""
    left = duration(max(0.0, phase.ends_s - house_s)) if phase.ends_s != float("inf") else ""
    if phase.weather is CloudCondition.UNREACHABLE:
        return f"the cloud is unreachable for {left} more"
    if phase.weather is CloudCondition.FAILING:
        return f"the cloud answers with errors for {left} more"
    return f"all is well; the next outage in {left}" if left else "all is well"


PROGRAM = "climahub"
PICTURE_COLUMNS = 100
PICTURE_LINES = 40
BAR_COLUMNS = 40
FIXED_LINES = 12
"""Border, head, weather, the way of a reading, the heading of the rooms, two hints."""
ROOMS_MIN = 2
ROOMS_MAX = 16
"""Rows of the table of rooms: more do not fit beside the rest on a screen of 40 lines."""

_FONT_FROM_ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A picture in a document must not make its reader's browser ask a third party for a font."""

_COLOURS = {"up": "green", "degraded": "yellow", "down": "red", "key_refused": "red", "untried": "yellow"}
_ACTION_COLOURS = {"off": "dim", "heat": "bold red", "cool": "bold cyan"}
_HEADINGS = {
    SensorKind.TEMPERATURE: "temp.",
    SensorKind.HUMIDITY: "humidity",
    SensorKind.PRESSURE: "pressure",
    SensorKind.IAQ: "air",
    SensorKind.SIGNAL_STRENGTH: "signal",
    SensorKind.BATTERY_LEVEL: "battery",
    SensorKind.POWER_AVAILABILITY: "mains",
}


class LiveDisplay:
    """Draws each snapshot in place of the one before."""

    def __init__(self, options: Options, picture: Path | None) -> None:
        """Prepare.

        Args:
            options: The options of the demo.
            picture: Where the last snapshot with a full outbox is saved as SVG; `None`: nowhere.
        """
        self._options = options
        self._picture = picture
        self._console = Console(record=picture is not None, width=PICTURE_COLUMNS if picture else None)
        self._live = Live(console=self._console, auto_refresh=False, screen=False)
        self._best: DemoSnapshot | None = None
        self._pending_max = 0

    def __enter__(self) -> Self:
        """Start to draw."""
        if self._picture is None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the last snapshot on the screen, or save the picture."""
        if self._picture is None:
            self._live.__exit__(kind, error, traceback)
        elif self._best is not None:
            # The page of this one run means nothing in a picture.
            best = msgspec.structs.replace(self._best, page="")
            self._console.print(draw(best, self._options, self._pending_max, lines_max=PICTURE_LINES))
            svg = self._console.export_svg(title="climahub demo", unique_id="demo")
            self._picture.write_text(_FONT_FROM_ELSEWHERE.sub("", svg))

    def show(self, scene: DemoSnapshot) -> None:
        """Draw a snapshot."""
        self._pending_max = max(self._pending_max, scene.status.outbox.pending)
        if self._picture is None:
            # One line less than the terminal has: the cursor is below the picture.
            lines_max = self._console.height - 1
            self._live.update(draw(scene, self._options, self._pending_max, lines_max=lines_max), refresh=True)
        elif self._best is None or _is_better(scene, self._best):
            self._best = scene


def _is_better(scene: DemoSnapshot, other: DemoSnapshot) -> bool:
    """Tell whether a snapshot shows more of an outage than another."""
    return (scene.status.link.state == "down", scene.status.outbox.pending) >= (
        other.status.link.state == "down",
        other.status.outbox.pending,
    )


def draw(scene: DemoSnapshot, options: Options, pending_max: int, *, lines_max: int) -> RenderableType:
    """Return the picture of a snapshot.

    Args:
        scene: The snapshot.
        options: The options of the demo.
        pending_max: The most readings that the outbox has had: the length of its bar.
        lines_max: The number of lines of the terminal: empty lines are left out first, then rooms.
    """
    name = "a recorded house" if options.scenario.recording else "a simulated house"
    head = Text.assemble(
        ("climahub demo", "bold"), f"  {name}, {options.speed:,.0f} times faster    ", (house_time(scene), "bold cyan")
    )
    zones = len(scene.climate.zones)
    rooms = min(len(_by_room(scene.status)), ROOMS_MAX)
    waits = [_waits(scene)] if waiting(scene) else []
    spare = lines_max - FIXED_LINES - len(waits) - (zones + 1 if zones else 0) - rooms
    blocks: list[RenderableType] = [
        Group(head, _happening(scene), *waits),
        _way(scene, pending_max),
        _rooms(scene.status, rows_max=max(ROOMS_MIN, rooms + min(0, spare))),
        *_comfort_rows(scene),
    ]
    lines: list[RenderableType] = []
    for count, block in enumerate(blocks):
        lines += [Text()] if 0 < count <= spare else []
        lines.append(block)
    panel = Panel(
        Group(*lines),
        subtitle=Text("Ctrl-C ends it; meanwhile, in another terminal:", "dim"),
        border_style="blue",
        padding=(0, 1),
    )
    # Below the panel, so that a copy has neither a border nor a line break.
    hints = [status_hint(scene.socket)]
    if scene.page:
        hints.insert(0, page_hint(scene))
    return Group(panel, *(Text(hint, "dim", no_wrap=True, overflow="ignore") for hint in hints))


def page_hint(scene: DemoSnapshot) -> str:
    """Return where the hub's page is, and how to sign in."""
    return f"in a browser: {scene.page}   sign in with {scene.code}"


def status_hint(socket: Path) -> str:
    """Return the command that shows the status of the demo's hub, ready to paste."""
    typed = [sys.argv[0]] if Path(sys.argv[0]).name == PROGRAM else [sys.executable, "-m", "agent"]
    program = [PROGRAM] if shutil.which(PROGRAM) else typed
    return shlex.join([*program, "status", "--socket", str(socket)])


def _happening(scene: DemoSnapshot) -> Text:
    colour = "green" if scene.phase.weather is CloudCondition.FAIR else "bold red"
    return Text.assemble(("now      ", "dim"), (weather(scene.phase, scene.house_s), colour))


def _waits(scene: DemoSnapshot) -> Text:
    """Return why nothing is heated although heat is called for, as in the first minute of the demo."""
    told = f"{waiting(scene)} (a rest between two runs)"
    return Text.assemble(("heating  ", "dim"), (told, "yellow"), no_wrap=True, overflow="ellipsis")


def _way(scene: DemoSnapshot, pending_max: int) -> Table:
    """Return the counts along the way of a reading: taken, waiting, accepted."""
    outbox, link = scene.status.outbox, scene.status.link
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="dim", width=7)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_row("taken", f"{plural(scene.taken, 'reading')}, each on the disk before it is sent")
    age = f", the oldest {duration(outbox.oldest_age_s)} old" if outbox.pending and outbox.oldest_age_s else ""
    filled = round(BAR_COLUMNS * outbox.pending / bar_readings(pending_max))
    bar = Text.assemble(("█" * filled, "yellow"), ("░" * (BAR_COLUMNS - filled), "dim"))
    grid.add_row("outbox", Text.assemble(bar, f" {outbox.pending:,} waiting{age}, {size(outbox.used_bytes)}"))
    reason = f": {link.reason}" if link.reason else ""
    state = Text.assemble((link.state, f"bold {_COLOURS.get(link.state, 'white')}"), f" for {duration(link.since_s)}")
    grid.add_row("link", Text.assemble(state, (reason, "dim")))
    grid.add_row("cloud", f"{plural(scene.stored, 'reading')} accepted")
    return grid


def _comfort_rows(scene: DemoSnapshot) -> Iterator[RenderableType]:
    """Yield the state and reason of each zone; nothing where the hub drives nothing."""
    if not scene.climate.zones:
        return
    table = Table(box=None, padding=(0, 1), header_style="dim", expand=True)
    for heading in ("zone", "room", "set", "does"):
        table.add_column(heading, no_wrap=True)
    # A narrow terminal cuts the reason, not the measurements and actions.
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for zone in scene.climate.zones:
        table.add_row(
            zone.zone,
            measured(zone.room_c, "°C"),
            measured(zone.heat_setpoint_c, "°C"),
            Text(zone.action, _ACTION_COLOURS[zone.action]),
            Text(_wait_first(zone.reason), "dim"),
        )
    yield table


def _wait_first(reason: str) -> str:
    """Return a reason that starts with what the zone waits for: a narrow terminal shows the beginning only."""
    return "; ".join(filter(None, (wait_of(reason), reason.removesuffix(wait_of(reason)).rstrip("; "))))


def bar_readings(pending_max: int) -> int:
    """Return how many readings the whole bar represents: 100, 200, 500, 1000, and so on."""
    readings = 100
    factors = itertools.cycle((2, 2.5, 2))
    while readings < pending_max:
        readings = int(readings * next(factors))
    return readings


def _by_room(status: HubStatus) -> dict[str, dict[str, SensorReport]]:
    """Return the sensors of each device by their kinds, the hub's first."""
    rows: dict[str, dict[str, SensorReport]] = {}
    names = {relayed.device: relayed.name for relayed in status.relayed_sensors}
    for sensor in status.sensors:
        rows.setdefault(names.get(sensor.device, "hub"), {})[sensor.kind] = sensor
    return dict(sorted(rows.items(), key=lambda row: (row[0] != "hub", row[0])))


def _rooms(status: HubStatus, *, rows_max: int) -> Table:
    """Return a row for each device and a column for each kind that any measures; the last counts the rest."""
    rows = _by_room(status)
    kinds = [kind for kind in SensorKind if any(kind in sensors for sensors in rows.values())]
    troubles = {name: ", ".join(_troubles(sensors)) for name, sensors in rows.items()}
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=True)
    table.add_column("where" if rows else "no sensor has reported yet", no_wrap=True)
    for kind in kinds:
        table.add_column(_HEADINGS[kind], justify="right", no_wrap=True)
    if any(troubles.values()):
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    shown = rows_max if len(rows) <= rows_max else rows_max - 1
    for name, sensors in list(rows.items())[:shown]:
        trouble_of = [Text(troubles[name], "red")] if any(troubles.values()) else []
        table.add_row(name, *(_value(sensors.get(kind)) for kind in kinds), *trouble_of)
    if len(rows) > shown:
        table.add_row(Text(f"and {len(rows) - shown} more", "dim"))
    return table


def _value(sensor: SensorReport | None) -> Text:
    if sensor is None:
        return Text("")
    return Text(measured(sensor.value, sensor.unit), "green" if sensor.quality == "good" else "yellow")


def _troubles(sensors: dict[str, SensorReport]) -> Iterator[str]:
    for kind, sensor in sensors.items():
        if told := trouble(sensor, interval_s=0):
            yield f"{kind}: {told}"
