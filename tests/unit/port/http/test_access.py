"""The decisions of the port: which host, which origin, which role, which form of a change."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.local.routes import ROUTES, Caller, RequestRefused, Role, Route
from agent.port.http.access import (
    RequestHead,
    check_content_type,
    check_role,
    check_source,
    is_audited,
    is_own_host,
    own_names,
)

NAMES = own_names("Cellar-7.example.org", ("hub.example",))
LOOK = Route("GET", "/v1/x", Role.VIEWER, "look")
CHANGE = Route("POST", "/v1/x", Role.SERVICE, "change", bytes)
PRESS = Route("POST", "/v1/x", Role.SERVICE, "press")
UPLOAD = Route("PUT", "/v1/x", Role.OWNER, "upload", AsyncIterator)
OPEN = Route("GET", "/", Role.PUBLIC, "page")
SIGN_IN = Route("POST", "/v1/session", Role.PUBLIC, "sign_in", bytes)


def test_a_hub_goes_by_the_machines_name_and_what_the_configuration_adds() -> None:
    assert {"localhost", "cellar-7.example.org", "cellar-7", "cellar-7.local", "hub.example"} == NAMES
    assert own_names("", ()) == {"localhost"}


def test_a_name_with_other_letters_is_answered_as_browsers_ask_for_it() -> None:
    names = own_names("Hüb.example", ("straße.example",))
    assert {"xn--hb-xka.example", "xn--hb-xka", "xn--hb-xka.local", "strasse.example"} <= names
    assert is_own_host("xn--hb-xka.local:8480", names)
    assert own_names("\ud800", ()) >= {"localhost"}


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:9000", "127.0.0.1:8480", "[::1]:8480", "[fe80::1]", "10.12.194.1", "hub.example.:443"],
)
def test_own_names_and_any_address_are_answered(host: str) -> None:
    assert is_own_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "hub.example.evil", "127.0.0.1.evil.example", "localhost@evil", "a b", ":80", "hub.example:x",
     "hub.example/", "[::1", "1.2.3", "0x7f.1", "[hub.example]", "127.0.0.1:999999"],
)  # fmt: skip
def test_another_name_that_leads_here_is_refused(host: str) -> None:
    assert not is_own_host(host, NAMES)
    for route in (LOOK, CHANGE, OPEN, None):
        with pytest.raises(RequestRefused) as refused:
            check_source(route, RequestHead("GET", host=host), NAMES)
        assert (refused.value.status, refused.value.code) == (HTTPStatus.MISDIRECTED_REQUEST, "unknown_host")


@given(st.text(max_size=40))
def test_any_header_is_decided(host: str) -> None:
    is_own_host(host, NAMES)


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        ("http://evil.example", ""),
        ("null", ""),
        ("http://127.0.0.1", ""),
        ("http://127.0.0.1:8480.evil.example", ""),
        ("", "cross-site"),
        ("", "same-site"),
        ("http://127.0.0.1:8480", "same-site"),
    ],
)
@pytest.mark.parametrize("route", [LOOK, CHANGE, SIGN_IN, None])
def test_a_foreign_page_is_refused(route: Route | None, origin: str, fetch_site: str) -> None:
    head = RequestHead(route.method if route else "GET", "127.0.0.1:8480", origin, fetch_site)
    with pytest.raises(RequestRefused) as refused:
        check_source(route, head, NAMES)
    assert (refused.value.status, refused.value.code) == (HTTPStatus.FORBIDDEN, "foreign_origin")


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [("", ""), ("http://localhost:9000", "same-origin"), ("https://LOCALHOST:9000", ""), ("", "none")],
)
def test_the_hubs_own_page_and_programs_are_admitted(origin: str, fetch_site: str) -> None:
    for route in (LOOK, CHANGE, OPEN, SIGN_IN, None):
        check_source(route, RequestHead("POST", "localhost:9000", origin, fetch_site), NAMES)


def test_any_page_may_link_to_the_hubs_page() -> None:
    check_source(OPEN, RequestHead("GET", "localhost", "", "cross-site"), NAMES)


@pytest.mark.parametrize("needed", Role)
@pytest.mark.parametrize("role", Role)
def test_a_role_suffices_for_its_own_routes_and_lower_ones(needed: Role, role: Role) -> None:
    route = msgspec.structs.replace(LOOK, role=needed)
    order = [Role.PUBLIC, Role.VIEWER, Role.SERVICE, Role.OWNER]
    if order.index(role) >= order.index(needed):
        check_role(route, Caller("x", role, "x"))
        return
    with pytest.raises(RequestRefused) as refused:
        check_role(route, Caller("x", role, "x"))
    status, code = (401, "sign_in") if role is Role.PUBLIC else (403, "forbidden")
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("route", "content_type"),
    [
        (CHANGE, ""),
        (CHANGE, "text/plain"),
        (CHANGE, "application/x-www-form-urlencoded"),
        (CHANGE, "multipart/form-data; boundary=application/json"),
        (CHANGE, "application/octet-stream"),
        (PRESS, "text/plain"),
        (PRESS, "Multipart/Form-Data; boundary=x"),
        (UPLOAD, ""),
        (UPLOAD, "application/json"),
    ],
)
def test_a_change_in_a_form_that_any_page_can_send_is_refused(route: Route, content_type: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_content_type(route, RequestHead(route.method, content_type=content_type))
    assert (refused.value.status, refused.value.code) == (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type")


@pytest.mark.parametrize(
    ("route", "content_type"),
    [
        (CHANGE, "application/json"),
        (CHANGE, "Application/JSON; charset=utf-8"),
        (PRESS, ""),
        (PRESS, "application/json"),
        (PRESS, "application/octet-stream"),
        (UPLOAD, "application/octet-stream"),
        (LOOK, "text/plain"),
    ],
)
def test_the_form_of_the_route_is_admitted(route: Route, content_type: str) -> None:
    check_content_type(route, RequestHead(route.method, content_type=content_type))


def test_of_what_is_only_read_the_audit_trail_has_the_networks_key_alone() -> None:
    """Each look at the page's integrations was an entry, "get webhooks", among those who changed something."""
    assert [route.path for route in ROUTES if route.method == "GET" and is_audited(route)] == ["/v1/zigbee/backup"]
