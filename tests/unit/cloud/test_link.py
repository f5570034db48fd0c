import random
from collections.abc import Callable

import pytest

from agent.cloud.endpoints import Endpoint
from agent.cloud.link import (
    BACKOFF_CAP_S,
    OUTAGE_MS_MIN,
    REFUSALS_MAX,
    REFUSED_PROBES_S,
    STALE_MS,
    EndpointState,
    Link,
    LinkState,
)
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
        self.link = Link(now_ms=lambda: self.now_ms, rng=rng)
        self.link.on_recovery(self._recovered)

    def state(self) -> LinkState:
        return self.link.status.state

    def _recovered(self) -> None:
        self.recoveries += 1


@pytest.fixture
def bench() -> Bench:
    return Bench(Longest())


def test_at_first_nothing_is_known_and_nothing_waits(bench: Bench) -> None:
    assert bench.state() is LinkState.UNTRIED
    assert all(bench.link.wait_ms(endpoint) == 0 for endpoint in Endpoint)


def test_failures_put_off_their_own_endpoint_only(bench: Bench) -> None:
    waits_ms = []
    for _ in range(12):
        bench.link.failed(HERE, "no route")
        waits_ms.append(bench.link.wait_ms(HERE))
        assert bench.link.wait_ms(THERE) == 0
        bench.now_ms += waits_ms[-1]
        assert bench.link.wait_ms(HERE) == 0
    assert waits_ms[:4] == [1001, 2001, 4001, 8001]
    assert waits_ms[-1] == BACKOFF_CAP_S * 1000 + 1


def test_even_without_luck_a_failure_waits(bench: Bench) -> None:
    class Shortest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return a

    bench = Bench(Shortest())
    bench.link.failed(HERE, "no route")
    assert bench.link.wait_ms(HERE) > 0


def test_a_success_forgets_the_failures(bench: Bench) -> None:
    for _ in range(5):
        bench.link.failed(HERE, "no route")
    bench.link.succeeded(HERE)
    assert bench.link.wait_ms(HERE) == 0
    bench.link.failed(HERE, "no route")
    assert bench.link.wait_ms(HERE) == 1001


def test_a_server_may_ask_for_more(bench: Bench) -> None:
    bench.link.failed(HERE, "busy", retry_after_s=120.0)
    assert bench.link.wait_ms(HERE) == 121_001


def test_throttling_waits_a_little_longer_than_asked_and_is_no_failure(bench: Bench) -> None:
    bench.link.succeeded(THERE)
    bench.link.throttled(HERE, "429", 10.0)
    assert 10_000 <= bench.link.wait_ms(HERE) <= 11_000
    assert bench.link.wait_ms(THERE) == 0
    assert bench.state() is LinkState.UP


def test_the_state_says_since_when_and_why(bench: Bench) -> None:
    bench.link.failed(HERE, "no route")
    bench.now_ms += 3000
    bench.link.failed(HERE, "timed out")
    assert bench.state() is LinkState.DOWN
    assert (bench.link.status.reason, bench.link.status.since_ms) == ("timed out", 5_000)
    bench.link.succeeded(THERE)
    assert bench.state() is LinkState.UP
    assert (bench.link.status.reason, bench.link.status.since_ms) == ("", 8_000)
    bench.now_ms += 1
    bench.link.succeeded(THERE)
    assert bench.link.status.since_ms == 8_000


@pytest.mark.parametrize(("lasts_ms", "recoveries"), [(OUTAGE_MS_MIN - 1, 0), (OUTAGE_MS_MIN, 1)])
def test_only_a_long_loss_is_an_outage(bench: Bench, lasts_ms: int, recoveries: int) -> None:
    bench.link.succeeded(HERE)
    bench.link.failed(HERE, "no route")
    bench.now_ms += lasts_ms
    bench.link.failed(HERE, "no route")
    bench.link.succeeded(HERE)
    bench.link.succeeded(HERE)
    assert bench.recoveries == bench.link.outages == recoveries


def test_the_first_contact_is_no_recovery(bench: Bench) -> None:
    bench.now_ms += 10 * OUTAGE_MS_MIN
    bench.link.succeeded(HERE)
    assert bench.recoveries == 0


def test_a_refused_key_is_probed_by_one_endpoint_ever_more_slowly(bench: Bench) -> None:
    for _ in range(REFUSALS_MAX - 1):
        bench.link.refused(HERE, "401")
        assert bench.state() is LinkState.DOWN
        assert bench.link.wait_ms(THERE) == 0
    bench.link.refused(HERE, "401")
    waits_s = []
    for endpoint in (HERE, THERE, HERE, THERE, HERE, THERE, HERE):
        assert bench.state() is LinkState.KEY_REFUSED
        assert len({bench.link.wait_ms(each) for each in Endpoint if each is not HERE}) == 1
        waits_s.append(bench.link.wait_ms(THERE) / 1000)
        bench.now_ms += bench.link.wait_ms(endpoint)
        bench.link.began(endpoint, timeout_ms=30_000)
        assert all(bench.link.wait_ms(each) == 30_000 for each in Endpoint)
        bench.link.refused(endpoint, "401")
    assert waits_s == pytest.approx([11.0, 33.0, 66.0, 132.0, 330.0, 990.0, 990.0])
    assert REFUSED_PROBES_S[-1] == 900.0


def test_a_minute_of_refusals_costs_two_minutes_at_most(bench: Bench) -> None:
    begin_ms = bench.now_ms
    while bench.now_ms < begin_ms + 60_000:
        bench.now_ms += bench.link.wait_ms(HERE)
        bench.link.began(HERE, timeout_ms=30_000)
        if bench.now_ms < begin_ms + 60_000:
            bench.link.refused(HERE, "401")
    bench.link.succeeded(HERE)
    assert bench.state() is LinkState.UP
    assert bench.now_ms - begin_ms < 120_000


def test_refusals_of_requests_that_were_on_their_way_are_no_probes(bench: Bench) -> None:
    for endpoint in (HERE, THERE, Endpoint.COMMANDS_PENDING, Endpoint.OTA_CHECK):
        bench.link.refused(endpoint, "401")
    assert bench.link.wait_ms(HERE) <= 11_000


def test_a_way_that_is_lost_while_the_key_is_refused_is_shown(bench: Bench) -> None:
    for _ in range(REFUSALS_MAX):
        bench.link.refused(HERE, "401")
    bench.now_ms += 11_000
    bench.link.began(THERE, timeout_ms=30_000)
    bench.link.failed(THERE, "no route")
    assert bench.state() is LinkState.DOWN
    bench.now_ms += 30_000
    bench.link.began(THERE, timeout_ms=30_000)
    bench.link.refused(THERE, "401")
    assert bench.state() is LinkState.KEY_REFUSED


def test_refusals_count_over_all_endpoints(bench: Bench) -> None:
    for endpoint in (HERE, THERE, HERE):
        bench.link.refused(endpoint, "401")
    assert bench.state() is LinkState.KEY_REFUSED


def test_an_answer_in_between_proves_the_key(bench: Bench) -> None:
    for _ in range(2):
        for _ in range(REFUSALS_MAX - 1):
            bench.link.refused(HERE, "401")
        bench.link.succeeded(THERE)
    assert bench.state() is LinkState.DEGRADED
    bench.link.refused(HERE, "401")
    assert bench.state() is LinkState.DEGRADED
    bench.link.succeeded(HERE)
    assert bench.state() is LinkState.UP


def test_a_new_key_ends_the_slow_probe_at_once(bench: Bench) -> None:
    for _ in range(REFUSALS_MAX):
        bench.link.refused(HERE, "401")
    bench.now_ms += OUTAGE_MS_MIN
    bench.link.succeeded(HERE)
    assert bench.link.wait_ms(THERE) == 0
    assert bench.recoveries == 1


def test_a_fleet_does_not_come_back_in_step() -> None:
    def wait_ms(act: Callable[[Link], None], seed: int) -> int:
        bench = Bench(random.Random(seed))
        act(bench.link)
        return bench.link.wait_ms(HERE)

    def refuse(link: Link) -> None:
        for _ in range(REFUSALS_MAX):
            link.refused(HERE, "401")

    for act in (refuse, lambda link: link.failed(HERE, "down"), lambda link: link.throttled(HERE, "429", 60.0)):
        assert len({wait_ms(act, seed) for seed in range(50)}) > 30


# The health of each endpoint.


def test_what_only_telemetry_meets_is_not_hidden_by_the_successes_of_others(bench: Bench) -> None:
    bench.link.succeeded(THERE)
    for _ in range(20):
        bench.link.began(HERE, timeout_ms=30_000)
        bench.link.failed(HERE, "answered 500", cause=Cause.SERVER_ERROR)
        bench.now_ms += bench.link.wait_ms(HERE)
        bench.link.succeeded(THERE)
        assert bench.state() is LinkState.DEGRADED
    assert (bench.link.status.reason, bench.link.status.cause) == ("answered 500", Cause.SERVER_ERROR)
    health = bench.link.health[HERE]
    assert (health.state, health.failures, health.since_ms) == (EndpointState.FAILING, 20, 5_000)
    assert bench.link.health[THERE].state is EndpointState.WORKING
    assert bench.recoveries == bench.link.outages == 0
    bench.link.succeeded(HERE)
    assert bench.state() is LinkState.UP
    assert bench.recoveries == 1, "the backlog begins to flow: a fleet must not fall upon the cloud together"
    assert bench.link.outages == 0


def test_a_request_that_is_never_answered_is_the_endpoints_own_where_others_are_answered_meanwhile(
    bench: Bench,
) -> None:
    bench.link.began(HERE, timeout_ms=30_000)
    bench.link.succeeded(THERE)
    bench.link.failed(HERE, "no answer", cause=Cause.NO_ANSWER)
    bench.link.succeeded(THERE)
    assert bench.state() is LinkState.DEGRADED
    assert bench.link.is_failing(HERE)


def test_what_was_lost_for_want_of_a_connection_is_over_once_another_has_one(bench: Bench) -> None:
    for endpoint in (HERE, THERE, Endpoint.OTA_CHECK):
        bench.link.began(endpoint, timeout_ms=30_000)
        bench.link.failed(endpoint, "no route", cause=Cause.NO_CONNECTION)
    assert bench.state() is LinkState.DOWN
    bench.link.succeeded(THERE)
    assert bench.state() is LinkState.UP
    assert not bench.link.is_failing(Endpoint.OTA_CHECK)


def test_a_cloud_that_fails_everywhere_is_down_not_degraded(bench: Bench) -> None:
    for endpoint in (HERE, THERE):
        bench.link.succeeded(endpoint)
    bench.link.failed(HERE, "503", cause=Cause.SERVER_ERROR)
    bench.link.failed(THERE, "503", cause=Cause.SERVER_ERROR)
    assert bench.state() is LinkState.DOWN


def test_a_failure_that_nobody_repeats_is_history(bench: Bench) -> None:
    bench.link.failed(Endpoint.OTA_DOWNLOAD, "503", cause=Cause.SERVER_ERROR)
    bench.link.succeeded(HERE)
    assert bench.state() is LinkState.DEGRADED
    bench.now_ms += STALE_MS + 2_000
    assert bench.state() is LinkState.UP


def test_a_throttled_endpoint_is_shown_as_such(bench: Bench) -> None:
    bench.link.throttled(HERE, "answered 429", 60.0)
    bench.now_ms += 1
    bench.link.throttled(HERE, "answered 429", 60.0)
    health = bench.link.health[HERE]
    assert (health.state, health.reason, health.since_ms) == (EndpointState.THROTTLED, "answered 429", 5_000)
    bench.link.succeeded(HERE)
    assert bench.link.health[HERE].state is EndpointState.WORKING


def test_a_hub_that_gets_a_key_begins_anew(bench: Bench) -> None:
    bench.link.failed(HERE, "no route")
    bench.link.unprovisioned()
    assert bench.state() is LinkState.UNPROVISIONED
    bench.link.provisioned()
    assert bench.state() is LinkState.UNTRIED
