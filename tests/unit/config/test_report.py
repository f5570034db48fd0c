"""What `config check` and `config show` tell."""

from pathlib import Path

import pytest

from agent.config import resolve
from agent.config.report import REDACTED, CheckResult, Shown, check, rows_text, show
from agent.config.tables import KEYS
from agent.port.http.certificate_maker import make_certificate
from tests.unit.config.test_certificates import CA, SKI, pem

API_KEY = "cs_dev_" + "a1B2" * 8


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text('[cloud]\nbase_url = "https://api.example.org"\nbatch_linger_s = 2.5\n')
    return path


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def credential(directory: Path, content: str, *, name: str = "climahub-api-key") -> dict[str, str]:
    (directory / name).write_text(content)
    (directory / name).chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def test_a_good_file_has_no_errors_and_no_warnings(hub: Path) -> None:
    assert check(hub, environ=credential(hub.parent, API_KEY)) == CheckResult(errors=(), warnings=())


def test_a_missing_key_is_a_warning_because_the_file_may_be_for_another_machine(hub: Path) -> None:
    result = check(hub, environ={})
    assert result.errors == ()
    assert result.warnings == (
        "cloud.api_key_file: not set and no credential passed; the hub needs one of them to run",
    )


@pytest.mark.parametrize("end", ["/v1", "/v1/", "/V2", "/v1/telemetry", "/api/v1"])
def test_base_url_with_the_version_is_a_warning(hub: Path, end: str) -> None:
    text = hub.read_text()
    address = text.split('base_url = "')[1].split('"')[0]
    hub.write_text(text.replace(address, address.rstrip("/") + end))
    warning = check(hub, environ={}).warnings[0]
    assert warning.startswith("cloud.base_url: ends with /")
    assert "/v1/telemetry" in warning


def test_cpu_temperature_used_for_a_room_is_a_warning(hub: Path) -> None:
    named = '[sensors.primary]\ntemperature = "hwmon/cpu_thermal/temp1"\n'
    hub.write_text(hub.read_text() + named)
    assert any("not of a room" in warning for warning in check(hub, environ={}).warnings)


def test_every_mistake_is_an_error_of_its_own(hub: Path) -> None:
    append(hub, "x = 1\ngzip = 1\n")
    result = check(hub, environ={})
    assert [error.split(": ")[:2] for error in result.errors] == [[f"{hub}:4", "cloud.x"], [f"{hub}:5", "cloud.gzip"]]


def test_all_present_secrets_are_checked(hub: Path) -> None:
    credential(hub.parent, "T1 = 1", name="climahub-sensor-keys")
    key, sensor_keys = check(hub, environ=credential(hub.parent, API_KEY + "a1B2")).errors
    assert "holds no API key" in key
    assert 'no key for "T1"' in sensor_keys


def test_authority_refused_by_a_newer_python_is_named(hub: Path) -> None:
    append(hub, 'ca_file = "ca.pem"\n')
    (hub.parent / "ca.pem").write_bytes(pem([CA, SKI]))
    (warning,) = check(hub, environ=credential(hub.parent, API_KEY)).warnings
    assert warning.startswith(f"cloud.ca_file: {hub.parent}/ca.pem: CN=home: refused by Python 3.13")


def test_the_credentials_of_a_proxy_are_never_shown(hub: Path) -> None:
    append(hub, 'proxy = "http://user:secret@proxy.example:3128"\n')
    text = rows_text(show(resolve(hub, environ={})))
    assert "http://[redacted]@proxy.example:3128" in text
    assert "secret" not in text


def test_a_proxy_of_the_environment_that_cannot_be_used_is_a_warning(hub: Path) -> None:
    environ = credential(hub.parent, API_KEY) | {"ALL_PROXY": "socks5://user:secret@proxy:1080"}
    (warning,) = check(hub, environ=environ).warnings
    assert warning.startswith("cloud.proxy: all_proxy of the environment: a proxy of the kind socks5")


@pytest.mark.parametrize(
    "content", ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_an_error(hub: Path, content: str) -> None:
    append(hub, 'ca_file = "ca.pem"\n')
    (hub.parent / "ca.pem").write_text(content)
    (error,) = check(hub, environ=credential(hub.parent, API_KEY)).errors
    assert "contains no certificate in PEM form" in error


@pytest.mark.parametrize("is_fitting", [True, False])
def test_the_ports_certificate_has_to_fit_its_key(hub: Path, is_fitting: bool) -> None:
    one, other = make_certificate(("hub",), None), make_certificate(("hub",), None)
    (hub.parent / "p.pem").write_text(one.certificate)
    (hub.parent / "p.key").write_text((one if is_fitting else other).key)
    append(hub, '[port]\ncertificate_file = "p.pem"\nkey_file = "p.key"\n')
    errors = check(hub, environ=credential(hub.parent, API_KEY)).errors
    assert ["use a certificate and its own key" in error for error in errors] == ([] if is_fitting else [True])


def test_missing_files_are_warnings(hub: Path) -> None:
    append(hub, 'api_key_file = "k"\nca_file = "ca"\n[relayed_sensors]\nsensor_keys_file = "s"\n')
    append(hub, '[board]\nname = "replay"\n[board.replay]\nrecording = "r.csv"\nmap = "m.toml"\n')
    append(hub, '[port]\ncertificate_file = "p.pem"\nkey_file = "p.key"\n')
    result = check(hub, environ={})
    assert result.errors == ()
    assert [warning.split(": ")[0] for warning in result.warnings] == [
        "cloud.api_key_file",
        "cloud.ca_file",
        "relayed_sensors.sensor_keys_file",
        "port.certificate_file",
        "port.key_file",
        "board.replay.recording",
        "board.replay.map",
    ]


def test_recording_is_checked_for_the_replay_board_only(hub: Path) -> None:
    append(hub, '[board.replay]\nrecording = "r.csv"\n')
    assert not any("recording" in warning for warning in check(hub, environ={}).warnings)


def test_show_has_every_key_with_value_unit_and_origin(hub: Path) -> None:
    append(hub, '[sensors]\ndisabled = ["a", "b"]\n')
    rows = {row.key: row for row in show(resolve(hub, environ=credential(hub.parent, API_KEY)))}
    assert set(rows) == {key.path for key in KEYS} | {"cloud.api_key"}
    told = {key: (row.value, row.unit, row.origin) for key, row in rows.items()}
    assert told["cloud.base_url"] == ('"https://api.example.org"', "", f"{hub}:2")
    assert told["cloud.batch_linger_s"] == ("2.5", "s", f"{hub}:3")
    assert told["cloud.request_timeout_s"] == ("30", "s", "default")
    assert told["cloud.ca_file"] == ("(not set)", "", "default")
    assert told["storage.gaps_max"] == ("1_000", "gaps", "default")
    assert told["board.sim.tenant_thermostat"] == ("true", "", "default")
    assert told["sensors.disabled"] == ('["a", "b"]', "", f"{hub}:5")
    assert told["cloud.api_key"] == (REDACTED, "", "credential climahub-api-key")


def test_show_never_holds_the_key(hub: Path) -> None:
    text = rows_text(show(resolve(hub, environ=credential(hub.parent, API_KEY))))
    assert "a1B2" not in text
    assert REDACTED in text


def test_show_tells_where_no_key_is_set(hub: Path) -> None:
    lines = rows_text(show(resolve(hub, environ={}))).splitlines()
    assert lines[0].split() == ["cloud.api_key", "(not", "set)", "default"]
    assert len({line.index("default") for line in lines if line.endswith("default")}) == 1


def test_a_long_value_moves_no_other_origin() -> None:
    """A list of zones put the origin of every key behind two hundred spaces."""
    rows = (Shown("a", "1", "", "hub.toml:1"), Shown("b.c", "x" * 300, "", "hub.toml:2"))
    assert rows_text(rows).splitlines() == ["a    1  hub.toml:1", f"b.c  {'x' * 300}  hub.toml:2"]
