"""An Aqara endpoint for tests of its client: answers as a test says, and keeps what it was sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Respond = Callable[[dict[str, Any]], tuple[int, Any]]
"""Returns the status and the answer to a message; an answer of `bytes` is sent as it is."""


class EndpointServer:
    """One endpoint on 127.0.0.1.

    Attributes:
        messages: What it was sent, in order.
        tokens: The `Authorization` header of each.
        respond: Answers; a test replaces it.
        released: For a `respond` that stalls until the test has seen enough.
    """

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.respond: Respond = lambda message: (200, success(message, None))
        self.url = ""
        self.released = threading.Event()

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


def success(message: dict[str, Any], data: object) -> dict[str, Any]:
    kind = message["type"].removesuffix("Request") + "Response"
    return {"type": kind, "version": "v1", "msgId": message["msgId"], "code": 0, "message": None, "data": data}


def failure(message: dict[str, Any], code: int, data: object = None) -> dict[str, Any]:
    return {**success(message, data), "code": code, "message": f"failed with {code}"}


@contextmanager
def running() -> Iterator[EndpointServer]:
    server = EndpointServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.messages.append(message)
            server.tokens.append(self.headers["Authorization"])
            status, answer = server.respond(message)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            # A client that has given up is gone.
            with suppress(BrokenPipeError):
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/open/api"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
