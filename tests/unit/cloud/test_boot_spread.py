"""The first requests of a fleet that lost power together, against the mean rate of its settled life."""

import random
from collections import Counter

import pytest

from agent.cloud.boot_spread import BOOT_SPREAD_S, first_requests_ms
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import Endpoint
from agent.cloud.quota import REQUESTS_FREE_AT_BOOT
from agent.config import CloudConfig
from agent.settings.sync import REFRESH_S_MAX

HUBS = 200
AGENT_STARTS_MS = 12_000


def test_a_fleet_that_boots_together_asks_at_random_moments() -> None:
    times_ms = [first_requests_ms(AGENT_STARTS_MS, random.Random(hub)) for hub in range(HUBS)]
    for endpoint, earliest_ms in (
        (Endpoint.SETTINGS_GET, AGENT_STARTS_MS),
        (Endpoint.TELEMETRY, 60_000),
        (Endpoint.OTA_CHECK, 60_000),
    ):
        mine_ms = [each[endpoint] for each in times_ms]
        assert earliest_ms <= min(mine_ms)
        assert max(mine_ms) <= earliest_ms + BOOT_SPREAD_S * 1000
        assert max(Counter(at_ms // 1000 for at_ms in mine_ms).values()) <= 12


@pytest.mark.parametrize("endpoint", [Endpoint.COMMANDS_PENDING, Endpoint.COMMANDS_ACK, Endpoint.SETTINGS_PUT])
def test_what_a_person_or_a_command_waits_for_is_not_delayed(endpoint: Endpoint) -> None:
    assert endpoint not in first_requests_ms(AGENT_STARTS_MS, random.Random(1))


def test_a_hub_that_has_been_up_for_a_minute_waits_for_nothing() -> None:
    assert first_requests_ms(60_000, random.Random(1)) == {}


def test_endpoints_rest_until_their_first_request() -> None:
    now_ms = AGENT_STARTS_MS
    connectivity = Connectivity(
        now_ms=lambda: now_ms, rng=random.Random(1), not_before_ms={Endpoint.SETTINGS_GET: 20_000}
    )
    assert connectivity.wait_ms(Endpoint.SETTINGS_GET) == 8_000
    assert connectivity.wait_ms(Endpoint.COMMANDS_PENDING) == 0
    connectivity.retry_now()
    assert connectivity.wait_ms(Endpoint.SETTINGS_GET) == 0, "a person who is there does not wait"


def test_polls_of_the_first_minute_after_a_boot_are_not_held_up() -> None:
    interval_ms = 15_000
    assert REQUESTS_FREE_AT_BOOT[Endpoint.COMMANDS_PENDING] * interval_ms + AGENT_STARTS_MS > 60_100


def test_a_command_for_settings_outlasts_their_rest_after_a_boot() -> None:
    assert BOOT_SPREAD_S + CloudConfig(base_url="https://cloud.example").request_timeout_s <= REFRESH_S_MAX
