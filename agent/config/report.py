"""The reports of `climahub config check`, `show` and `example`: mistakes, values with their origin, and example files.

Owns what people see of a configuration; the command line prints it. The examples are made from the declared keys, so
they are complete and their defaults are right; a test compares `config.example.toml`. Never returns a secret.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.config.hardware_tables import BoardConfig
from agent.config.loading import Resolved, resolve
from agent.config.network import ProxyRules, verifying_context, without_credentials
from agent.config.primary import machine_parts_named
from agent.config.reading import ConfigProblems
from agent.config.schema import Key
from agent.config.secrets import read_api_key, read_aqara_token, read_sensor_keys
from agent.config.tables import KEYS, TABLES, Config
from agent.config.types import quoted
from agent.config.zones import missing_outputs
from agent.errors import ConfigInvalid

_DOUBLED = re.compile(r"/v\d+(/telemetry)?$|/telemetry$", re.IGNORECASE)
"""The end of an address that was copied together with its version or an endpoint."""

REDACTED = "(set, not shown)"

VALUE_CHARACTERS = 60
"""Width of the column of values; a longer one moves the origin in its own line only."""


class CheckResult(msgspec.Struct, frozen=True):
    """The mistakes of a configuration.

    Attributes:
        errors: The agent would not start. Each names file, line and key, what was found and what is allowed.
        warnings: What the file names and this machine lacks: fine if the file is for another machine.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True):
    """One value in force.

    Attributes:
        value: As TOML writes it; "(not set)" or "(set, not shown)" where there is no value to show.
        origin: `FILE:LINE`, `default`, or `credential NAME`.
    """

    key: str
    value: str
    unit: str
    origin: str


def check(
    path: Path, *, environ: Mapping[str, str], outputs_of: Callable[[BoardConfig], Sequence[str]] | None = None
) -> CheckResult:
    """Find all mistakes in a configuration file and the files that it names; raises nothing.

    Args:
        path: The file.
        environ: Of the process, for credentials.
        outputs_of: Returns the outputs of a board, which the zones must match; `None`: not checked.
    """
    try:
        config = resolve(path, environ=environ).config
    except ConfigProblems as error:
        return CheckResult(errors=tuple(map(str, error.problems)), warnings=())
    errors, warnings = [], list(_missing_files(config))
    if outputs_of and (problem := missing_outputs(config.climate.zones, outputs_of(config.board))):
        errors.append(problem)
    if doubled := _DOUBLED.search(config.cloud.base_url):
        warnings.append(
            f"cloud.base_url: ends with {doubled[0]}, which the hub adds itself: requests would be sent to"
            f" {config.cloud.base_url}/v1/telemetry; remove it unless the API really is there"
        )
    if config.cloud.api_key_file is None:
        warnings.append("cloud.api_key_file: not set and no credential passed; the hub needs one of them to run")
    for secret, read in (
        (config.cloud.api_key_file, lambda: read_api_key(config.cloud)),
        (config.relayed_sensors.sensor_keys_file, lambda: read_sensor_keys(config.relayed_sensors)),
        (config.aqara.token_file, lambda: read_aqara_token(config.aqara.token_file or Path())),
    ):
        if secret is not None and os.access(secret, os.F_OK):
            try:
                read()
            except ConfigInvalid as error:
                errors.append(str(error))
    _check_authorities(config.cloud.ca_file, errors, warnings)
    errors += _certificate_problems("port.certificate_file", config.port.certificate_file, config.port.key_file)
    client = config.cloud.client_certificate_file, config.cloud.client_key_file
    errors += _certificate_problems("cloud.client_certificate_file", *client)
    if problem := ProxyRules(config.cloud.proxy, environ).problem:
        warnings.append(f"cloud.proxy: {problem}")
    zones = {zone.id: zone.sensors for zone in config.climate.zones}
    warnings += machine_parts_named(config.sensors.primary, zones)
    return CheckResult(errors=tuple(errors), warnings=tuple(warnings))


def _certificate_problems(named: str, certificate: Path | None, key: Path | None) -> Iterator[str]:
    """Check a certificate of the hub: it must be one, with its private key. Missing files are warnings."""
    if certificate is None or key is None or not all(os.access(each, os.F_OK) for each in (certificate, key)):
        return
    import ssl  # noqa: PLC0415 - most configurations name none

    try:
        # Without a password OpenSSL would ask the terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        text = f"use a certificate and its own key, both as PEM, the key not encrypted ({error.reason})"
        yield f"{named}: {certificate}, {key}: {text}"
    except OSError as error:
        yield f"{named}: let this user read {certificate} and {key} ({error.strerror})"


def _check_authorities(ca_file: Path | None, errors: list[str], warnings: list[str]) -> None:
    """Check `cloud.ca_file`: it must contain certificates, and a newer Python refuses some."""
    if ca_file is None or not os.access(ca_file, os.F_OK):
        return
    from agent.config import certificates  # noqa: PLC0415 - the agent runs without that library

    try:
        verifying_context(str(ca_file))
        pem = ca_file.read_bytes()
    except (ConfigInvalid, OSError) as error:
        errors.append(str(error))
        return
    warnings.extend(f"cloud.ca_file: {ca_file}: {problem}" for problem in certificates.problems(pem))


def show(resolved: Resolved) -> tuple[Shown, ...]:
    """Return every key's value in force with its origin, and the origin of the API key, whose value is never shown."""
    rows = [
        Shown(key.path, shown_value(resolved.values[key.path]), key.type.unit, resolved.origins[key.path])
        for key in KEYS
    ]
    key_origin = resolved.origins["cloud.api_key_file"]
    has_key = resolved.config.cloud.api_key_file is not None
    rows.insert(0, Shown("cloud.api_key", REDACTED if has_key else "(not set)", "", key_origin))
    return tuple(rows)


def show_config(config: Config) -> tuple[Shown, ...]:
    """Return every key's value in force, where the file that they come from is not at hand."""
    rows = []
    for key in KEYS:
        value: object = config
        for name in key.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        rows.append(Shown(key.path, shown_value(value), key.type.unit, ""))
    has_key = config.cloud.api_key_file is not None
    return (Shown("cloud.api_key", REDACTED if has_key else "(not set)", "", ""), *rows)


def rows_text(shown: Sequence[Shown]) -> str:
    """Return values as lines of key, value, unit and origin."""
    rows = [(row.key, f"{row.value} {row.unit}".rstrip(), row.origin) for row in shown]
    key_width = max(len(row[0]) for row in rows)
    value_width = max((len(row[1]) for row in rows if len(row[1]) <= VALUE_CHARACTERS), default=0)
    return "\n".join(f"{key:{key_width}}  {value:{value_width}}  {origin}" for key, value, origin in rows)


def _missing_files(config: Config) -> Iterator[str]:
    named = {
        "cloud.api_key_file": config.cloud.api_key_file,
        "cloud.ca_file": config.cloud.ca_file,
        "cloud.client_certificate_file": config.cloud.client_certificate_file,
        "cloud.client_key_file": config.cloud.client_key_file,
        "relayed_sensors.sensor_keys_file": config.relayed_sensors.sensor_keys_file,
        "port.certificate_file": config.port.certificate_file,
        "port.key_file": config.port.key_file,
    }
    if config.board.name == "replay":
        named |= {"board.replay.recording": config.board.replay.recording, "board.replay.map": config.board.replay.map}
    for key, path in named.items():
        if path is not None and not os.access(path, os.F_OK):
            yield f"{key}: {path} does not exist on this machine, or this user cannot reach it"


def shown_value(value: object) -> str:
    """Return a value as TOML writes it; credentials of a proxy are left out."""
    if value is None:
        return "(not set)"
    if isinstance(value, float):
        return f"{value:g}" if value == int(value) else repr(value)
    if isinstance(value, str):
        value = without_credentials(value)
    return toml_value(list(value) if isinstance(value, tuple) else value)


_HEADER = """\
# The configuration of climahub, with every key there is. Written by agent/config/report.py: do not edit by hand.
#
# Only cloud.base_url is required. The other keys without "#" have their defaults here and can be left out; those behind
# "#" have none. Relative paths start at the directory of this file. No secret belongs here: secrets stand in files of
# their own or in systemd credentials. Check a file with: climahub config check FILE
"""


def example_text() -> str:
    """Return a valid configuration for the simulated board with every key, its unit, default and reason."""
    return "\n".join((_HEADER, *(f"{_section(section)}\n" for section in TABLES))).rstrip("\n") + "\n"


_SHORT_HEADER = """\
# The configuration of a climahub hub: what has to be chosen. Every other key has a default that fits;
# climahub config example --all prints all of them. What the hub heats and cools: docs/climate.md.
# Relative paths start at the directory of this file. Check it with: climahub config check FILE
# A hub needs a key of its cloud. A cloud on this machine (package climahub-lab) gives one out for the file as it is:
#   export CLIMAHUB_ADMIN_TOKEN=$(head -c 18 /dev/urandom | base64); climahub cloud --port 8080 &
#   climahub cloud provision hub-1 --key-file hub.key      # api_key_file below names it
"""


def short_text() -> str:
    """Return a valid configuration with only the keys that whoever installs a hub has to choose."""
    sections = [section for section in TABLES if any(key.is_chosen for key in _keys(section))]
    return "\n".join((_SHORT_HEADER, *(f"{_section(each, is_short=True)}\n" for each in sections))).rstrip("\n") + "\n"


def _keys(section: str) -> list[Key]:
    return [key for key in KEYS if key.section == section]


def _section(section: str, *, is_short: bool = False) -> str:
    keys = [key for key in _keys(section) if key.is_chosen or not is_short]
    return "\n".join((f"# {TABLES[section]}", f"[{section}]", "\n\n".join("\n".join(_key(key)) for key in keys)))


def _key(key: Key) -> Iterator[str]:
    yield f"# {key.reason[0].upper()}{key.reason[1:]}."
    if key.default is None:
        mark = "" if key.is_required else "# "
        yield f"# {'Required' if key.is_required else 'No default'}; allowed: {key.type.allowed}."
        yield f"{mark}{key.name} = {toml_value(key.example)}"
    else:
        default = f"{toml_value(key.default)} {key.type.unit}".rstrip()
        yield f"# Default: {default}; allowed: {key.type.allowed}."
        yield f"{key.name} = {toml_value(key.default)}"


def toml_value(value: object) -> str:
    """Return a boolean, number, text, table or array in TOML notation."""
    match value:
        case bool():
            shown = str(value).lower()
        case int():
            shown = f"{value:_}"
        case float():
            shown = repr(value)
        case msgspec.Struct():
            fields = msgspec.structs.asdict(value).items()
            shown = "{ " + ", ".join(f"{name} = {toml_value(item)}" for name, item in fields) + " }"
        case list() | tuple():
            shown = f"[{', '.join(map(toml_value, value))}]"
        case _:
            shown = quoted(str(value))
    return shown
