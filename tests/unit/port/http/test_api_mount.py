"""What stands between a listener and a face: nothing passes that is not admitted by name."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agent.apis.face import (
    ApiAnswer,
    ApiClient,
    ApiProblem,
    ApiRefused,
    ApiRequest,
    ApiRoute,
    Limit,
    LimitUse,
    ProblemKind,
)
from agent.apis.rate_limit import RateLimits
from agent.errors import SettingInvalid, StorageFull
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.routes import Caller
from agent.port.http import bodies
from agent.port.http.api_mount import OPEN_CALLS_MAX, WRONG_LIMIT, MountedApis
from agent.port.http.gates import NetworkGate
from agent.port.http.server import application

KEY = {"x-key": "right"}


class FakeFace:
    """An API with one call of each kind."""

    name = "fake"
    prefix = "/fake/v1"

    def __init__(self) -> None:
        self.seen: list[ApiRequest] = []
        self.error: Exception | None = None
        self.problems: list[ApiProblem] = []
        self.requests_max = 100
        self.result = ""

    @property
    def routes(self) -> Sequence[ApiRoute]:
        return (
            ApiRoute("POST", "/token", self.take, is_open=True),
            ApiRoute("POST", "/sign-in", self.sign_in, is_open=True, is_sign_in=True),
            ApiRoute("POST", "/costly", self.take_costly),
            ApiRoute("GET", "/devices/{device}", self.take),
            ApiRoute("POST", "/devices/{device}", self.take, scope="write", bytes_max=10),
            ApiRoute("POST", "/admin", self.take, scope="admin"),
        )

    async def take(self, request: ApiRequest) -> ApiAnswer:
        self.seen.append(request)
        if self.error:
            raise self.error
        return ApiAnswer({"ok": True}, HTTPStatus.CREATED, {"X-Own": "yes"}, result=self.result)

    async def sign_in(self, request: ApiRequest) -> ApiAnswer:
        return await self.take(request) if request.body == b"right" else ApiAnswer({}, HTTPStatus.UNAUTHORIZED)

    async def take_costly(self, request: ApiRequest) -> ApiAnswer:
        request.count(request.known_client, Limit("costly calls", 1))
        return await self.take(request)

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        if headers.get("x-key") != "right":
            raise ApiRefused(ApiAnswer({"oops": "no_credential"}, HTTPStatus.UNAUTHORIZED))
        return ApiClient("acc_1", "one", "fake", ("write",))

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        return [Limit("all", self.requests_max)]

    def limit_headers(self, uses: Sequence[LimitUse]) -> Mapping[str, str]:
        return {"X-Left": str(uses[0].remaining)}

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        self.problems.append(problem)
        return ApiAnswer({"oops": problem.kind.value, "text": problem.message}, problem.status)

    def loops(self) -> Mapping[str, Any]:
        return {}


class Trail:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        self.entries.append((caller.name, action, target, result))


@pytest.fixture
def face() -> FakeFace:
    return FakeFace()


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
async def client(face: FakeFace, trail: Trail, tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    clock = SystemClock()
    limits = RateLimits(tmp_path, clock=clock, disk=Disk(), worker=InlineWorker())
    gate = NetworkGate(None, frozenset({"localhost"}))
    made = application({}, gate, trail, MountedApis([face], limits, lambda: True))
    async with TestClient(TestServer(made)) as found:
        yield found


Answered = tuple[int, Any, Mapping[str, str]]


async def ask(client: TestClient[Any, Any], method: str, path: str, **given: Any) -> Answered:  # noqa: ANN401 - see aiohttp
    async with client.request(method, path, **given) as response:
        body = await response.read()
        assert response.content_type == "application/json"
        return response.status, json.loads(body), response.headers


async def test_a_known_client_reaches_its_handler_with_what_it_sent(
    client: TestClient[Any, Any], face: FakeFace, trail: Trail
) -> None:
    status, body, headers = await ask(client, "POST", "/fake/v1/devices/a%2Fb?x=1", headers=KEY, data=b"abc")
    assert (status, body, headers["X-Own"], headers["X-Left"]) == (201, {"ok": True}, "yes", "99")
    (seen,) = face.seen
    assert (seen.parameters, seen.query, seen.body) == ({"device": "a/b"}, {"x": "1"}, b"abc")
    assert seen.client is not None
    assert seen.caller.name == "api:fake/one"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert trail.entries == [("api:fake/one", "take", "/fake/v1/devices/a/b", "201")]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
async def test_bodies_come_with_any_content_type(
    client: TestClient[Any, Any], face: FakeFace, content_type: str | None
) -> None:
    given: dict[str, Any] = {"headers": KEY | ({"Content-Type": content_type} if content_type else {})}
    if content_type is None:
        given["skip_auto_headers"] = ["Content-Type"]
    assert (await ask(client, "POST", "/fake/v1/devices/x", data=b"{}", **given))[0] == 201


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind"),
    [
        ("GET", "/fake/v1/devices/x", {}, 401, "no_credential"),
        ("GET", "/fake/v1/devices/x", {"x-key": "wrong"}, 401, "no_credential"),
        # Without a credential nobody learns which calls there are.
        ("GET", "/fake/v1/nothing", {}, 401, "no_credential"),
        ("DELETE", "/fake/v1/devices/x", {}, 401, "no_credential"),
        ("GET", "/fake/v1", {}, 401, "no_credential"),
        ("GET", "/fake/v1/nothing", KEY, 404, "no_route"),
        ("GET", "/fake/v1", KEY, 404, "no_route"),
        ("GET", "/fake/v1/", KEY, 404, "no_route"),
        ("DELETE", "/fake/v1/devices/x", KEY, 405, "wrong_method"),
        ("GET", "/fake/v1/token", {}, 405, "wrong_method"),
        ("POST", "/fake/v1/admin", KEY, 403, "missing_scope"),
        ("GET", "/fake/v1/devices/x", KEY | {"Host": "evil.example"}, 421, "foreign_source"),
        ("GET", "/fake/v1/devices/x", KEY | {"Origin": "http://evil.example"}, 403, "foreign_source"),
        ("POST", "/fake/v1/token", {"Sec-Fetch-Site": "cross-site"}, 403, "foreign_source"),
    ],
)
async def test_what_is_not_admitted_is_refused_in_the_words_of_the_api(
    client: TestClient[Any, Any],
    face: FakeFace,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    found = await ask(client, method, path, headers=headers)
    assert (found[0], found[1]["oops"], face.seen) == (status, kind, [])


async def test_a_wrong_method_names_the_right_ones(client: TestClient[Any, Any]) -> None:
    assert (await ask(client, "PUT", "/fake/v1/devices/x", headers=KEY))[2]["Allow"] == "GET, POST"


async def test_a_body_has_a_limit(client: TestClient[Any, Any], face: FakeFace) -> None:
    assert (await ask(client, "POST", "/fake/v1/devices/x", headers=KEY, data=10 * b"x"))[0] == 201
    status, body, _ = await ask(client, "POST", "/fake/v1/devices/x", headers=KEY, data=11 * b"x")
    assert (status, body["oops"], len(face.seen)) == (413, "too_large", 1)


async def test_a_body_that_does_not_come_is_given_up(
    client: TestClient[Any, Any], face: FakeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENT_S_MAX", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await got.wait()

    got = asyncio.Event()
    status, body, _ = await ask(client, "POST", "/fake/v1/devices/x", headers=KEY, data=slowly())
    got.set()
    assert (status, body["oops"], face.seen) == (408, "too_slow", [])


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (SettingInvalid("choose another"), 400, "refused"),
        (StorageFull("no space"), 503, "unavailable"),
        (KeyError("x"), 500, "defect"),
        (ApiRefused(ApiAnswer({"oops": "own"}, HTTPStatus.CONFLICT)), 409, "own"),
    ],
)
async def test_what_a_handler_raises_is_worded_by_the_face(
    client: TestClient[Any, Any], face: FakeFace, trail: Trail, error: Exception, status: int, kind: str
) -> None:
    face.error = error
    found = await ask(client, "POST", "/fake/v1/devices/x", headers=KEY)
    assert (found[0], found[1]["oops"]) == (status, kind)
    assert found[2]["X-Left"] == "99"
    assert trail.entries[0][3].startswith(str(status) if status != 500 else "no answer")


async def test_a_limit_refuses_with_its_headers_before_anything_is_read(
    client: TestClient[Any, Any], face: FakeFace
) -> None:
    face.requests_max = 1
    assert (await ask(client, "GET", "/fake/v1/devices/x", headers=KEY))[2]["X-Left"] == "0"
    status, body, headers = await ask(client, "GET", "/fake/v1/devices/x", headers=KEY)
    assert (status, body["oops"], headers["X-Left"], len(face.seen)) == (429, "rate_limited", "0", 1)
    assert face.problems[-1].kind is ProblemKind.RATE_LIMITED
    assert face.problems[-1].retry_after_s


async def test_open_calls_of_one_source_are_limited_and_not_audited(
    client: TestClient[Any, Any], face: FakeFace, trail: Trail
) -> None:
    statuses = [(await ask(client, "POST", "/fake/v1/token"))[0] for _ in range(OPEN_CALLS_MAX + 1)]
    assert (statuses[-2], statuses[-1]) == (201, 429)
    assert trail.entries == []
    assert (await ask(client, "GET", "/fake/v1/devices/x", headers=KEY))[0] == 201


async def test_open_calls_do_not_use_up_the_sign_in(client: TestClient[Any, Any]) -> None:
    for _ in range(OPEN_CALLS_MAX + 1):
        await ask(client, "POST", "/fake/v1/token")
    statuses = {(await ask(client, "POST", "/fake/v1/sign-in", data=b"right"))[0] for _ in range(OPEN_CALLS_MAX + 1)}
    assert statuses == {201}


@pytest.mark.parametrize("path", ["/fake/v1/devices/x", "/fake/v1/sign-in"])
async def test_wrong_credentials_are_limited_and_right_ones_get_in_all_the_same(
    client: TestClient[Any, Any], path: str
) -> None:
    statuses = [(await ask(client, "POST", path))[0] for _ in range(WRONG_LIMIT.requests_max + 1)]
    assert (statuses[-2], statuses[-1]) == (401, 429)
    assert (await ask(client, "POST", "/fake/v1/sign-in", data=b"right"))[0] == 201
    assert (await ask(client, "POST", "/fake/v1/devices/x", headers=KEY))[0] == 201


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("DELETE", "/devices/x")])
async def test_calls_that_do_not_exist_count_against_the_client(
    client: TestClient[Any, Any], face: FakeFace, method: str, path: str
) -> None:
    face.requests_max = 2
    found = [await ask(client, method, "/fake/v1" + path, headers=KEY) for _ in range(3)]
    assert [status for status, _, _ in found] == [404 if method == "GET" else 405] * 2 + [429]


async def test_a_handler_counts_what_only_it_can_tell(
    client: TestClient[Any, Any], face: FakeFace, trail: Trail
) -> None:
    assert (await ask(client, "POST", "/fake/v1/costly", headers=KEY))[0] == 201
    status, body, headers = await ask(client, "POST", "/fake/v1/costly", headers=KEY)
    assert (status, body["oops"], headers["X-Left"], len(face.seen)) == (429, "rate_limited", "98", 1)
    assert trail.entries[-1][3] == "429"


async def test_what_came_of_a_call_is_audited_in_the_words_of_the_api(
    client: TestClient[Any, Any], face: FakeFace, trail: Trail
) -> None:
    face.result = "code 403"
    await ask(client, "POST", "/fake/v1/devices/x", headers=KEY)
    assert trail.entries[-1][1:] == ("take", "/fake/v1/devices/x", "code 403")


async def test_what_is_not_found_is_not_audited(client: TestClient[Any, Any], face: FakeFace, trail: Trail) -> None:
    face.error = ApiRefused(ApiAnswer({"oops": "own"}, HTTPStatus.NOT_FOUND))
    assert (await ask(client, "POST", "/fake/v1/devices/x", headers=KEY))[0] == 404
    assert trail.entries == []


async def test_reading_is_not_audited(client: TestClient[Any, Any], trail: Trail) -> None:
    await ask(client, "GET", "/fake/v1/devices/x", headers=KEY)
    assert trail.entries == []


async def test_nobody_is_admitted_before_the_credentials_are_read(face: FakeFace, tmp_path: Path) -> None:
    limits = RateLimits(tmp_path, clock=SystemClock(), disk=Disk(), worker=InlineWorker())
    made = application(
        {}, NetworkGate(None, frozenset({"localhost"})), None, MountedApis([face], limits, lambda: False)
    )
    async with TestClient(TestServer(made)) as client:
        status, body, _ = await ask(client, "GET", "/fake/v1/devices/x", headers=KEY)
        assert (status, body["oops"]) == (503, "unavailable")


async def test_a_prefix_is_no_licence_for_its_neighbours(client: TestClient[Any, Any]) -> None:
    for path in ("/fake", "/fake/v10", "/fake/v1x/devices/x"):
        async with client.get(path, headers=KEY) as response:
            assert response.content_type == "application/problem+json", path
