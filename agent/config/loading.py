"""Loads and checks configuration files, and records the origin of each value.

Owns the rules that tie several keys together; the keys stand in `agent.config.tables`. Never holds a secret:
`agent.config.secrets` reads those. The daemon imports this module, so it imports little.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.config.hardware_tables import BoardConfig, BoilerConfig
from agent.config.reading import ConfigProblems, Problem, Values, read_text, read_values
from agent.config.schema import build
from agent.config.tables import BY_PATH, KEYS, Config
from agent.config.types import NotAllowed, describe, nearest_hint

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The environment variable in which systemd passes the directory of a unit's credentials (systemd.exec(5))."""

CHANGED = "changed at the hub"
"""The origin of a value that was changed at the hub."""

NO_CHANGES: Mapping[str, object] = MappingProxyType({})

_KEY = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}")

_CERTIFICATES = (
    ("port.certificate_file", "port.key_file"),
    ("cloud.client_certificate_file", "cloud.client_key_file"),
)

SOCKET_PATH_BYTES_MAX = 107
"""`sun_path` holds 108 bytes with the closing zero (unix(7))."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and the origin of each of its values.

    Attributes:
        values: By dotted key, as the configuration holds them.
        origins: By dotted key: `FILE:LINE`, `default`, or `credential NAME`.
    """

    config: Config
    values: Mapping[str, object]
    origins: Mapping[str, str]


def load(path: Path, *, environ: Mapping[str, str]) -> Config:
    """Read a configuration file.

    Args:
        path: The file; relative paths in it start at its directory.
        environ: The process's environment: systemd names the directory of the unit's credentials there.

    Raises:
        ConfigInvalid: The file cannot be used. The message lists every mistake on a line of its own, with file, line
            and key, what was found and what is allowed.
    """
    return resolve(path, environ=environ).config


def load_board(path: Path) -> BoardConfig:
    """Read the tables of the board only, whatever is wrong with the others: outputs must be switched off regardless.

    Raises:
        ConfigInvalid: The file cannot be read, or these tables cannot be used.
    """
    return build(BoardConfig, _read_table(path, "board").values, "board")


def load_boiler(path: Path) -> BoilerConfig:
    """Read the table of the boiler only; as `load_board`."""
    return build(BoilerConfig, _read_table(path, "boiler").values, "boiler")


def _read_table(path: Path, name: str) -> Values:
    read = read_values(read_text(path), file=str(path), directory=path.parent.absolute())
    problems = [problem for problem in read.problems if problem.key.partition(".")[0] in {"", name}]
    if problems:
        raise ConfigProblems(*problems)
    return read


def resolve(path: Path, *, environ: Mapping[str, str], changes: Mapping[str, object] = NO_CHANGES) -> Resolved:
    """Read a configuration file and record the origin of each value.

    Args:
        path: As for `load`.
        environ: As for `load`.
        changes: As for `resolve_text`.

    Raises:
        ConfigInvalid: As `load`.
    """
    text, directory = read_text(path), path.parent.absolute()
    return resolve_text(text, file=str(path), directory=directory, environ=environ, changes=changes)


def resolve_text(
    text: str,
    *,
    file: str,
    directory: Path,
    environ: Mapping[str, str],
    changes: Mapping[str, object] = NO_CHANGES,
) -> Resolved:
    """Check a configuration given as text; `demo` and `simulate` generate theirs.

    Args:
        text: TOML with plain newlines.
        file: Its name in messages.
        directory: Where relative paths start.
        environ: As for `load`.
        changes: Values by dotted key, as `tomllib` or JSON give them, that count instead of the file's.

    Raises:
        ConfigInvalid: As `load`. A change is named by its key, without a line.
    """
    read = read_values(text, file=file, directory=directory)
    values = dict(read.values)
    origins = {key.path: f"{file}:{read.lines[key.path]}" if key.path in read.lines else "default" for key in KEYS}
    refused = changes_problems(changes)
    for path in changes.keys() - refused.keys():
        values[path] = BY_PATH[path].type.read(changes[path])
        origins[path] = CHANGED
    _find_secret(values, origins, environ, file_key="cloud.api_key_file", name_key="cloud.api_key_credential")
    _find_secret(
        values,
        origins,
        environ,
        file_key="relayed_sensors.sensor_keys_file",
        name_key="relayed_sensors.sensor_keys_credential",
    )
    values["local_api.socket"] = Path(str(values["storage.run_dir"])) / str(values["local_api.socket"])
    wrong = [Problem(CHANGED, 0, _shown_key(path), text) for path, text in refused.items()]
    if problems := sorted((*read.problems, *wrong, *_rules(values, read, file)), key=lambda problem: problem.line):
        raise ConfigProblems(*problems)
    return Resolved(config=build(Config, values), values=MappingProxyType(values), origins=MappingProxyType(origins))


def changes_problems(changes: Mapping[str, object]) -> dict[str, str]:
    """Return what is wrong with each change by itself: an unknown key, one that only the file sets, a wrong value."""
    problems = {}
    for path, value in changes.items():
        key = BY_PATH.get(path)
        if key is None:
            hint = nearest_hint(path, tuple(BY_PATH))
            text = f"there is no such key; {hint or '`climahub config show` lists them all'}"
        elif key.edit == "file":
            text = "change it in the configuration file: it decides what the agent may read, write or install"
        else:
            try:
                key.type.read(value)
            except NotAllowed as error:
                detail = f" ({error})" if str(error) else ""
                text = f"found {describe(value)}; allowed is {key.type.allowed}{detail}"
            else:
                continue
        problems[path] = text
    return problems


def _shown_key(path: str) -> str:
    """Return a key for a message; one that is not written as a key is described, since it may be a secret."""
    described = describe(path)
    return path if _KEY.fullmatch(path) and path in described else described


def _find_secret(
    values: dict[str, object], origins: dict[str, str], environ: Mapping[str, str], *, file_key: str, name_key: str
) -> None:
    """Use the credential that systemd passed, if any, where the file names no secret file."""
    directory = environ.get(CREDENTIALS_DIRECTORY)
    if values[file_key] is not None or not directory:
        return
    path = Path(directory) / str(values[name_key])
    if os.access(path, os.F_OK):
        values[file_key] = path
        origins[file_key] = f"credential {values[name_key]}"


def _rules(values: Mapping[str, object], read: Values, file: str) -> list[Problem]:
    """Return the mistakes that concern several keys."""
    problems = []
    if values["board.name"] == "replay":
        # A key that is there and wrong has been reported already.
        problems = [
            Problem(file, read.lines.get("board.name", 0), key, 'found nothing; board.name = "replay" needs this path')
            for key in ("board.replay.recording", "board.replay.map")
            if key not in read.lines
        ]
    for key, other in (*_CERTIFICATES, *(pair[::-1] for pair in _CERTIFICATES)):
        if values[key] is not None and values[other] is None:
            text = f"set {other} as well: a certificate and its private key belong together"
            problems.append(Problem(file, read.lines.get(key, 0), key, text))
    if values["aqara.url"] != "none":
        line = read.lines.get("aqara.url", 0)
        if values["aqara.token_file"] is None:
            problems.append(Problem(file, line, "aqara.token_file", "found nothing; aqara.url needs a token"))
    problems += _boiler_problems(values, read, file)
    problems += _line_problems(values, read, file)
    if values["apis.homekit"] and not values["apis.homekit_listen"]:
        text = 'found nothing; apis.homekit listens nowhere by itself: name the interface of the home, such as "eth0"'
        problems.append(Problem(file, read.lines.get("apis.homekit", 0), "apis.homekit_listen", text))
    socket = str(values["local_api.socket"])
    if len(socket.encode()) > SOCKET_PATH_BYTES_MAX:
        line = read.lines.get("local_api.socket", read.lines.get("storage.run_dir", 0))
        text = f"found a path of {len(socket.encode())} bytes; a Unix socket's allows {SOCKET_PATH_BYTES_MAX}: {socket}"
        problems.append(Problem(file, line, "local_api.socket", text))
    return problems


INPUT_LINES = ("board.linux.mains_line", "board.linux.button_line")
"""Keys of lines of the GPIO chip that are read."""


def _line_problems(values: Mapping[str, object], read: Values, file: str) -> list[Problem]:
    """Return lines that could not be driven: an input and a relay, two inputs, a Zigbee device without a radio."""
    relays, parts = values["board.linux.relays"], values["board.linux.heat_source_lines"]
    taken: dict[object, str] = {}
    for relay in relays if isinstance(relays, tuple) else ():
        taken |= dict.fromkeys((relay.heat_line, relay.cool_line), "board.linux.relays")
    for part in parts if isinstance(parts, tuple) else ():
        taken[part.line] = "board.linux.heat_source_lines"
    problems = []
    if values["board.linux.status_led"] and values["board.linux.led"] == "none":
        text = "name the LED (ls /sys/class/leds): board.linux.status_led shows the hub's state on it"
        problems.append(Problem(file, read.lines.get("board.linux.status_led", 0), "board.linux.led", text))
    for key in INPUT_LINES:
        line = values[key]
        if line is not None and (other := taken.setdefault(line, key)) != key:
            text = f"choose another line: {line} is in use by {other}"
            problems.append(Problem(file, read.lines.get(key, 0), key, text))
    radio = dict.fromkeys(key for line, key in taken.items() if str(line).startswith("zigbee-"))
    if values["zigbee.port"] == "none":
        problems += [
            Problem(
                file, read.lines.get(key, 0), "zigbee.port", f'set it (to "auto", say): {key} names a Zigbee device'
            )
            for key in radio
        ]
    return problems


def _boiler_problems(values: Mapping[str, object], read: Values, file: str) -> list[Problem]:
    """Return the mistakes around a boiler behind a gateway."""
    driver, address = values["boiler.driver"], str(values["boiler.address"])
    line = read.lines.get("boiler.driver", 0)
    problems = []
    if driver == "otgw" and address == "none":
        text = "found nothing; name the serial port of the OTGW, or socket://HOST:PORT"
        problems.append(Problem(file, line, "boiler.address", text))
    if driver == "ebusd" and not address.startswith("socket://"):
        problems.append(
            Problem(file, line, "boiler.address", "found no network port; name ebusd's: socket://HOST:8888")
        )
    if driver != "none" and values["climate.heat_source"] != "boiler":
        text = 'set it to "boiler", which boiler.driver drives, or boiler.driver to "none"'
        problems.append(Problem(file, line, "climate.heat_source", text))
    return problems
