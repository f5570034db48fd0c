import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cloud import contract
from agent.cloud.contract import QUOTAS, Endpoint

YEAR_1_MS = -62_135_596_800_000
YEAR_10000_MS = 253_402_300_800_000


@pytest.mark.parametrize(
    ("utc_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_774_785_600_000, "2026-03-29T12:00:00Z"),
        (1_774_785_600_250, "2026-03-29T12:00:00.250Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-1000, "1969-12-31T23:59:59Z"),
        (951_827_696_789, "2000-02-29T12:34:56.789Z"),
        (YEAR_10000_MS - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_timestamps_have_the_contracts_format(utc_ms: int, text: str) -> None:
    assert contract.format_timestamp(utc_ms) == text


@given(st.integers(YEAR_1_MS, YEAR_10000_MS - 1))
def test_timestamp_keeps_its_millisecond(utc_ms: int) -> None:
    moment = datetime.fromisoformat(contract.format_timestamp(utc_ms))
    assert moment.tzinfo == UTC
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == pytest.approx(utc_ms, abs=0.5)
    assert contract.format_timestamp(utc_ms).endswith("Z")


@given(st.integers(0, YEAR_10000_MS - 2))
def test_neighbouring_milliseconds_differ(utc_ms: int) -> None:
    assert contract.format_timestamp(utc_ms) != contract.format_timestamp(utc_ms + 1)


def test_telemetry_body_matches_the_contract() -> None:
    body = contract.encode_telemetry([("temperature", 21.5, 1000, None), ("humidity", 40.0, 1001, "id-7")])
    assert json.loads(body) == {
        "readings": [
            {"sensor_type": "temperature", "value": 21.5, "timestamp": "1970-01-01T00:00:01Z"},
            {
                "sensor_type": "humidity",
                "value": 40.0,
                "timestamp": "1970-01-01T00:00:01.001Z",
                "device_id": "id-7",
            },
        ]
    }


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_values_are_encoded_exactly(values: list[float]) -> None:
    body = contract.encode_telemetry(("iaq", value, 0, None) for value in values)
    read = [reading["value"] for reading in json.loads(body, parse_int=float)["readings"]]
    assert [value.hex() for value in read] == [value.hex() for value in values]


def test_registration_body_omits_an_empty_address() -> None:
    assert msgspec.json.encode(contract.RegisterRequest("k")) == b'{"sensor_api_key":"k"}'


def test_every_endpoint_has_method_path_and_quota() -> None:
    assert set(QUOTAS) == set(Endpoint)
    assert len(Endpoint) == 9
    for endpoint in Endpoint:
        assert endpoint.method in {"GET", "POST", "PUT"}
        assert endpoint.path.startswith("/v1/")
        assert f"{endpoint.method} {endpoint.path}" == endpoint.value
