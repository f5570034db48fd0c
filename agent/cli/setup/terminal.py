"""The wizard on a terminal: asks the questions of `wizard`, lists the thermometers, and watches which one changes.

Reads lines and prints lines, so that it works over a serial cable too. Decides nothing.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.cli.setup import wizard
from agent.cli.setup.wizard import Facts, Question, WizardState
from agent.foundation.format import measured

WATCH_S = 60.0
"""A hand warms a thermometer by several kelvin within a minute."""
WATCH_LOOK_S = 1.0

STICKS = ("media/*", "media/*/*", "run/media/*/*", "mnt", "mnt/*")
"""Where sticks are mounted."""
KEY_FILES = ("climahub.key", "hub.key")
SENSOR_LINES_MAX = 20


class Terminal:
    """A person at a terminal.

    Args:
        ask: Prints a prompt and returns what was typed; the second argument hides it.
        say: Prints a line.
        read: Returns the temperatures now, in degrees Celsius by sensor.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        *,
        ask: Callable[[str, bool], str],
        say: Callable[[str], None],
        read: Callable[[], Mapping[str, float]],
        sleep: Callable[[float], None],
    ) -> None:
        self._ask = ask
        self._say = say
        self._read = read
        self._sleep = sleep

    def run(self, facts: Facts) -> Mapping[str, str]:
        """Ask until all is answered and confirmed; return the answers."""
        self._say("An empty line takes what is in [brackets]; < goes back, ? helps, Ctrl-C changes nothing.")
        state = WizardState()
        while (question := wizard.current(state, facts)) is not None:
            if state.said:
                self._say(state.said)
            self._show(question, state)
            default = f" [{question.default}]" if question.default else ""
            typed = self._ask(f"{question.text}{default}: ", question.is_secret)
            if question.can_watch and typed.strip() == wizard.WATCH:
                typed = self._watch()
            state = wizard.advance(state, typed, facts) if typed or question.default else _again(state, question)
        return state.given

    def _show(self, question: Question, state: WizardState) -> None:
        if question.name == "confirmed":
            for line in wizard.summary(state.given):
                self._say(f"  {line}")
        if question.can_watch:
            for number, (name, value) in enumerate(list(self._read().items())[:SENSOR_LINES_MAX], 1):
                self._say(f"  {number}  {name}  {measured(value, '°C')}")

    def _watch(self) -> str:
        """Return the thermometer that changes; empty where none does in time."""
        self._say(f"hold the thermometer of this zone in your hand; watching for {WATCH_S:.0f} s")
        before = self._read()
        for _ in range(int(WATCH_S / WATCH_LOOK_S)):
            self._sleep(WATCH_LOOK_S)
            if found := wizard.changed_thermometer(before, self._read()):
                self._say(f"it is {found}")
                return found
        self._say("no thermometer has changed enough: go nearer with the hand, or choose from the list")
        return wizard.HELP


def _again(state: WizardState, question: Question) -> WizardState:
    return WizardState(state.given, question.help)


def machine_time_zone(root: Path = Path("/")) -> str:
    """Return the time zone of the machine; UTC where it has none."""
    with contextlib.suppress(OSError, ValueError):
        # localtime(5): a link into the directory of time zones.
        target = (root / "etc/localtime").readlink()
        parts = target.parts
        return "/".join(parts[parts.index("zoneinfo") + 1 :]) or "UTC"
    return "UTC"


def find_key_files(root: Path = Path("/")) -> list[str]:
    """Return the files with a key on the sticks that are mounted."""
    return [
        str(path)
        for pattern in STICKS
        for name in KEY_FILES
        for path in sorted(root.glob(f"{pattern}/{name}"))
        if path.is_file()
    ]
