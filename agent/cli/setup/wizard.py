"""The questions of the wizard, and what follows from each answer. Pure: `terminal` asks, `procedure` acts.

The answers so far decide which question is next, so that going back is dropping the last one. Each question has a
default where there can be one, and says what to do about a wrong answer. Never repeats a key.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.cli.setup.answers import Answers
from agent.config.secrets import is_api_key, not_a_key
from agent.config.tables import BY_PATH
from agent.config.types import NotAllowed
from agent.config.zones import ZONES_MAX
from agent.errors import SettingInvalid
from agent.settings.model import check_changes

BACK, HELP, WATCH = "<", "?", "watch"
KEEP = "keep"
"""The answer that leaves the key as it is."""
CHANGE_K_MIN = 0.5
"""How much a thermometer must change to be the one that somebody holds: several times its noise."""
LEAD = 2.0
"""How many times more than every other."""

ZONE_NAMES = ("living", "bedroom", "bath", "kitchen", "office", "guest", "hall", "attic")


class Facts(msgspec.Struct, frozen=True):
    """What is known before the first question.

    Attributes:
        base_url: Of the cloud, in the present configuration; empty without one.
        has_key: This hub has a key already.
        key_files: Files with a key, such as on a stick that is plugged in.
        time_zone: Of the machine.
        thermometers: What measures a temperature here, by name.
    """

    base_url: str = ""
    has_key: bool = False
    key_files: Sequence[str] = ()
    time_zone: str = "UTC"
    thermometers: Sequence[str] = ()


class Question(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        name: Under which its answer is kept.
        text: What is asked.
        default: What an empty answer means; empty where there is no default.
        help: What to answer, for whoever does not know.
        check: Returns the answer as it is kept; raises `ValueError` with what to do.
        is_secret: What is typed is not shown.
        can_watch: `WATCH` lets the hub find the thermometer that changes.
    """

    name: str
    text: str
    default: str
    help: str
    check: Callable[[str], str]
    is_secret: bool = False
    can_watch: bool = False


class WizardState(msgspec.Struct, frozen=True):
    """Where a person is.

    Attributes:
        given: The answers, in the order in which they were given.
        said: What to tell before the next question; empty for nothing.
    """

    given: Mapping[str, str] = {}
    said: str = ""


def questions(given: Mapping[str, str], facts: Facts) -> Sequence[Question]:
    """Return the questions that follow from the answers so far, in their order, answered ones included."""
    asked = [
        Question(
            "cloud", "Address of the cloud", facts.base_url,
            "the root of its API, as the operator names it: https://api.example.org", _as_config("cloud.base_url"),
        ),
        Question(
            "key", "Key of the cloud for this hub (not shown)",
            KEEP if facts.has_key else next(iter(facts.key_files), ""),
            "paste the key, or name a file with it, such as one on a stick: /media/stick/hub.key", _check_key,
            is_secret=True,
        ),
        Question(
            "time_zone", "Time zone of the home", facts.time_zone, "such as Europe/Berlin: it decides when a schedule's"
            " blocks begin", _check_time_zone,
        ),
        Question(
            "listen", "Interfaces from which technicians reach the page", "127.0.0.1",
            "127.0.0.1 is this machine alone; add interfaces with commas: 127.0.0.1, eth0", _check_listen,
        ),
        Question(
            "zones", f"Zones that this hub heats (0 to {ZONES_MAX})", "0",
            "one for each relay that heats a room; 0 for a hub that only measures. More later: run setup again",
            _number(0, ZONES_MAX),
        ),
    ]  # fmt: skip
    for number in range(1, int(given.get("zones", "0")) + 1):
        asked += _zone_questions(number, given, facts)
    text = "Set this hub up so? (yes, or < to go back)"
    return [*asked, Question("confirmed", text, "yes", "yes begins; < goes back to the last question", _yes)]


def _zone_questions(number: int, given: Mapping[str, str], facts: Facts) -> Sequence[Question]:
    prefix, name = f"zone{number}.", given.get(f"zone{number}.name", "")
    earlier = [given.get(f"zone{each}.name") for each in range(1, number)]
    lines = [given.get(f"zone{each}.line") for each in range(1, number)]
    free = [each for each in facts.thermometers if each not in {given.get(f"zone{n}.sensor") for n in range(1, number)}]
    listed = "; ".join(f"{index} is {each}" for index, each in enumerate(facts.thermometers, 1))
    return [
        Question(
            f"{prefix}name", f"Zone {number}: its name", next(each for each in ZONE_NAMES if each not in earlier),
            "up to 32 letters, digits, - and _; no two zones have the same", _new(_check_name, earlier),
        ),
        Question(
            f"{prefix}line", f"Zone {number}, {name}: the line of its relay", "",
            "the GPIO number (not the pin), such as 17, or the name of a line: i2c-1-0020/pcf8574/0",
            _new(_check_line, lines),
        ),
        Question(
            f"{prefix}sensor", f"Zone {number}, {name}: its thermometer", next(iter(free), ""),
            f"a number or a name ({listed or 'none is here yet; that of a Zigbee sensor'}), or {WATCH}: hold a"
            " thermometer in your hand, and the hub finds out which it is", _thermometer(facts.thermometers),
            can_watch=bool(facts.thermometers),
        ),
    ]  # fmt: skip


def current(state: WizardState, facts: Facts) -> Question | None:
    """Return the question that is next; `None` when all are answered."""
    return next((each for each in questions(state.given, facts) if each.name not in state.given), None)


def advance(state: WizardState, typed: str, facts: Facts) -> WizardState:
    """Return the state after an answer to the present question."""
    question = current(state, facts)
    if question is None:
        return state
    typed = typed.strip()
    if typed == BACK:
        return WizardState(dict(list(state.given.items())[:-1]), "" if state.given else "this is the first question")
    if typed == HELP:
        return WizardState(state.given, question.help)
    try:
        answer = question.check(typed or question.default)
    except ValueError as error:
        return WizardState(state.given, str(error) or question.help)
    return WizardState({**state.given, question.name: answer})


def answers_of(given: Mapping[str, str]) -> Answers:
    """Return the answers of a wizard that has come to its end."""
    document: dict[str, Any] = {
        "cloud": {"base_url": given["cloud"]},
        "port": {"listen": [each.strip() for each in given["listen"].split(",")]},
    }
    zones = [{part: given[f"zone{number}.{part}"] for part in ("name", "line", "sensor")}
             for number in range(1, int(given["zones"]) + 1)]  # fmt: skip
    if zones:
        relays = [{"name": zone["name"], "heat_line": _line(zone["line"])} for zone in zones]
        document["board"] = {"linux": {"relays": relays}}
        document["climate"] = {"zones": [{"id": zone["name"], "sensors": [zone["sensor"]]} for zone in zones]}
    key = given["key"]
    is_key = is_api_key(key)
    key_file = "" if is_key or key == KEEP else key
    return Answers(document, key=key if is_key else "", key_file=key_file, time_zone=given["time_zone"])


def summary(given: Mapping[str, str]) -> Sequence[str]:
    """Return the answers for a person to look at; the key is not among them."""
    return [f"{name}: {'(not shown)' if is_api_key(text) else text}" for name, text in given.items()]


def changed_thermometer(before: Mapping[str, float], now: Mapping[str, float]) -> str:
    """Return the thermometer that somebody has in the hand: it alone has changed much; empty while none has.

    Args:
        before: Degrees Celsius by name, when the watch began.
        now: The same, now.
    """
    changes = sorted(((abs(now[name] - before[name]), name) for name in before.keys() & now.keys()), reverse=True)
    if not changes or changes[0][0] < CHANGE_K_MIN:
        return ""
    return changes[0][1] if len(changes) == 1 or changes[0][0] >= LEAD * changes[1][0] else ""


def _as_config(path: str) -> Callable[[str], str]:
    """Return a check by the type of a key of the configuration."""
    key = BY_PATH[path]

    def check(text: str) -> str:
        try:
            key.type.read(text)
        except NotAllowed as error:
            detail = f" ({error})" if str(error) else ""
            raise ValueError(f"type it again; allowed is {key.type.allowed}{detail}") from None
        return text

    return check


def _check_key(text: str) -> str:
    if text == KEEP or is_api_key(text) or (text.startswith("/") and Path(text).name):
        return text
    raise ValueError(not_a_key(text))


def _check_time_zone(text: str) -> str:
    try:
        check_changes({"timezone": text})
    except SettingInvalid as error:
        raise ValueError(f"type it again: {error}") from None
    return text


def _check_listen(text: str) -> str:
    try:
        BY_PATH["port.listen"].type.read([each.strip() for each in text.split(",")])
    except NotAllowed:
        raise ValueError("type addresses or names of interfaces with commas between: 127.0.0.1, eth0") from None
    return text


def _check_name(text: str) -> str:
    zone = {"id": text, "sensors": ["a"]}
    try:
        BY_PATH["climate.zones"].type.read([zone])
    except NotAllowed:
        raise ValueError("type up to 32 letters, digits, - and _") from None
    return text


def _check_line(text: str) -> str:
    relay = {"name": "a", "heat_line": _line(text)}
    try:
        BY_PATH["board.linux.relays"].type.read([relay])
    except NotAllowed as error:
        raise ValueError(f"type it again: {error}") from None
    return text


def _line(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


def _new(check: Callable[[str], str], taken: Sequence[str | None]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text in taken:
            raise ValueError(f"type another: {text} is taken by a zone before")
        return check(text)

    return checked


def _thermometer(known: Sequence[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.isascii() and text.isdigit():
            if not 1 <= int(text) <= len(known):
                raise ValueError(f"type a number from 1 to {len(known)}, or a name")
            return known[int(text) - 1]
        if not text:
            raise ValueError("type the name of a sensor: none is free here")
        return text

    return check


def _number(low: int, high: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"type a number from {low} to {high}")
        return str(int(text))

    return check


def _yes(text: str) -> str:
    if text.lower() not in {"y", "yes"}:
        raise ValueError("type yes to begin, < to go back, or Ctrl-C to change nothing")
    return text
