"""Where the service has its configuration and its socket, unless the command line or a configuration names others.

Imports nothing of the agent: a command that only asks the hub needs no more, and all keys of the configuration cost it
a quarter of its time.
"""

import re
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/climahub/config.toml")

DEFAULT_SOCKET = Path("/run/climahub/status.sock")

_LINE = re.compile(r"^(?![ \t]*#).*(?:socket|run_dir|\\).*$", re.MULTILINE)
"""A line that may name a socket. A backslash may write any letter of a key."""

_DEFAULT_LINES = {'run_dir = "/run/climahub"', 'socket = "status.sock"'}


def keeps_default_socket(text: str) -> bool:
    """Tell whether a configuration surely leaves the socket where it is by default; if not, it has to be read."""
    return all(line.strip() in _DEFAULT_LINES for line in _LINE.findall(text))
