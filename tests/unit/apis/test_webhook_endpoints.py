"""Registered endpoints."""

from typing import Any

import msgspec
import pytest

from agent.apis.webhooks.endpoints import (
    ENDPOINTS_MAX,
    Endpoint,
    Endpoints,
    NewEndpoint,
    WebhookEvent,
    find_endpoint,
    make_endpoint,
    receivers,
    with_endpoint,
    without_endpoint,
)
from agent.apis.webhooks.signatures import WebhookApi
from agent.errors import SettingInvalid

URL = "https://example.com/hooks"


def endpoint(number: int = 1, /, **fields: object) -> Endpoint:
    request = msgspec.convert({"url": f"{URL}/{number}", "api": "amps", **fields}, NewEndpoint)
    return make_endpoint(request, endpoint_id=f"ep{number}", utc_ms=5, random_bytes=lambda n: bytes([number] * n))


def test_a_new_endpoint_has_a_secret_that_its_representation_leaves_out() -> None:
    made = endpoint(events=["push.failed", "push.failed"])
    assert made.events == ("push.failed",)
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert made.secret not in repr(Endpoints((made,)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"events": ["eco.mode_changed"]}, "choose among"),
        ({"url": "http://example.com/"}, "use https"),
        ({"api": "aurra_home", "is_sandbox": True}, "sandbox"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingInvalid, match=reason):
        endpoint(**fields)


def test_the_number_of_endpoints_is_bounded_and_none_is_there_twice() -> None:
    known = Endpoints()
    for number in range(ENDPOINTS_MAX):
        known = with_endpoint(known, endpoint(number))
    with pytest.raises(SettingInvalid, match="remove an endpoint first"):
        with_endpoint(known, endpoint(ENDPOINTS_MAX))
    with pytest.raises(SettingInvalid, match="remove the endpoint ep3"):
        with_endpoint(known, endpoint(3))
    assert find_endpoint(known, "ep3").url.endswith("/3")
    with pytest.raises(KeyError):
        find_endpoint(without_endpoint(known, "ep3"), "ep3")


def test_which_event_goes_where() -> None:
    every, failed, sandbox = endpoint(1), endpoint(2, events=["push.failed"]), endpoint(3, is_sandbox=True)
    known = [every, failed, sandbox, endpoint(4, api="aurra_home")]
    assert receivers(known, WebhookEvent(WebhookApi.AMPS, "push.failed", b"{}")) == [every, failed]
    assert receivers(known, WebhookEvent(WebhookApi.AMPS, "push.completed", b"{}")) == [every]
    assert receivers(known, WebhookEvent(WebhookApi.AMPS, "push.completed", b"{}", is_sandbox=True)) == [sandbox]


def test_an_endpoint_gets_nothing_from_before_its_time() -> None:
    for at_utc_ms, count in ((4, 0), (5, 1), (None, 1)):
        event = WebhookEvent(WebhookApi.AMPS, "push.completed", b"{}", at_utc_ms=at_utc_ms)
        assert len(receivers([endpoint(1)], event)) == count
