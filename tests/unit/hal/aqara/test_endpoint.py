"""The client of an Aqara endpoint: one more try after a timeout, but never for what would be done twice."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest

from hal.aqara.endpoint import (
    ANSWER_BYTES_MAX,
    ANSWER_S_MAX,
    LIST_BYTES_MAX,
    AqaraEndpoint,
    EndpointLost,
    EndpointRefused,
    EndpointTimedOut,
)
from tests.unit.cli.aqara.endpoint_server import Respond, failure, running, success


class Stalled(AqaraEndpoint):
    """Times out so many times."""

    def __init__(self, stalls: int) -> None:
        super().__init__("http://hub/open/api", "token", new_id=lambda: "1", monotonic_ms=lambda: 0)
        self.stalls = stalls
        self.sent = 0

    def _send(self, kind: str, data: object, bytes_max: int) -> bytes:
        self.sent += 1
        if self.sent <= self.stalls:
            raise EndpointTimedOut("no answer")
        return msgspec.json.encode(data)


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
        endpoint = AqaraEndpoint(server.url, "token", new_id=lambda: "1", monotonic_ms=lambda: 0, timeout_s=0.05)
        stalled: list[bool] = []

        def respond(message: dict[str, Any]) -> tuple[int, Any]:
            if not stalled:
                stalled.append(True)
                server.released.wait(10)
            return 200, success(message, [])

        server.respond = respond
        try:
            assert endpoint.list_devices() == b"[]"
        finally:
            server.released.set()
        assert len(server.messages) == 2


@pytest.mark.parametrize("token", ["", "two words", "line\n", "ä"])
def test_token_that_no_header_takes_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="copy the token"):
        AqaraEndpoint("https://hub/open/api", token, new_id=lambda: "1", monotonic_ms=lambda: 0)


def answering(body: bytes) -> Respond:
    return lambda message: (200, body)


def refusing(details: object) -> Respond:
    return lambda message: (200, failure(message, 5, details))


def test_answers_have_limits_in_bytes() -> None:
    with running() as server:
        endpoint = AqaraEndpoint(server.url, "token", new_id=lambda: "1", monotonic_ms=lambda: 0)
        for bytes_max, ask in (
            (LIST_BYTES_MAX, endpoint.list_devices),
            (ANSWER_BYTES_MAX, endpoint.list_spaces),
        ):
            body = b'{"code":0,"data":[]' + b" " * (bytes_max - 20) + b"}"
            server.respond = answering(body)
            assert ask() in (b"[]", [])
            server.respond = answering(body + b" ")
            with pytest.raises(EndpointLost, match=f"more than {bytes_max} bytes"):
                ask()


def test_details_of_a_refusal_have_a_limit() -> None:
    with running() as server:
        endpoint = AqaraEndpoint(server.url, "token", new_id=lambda: "1", monotonic_ms=lambda: 0)
        for details, shown in ((["x"], ["x"]), (["x" * ANSWER_BYTES_MAX], None)):
            server.respond = refusing(details)
            with pytest.raises(EndpointRefused) as refused:
                endpoint.list_devices()
            assert (refused.value.code, refused.value.data) == (5, shown)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        itertools.chain([HEAD + b"X: "], itertools.repeat(b"x")),
        itertools.chain([HEAD + b"Content-Length: 100000\r\n\r\n"], itertools.repeat(b" ")),
        itertools.chain([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\n \r\n")),
    ],
    ids=["interim answers", "header", "body", "chunks"],
)
def test_answer_that_drips_for_ever_ends(pieces: Iterator[bytes]) -> None:
    clock = itertools.count(step=int(ANSWER_S_MAX * 100))
    with dripping(pieces) as port:
        endpoint = AqaraEndpoint(
            f"http://127.0.0.1:{port}/x", "token", new_id=lambda: "1", monotonic_ms=lambda: next(clock)
        )
        with pytest.raises(EndpointLost, match="takes longer than 60 s"):
            endpoint.list_devices()
    assert next(clock) < 2000 * ANSWER_S_MAX


@contextlib.contextmanager
def dripping(pieces: Iterable[bytes]) -> Iterator[int]:
    """Yield the port of a server that sends its answer in small pieces until nobody reads them."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            for piece in pieces:
                connection.sendall(piece)
                if is_over.wait(0.01):
                    return

    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            thread.join()
