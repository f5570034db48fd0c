import random
from collections.abc import Callable

import pytest

from agent.cloud.endpoints import Endpoint
from agent.cloud.link import (
    BACKOFF_CAP_S,
    OUTAGE_MS_MIN,
    REFUSALS_MAX,
    REFUSED_PROBE_S,
    Link,
    LinkState,
)

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
    bench.link.throttled(HERE, 10.0)
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


def test_a_refused_key_silences_everything_after_a_few_times(bench: Bench) -> None:
    for _ in range(REFUSALS_MAX - 1):
        bench.link.refused(HERE, "401")
        assert bench.state() is LinkState.DOWN
        assert bench.link.wait_ms(THERE) == 0
    bench.link.refused(HERE, "401")
    assert bench.state() is LinkState.KEY_REFUSED
    for endpoint in Endpoint:
        assert REFUSED_PROBE_S * 900 <= bench.link.wait_ms(endpoint) <= REFUSED_PROBE_S * 1100
    bench.now_ms += bench.link.wait_ms(HERE)
    bench.link.refused(THERE, "401")
    assert bench.link.wait_ms(HERE) >= REFUSED_PROBE_S * 900


def test_refusals_count_over_all_endpoints(bench: Bench) -> None:
    for endpoint in (HERE, THERE, HERE):
        bench.link.refused(endpoint, "401")
    assert bench.state() is LinkState.KEY_REFUSED


def test_an_answer_in_between_proves_the_key(bench: Bench) -> None:
    for _ in range(2):
        for _ in range(REFUSALS_MAX - 1):
            bench.link.refused(HERE, "401")
        bench.link.succeeded(THERE)
    assert bench.state() is LinkState.UP
    bench.link.refused(HERE, "401")
    assert bench.state() is LinkState.DOWN


def test_a_new_key_ends_the_slow_probe_at_once(bench: Bench) -> None:
    for _ in range(REFUSALS_MAX):
        bench.link.refused(HERE, "401")
    bench.now_ms += bench.link.wait_ms(HERE)
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

    for act in (refuse, lambda link: link.failed(HERE, "down"), lambda link: link.throttled(HERE, 60.0)):
        assert len({wait_ms(act, seed) for seed in range(50)}) > 30
