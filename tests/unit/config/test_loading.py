"""Loading a configuration: what is accepted, what is refused, and in which words."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, load, resolve, resolve_text
from agent.config.reading import CONFIG_BYTES_MAX, RENAMED, ConfigProblems
from agent.config.report import example_text, toml_value
from agent.config.schema import Key
from agent.config.tables import BY_PATH, KEYS, TABLES
from agent.config.types import NotAllowed, describe
from agent.errors import ConfigInvalid
from hal.interface import SensorKind

API_KEY = "cs_dev_" + "a1B2" * 8
MINIMAL = '[cloud]\nbase_url = "https://api.example.org"\n'


def parse(text: str, *, environ: Mapping[str, str] | None = None) -> Config:
    return resolve_text(text, file="hub.toml", directory=Path("/etc/climahub"), environ=environ or {}).config


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        parse(text)
    return str(caught.value).splitlines()[1:]


def with_key(dotted: str, value: str) -> str:
    section, _, name = dotted.rpartition(".")
    base = "" if section == "cloud" else MINIMAL
    url = '\nbase_url = "https://api.example.org"' if section == "cloud" and name != "base_url" else ""
    return f"{base}[{section}]\n{name} = {value}{url}\n"


def test_the_checked_in_example_is_the_generated_one() -> None:
    checked_in = Path(__file__).parents[3] / "config.example.toml"
    assert checked_in.read_text() == example_text()


def test_the_example_is_valid_for_the_simulated_board() -> None:
    config = parse(example_text())
    assert config.board.name == "sim"
    assert config.cloud.base_url == "http://127.0.0.1:8080"


def test_the_example_lists_exactly_the_keys_of_the_table_with_their_defaults() -> None:
    lines = example_text().splitlines()
    listed: dict[str, Any] = {}
    for line in lines:
        if line.startswith("["):
            section = line.strip("[]")
        elif re.match("(# )?[a-z_]+ = ", line):
            document = tomllib.loads(line.removeprefix("# "))
            [(name, value)] = document.items()
            listed[f"{section}.{name}"] = (value, line.startswith("# "))
    assert list(listed) == [key.path for section in TABLES for key in KEYS if key.section == section]
    assert len(listed) == len(KEYS)
    for path, (value, is_comment) in listed.items():
        key = BY_PATH[path]
        if key.default is not None:
            assert (value, is_comment) == (key.default, False)
        else:
            assert is_comment is not key.is_required
            key.type.read(value)


def test_the_example_gives_each_unit_and_reason() -> None:
    text = example_text()
    for key in KEYS:
        assert key.reason[1:] in text
        if key.type.unit and key.default is None:
            assert f"# No default; allowed: {key.type.allowed}.\n# {key.name} = " in text
        elif key.type.unit:
            assert f"# Default: {toml_value(key.default)} {key.type.unit}; allowed: {key.type.allowed}." in text


def test_every_key_has_a_section_and_every_section_a_key() -> None:
    assert {key.section for key in KEYS} == set(TABLES)
    assert len(BY_PATH) == len(KEYS)


def test_every_field_of_a_struct_is_a_key_or_a_table() -> None:
    def leaves(struct: msgspec.Struct, prefix: str) -> set[str]:
        found = set()
        for name in struct.__struct_fields__:
            value, path = getattr(struct, name), f"{prefix}{name}"
            found |= leaves(value, f"{path}.") if isinstance(value, msgspec.Struct) else {path}
        return found

    primary = {f"sensors.primary.{kind}" for kind in SensorKind}
    assert leaves(parse(MINIMAL), "") - {"sensors.primary"} == set(BY_PATH) - primary


def test_values_have_the_types_that_the_structs_promise() -> None:
    def check(struct: msgspec.Struct) -> None:
        for name, promised in get_type_hints(type(struct)).items():
            value = getattr(struct, name)
            if isinstance(value, msgspec.Struct):
                check(value)
            elif isinstance(value, Path) or value is None:
                assert promised in (Path, Path | None, float | None, int | None)
            elif name == "primary":
                assert all(isinstance(kind, SensorKind) for kind in value)
            else:
                assert type(msgspec.convert(value, promised)) is type(value), name

    check(parse(MINIMAL))
    check(parse(example_text()))


def test_defaults_fill_what_the_file_leaves_out() -> None:
    config = parse(MINIMAL)
    assert config.cloud.request_timeout_s == 30
    assert config.storage.outbox_bytes_max == 256 * 1024 * 1024
    assert config.storage.state_dir == Path("/var/lib/climahub")
    assert config.local_api.socket == Path("/run/climahub/status.sock")
    assert config.clock.trust == "kernel"
    assert config.sensors.primary == {}


def test_relative_paths_start_at_the_directory_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(MINIMAL + 'ca_file = "ca.pem"\n[storage]\nrun_dir = "run"\n[local_api]\nsocket = "door.sock"\n')
    config = load(path, environ={})
    assert config.cloud.ca_file == tmp_path / "ca.pem"
    assert config.local_api.socket == tmp_path / "run" / "door.sock"


def test_an_absolute_socket_stays_where_it_is_up_to_the_length_that_the_kernel_takes() -> None:
    path = "/" + "x" * 106
    assert parse(MINIMAL + f'[local_api]\nsocket = "{path}"\n').local_api.socket == Path(path)


def test_trailing_slash_of_the_url_is_removed() -> None:
    assert parse('[cloud]\nbase_url = "https://api.example.org/v/"\n').cloud.base_url == "https://api.example.org/v"


def test_primary_sensors_are_keyed_by_kind() -> None:
    config = parse(MINIMAL + '[sensors.primary]\ntemperature = "T1"\n[sensors]\ndisabled = ["T2"]\n')
    assert config.sensors.primary == {SensorKind.TEMPERATURE: "T1"}
    assert config.sensors.disabled == ("T2",)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1", "http://127.9.9.9:65535", "http://[::1]:8"])
def test_plain_http_is_allowed_on_loopback(url: str) -> None:
    assert parse(f'[cloud]\nbase_url = "{url}"\n').cloud.base_url == url


@pytest.mark.parametrize(
    ("dotted", "value", "found"),
    [
        ("cloud.base_url", '"http://api.example.org"', 'found "http://api.example.org" (text); allowed is'),
        ("cloud.base_url", '"http://api.example.org"', "(plain http would send the key in the clear)"),
        ("cloud.base_url", '"https://\u00e4.example.org"', "an https URL"),
        ("cloud.base_url", '"https://a\\t"', "an https URL"),
        ("cloud.base_url", '"http://127.0.0.1.example.org"', "plain http"),
        ("cloud.base_url", '"ftp://api.example.org"', "an https URL"),
        ("cloud.base_url", '"api.example.org"', "an https URL"),
        ("cloud.base_url", '"https://"', "an https URL"),
        ("cloud.base_url", '"https://a b"', "an https URL"),
        ("cloud.base_url", '"https://a:99999"', "cannot be parsed"),
        ("cloud.base_url", f'"https://{"a" * 64}.example"', "cannot be parsed"),
        ("cloud.base_url", '"https://a..b"', "cannot be parsed"),
        ("cloud.base_url", '"https://[::1"', "cannot be parsed"),
        ("cloud.base_url", '"https://a/?key=1"', "have no place"),
        ("cloud.base_url", "3", "found 3; allowed is an https URL"),
        ("cloud.request_timeout_s", '"30"', 'found "30" (text); allowed is a number from 1 to 300 s'),
        ("cloud.request_timeout_s", "0.5", "found 0.5; allowed is a number from 1 to 300 s"),
        ("cloud.request_timeout_s", "nan", "found nan"),
        ("cloud.request_timeout_s", "true", "found true (a boolean)"),
        ("cloud.batch_readings_max", "101", "found 101; allowed is a whole number from 1 to 100 readings"),
        ("cloud.batch_readings_max", "1.0", "found 1.0; allowed is a whole number"),
        ("cloud.batch_readings_max", "false", "found false (a boolean)"),
        ("cloud.batch_readings_max", "0x" + "f" * 4000, "found an integer of 16000 bits"),
        ("cloud.gzip", '"Auto"', 'did you mean "auto"?'),
        ("cloud.gzip", "1979-05-27", "found 1979-05-27 (a date or time)"),
        ("cloud.ca_file", '""', "allowed is a path"),
        ("cloud.api_key_credential", '"../key"', "the name of a systemd credential"),
        ("board.name", '"' + "x" * 200 + '"', 'xxx... (text); allowed is one of "sim", "linux", "replay"'),
        ("board.sim.tenant_thermostat", "1", "found 1; allowed is true or false"),
        ("sensors.disabled", '"T1"', "allowed is an array of sensor names"),
        ("sensors.disabled", "[1]", "found an array of 1"),
        ("sensors.primary.temperature", '" "', "allowed is the name of a sensor"),
        ("sensors.primary.temperature", "{a = 1}", "found a table"),
        ("local_api.socket", '"a/b"', "a file name below storage.run_dir"),
        ("local_api.socket", '".."', "a file name below storage.run_dir"),
        ("local_api.socket", '"a/"', "a file name below storage.run_dir"),
        ("local_api.socket", "1", "a file name below storage.run_dir"),
        ("local_api.socket", '"/' + "x" * 107 + '"', "found a path of 108 bytes; a Unix socket's allows 107"),
        ("port.listen", '"127.0.0.1"', "an array of at most 16 addresses and interface names"),
        ("port.listen", '["300.1.1.1"]', "an array of at most 16 addresses"),
        ("port.listen", '["/etc"]', "an array of at most 16 addresses"),
        ("port.listen", '["usb0", "127.0.0.1:80"]', '"127.0.0.1:80" (text) is no address'),
        ("port.listen", '["localhost"]', 'write "127.0.0.1"'),
        ("port.listen", "[" + ",".join(f'"eth{n}"' for n in range(17)) + "]", "found an array of 17"),
        ("port.port", "65536", "a whole number from 0 to 65535"),
        ("board.linux.led", '"../../power"', "a name below /sys/class/leds"),
        ("board.linux.led", '".."', "a name below /sys/class/leds"),
        ("port.host_names", '["hub.example:80"]', "an array of host names without port"),
        ("port.host_names", '["-"]', "an array of host names"),
        ("port.key_file", '"k"', "set port.certificate_file as well"),
        ("port.certificate_file", '"c"', "set port.key_file as well"),
        ("log.level", '"warn"', 'did you mean "warning"?'),
    ],
)
def test_a_wrong_value_is_refused_with_line_key_and_what_is_allowed(dotted: str, value: str, found: str) -> None:
    text = with_key(dotted, value)
    line = text[: text.index(f"{dotted.rpartition('.')[2]} =")].count("\n") + 1
    [error] = refused(text)
    assert error.startswith(f"hub.toml:{line}: {dotted}: ")
    assert found in error


@pytest.mark.parametrize("key", [key for key in KEYS if key.type.unit], ids=lambda key: key.path)
def test_both_bounds_of_each_number_are_allowed_and_the_next_values_are_not(key: Key) -> None:
    low, high = (float(word) for word in key.type.allowed.replace(" to ", " ").split() if word[0].isdigit())
    as_toml = int if "whole" in key.type.allowed else float
    for good in (low, high):
        parse(with_key(key.path, str(as_toml(good))))
    for bad in (low - 1, high + 1):
        assert refused(with_key(key.path, str(as_toml(bad))))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=20)
    | st.text("htps:/[]@#?.%019ax", max_size=20).map("https://".__add__)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=1)
)


@given(st.sampled_from(KEYS), VALUES)
def test_any_value_of_any_key_is_accepted_or_refused_with_a_printable_message(key: Key, value: object) -> None:
    with suppress(NotAllowed):
        key.type.read(value)
    assert "\n" not in describe(value)
    assert len(describe(value)) < 100


def test_the_url_is_required() -> None:
    assert refused("") == [
        (
            "hub.toml: cloud.base_url: found nothing; this key is required, allowed is an https URL,"
            " such as https://api.example.org; http only to 127.0.0.1, ::1 or localhost"
        )
    ]
    assert refused("# c\n[cloud]\n")[0].startswith("hub.toml:2: cloud.base_url: found nothing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[cloud]\nbase_ulr = 1",
            ':2: cloud.base_ulr: unknown key; did you mean "base_url"? Allowed in [cloud] are: base_url,',
        ),
        ("[clod]\nx = 1", ':1: clod: unknown key; did you mean "cloud"? Allowed as tables are: cloud, board,'),
        ("[board]\nseed = 1", ':2: board.seed: unknown key; did you mean "board.sim.seed"?'),
        (
            "[sensors.primary]\ntemperatur_ = 1",
            ':2: sensors.primary.temperatur_: unknown key; did you mean "temperature"?',
        ),
        ("[log]\nzzz = 1", ":2: log.zzz: unknown key; allowed in [log] are: level, format"),
        ('[log]\n"a b" = 1', ':2: log."a b": unknown key'),
        ('"log.level" = "info"', ':1: "log.level": unknown key'),
        ("log = 3", ":1: log: found 3; allowed is a table: [log]"),
        ("[[log]]", ":1: log: found an array of 1; allowed is a table: [log]"),
        ("[[log]]\n[[log]]", ":1: log: found an array of 2"),
        ("log.sub.level = 3", ":1: log.sub: unknown key"),
        ("log = { level = 3 }", ":1: log.level: found 3"),
        ('[board]\nname = "replay"', ":2: board.replay.recording: found nothing"),
    ],
)
def test_keys_in_the_wrong_place_are_refused_with_the_nearest(text: str, expected: str) -> None:
    assert any(f"hub.toml{expected}" in error for error in refused(text)), refused(text)


def test_all_mistakes_are_listed_in_the_order_of_lines() -> None:
    errors = refused('[log]\nlevel = 1\nfformat = 2\n[cloud]\ngzip = 3\n[board]\nname = "replay"\n')
    assert [error.split(": ")[:2] for error in errors] == [
        ["hub.toml:2", "log.level"],
        ["hub.toml:3", "log.fformat"],
        ["hub.toml:4", "cloud.base_url"],
        ["hub.toml:5", "cloud.gzip"],
        ["hub.toml:7", "board.replay.recording"],
        ["hub.toml:7", "board.replay.map"],
    ]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_or_table_with_a_new_name_is_refused_and_the_new_name_is_given(old: str, new: str) -> None:
    assert new in BY_PATH or new in TABLES
    assert old not in BY_PATH
    section, _, name = old.rpartition(".")
    text = f"[{section}]\n{name} = 1\n" if section else f"[{name}]\nx = 1\n"
    [error] = refused(MINIMAL + text)
    shown = f"[{new}]" if new in TABLES else new.removeprefix(f"{section}.")
    assert error.endswith(f": {old}: this {'table' if new in TABLES else 'key'} has a new name: rename it to {shown}")


def test_wrong_recording_path_is_reported_once() -> None:
    text = MINIMAL + '[board]\nname = "replay"\n[board.replay]\nrecording = 1\nmap = "m.toml"\n'
    assert [error.split(": ")[1] for error in refused(text)] == ["board.replay.recording"]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + f'api_key = "{API_KEY}"',
        MINIMAL + f'api_key_file = "{API_KEY}"',
        MINIMAL + f'gzip = "{API_KEY}"',
        MINIMAL + f'[log]\n"{API_KEY}" = 1',
        MINIMAL + f"[log]\n{API_KEY} = 1",
        MINIMAL + f'[relayed_sensors]\nsensor_keys = {{ T1 = "{API_KEY}" }}',
        MINIMAL + f'api_key = "{API_KEY}',
        f'[cloud]\nbase_url = "https://user:{API_KEY}@example.org"',
        '[cloud]\nbase_url = "https://user:a1B2@example.org"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_repeated(text: str) -> None:
    [error] = refused(text)
    assert "a1B2" not in error


def test_the_heading_counts_the_mistakes() -> None:
    for count, heading in (("", "an error:"), ("x = 1\n", "2 errors:")):
        with pytest.raises(ConfigProblems, match=f"^the configuration has {heading}"):
            parse(MINIMAL + "y = 1\n" + count)


def test_inline_api_key_is_refused_with_the_right_key_to_set() -> None:
    assert "set cloud.api_key_file" in refused(MINIMAL + f'api_key = "{API_KEY}"')[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[cloud]\nbase_url = \n", "hub.toml:2: not valid TOML: Invalid value"),
        ("[cloud\n", "hub.toml:1: not valid TOML: "),
        ("a = 1\na = 2\n", "hub.toml:2: not valid TOML: Cannot overwrite a value"),
        ("a = 1\nb = '''\n\n", "hub.toml:2: not valid TOML: "),
        ("a = " + "9" * 5000, "hub.toml: not valid TOML: an integer has too many digits"),
        ("a = " + "[" * 5000, "hub.toml: tables or arrays are nested too deeply"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, expected: str) -> None:
    [error] = refused(text)
    assert error.startswith(expected)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("gzip = false\ngzip = true", "keep one of the two lines with this key"),
        ("[cloud]", "put all keys of this table below one heading"),
        ("gzip: true", "write the key, = and its value"),
        ("request_timeout_s = 010", "no zero in front"),
        ("request_timeout_s = 1,5", "numbers have a point"),
        ('proxy = "http://proxy', 'close the text with " in its line'),
        ("proxy = http://proxy", 'write a text between "'),
        ("proxy = \u201chttp://proxy\u201d", 'write a text between "'),
        ("gzip = True", "true or false in small letters"),
        ('ca_file = "C:\\ca.pem"', "write \\\\ for each \\ in a text"),
        ("// a comment", "a comment after #"),
        ("[climate]\nzones = [1", "close it with ]"),
        ('[climate]\nzones = [{ id = "living",\nsensors = [] }]', "between { and } in one line"),
        ('[climate]\nzones = [{ id = "living"', "close it with } in its line"),
    ],
)
def test_a_syntax_error_says_what_to_write(line: str, remedy: str) -> None:
    [error] = refused(MINIMAL + line + "\n")
    assert remedy in error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[cloud]\n# \xff\n", ":2: found the byte 0xff; allowed is UTF-8 text"),
        (b"#" * (CONFIG_BYTES_MAX + 1), f": found more than {CONFIG_BYTES_MAX} bytes"),
    ],
)
def test_binary_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "hub.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigProblems, match=str(path) + expected):
        load(path, environ={})


def test_a_file_of_the_greatest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(MINIMAL + "#" * (CONFIG_BYTES_MAX - len(MINIMAL)))
    assert load(path, environ={}).cloud.base_url == "https://api.example.org"


def test_a_file_with_byte_order_mark_and_dos_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert resolve(path, environ={}).origins["cloud.base_url"] == f"{path}:2"


@pytest.mark.parametrize("name", ["", "missing.toml"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigProblems, match="cannot be read: "):
        load(tmp_path / name, environ={})


def test_credential_is_used_where_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "climahub-api-key").write_text(API_KEY)
    config = parse(MINIMAL, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.cloud.api_key_file == tmp_path / "climahub-api-key"
    assert config.relayed_sensors.sensor_keys_file is None


def test_a_named_file_comes_before_the_credential(tmp_path: Path) -> None:
    (tmp_path / "climahub-api-key").write_text(API_KEY)
    config = parse(MINIMAL + 'api_key_file = "/k"\n', environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.cloud.api_key_file == Path("/k")


def test_the_port_listens_on_addresses_and_interfaces_each_once() -> None:
    text = '[port]\nlisten = ["::1", "usb0", "::1", "10.0.0.7", "eth0.5"]\nhost_names = ["Hub.example", "my_hub"]\n'
    port = parse(MINIMAL + text).port
    assert (port.listen, port.host_names) == (("::1", "usb0", "10.0.0.7", "eth0.5"), ("hub.example", "my_hub"))


def test_homekit_listens_where_it_is_told_and_nowhere_by_itself() -> None:
    with pytest.raises(ConfigInvalid, match=r"apis.homekit listens nowhere by itself: name the interface"):
        parse(MINIMAL + "[apis]\nhomekit = true\n")
    config = parse(MINIMAL + '[apis]\nhomekit = true\nhomekit_listen = ["eth0"]\n')
    assert config.apis.any_on
    assert config.apis.homekit_listen == ("eth0",)
