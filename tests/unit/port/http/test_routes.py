"""The table of routes: nothing else is reachable, each route has a role, and the documentation lists it exactly."""

import inspect
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agent.climate.requests import HoldWithoutEffect
from agent.errors import CloudUnavailable, ReadFailed, UnknownDevice
from agent.foundation.log_ring import LogRing
from agent.local import (
    boots,
    calibration,
    climate,
    commands,
    log,
    maintenance,
    port,
    routes,
    status_builder,
    updates,
    zigbee,
)
from agent.local.routes import ROUTES, Handler, LocalRequest, Role, Route, refusal_of
from agent.port import alerts, api_clients, cloud_key, config_editor, facts, homekit, monitoring, page_files, webhooks
from agent.port.bundle import handler
from agent.port.checks.repairs import Repairs
from agent.port.checks.service import ChecksService
from agent.port.events import stream
from agent.port.hardware import handlers
from agent.port.history import recorder
from agent.port.http import server
from agent.port.http.gates import SocketGate
from agent.port.sign_in import handlers as port_handlers

PAGE = Path(__file__).parents[4] / "docs" / "local-api.md"
ANY = cast("Any", None)


def all_handlers() -> dict[str, Handler]:
    return {
        **status_builder.handlers(ANY, ANY),
        **ChecksService(ANY, ANY, ANY).handlers(),
        **Repairs(ANY, renew_certificate=ANY, on_repaired=ANY).handlers(),
        **boots.handlers(ANY),
        **commands.handlers(ANY, ANY),
        **climate.handlers(None, ANY),
        **calibration.handlers(ANY),
        **maintenance.handlers(ANY),
        **zigbee.handlers(ANY, ANY),
        **updates.handlers(cast("Any", object())),
        **port_handlers.handlers(ANY, ANY, ANY, service_user=""),
        **handler.handlers(ANY, all_handlers=ANY, clock=ANY),
        **handlers.handlers(cast("Any", object()), ANY, ANY, None),
        **log.handlers(LogRing(int), ANY),
        **config_editor.handlers(cast("Any", object())),
        **cloud_key.handlers(ANY),
        **recorder.handlers(cast("Any", SimpleNamespace(is_on=True))),
        **stream.handlers(ANY),
        **monitoring.handlers({}, status=ANY, climate=ANY, zigbee=ANY),
        **page_files.handlers(ANY),
        **monitoring.description_handlers(dict),
        **port.handlers(ANY),
        **api_clients.handlers(None, ANY, ANY, ANY),
        **alerts.handlers(None, None),
        **homekit.handlers(None, lambda _: None),
        **facts.handlers(None),
        **webhooks.handlers(None, ANY),
    }


def test_every_route_has_its_handler_and_every_handler_its_route() -> None:
    assert set(all_handlers()) == {route.handler for route in ROUTES}
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_a_handler_without_a_route_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="add a route for: erase_everything"):
        server.application({**all_handlers(), "erase_everything": ANY}, SocketGate())


async def test_only_what_the_table_lists_is_reachable() -> None:
    reached: list[str] = []

    def spy(name: str) -> Handler:
        async def handler(request: LocalRequest) -> object:
            if inspect.isasyncgen(request.body):
                await request.body.aclose()
            reached.append(name)
            return {}

        return handler

    listed = {(route.method, re.sub(r"{\w+}", "x", route.path)) for route in ROUTES}
    paths = sorted(
        {path for _, path in listed} | {"/", "/v1", "/v1/status/", "/v1/zigbee/sensors/x", "/page", "/page/x/x/x"}
    )
    application = server.application({name: spy(name) for name in all_handlers()}, SocketGate())
    async with TestClient(TestServer(application)) as client:
        for path in paths:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                reached.clear()
                names = (
                    "name",
                    "key",
                    "new",
                    "code",
                    "role",
                    "api",
                    "test_id",
                    "url",
                    "text",
                    "sensor",
                    "zone",
                    "indicator",
                    "answer",
                )
                texts = dict.fromkeys(names, "x")
                body = json.dumps(texts | {"changes": {}})
                async with client.request(method, path, data=body) as response:
                    # A path of one part may be a file of the page.
                    is_listed = (method, path) in listed or (method == "GET" and bool(re.fullmatch("/[^/]+", path)))
                    assert (response.status == 200) == is_listed, (method, path, response.status)
                    assert len(reached) == is_listed


def test_what_changes_something_is_not_for_viewers_and_secrets_are_for_owners() -> None:
    assert all(isinstance(route.role, Role) for route in ROUTES)
    changing = {route.handler for route in ROUTES if route.role <= Role.VIEWER and route.method != "GET"}
    assert changing == {"open_session", "close_session"}
    owners = {route.handler for route in ROUTES if route.role is Role.OWNER}
    assert {"back_up_network", "restore_network", "confirm_command", "install_bundle"} <= owners
    assert {"make_code", "add_token", "revoke_token", "end_session"} <= owners


def body_of(route: Route) -> str:
    if route.body is None:
        return ""
    return "stream" if route.body is AsyncIterator else f"JSON, {route.bytes_max // 1024} KiB"


def test_the_documentation_lists_exactly_the_table() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \| `(\S+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = [(method, path, role, body.strip()) for method, path, role, body in rows]
    assert documented == [(route.method, route.path, route.role.value, body_of(route)) for route in ROUTES]


def test_every_error_code_is_documented() -> None:
    source = "".join(
        path.read_text() for part in (routes, server) for path in Path(str(part.__file__)).parent.glob("*.py")
    )
    codes = set(re.findall(r'HTTPStatus\.[A-Z_]+, "(\w+)"', source)) | {"timeout", "failed", "storage_full"}
    assert {code for code in codes if f"`{code}`" not in PAGE.read_text()} == set()


def test_each_role_includes_those_before_it() -> None:
    assert Role.PUBLIC < Role.VIEWER < Role.SERVICE < Role.OWNER
    assert Role.OWNER >= Role.SERVICE
    assert not Role.VIEWER >= Role.SERVICE


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HoldWithoutEffect("switch eco off first"), 400, "invalid"),
        (UnknownDevice("there is no attic"), 404, "not_found"),
        (ReadFailed("the disk fails"), 503, "storage_full"),
        (CloudUnavailable("no answer"), 503, "failed"),
    ],
)
def test_an_error_is_answered_as_the_nearest_one_of_the_table(error: Exception, status: int, code: str) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, refusal.code, str(refusal)) == (status, code, str(error))
