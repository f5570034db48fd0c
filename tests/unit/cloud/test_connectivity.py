import random
from collections.abc import Callable

import pytest

from agent.cloud.connectivity import (
    BACKOFF_CAP_S,
    KEY_PROBE_DELAYS_S,
    KEY_REFUSALS_MAX,
    OUTAGE_MS_MIN,
    STALE_MS,
    Connectivity,
    ConnectivityState,
    EndpointState,
)
from agent.cloud.contract import Endpoint
from agent.errors import Cause

HERE = Endpoint.TELEMETRY
THERE = Endpoint.SETTINGS_GET


class Longest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


class Bench:
    def __init__(self, rng: random.Random) -> None:
        self.now_ms = 5_000
        self.recoveries = 0
        self.connectivity = Connectivity(now_ms=lambda: self.now_ms, rng=rng)
        self.connectivity.on_recovery(self._recovered)

    def state(self) -> ConnectivityState:
        return self.connectivity.status.state

    def _recovered(self) -> None:
        self.recoveries += 1


@pytest.fixture
def bench() -> Bench:
    return Bench(Longest())


def test_initial_state_is_unknown_and_delays_nothing(bench: Bench) -> None:
    assert bench.state() is ConnectivityState.UNTRIED
    assert all(bench.connectivity.wait_ms(endpoint) == 0 for endpoint in Endpoint)


def test_failure_delays_its_own_endpoint_only(bench: Bench) -> None:
    waits_ms = []
    for _ in range(12):
        bench.connectivity.record_failure(HERE, "no route")
        waits_ms.append(bench.connectivity.wait_ms(HERE))
        assert bench.connectivity.wait_ms(THERE) == 0
        bench.now_ms += waits_ms[-1]
        assert bench.connectivity.wait_ms(HERE) == 0
    assert waits_ms[:4] == [1001, 2001, 4001, 8001]
    assert waits_ms[-1] == BACKOFF_CAP_S * 1000 + 1


def test_backoff_has_a_minimum_for_any_random_number(bench: Bench) -> None:
    class Shortest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return a

    bench = Bench(Shortest())
    bench.connectivity.record_failure(HERE, "no route")
    assert bench.connectivity.wait_ms(HERE) > 0


def test_success_resets_the_backoff(bench: Bench) -> None:
    for _ in range(5):
        bench.connectivity.record_failure(HERE, "no route")
    bench.connectivity.record_success(HERE)
    assert bench.connectivity.wait_ms(HERE) == 0
    bench.connectivity.record_failure(HERE, "no route")
    assert bench.connectivity.wait_ms(HERE) == 1001


def test_retry_after_of_the_server_is_obeyed(bench: Bench) -> None:
    bench.connectivity.record_failure(HERE, "busy", retry_after_s=120.0)
    assert bench.connectivity.wait_ms(HERE) == 121_001


def test_throttling_waits_slightly_longer_than_requested_and_is_no_failure(bench: Bench) -> None:
    bench.connectivity.record_success(THERE)
    bench.connectivity.record_throttling(HERE, "429", 10.0)
    assert 10_000 <= bench.connectivity.wait_ms(HERE) <= 11_000
    assert bench.connectivity.wait_ms(THERE) == 0
    assert bench.state() is ConnectivityState.UP


def test_a_person_ends_the_waiting_after_failures_but_not_that_of_a_quota(bench: Bench) -> None:
    bench.connectivity.record_failure(HERE, "no route")
    bench.connectivity.record_throttling(THERE, "429", 30.0)
    for _ in range(KEY_REFUSALS_MAX):
        bench.connectivity.record_key_refusal(HERE, "401")
    for _ in range(2):
        bench.connectivity.retry_now()
        assert bench.connectivity.wait_ms(HERE) == 0
        assert bench.connectivity.wait_ms(THERE) >= 30_000
    assert bench.state() is ConnectivityState.KEY_REFUSED


def test_state_has_its_reason_and_start(bench: Bench) -> None:
    bench.connectivity.record_failure(HERE, "no route")
    bench.now_ms += 3000
    bench.connectivity.record_failure(HERE, "timed out")
    assert bench.state() is ConnectivityState.DOWN
    assert (bench.connectivity.status.reason, bench.connectivity.status.since_ms) == ("timed out", 5_000)
    bench.connectivity.record_success(THERE)
    assert bench.state() is ConnectivityState.UP
    assert (bench.connectivity.status.reason, bench.connectivity.status.since_ms) == ("", 8_000)
    bench.now_ms += 1
    bench.connectivity.record_success(THERE)
    assert bench.connectivity.status.since_ms == 8_000


@pytest.mark.parametrize(("lasts_ms", "recoveries"), [(OUTAGE_MS_MIN - 1, 0), (OUTAGE_MS_MIN, 1)])
def test_only_a_long_loss_is_an_outage(bench: Bench, lasts_ms: int, recoveries: int) -> None:
    bench.connectivity.record_success(HERE)
    bench.connectivity.record_failure(HERE, "no route")
    bench.now_ms += lasts_ms
    bench.connectivity.record_failure(HERE, "no route")
    bench.connectivity.record_success(HERE)
    bench.connectivity.record_success(HERE)
    assert bench.recoveries == bench.connectivity.outages == recoveries


def test_first_contact_is_no_recovery_after_an_outage(bench: Bench) -> None:
    bench.now_ms += 10 * OUTAGE_MS_MIN
    bench.connectivity.record_success(HERE)
    assert bench.recoveries == 0


def test_refused_key_is_probed_by_one_endpoint_with_growing_pauses(bench: Bench) -> None:
    for _ in range(KEY_REFUSALS_MAX - 1):
        bench.connectivity.record_key_refusal(HERE, "401")
        assert bench.state() is ConnectivityState.DOWN
        assert bench.connectivity.wait_ms(THERE) == 0
    bench.connectivity.record_key_refusal(HERE, "401")
    waits_s = []
    for endpoint in (HERE, THERE, HERE, THERE, HERE, THERE, HERE):
        assert bench.state() is ConnectivityState.KEY_REFUSED
        assert len({bench.connectivity.wait_ms(each) for each in Endpoint if each is not HERE}) == 1
        waits_s.append(bench.connectivity.wait_ms(THERE) / 1000)
        bench.now_ms += bench.connectivity.wait_ms(endpoint)
        bench.connectivity.begin_request(endpoint, timeout_ms=30_000)
        assert all(bench.connectivity.wait_ms(each) == 30_000 for each in Endpoint)
        bench.connectivity.record_key_refusal(endpoint, "401")
    assert waits_s == pytest.approx([11.0, 33.0, 66.0, 132.0, 330.0, 990.0, 990.0])
    assert KEY_PROBE_DELAYS_S[-1] == 900.0


def test_a_minute_of_refusals_costs_two_minutes_at_most(bench: Bench) -> None:
    begin_ms = bench.now_ms
    while bench.now_ms < begin_ms + 60_000:
        bench.now_ms += bench.connectivity.wait_ms(HERE)
        bench.connectivity.begin_request(HERE, timeout_ms=30_000)
        if bench.now_ms < begin_ms + 60_000:
            bench.connectivity.record_key_refusal(HERE, "401")
    bench.connectivity.record_success(HERE)
    assert bench.state() is ConnectivityState.UP
    assert bench.now_ms - begin_ms < 120_000


def test_refusals_of_concurrent_requests_are_no_probes(bench: Bench) -> None:
    for endpoint in (HERE, THERE, Endpoint.COMMANDS_PENDING, Endpoint.OTA_CHECK):
        bench.connectivity.record_key_refusal(endpoint, "401")
    assert bench.connectivity.wait_ms(HERE) <= 11_000


def test_lost_connection_is_shown_while_the_key_is_refused(bench: Bench) -> None:
    for _ in range(KEY_REFUSALS_MAX):
        bench.connectivity.record_key_refusal(HERE, "401")
    bench.now_ms += 11_000
    bench.connectivity.begin_request(THERE, timeout_ms=30_000)
    bench.connectivity.record_failure(THERE, "no route")
    assert bench.state() is ConnectivityState.DOWN
    bench.now_ms += 30_000
    bench.connectivity.begin_request(THERE, timeout_ms=30_000)
    bench.connectivity.record_key_refusal(THERE, "401")
    assert bench.state() is ConnectivityState.KEY_REFUSED


def test_key_refusals_count_over_all_endpoints(bench: Bench) -> None:
    for endpoint in (HERE, THERE, HERE):
        bench.connectivity.record_key_refusal(endpoint, "401")
    assert bench.state() is ConnectivityState.KEY_REFUSED


def test_success_in_between_resets_the_key_refusals(bench: Bench) -> None:
    for _ in range(2):
        for _ in range(KEY_REFUSALS_MAX - 1):
            bench.connectivity.record_key_refusal(HERE, "401")
        bench.connectivity.record_success(THERE)
    assert bench.state() is ConnectivityState.DEGRADED
    bench.connectivity.record_key_refusal(HERE, "401")
    assert bench.state() is ConnectivityState.DEGRADED
    bench.connectivity.record_success(HERE)
    assert bench.state() is ConnectivityState.UP


def test_a_new_key_ends_the_slow_probe_at_once(bench: Bench) -> None:
    for _ in range(KEY_REFUSALS_MAX):
        bench.connectivity.record_key_refusal(HERE, "401")
    bench.now_ms += OUTAGE_MS_MIN
    bench.connectivity.record_success(HERE)
    assert bench.connectivity.wait_ms(THERE) == 0
    assert bench.recoveries == 1


def test_hubs_resume_at_different_times() -> None:
    def wait_ms(act: Callable[[Connectivity], None], seed: int) -> int:
        bench = Bench(random.Random(seed))
        act(bench.connectivity)
        return bench.connectivity.wait_ms(HERE)

    def refuse(connectivity: Connectivity) -> None:
        for _ in range(KEY_REFUSALS_MAX):
            connectivity.record_key_refusal(HERE, "401")

    for act in (
        refuse,
        lambda connectivity: connectivity.record_failure(HERE, "down"),
        lambda connectivity: connectivity.record_throttling(HERE, "429", 60.0),
    ):
        assert len({wait_ms(act, seed) for seed in range(50)}) > 30


# The health of each endpoint.


def test_failure_of_one_endpoint_is_not_hidden_by_successes_of_others(bench: Bench) -> None:
    bench.connectivity.record_success(THERE)
    for _ in range(20):
        bench.connectivity.begin_request(HERE, timeout_ms=30_000)
        bench.connectivity.record_failure(HERE, "answered 500", cause=Cause.SERVER_ERROR)
        bench.now_ms += bench.connectivity.wait_ms(HERE)
        bench.connectivity.record_success(THERE)
        assert bench.state() is ConnectivityState.DEGRADED
    assert (bench.connectivity.status.reason, bench.connectivity.status.cause) == ("answered 500", Cause.SERVER_ERROR)
    health = bench.connectivity.health[HERE]
    assert (health.state, health.failures, health.since_ms) == (EndpointState.FAILING, 20, 5_000)
    assert bench.connectivity.health[THERE].state is EndpointState.WORKING
    assert bench.recoveries == bench.connectivity.outages == 0
    bench.connectivity.record_success(HERE)
    assert bench.state() is ConnectivityState.UP
    assert bench.recoveries == 1, "the backlog begins to flow: a fleet must not fall upon the cloud together"
    assert bench.connectivity.outages == 0


def test_timeout_is_the_endpoints_own_fault_while_others_are_answered(
    bench: Bench,
) -> None:
    bench.connectivity.begin_request(HERE, timeout_ms=30_000)
    bench.connectivity.record_success(THERE)
    bench.connectivity.record_failure(HERE, "no answer", cause=Cause.NO_ANSWER)
    bench.connectivity.record_success(THERE)
    assert bench.state() is ConnectivityState.DEGRADED
    assert bench.connectivity.is_failing(HERE)


def test_connection_failures_end_once_any_request_connects(bench: Bench) -> None:
    for endpoint in (HERE, THERE, Endpoint.OTA_CHECK):
        bench.connectivity.begin_request(endpoint, timeout_ms=30_000)
        bench.connectivity.record_failure(endpoint, "no route", cause=Cause.NO_CONNECTION)
    assert bench.state() is ConnectivityState.DOWN
    bench.connectivity.record_success(THERE)
    assert bench.state() is ConnectivityState.UP
    assert not bench.connectivity.is_failing(Endpoint.OTA_CHECK)


def test_a_cloud_that_fails_everywhere_is_down_not_degraded(bench: Bench) -> None:
    for endpoint in (HERE, THERE):
        bench.connectivity.record_success(endpoint)
    bench.connectivity.record_failure(HERE, "503", cause=Cause.SERVER_ERROR)
    bench.connectivity.record_failure(THERE, "503", cause=Cause.SERVER_ERROR)
    assert bench.state() is ConnectivityState.DOWN


def test_old_failure_that_is_not_repeated_is_forgotten(bench: Bench) -> None:
    bench.connectivity.record_failure(Endpoint.OTA_DOWNLOAD, "503", cause=Cause.SERVER_ERROR)
    bench.connectivity.record_success(HERE)
    assert bench.state() is ConnectivityState.DEGRADED
    bench.now_ms += STALE_MS + 2_000
    assert bench.state() is ConnectivityState.UP


def test_throttled_endpoint_is_shown_as_throttled(bench: Bench) -> None:
    bench.connectivity.record_throttling(HERE, "answered 429", 60.0)
    bench.now_ms += 1
    bench.connectivity.record_throttling(HERE, "answered 429", 60.0)
    health = bench.connectivity.health[HERE]
    assert (health.state, health.reason, health.since_ms) == (EndpointState.THROTTLED, "answered 429", 5_000)
    bench.connectivity.record_success(HERE)
    assert bench.connectivity.health[HERE].state is EndpointState.WORKING


def test_new_key_resets_the_state(bench: Bench) -> None:
    bench.connectivity.record_failure(HERE, "no route")
    bench.connectivity.remove_key()
    assert bench.state() is ConnectivityState.UNPROVISIONED
    bench.connectivity.set_key()
    assert bench.state() is ConnectivityState.UNTRIED
