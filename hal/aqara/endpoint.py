"""The HTTP client of an Aqara endpoint: one address, four keys, a whitelist of types. Blocks.

Must never send another type than the published seven, nor a token to another address than the configured one: it
follows no redirection, nor build anything of an answer before its bytes are counted. The HTTP status is judged first,
then the code. A request that timed out is sent once more, unless doing it twice would make two of something.
"""

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hal.aqara.json_array import DECODE_ERRORS
from hal.errors import HalError

TIMEOUT_S = 15.0
"""Silence of the endpoint. A list of 200 devices takes a cloud some 3 s."""

ANSWER_S_MAX = 60.0
"""From the request to the last byte of its answer, however it drips: the longest list at 35 KiB/s."""

LIST_BYTES_MAX = 2 * 1024 * 1024
"""Of an answer with a device list: 500 devices of some 4 KiB. What is built of it takes some 12 MiB at most."""

ANSWER_BYTES_MAX = 256 * 1024
"""Of every other answer; it is decoded as a whole, and then takes up to 25 times as much for a moment."""

_PIECE_BYTES = 64 * 1024

MESSAGE_CHARACTERS_MAX = 200
"""Of a message of the endpoint, as far as it is shown."""

VERSION = "v1"

NOT_REPEATED = frozenset({"CreateSpaceRequest"})
"""Done twice it makes two: after a timeout a person has to look."""

TOKEN_EXPIRED = 1001
DEVICE_NOT_FOUND = 2030
_UNAUTHORIZED = 401


class EndpointLost(HalError):
    """The endpoint gives no usable answer. Try again later."""


class EndpointTimedOut(EndpointLost):
    """The endpoint did not answer in time."""


class TokenRefused(HalError):
    """The endpoint does not take the token, or no longer. A person has to get another."""


class EndpointRefused(HalError):
    """The endpoint refuses a request.

    Attributes:
        code: Its own.
        data: What came with it, such as the failed items of a batch.
    """

    def __init__(self, message: str, code: int, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class _Answer(msgspec.Struct, frozen=True):
    code: int | str
    message: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class AqaraEndpoint:
    """One endpoint and the token for it."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        new_id: Callable[[], str],
        monotonic_ms: Callable[[], int],
        timeout_s: float = TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            url: Of the endpoint: "https://HOST/open/api".
            token: A secret.
            new_id: Makes the unique part of a `msgId`.
            monotonic_ms: A clock, for `ANSWER_S_MAX`.
            timeout_s: How long the endpoint may be silent.
            ca_file: PEM of the certificates that are trusted in place of the system's: for a hub with its own.

        Raises:
            ValueError: The address or the token cannot be used.
        """
        parts = urlsplit(url)
        _ = parts.port  # read for its ValueError: a port that is no number, or above 65535
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("give the endpoint as https://HOST/open/api, without user name and query")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("copy the token again: it has characters that no token has")
        self._parts = parts
        self._token = token
        self._new_id = new_id
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._monotonic_ms = monotonic_ms
        self.host = parts.netloc

    def list_devices(self) -> bytes:
        """Return the device list as it came, at most `LIST_BYTES_MAX` of JSON; raises as `request`."""
        return self._ask("GetAllDevicesWithSpaceRequest", None, LIST_BYTES_MAX)

    def list_spaces(self) -> object:
        """Return the tree of spaces as it came; raises as `request`."""
        return self.request("GetSpacesRequest")

    def execute(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Set traits, and return the items that failed.

        Raises:
            EndpointLost, TokenRefused, EndpointRefused: See `request`; the last only where nothing worked.
        """
        failed = self.request("ExecuteTraitRequest", items)
        # A published sample shows one empty object where nothing failed.
        return (
            [each for each in failed if isinstance(each, dict) and each.get("deviceId")]
            if isinstance(failed, list)
            else []
        )

    def request(self, kind: str, data: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Send a request and return the data of its answer.

        Raises:
            EndpointLost: No connection, no answer in time, or one that makes no sense.
            TokenRefused: The token is missing, wrong or expired.
            EndpointRefused: The code is not 0.
        """
        try:
            return msgspec.json.decode(self._ask(kind, data, ANSWER_BYTES_MAX))
        except DECODE_ERRORS as error:
            raise EndpointLost(f"check the address: the data that {self.host} answers cannot be read") from error

    def _ask(self, kind: str, data: object, bytes_max: int) -> bytes:
        try:
            return self._send(kind, data, bytes_max)
        except EndpointTimedOut:
            if kind in NOT_REPEATED:
                raise
            return self._send(kind, data, bytes_max)

    def _send(self, kind: str, data: object, bytes_max: int) -> bytes:
        message = {"type": kind, "version": VERSION, "msgId": f"msg-{self._new_id()}", "data": data}
        status, body = self._exchange(msgspec.json.encode(message), bytes_max)
        if status == _UNAUTHORIZED:
            raise TokenRefused(f"get another token: {self.host} does not take this one")
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except DECODE_ERRORS as error:
            raise EndpointLost(f"check the address: {self.host} answers with status {status} and no message") from error
        if not 200 <= status < 300:  # noqa: PLR2004 - success
            raise EndpointLost(f"try again later: {self.host} answers with status {status}: {_line(answer.message)}")
        if answer.code == TOKEN_EXPIRED:
            raise TokenRefused(f"get another token: {self.host} says that this one has expired")
        if answer.code != 0 or isinstance(answer.code, bool):
            code = answer.code if isinstance(answer.code, int) else -1
            raise EndpointRefused(
                f"{self.host} refuses: {_line(answer.message)} (code {code})", code, _decode_details(answer.data)
            )
        return bytes(answer.data)

    def _exchange(self, body: bytes, bytes_max: int) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        answer = bytearray()
        with self._explained():
            connection = self._connect()
            try:
                connection.request("POST", self._parts.path or "/", body=body, headers=headers)
                response = connection.getresponse()
                piece = memoryview(bytearray(_PIECE_BYTES))
                while len(answer) <= bytes_max and (count := response.readinto(piece)):
                    answer += piece[:count]
            finally:
                connection.close()
        if len(answer) > bytes_max:
            raise EndpointLost(f"check the address: {self.host} answers with more than {bytes_max} bytes")
        return response.status, bytes(answer)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        else:
            context = ssl.create_default_context(cafile=self._ca_file)
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        end_ms = self._monotonic_ms() + int(ANSWER_S_MAX * 1000)

        def prepare_read(used: socket.socket) -> None:
            """Wait no longer than until the end: http.client has a limit for each read and none for all."""
            left_s = (end_ms - self._monotonic_ms()) / 1000
            if left_s <= 0:
                raise EndpointLost(f"try again later: {self.host} takes longer than {ANSWER_S_MAX:g} s for an answer")
            used.settimeout(min(self._timeout_s, left_s))

        def respond(used: socket.socket, method: str | None = None) -> http.client.HTTPResponse:
            response = http.client.HTTPResponse(used, method=method)
            response.fp = io.BufferedReader(_TimedReader(response.fp.detach(), lambda: prepare_read(used)))
            return response

        connection.response_class = respond  # type: ignore[assignment] # it is only called
        return connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise the errors of a connection as `EndpointLost`."""
        try:
            yield
        except TimeoutError as error:
            raise EndpointTimedOut(f"check the network: no answer from {self.host} in {self._timeout_s:g} s") from error
        except ssl.SSLError as error:
            raise EndpointLost(f"check the certificate of {self.host}: {_line(error.reason)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise EndpointLost(f"check the network: no connection with {self.host} ({_line(str(error))})") from error


class _TimedReader(io.RawIOBase):
    """The bytes of a socket, with a call before each read."""

    def __init__(self, raw: io.RawIOBase, prepare_read: Callable[[], None]) -> None:
        self._raw = raw
        self._prepare_read = prepare_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - `WriteableBuffer` exists for type checkers only
        self._prepare_read()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _decode_details(data: msgspec.Raw) -> object:
    """Return what came with a refusal; `None` where it is too long or cannot be read."""
    if memoryview(data).nbytes > ANSWER_BYTES_MAX:
        return None
    try:
        return msgspec.json.decode(data)
    except DECODE_ERRORS:
        return None


def _line(text: str | None) -> str:
    cut = (text or "no reason given")[:MESSAGE_CHARACTERS_MAX]
    return "".join(sign if sign.isprintable() else " " for sign in cut)
