"""The demo as a picture in the terminal. Reads scenes, changes nothing."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.cli.demo.outages import Weather
from agent.cli.demo.plain import house_time, weather
from agent.cli.demo.show import Options, Scene
from agent.cli.status_text import trouble
from agent.cli.words import duration, measured, size
from agent.local.status import SensorReport, Status
from hal.interface import SensorKind

PICTURE_COLUMNS = 100
BAR_COLUMNS = 40
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


class View:
    """Draws each scene in place of the one before."""

    def __init__(self, options: Options, picture: Path | None) -> None:
        """Prepare.

        Args:
            options: What is played.
            picture: Where the last scene with a full outbox is saved as SVG; `None`: nowhere.
        """
        self._options = options
        self._picture = picture
        self._console = Console(record=picture is not None, width=PICTURE_COLUMNS if picture else None)
        self._live = Live(console=self._console, auto_refresh=False, screen=False)
        self._best: Scene | None = None
        self._pending_max = 0

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._picture is None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the last scene on the screen, or save the picture."""
        if self._picture is None:
            self._live.__exit__(kind, error, traceback)
        elif self._best is not None:
            self._console.print(draw(self._best, self._options, self._pending_max))
            svg = self._console.export_svg(title="climahub demo", unique_id="demo")
            self._picture.write_text(_FONT_FROM_ELSEWHERE.sub("", svg))

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._pending_max = max(self._pending_max, scene.status.outbox.pending)
        if self._picture is None:
            self._live.update(draw(scene, self._options, self._pending_max), refresh=True)
        elif self._best is None or _is_better(scene, self._best):
            self._best = scene


def _is_better(scene: Scene, other: Scene) -> bool:
    """Tell whether a scene shows more of an outage."""
    return (scene.status.link.state == "down", scene.status.outbox.pending) >= (
        other.status.link.state == "down",
        other.status.outbox.pending,
    )


def draw(scene: Scene, options: Options, pending_max: int) -> RenderableType:
    """Return the picture of a scene.

    Args:
        scene: What there is to see.
        options: What is played.
        pending_max: The fullest that the outbox has been: its bar has room for that.
    """
    name = "a recorded house" if options.stage.recording else "a simulated house"
    head = Text.assemble(
        ("climahub demo", "bold"), f"  {name}, {options.speed:,.0f} times faster    ", (house_time(scene), "bold cyan")
    )
    return Panel(
        Group(
            head,
            Text(),
            _happening(scene),
            Text(),
            _way(scene, pending_max),
            Text(),
            _rooms(scene.status),
            Text(),
            *_comfort(scene),
            Text(f"meanwhile: climahub status --socket {scene.socket}", "dim", overflow="fold"),
        ),
        subtitle=Text("Ctrl-C ends it", "dim"),
        border_style="blue",
        padding=(0, 1),
    )


def _happening(scene: Scene) -> Text:
    colour = "green" if scene.phase.weather is Weather.FAIR else "bold red"
    return Text.assemble(("now      ", "dim"), (weather(scene.phase, scene.house_s), colour))


def _way(scene: Scene, pending_max: int) -> Table:
    """Return the way of a reading: taken, waiting, accepted."""
    outbox, link = scene.status.outbox, scene.status.link
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", min_width=7)
    grid.add_column()
    grid.add_row("taken", f"{scene.taken:,} readings, each on the disk before it is sent")
    age = f", the oldest {duration(outbox.oldest_age_s)} old" if outbox.pending and outbox.oldest_age_s else ""
    filled = round(BAR_COLUMNS * outbox.pending / bar_readings(pending_max))
    bar = Text.assemble(("█" * filled, "yellow"), ("░" * (BAR_COLUMNS - filled), "dim"))
    grid.add_row("outbox", Text.assemble(bar, f" {outbox.pending:,} waiting{age}, {size(outbox.used_bytes)}"))
    reason = f": {link.reason}" if link.reason else ""
    state = Text.assemble((link.state, f"bold {_COLOURS.get(link.state, 'white')}"), f" for {duration(link.since_s)}")
    grid.add_row("link", Text.assemble(state, (reason, "dim")))
    grid.add_row("cloud", f"{scene.stored:,} readings accepted")
    return grid


def _comfort(scene: Scene) -> Iterator[RenderableType]:
    """Yield what each zone does and why; nothing where the hub drives nothing."""
    if not scene.climate.zones:
        return
    table = Table(box=None, padding=(0, 1), header_style="dim", expand=True)
    for heading in ("zone", "room", "set", "does"):
        table.add_column(heading, no_wrap=True)
    # The reason gives way where the terminal is narrow; what is measured and done does not.
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for zone in scene.climate.zones:
        table.add_row(
            zone.zone,
            measured(zone.room_c, "°C"),
            measured(zone.heat_setpoint_c, "°C"),
            Text(zone.action, _ACTION_COLOURS[zone.action]),
            Text(zone.reason, "dim"),
        )
    yield table
    yield Text()


def bar_readings(pending_max: int) -> int:
    """Return how many readings the whole bar stands for: 100, 200, 500, 1000, and so on."""
    readings = 100
    factors = itertools.cycle((2, 2.5, 2))
    while readings < pending_max:
        readings = int(readings * next(factors))
    return readings


def _rooms(status: Status) -> Table:
    """Return a row for each device and a column for each kind that any of them measures."""
    rows: dict[str, dict[str, SensorReport]] = {}
    names = {relayed.device: relayed.name for relayed in status.relayed}
    for sensor in status.sensors:
        rows.setdefault(names.get(sensor.device, "hub"), {})[sensor.kind] = sensor
    kinds = [kind for kind in SensorKind if any(kind in sensors for sensors in rows.values())]
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("where" if rows else "no sensor has reported yet")
    for kind in kinds:
        table.add_column(_HEADINGS[kind], justify="right", no_wrap=True)
    table.add_column("")
    ordered = sorted(rows.items(), key=lambda row: (row[0] != "hub", row[0]))
    for name, sensors in ordered[:ROOMS_MAX]:
        table.add_row(name, *(_value(sensors.get(kind)) for kind in kinds), Text(", ".join(_troubles(sensors)), "red"))
    if len(ordered) > ROOMS_MAX:
        table.add_row(Text(f"and {len(ordered) - ROOMS_MAX} more", "dim"))
    return table


def _value(sensor: SensorReport | None) -> Text:
    if sensor is None:
        return Text("")
    return Text(measured(sensor.value, sensor.unit), "green" if sensor.quality == "good" else "yellow")


def _troubles(sensors: dict[str, SensorReport]) -> Iterator[str]:
    for kind, sensor in sensors.items():
        if told := trouble(sensor, interval_s=0):
            yield f"{kind}: {told}"
