"""What is a secret does not pass, and what support needs does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.port.bundle.scrub import (
    BLOCK_CHARACTERS,
    REDACTED,
    SECRET_CHARACTERS_MIN,
    Scrubber,
    _blocks,
    secrets_in,
)
from agent.port.sign_in.codes import SIGN_IN_ROLES, make_code
from agent.port.sign_in.tokens import new_token

ZIGBEE_KEY = "01030507090b0d0f00020406080a0c0d"
INSTALL_CODE = "83FED3407A939723A5C639B26916D505C3B5"


def grouped(text: str, size: int, separator: str) -> str:
    return separator.join(text[place : place + size] for place in range(0, len(text), size))


@pytest.mark.parametrize(
    "secret",
    [
        "cs_dev_" + "a1B2" * 8,
        "sk_sensor_xyz-12.34",
        ZIGBEE_KEY,
        ZIGBEE_KEY.upper(),
        grouped(ZIGBEE_KEY, 2, ":"),
        grouped(ZIGBEE_KEY, 2, " "),
        grouped("0x" + grouped(ZIGBEE_KEY, 2, ", 0x"), 10**6, ""),
        INSTALL_CODE,
        grouped(INSTALL_CODE, 4, " "),
        grouped(INSTALL_CODE, 4, "-"),
        INSTALL_CODE[:20],
        "K7QP-2M4X-9TBD-WZ3H",
        "K7QP2M4X9TBDWZ3H",
        "k7qp-2m4x-9tbd-wz3h",
        "climahub_0123456789ABCDEFGHJKMNPQRSTVWXYZ",
        "YWJjZGVmZ2hpamts12bm9wcXJz3d1d4nh5eg==",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIF cut off",
    ],
)
@pytest.mark.parametrize(
    "place", ["{}", "the sensor {} is silent", "says that {} was", "key={}", '{{"name": "{}"}}', "a\n{}\nb", "({})"]
)
def test_text_that_looks_like_a_secret_is_removed(secret: str, place: str) -> None:
    told = Scrubber().text(place.format(secret))
    assert secret not in told
    assert secret.replace("\n", "") not in told.replace("\n", "")
    assert REDACTED in told


@pytest.mark.parametrize(
    "text",
    [
        "agent.port.hardware.runner: living: minimum off time, 120 s to go",
        "0x00158d0001a2b3c4 has not reported for 3 h",
        "boot 7a1c9e52-0000-4000-8000-4f1d2c3b4a59",
        "2026-11-28T18:38:32.123Z",
        'File "/usr/lib/python3.11/site-packages/agent/port/hardware/runner.py", line 120, in run',
        "climahub_outbox_readings_pending_total 214",
        "TemperatureMeasurementClusterHandlerImplementation",
        "python3-cryptography_43.0.0-3_arm64.deb",
        "hwmon/cpu_thermal/temp1 21.5 °C, 1013 hPa",
        "PAN 0x1a62, channel 15, 192.168.178.21, dc:a6:32:01:02:03",
        "this that with some four five data here",
        "https://api.climasense.example/v1/telemetry",
        "cs_dev_[redacted]",
    ],
)
def test_harmless_text_is_kept(text: str) -> None:
    assert Scrubber().text(text) == text


@pytest.mark.parametrize("form", [str, str.upper, lambda text: base64.b64encode(text.encode()).decode()])
def test_a_known_secret_is_removed_in_every_form(form: object) -> None:
    secret = "correct horse/battery"
    shown = form(secret)  # type: ignore[operator]
    assert shown not in Scrubber([secret]).text(f"the proxy said {shown} to me")
    assert "correct%20horse%2Fbattery" not in Scrubber([secret]).text("http://u:correct%20horse%2Fbattery@proxy")


def test_a_short_secret_does_not_blacken_words() -> None:
    assert Scrubber(["of"]).text("a loss of power") == "a loss of power"
    assert Scrubber(["x" * SECRET_CHARACTERS_MIN]).text("x" * SECRET_CHARACTERS_MIN) == REDACTED


def test_names_in_documents_and_of_files_are_texts_too() -> None:
    scrubber = Scrubber(["s3cret-name"])
    document = {"zones": {"s3cret-name": [1, None, True, {"name": "my s3cret-name"}]}}
    assert scrubber.value(document) == {"zones": {REDACTED: [1, None, True, {"name": f"my {REDACTED}"}]}}
    assert scrubber.file_name(f"backup\n{ZIGBEE_KEY}.json") == f"backup {REDACTED}.json"


@given(st.binary(min_size=64, max_size=64))
def test_every_code_and_token_that_the_hub_can_make_is_removed(seed: bytes) -> None:
    def random_bytes(count: int) -> bytes:
        return seed[:count]

    code = make_code(random_bytes)
    token, _ = new_token("script", SIGN_IN_ROLES[0], days=1, utc_ms=0, random_bytes=random_bytes)
    told = Scrubber().text(f"a name {code}, another {token} and a typed {code.replace('-', '')}")
    assert code not in told
    assert token not in told


def test_secrets_of_a_network_file_are_found() -> None:
    network = {
        "phase": "formed", "settings": {"ieee": "00124b", "key": ZIGBEE_KEY},
        "backups": [{"network_key": {"key": "ff" * 16}, "devices": [{"link_key": {"key": "ee" * 16}, "nwk": "1a2b"}]}],
    }  # fmt: skip
    assert secrets_in(network) == {ZIGBEE_KEY, "ff" * 16, "ee" * 16}
    assert secrets_in(None) == set()


def test_a_long_text_is_searched_piece_by_piece() -> None:
    """A search holds the interpreter: control would wait for it. What stands at the border of two pieces is found."""
    line = f"a sensor says {ZIGBEE_KEY} and nothing else\n"
    text = line * (3 * BLOCK_CHARACTERS // len(line)) + "x" * (2 * BLOCK_CHARACTERS) + f"\n{INSTALL_CODE}"
    pieces = list(_blocks(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces[:-1])) < BLOCK_CHARACTERS + 2 * BLOCK_CHARACTERS + len(line)
    assert all(piece.endswith("\n") for piece in pieces[:-1])
    told = Scrubber().text(text)
    assert ZIGBEE_KEY not in told
    assert INSTALL_CODE not in told
    assert told.count("\n") == text.count("\n")
