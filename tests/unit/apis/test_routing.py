import pytest

from agent.apis.face import ApiAnswer, ApiRequest, ApiRoute
from agent.apis.routing import SEGMENT_CHARACTERS_MAX, find_route


async def answer(_: ApiRequest) -> ApiAnswer:
    return ApiAnswer({})


ROUTES = (
    ApiRoute("POST", "/token", answer, is_open=True),
    ApiRoute("GET", "/devices/{device}", answer),
    ApiRoute("POST", "/devices/{device}", answer),
    ApiRoute("POST", "/devices/{device}/sync", answer),
    ApiRoute("POST", "", answer),
)


@pytest.mark.parametrize(
    ("method", "path", "expected", "parameters"),
    [
        ("POST", "/token", ROUTES[0], {}),
        ("GET", "/devices/living", ROUTES[1], {"device": "living"}),
        ("POST", "/devices/living/sync", ROUTES[3], {"device": "living"}),
        ("POST", "", ROUTES[4], {}),
        # A slash that was encoded stays in its segment, and is decoded once only.
        ("GET", "/devices/a%2Fb", ROUTES[1], {"device": "a/b"}),
        ("GET", "/devices/a%252Fb", ROUTES[1], {"device": "a%2Fb"}),
    ],
)
def test_a_path_finds_its_route(method: str, path: str, expected: ApiRoute, parameters: dict[str, str]) -> None:
    found = find_route(ROUTES, method, path)
    assert (found.route, found.parameters) == (expected, parameters)


@pytest.mark.parametrize(
    "path", ["/", "/devices", "/devices/", "/devices//sync", "/devices/a/sync/", "//token", "/Token", "/token/"]
)
def test_nothing_else_is_reachable(path: str) -> None:
    assert not find_route(ROUTES, "POST", path).allowed


def test_a_wrong_method_learns_the_right_ones_and_an_open_path_says_so_to_anybody() -> None:
    assert find_route(ROUTES, "DELETE", "/devices/living").allowed == ("GET", "POST")
    assert not find_route(ROUTES, "DELETE", "/devices/living").is_open
    assert find_route(ROUTES, "GET", "/token").is_open


def test_a_segment_has_a_limit() -> None:
    assert find_route(ROUTES, "GET", "/devices/" + SEGMENT_CHARACTERS_MAX * "x").route
    assert find_route(ROUTES, "GET", "/devices/" + (SEGMENT_CHARACTERS_MAX + 1) * "x").route is None
