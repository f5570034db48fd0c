"""Reads secrets from the files that the configuration names. No message repeats any byte of a secret.

The files are the operator's or systemd's; this module only reads. What it returns must never be logged.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from agent.config.hardware_tables import RelayedSensorsConfig
from agent.config.tables import CloudConfig
from agent.errors import ConfigInvalid, KeyMissing, SensorKeysInvalid

_API_KEY = re.compile(r"cs_dev_[A-Za-z0-9]{32}")
"""ClimaSense reference, "Authentication": the prefix and 32 random letters and digits. Both cases are accepted,
although the published sample has lower case only."""

_SENSOR_KEY = re.compile(r"[!-~]{1,256}")
"""Sensor keys are opaque (two prefixes are in use); any text that JSON needs not escape is accepted."""

_TOKEN = re.compile(r"[!-~]{1,8192}")
"""Tokens are JWT or opaque; some clouds give out long ones."""

CREDENTIALS_PARENT = Path("/run/credentials")
"""Where systemd stores the credentials of its services (systemd.exec(5))."""
DEFAULT_KEY_FILE = Path("/etc/climahub/api-key")
"""The file from which the unit loads the key (systemd/climahub.service)."""

SECRET_BYTES_MAX = 64 * 1024
"""Enough for the keys of hundreds of sensors."""


def is_api_key(text: str) -> bool:
    """Return whether a text has the form of a hub's key."""
    return _API_KEY.fullmatch(text) is not None


def not_a_key(text: str) -> str:
    """Return what is wrong with a text that is no key of the cloud, without the text."""
    found = _length(text)
    return f'copy it again: found {found} (not shown); a key is "cs_dev_" and 32 letters or digits'


def _length(text: str) -> str:
    return f"{len(text)} character{'' if len(text) == 1 else 's'}"


def read_api_key(cloud: CloudConfig) -> str:
    """Return the hub's API key.

    Raises:
        KeyMissing: Its file is missing or cannot be read, or systemd found none and passed a comment instead.
        ConfigInvalid: No file is named, everybody can access it, or its content is no key.
    """
    if cloud.api_key_file is None:
        raise ConfigInvalid(
            "the hub has no API key: set cloud.api_key_file to a file with it (a reference cloud makes one:"
            " climahub cloud provision), or give the service the systemd credential"
            f" LoadCredential={cloud.api_key_credential}:/path/of/the/key"
        )
    lines = _read(cloud.api_key_file).splitlines()
    key = "\n".join(line for line in lines if not line.startswith("#")).strip()
    if not key and CREDENTIALS_PARENT in cloud.api_key_file.parents:
        raise KeyMissing(
            f"the hub has no API key: {DEFAULT_KEY_FILE} (LoadCredential= of the unit) is missing; give the hub"
            " its key: on the page under Cloud link, or sudo climahub setup --key-file FILE"
        )
    if not is_api_key(key):
        raise ConfigInvalid(
            f"{cloud.api_key_file}: holds no API key: found {_length(key)} (not shown);"
            ' allowed is "cs_dev_" and 32 letters or digits, alone in the file'
        )
    return key


def read_sensor_keys(section: RelayedSensorsConfig) -> Mapping[str, str]:
    """Return the key of each relayed sensor by device name or IEEE address, as the file has it; empty without a file.

    The file is TOML, one line for each sensor: `"0x00158d0001a2b3c4" = "..."` or `T1 = "..."`.

    Raises:
        SensorKeysInvalid: Some or all keys are invalid; all mistakes are listed, and the usable keys are in the error.
        KeyMissing: The file is missing or cannot be read.
        ConfigInvalid: Everybody can access the file.
    """
    if section.sensor_keys_file is None:
        return {}
    path = section.sensor_keys_file
    try:
        document = tomllib.loads(_read(path))
    except (ValueError, RecursionError):
        # The cause is dropped: a parser may quote the text it fails on.
        raise SensorKeysInvalid(f'{path}: not valid TOML; allowed are lines such as T1 = "key of T1"', {}) from None
    wrong = [name for name, key in document.items() if not isinstance(key, str) or not _SENSOR_KEY.fullmatch(key)]
    if wrong:
        names = ", ".join(f'"{name}"' for name in wrong)
        raise SensorKeysInvalid(
            f"{path}: no key for {names}: allowed is a text of 1 to 256 printable ASCII characters",
            {name: key for name, key in document.items() if name not in wrong},
        )
    return document


def read_aqara_token(path: Path) -> str:
    """Return the token of an Aqara endpoint.

    Raises:
        KeyMissing: The file is missing or cannot be read.
        ConfigInvalid: Everybody can access it, or its content is no token.
    """
    token = _read(path).strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigInvalid(f"{path}: holds no token: allowed are 1 to 8192 printable characters, alone in the file")
    return token


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(SECRET_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise KeyMissing(f"{path}: the secret is missing; put it there, for this user alone to read") from error
    except OSError as error:
        raise KeyMissing(
            f"{path}: the secret cannot be read ({error.strerror}); check the disk and who may read the file,"
            " then systemctl reload climahub"
        ) from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigInvalid(f"{path}: everybody on this machine can read or change the secret; run: chmod o-rwx {path}")
    if len(content) > SECRET_BYTES_MAX:
        raise ConfigInvalid(f"{path}: larger than {SECRET_BYTES_MAX} bytes, so it is no key file")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        # The cause is dropped: it holds the content.
        raise ConfigInvalid(f"{path}: holds bytes that are not ASCII; a key has none") from None
