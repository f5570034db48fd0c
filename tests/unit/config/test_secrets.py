"""Secrets: where they may stand, who may read them, and that no message repeats them."""

import errno
import os
from pathlib import Path

import pytest

from agent.config import Config, resolve_text
from agent.config.secrets import DEFAULT_KEY_FILE, SECRET_BYTES_MAX, is_api_key, read_api_key, read_sensor_keys
from agent.errors import ConfigInvalid, KeyMissing

API_KEY = "cs_dev_" + "a1B2" * 8


def config(tmp_path: Path, text: str = "", *, credentials: Path | None = None) -> Config:
    base = f'cloud.base_url = "https://api.example.org"\n{text}\n'
    environ = {} if credentials is None else {"CREDENTIALS_DIRECTORY": str(credentials)}
    return resolve_text(base, file="hub.toml", directory=tmp_path, environ=environ).config


def secret(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("key", "is_key"),
    [("cs_dev_" + "a1" * 16, True), ("cs_dev_" + "Z" * 32, True), ("cs_dev_", False), ("cs_dev_" + "-" * 32, False)],
)
def test_api_keys_are_recognised(key: str, is_key: bool) -> None:
    assert is_api_key(key) is is_key


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_the_key_is_read_from_its_file(tmp_path: Path, mode: int) -> None:
    secret(tmp_path / "key", API_KEY + "\n", mode=mode)
    assert read_api_key(config(tmp_path, 'cloud.api_key_file = "key"').cloud) == API_KEY


def test_the_key_is_read_from_its_credential(tmp_path: Path) -> None:
    secret(tmp_path / "other-name", API_KEY)
    hub = config(tmp_path, 'cloud.api_key_credential = "other-name"', credentials=tmp_path)
    assert read_api_key(hub.cloud) == API_KEY


def test_missing_key_message_names_both_ways_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"set cloud\.api_key_file .* LoadCredential=climahub-api-key:"):
        read_api_key(config(tmp_path, credentials=tmp_path).cloud)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_open_to_everybody_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    secret(tmp_path / "key", API_KEY, mode=mode)
    with pytest.raises(ConfigInvalid, match=f"run: chmod o-rwx {tmp_path / 'key'}") as caught:
        read_api_key(config(tmp_path, 'cloud.api_key_file = "key"').cloud)
    assert "a1B2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "found 0 characters"),
        ("x", r"found 1 character \(not shown\)"),
        (API_KEY[:-1], "found 38 characters"),
        (API_KEY + "a1B2", "found 43 characters"),
        (API_KEY + "\n" + API_KEY, "found 79 characters"),
        (API_KEY.replace("cs_dev_", "sk_dev_"), "found 39 characters"),
        (API_KEY.encode() + b"\xff", "not ASCII"),
        ("a1B2" * SECRET_BYTES_MAX, "larger than"),
    ],
)
def test_invalid_key_is_refused_and_not_repeated(tmp_path: Path, content: str | bytes, expected: str) -> None:
    secret(tmp_path / "key", content)
    with pytest.raises(ConfigInvalid, match=expected) as caught:
        read_api_key(config(tmp_path, 'cloud.api_key_file = "key"').cloud)
    assert "a1B2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=f"{tmp_path / 'key'}: the secret is missing; put it there"):
        read_api_key(config(tmp_path, 'cloud.api_key_file = "key"').cloud)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_unreadable_key_file_counts_as_a_missing_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    hub = config(tmp_path, 'cloud.api_key_file = "key"\nrelayed_sensors.sensor_keys_file = "keys"')
    monkeypatch.setattr(Path, "open", refuse)
    for read in (lambda: read_api_key(hub.cloud), lambda: read_sensor_keys(hub.relayed_sensors)):
        with pytest.raises(KeyMissing, match=rf"key.*cannot be read \({os.strerror(number)}\); check the disk"):
            read()


def test_systemd_placeholder_for_a_missing_key_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.config.secrets.CREDENTIALS_PARENT", tmp_path)
    secret(tmp_path / "key", "# no key")
    hub = config(tmp_path, 'cloud.api_key_file = "key"')
    with pytest.raises(KeyMissing, match=r"/etc/climahub/api-key .* is missing; .* climahub setup --key-file FILE"):
        read_api_key(hub.cloud)
    secret(tmp_path / "key", f"# the hub in the cellar\n{API_KEY}\n")
    assert read_api_key(hub.cloud) == API_KEY


def test_unit_passes_a_placeholder_for_a_missing_key() -> None:
    unit = (Path(__file__).parents[3] / "systemd" / "climahub.service").read_text()
    assert f"LoadCredential=climahub-api-key:{DEFAULT_KEY_FILE}\nSetCredential=climahub-api-key:#" in unit


def test_sensor_keys_are_read_by_name_and_address(tmp_path: Path) -> None:
    secret(tmp_path / "keys", f'T1 = "{API_KEY}"\n"0x00158d0001a2b3c4" = "sk_sensor_abc"\n')
    hub = config(tmp_path, 'relayed_sensors.sensor_keys_file = "keys"')
    assert read_sensor_keys(hub.relayed_sensors) == {"T1": API_KEY, "0x00158d0001a2b3c4": "sk_sensor_abc"}


def test_sensor_keys_are_optional_and_may_be_a_credential(tmp_path: Path) -> None:
    assert read_sensor_keys(config(tmp_path, credentials=tmp_path).relayed_sensors) == {}
    secret(tmp_path / "climahub-sensor-keys", f'T1 = "{API_KEY}"\n')
    assert read_sensor_keys(config(tmp_path, credentials=tmp_path).relayed_sensors) == {"T1": API_KEY}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f'T1 = "{API_KEY}"\nT1 = "{API_KEY}"', "not valid TOML"),
        (f"T1 = {API_KEY}", "not valid TOML"),
        ("T1 = " + "[" * 5000, "not valid TOML"),
        (f'T1 = ""\nT2 = 3\n[T3]\nkey = "{API_KEY}"\n', 'no key for "T1", "T2", "T3": allowed is a text'),
        ('T1 = "a1B2\\n"', 'no key for "T1"'),
    ],
)
def test_invalid_sensor_keys_are_refused_and_not_repeated(tmp_path: Path, content: str, expected: str) -> None:
    secret(tmp_path / "keys", content)
    with pytest.raises(ConfigInvalid, match=expected) as caught:
        read_sensor_keys(config(tmp_path, 'relayed_sensors.sensor_keys_file = "keys"').relayed_sensors)
    assert "a1B2" not in str(caught.value)
