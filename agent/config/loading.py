"""Loads and checks configuration files, and records the origin of each value.

Owns the rules that tie several keys together; the keys stand in `agent.config.tables`. Never holds a secret:
`agent.config.secrets` reads those. The daemon imports this module, so it imports little.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.config.reading import ConfigProblems, Problem, Values, read_text, read_values
from agent.config.schema import build
from agent.config.tables import KEYS, BoardConfig, Config

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The environment variable in which systemd passes the directory of a unit's credentials (systemd.exec(5))."""

_CERTIFICATE = ("port.certificate_file", "port.key_file")

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
    read = read_values(read_text(path), file=str(path), directory=path.parent.absolute())
    problems = [problem for problem in read.problems if problem.key.partition(".")[0] in {"", "board"}]
    if problems:
        raise ConfigProblems(*problems)
    return build(BoardConfig, read.values, "board")


def resolve(path: Path, *, environ: Mapping[str, str]) -> Resolved:
    """Read a configuration file and record the origin of each value.

    Raises:
        ConfigInvalid: As `load`.
    """
    return resolve_text(read_text(path), file=str(path), directory=path.parent.absolute(), environ=environ)


def resolve_text(text: str, *, file: str, directory: Path, environ: Mapping[str, str]) -> Resolved:
    """Check a configuration given as text; `demo` and `simulate` generate theirs.

    Args:
        text: TOML with plain newlines.
        file: Its name in messages.
        directory: Where relative paths start.
        environ: As for `load`.

    Raises:
        ConfigInvalid: As `load`.
    """
    read = read_values(text, file=file, directory=directory)
    values = dict(read.values)
    origins = {key.path: f"{file}:{read.lines[key.path]}" if key.path in read.lines else "default" for key in KEYS}
    _find_secret(values, origins, environ, file_key="cloud.api_key_file", name_key="cloud.api_key_credential")
    _find_secret(
        values,
        origins,
        environ,
        file_key="relayed_sensors.sensor_keys_file",
        name_key="relayed_sensors.sensor_keys_credential",
    )
    values["local_api.socket"] = Path(str(values["storage.run_dir"])) / str(values["local_api.socket"])
    if problems := sorted((*read.problems, *_rules(values, read, file)), key=lambda problem: problem.line):
        raise ConfigProblems(*problems)
    return Resolved(config=build(Config, values), values=MappingProxyType(values), origins=MappingProxyType(origins))


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
    for key, other in (_CERTIFICATE, _CERTIFICATE[::-1]):
        if values[key] is not None and values[other] is None:
            text = f"set {other} as well: a certificate and its private key belong together"
            problems.append(Problem(file, read.lines.get(key, 0), key, text))
    socket = str(values["local_api.socket"])
    if len(socket.encode()) > SOCKET_PATH_BYTES_MAX:
        line = read.lines.get("local_api.socket", read.lines.get("storage.run_dir", 0))
        text = f"found a path of {len(socket.encode())} bytes; a Unix socket's allows {SOCKET_PATH_BYTES_MAX}: {socket}"
        problems.append(Problem(file, line, "local_api.socket", text))
    return problems
