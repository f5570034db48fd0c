"""The demo where there is no terminal to draw on: one line every now and then. Pure but for the one function given."""

from collections.abc import Callable
from datetime import UTC, datetime

from agent.cli.format import duration
from lab.demo.outages import CloudCondition, OutagePhase
from lab.demo.runner import DemoSnapshot


class PlainDisplay:
    """Writes a line for each scene."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, scene: DemoSnapshot) -> None:
        """Write the line."""
        self._write(line(scene))


def line(scene: DemoSnapshot) -> str:
    """Return a scene as a line."""
    outbox, link = scene.status.outbox, scene.status.link
    return (
        f"{house_time(scene)}  {scene.taken:>6} taken  {scene.stored:>6} accepted  {outbox.pending:>5} waiting"
        f"  link {link.state:<7}{_comfort(scene)}  {weather(scene.phase, scene.house_s)}"
    )


def _comfort(scene: DemoSnapshot) -> str:
    """Return what is heated or cooled; empty where the hub drives nothing."""
    zones = scene.climate.zones
    if not zones:
        return ""
    rooms = [zone.room_c for zone in zones if zone.room_c is not None]
    span = f"{min(rooms):.1f}-{max(rooms):.1f} °C" if rooms else "no room known"
    wait = f" ({waiting(scene)})" if waiting(scene) else ""
    return f"  {span}, {sum(zone.action != 'off' for zone in zones)} of {len(zones)} heated{wait}"


def wait_of(reason: str) -> str:
    """Return what a zone waits for, the end of its reason: "minimum off time, 3 min to go"; empty for nothing."""
    last = reason.rpartition("; ")[2]
    return last if last.endswith(" to go") else ""


def waiting(scene: DemoSnapshot) -> str:
    """Return what keeps the whole house from being heated or cooled just now; empty for nothing."""
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
    """Return what is happening, and for how much longer."""
    left = duration(max(0.0, phase.ends_s - house_s)) if phase.ends_s != float("inf") else ""
    if phase.weather is CloudCondition.UNREACHABLE:
        return f"the cloud is unreachable for {left} more"
    if phase.weather is CloudCondition.FAILING:
        return f"the cloud answers with errors for {left} more"
    return f"all is well; the next outage in {left}" if left else "all is well"
