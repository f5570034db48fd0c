import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota
from lab.refcloud.middleware import QuotaCounter, QuotaUsage

LIMIT, WINDOW_S = 3, 60
POLL = Endpoint.COMMANDS_PENDING


def quotas() -> QuotaCounter:
    return QuotaCounter({POLL: EndpointQuota(LIMIT, WINDOW_S), Endpoint.TELEMETRY: EndpointQuota(1, WINDOW_S)})


def ask(account: QuotaCounter, now_s: float, device: str = "a") -> float:
    return account.ask(device, POLL, now_s=now_s, utc_s=now_s)


@given(st.lists(st.floats(0, 40, allow_nan=False), max_size=80), st.floats(0, 1000, allow_nan=False))
def test_limit_holds_in_every_fixed_and_sliding_window(gaps_s: list[float], utc_ahead_s: float) -> None:
    account, admitted_s, now_s = quotas(), [], 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        if account.ask("a", POLL, now_s=now_s, utc_s=now_s + utc_ahead_s) == 0.0:
            admitted_s.append(now_s)
    for first_s in admitted_s:
        assert sum(first_s <= at_s < first_s + WINDOW_S for at_s in admitted_s) <= LIMIT
    windows = [(at_s + utc_ahead_s) // WINDOW_S for at_s in admitted_s]
    assert all(windows.count(window) <= LIMIT for window in windows)


@given(st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=60))
def test_request_after_retry_after_is_admitted(gaps_s: list[float]) -> None:
    account, now_s = quotas(), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        wait_s = ask(account, now_s)
        if wait_s:
            now_s += math.ceil(wait_s)
            assert ask(account, now_s) == 0.0


def test_sliding_window_slides() -> None:
    account = quotas()
    assert [ask(account, at_s) for at_s in (50.0, 55.0, 59.0)] == [0.0, 0.0, 0.0]
    assert ask(account, 61.0) == pytest.approx(49.0)
    assert ask(account, 110.0) == 0.0


def test_refused_requests_fill_the_fixed_window() -> None:
    account = quotas()
    for at_s in (59.0, 59.0, 59.0, 60.0, 61.0, 62.0):
        ask(account, at_s)
    # The sliding window is free at 119, but the fixed one has seen three (refused) requests since 60.
    assert ask(account, 119.0) == pytest.approx(1.0)
    assert ask(account, 120.0) == 0.0


def test_keys_and_endpoints_have_their_own_quotas() -> None:
    account = quotas()
    assert [ask(account, 0.0) for _ in range(LIMIT + 1)][-1] > 0.0
    assert ask(account, 0.0, device="b") == 0.0
    assert account.ask("a", Endpoint.TELEMETRY, now_s=0.0, utc_s=0.0) == 0.0
    assert set(account.usage()) == {
        ("a", POLL, QuotaUsage(requests=LIMIT + 1, over_quota=1)),
        ("b", POLL, QuotaUsage(requests=1, over_quota=0)),
        ("a", Endpoint.TELEMETRY, QuotaUsage(requests=1, over_quota=0)),
    }


def test_quotas_equal_the_published_table() -> None:
    limits = {endpoint.value: (quota.limit, quota.window_s) for endpoint, quota in QUOTAS.items()}
    assert limits == {
        "telemetry": (60, 60),
        "settings_get": (10, 60),
        "settings_put": (5, 60),
        "commands_pending": (30, 60),
        "commands_ack": (30, 60),
        "ota_check": (10, 60),
        "ota_download": (5, 3600),
        "ota_status": (10, 60),
        "zigbee_register": (10, 60),
    }
