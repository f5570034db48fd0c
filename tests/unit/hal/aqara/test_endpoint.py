"""The client of an Aqara endpoint: one more try after a timeout, but never for what would be done twice."""

from typing import Any

import pytest

from hal.aqara.endpoint import AqaraEndpoint, EndpointTimedOut
from tests.unit.cli.aqara.endpoint_server import running, success


class Stalled(AqaraEndpoint):
    """Times out so many times."""

    def __init__(self, stalls: int) -> None:
        super().__init__("http://hub/open/api", "token", new_id=lambda: "1")
        self.stalls = stalls
        self.sent = 0

    def _send(self, kind: str, data: object) -> object:
        self.sent += 1
        if self.sent <= self.stalls:
            raise EndpointTimedOut("no answer")
        return data


def test_timeout_is_tried_once_more() -> None:
    endpoint = Stalled(1)
    assert endpoint.request("UpdateSpaceRequest", 7) == 7
    assert endpoint.sent == 2


def test_second_timeout_is_reported() -> None:
    endpoint = Stalled(2)
    with pytest.raises(EndpointTimedOut):
        endpoint.request("GetSpacesRequest")
    assert endpoint.sent == 2


def test_space_is_never_created_twice() -> None:
    endpoint = Stalled(1)
    with pytest.raises(EndpointTimedOut):
        endpoint.request("CreateSpaceRequest", {"name": "Attic"})
    assert endpoint.sent == 1


def test_silent_endpoint_times_out() -> None:
    with running() as server:
        endpoint = AqaraEndpoint(server.url, "token", new_id=lambda: "1", timeout_s=0.05)
        stalled: list[bool] = []

        def respond(message: dict[str, Any]) -> tuple[int, Any]:
            if not stalled:
                stalled.append(True)
                server.released.wait(10)
            return 200, success(message, [])

        server.respond = respond
        try:
            assert endpoint.list_devices() == []
        finally:
            server.released.set()
        assert len(server.messages) == 2


@pytest.mark.parametrize("token", ["", "two words", "line\n", "ä"])
def test_token_that_no_header_takes_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="copy the token"):
        AqaraEndpoint("https://hub/open/api", token, new_id=lambda: "1")
