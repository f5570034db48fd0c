"""Speaks HTTP with ClimaSense: one keep-alive session, bounded bodies, quotas kept, errors told by what to do next.

Owns the request; who calls it owns the retry. Must never log a key or a body, and never follow a redirect with a key.
"""

import asyncio
import contextlib
import os
import ssl
import zlib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import msgspec

from agent.cloud import answers, wire
from agent.cloud.endpoints import QUOTAS, Endpoint
from agent.cloud.link import Link
from agent.cloud.quota import Ledger, SlidingWindow
from agent.cloud.traffic import Traffic
from agent.errors import ClimahubError, CloudUnavailable, ConfigInvalid, Refused, Throttled, Unauthorized
from agent.foundation.clock import Clock
from agent.foundation.decoding import UNREADABLE
from agent.foundation.redaction import redact

T = TypeVar("T")

ANSWER_BYTES_MAX = 256 * 1024
"""Bound of any JSON answer: a hundred commands with payloads fit many times over."""

GZIP_LEVEL = 6
GZIP_BYTES_MIN = 200
"""A smaller body grows by the gzip header more than it shrinks."""

KEY_POLL_S = 10.0
"""How often a hub without a key looks for one."""

KEEP_ALIVE_S = 70.0
"""Below the 75 s after which common servers close an idle connection."""

_UNREADABLE_BODY = {400, 415, 422}
"""How a server that cannot read a compressed body may answer; 415 is the proper way (RFC 9110, 15.5.16)."""


class _NotSent(CloudUnavailable):
    """No connection came about: the cloud saw nothing of the request."""


class Compression(Enum):
    """Whether telemetry goes out with gzip. The contract does not say that the cloud takes it, so it is found out."""

    UNPROVEN = "unproven"
    DOUBTED = "doubted"
    PROVEN = "proven"
    OFF = "off"


_decode_accepted = msgspec.json.Decoder(wire.TelemetryAnswer).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_pending = msgspec.json.Decoder(wire.PendingAnswer).decode
_decode_ack = msgspec.json.Decoder(wire.AckAnswer).decode
_decode_registration = msgspec.json.Decoder(wire.RegisterAnswer).decode


class CloudClient:
    """One hub's way to ClimaSense."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        read_key: Callable[[], str | None],
        clock: Clock,
        link: Link,
        ledger: Ledger,
        request_timeout_s: float,
        compress: bool,
    ) -> None:
        """Prepare; no request is made.

        Args:
            session: Made by `new_session`, or one whose connector goes elsewhere (a rehearsal).
            base_url: Without the `/v1`.
            read_key: Returns the hub's key, `None` where it has none; called again after a 401 and now and then while
                there is none, so that a new key is picked up.
            clock: For quotas and for dates in answers.
            link: Where success and failure are counted.
            ledger: The account of quotas.
            request_timeout_s: Whole request, connecting included.
            compress: Send telemetry with gzip as long as the server takes it.
        """
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._read_key = read_key
        self._key: str | None = None
        self._clock = clock
        self.link = link
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._timeout_ms = int(request_timeout_s * 1000)
        self.quotas = {
            endpoint: SlidingWindow(ledger.slots(endpoint), quota, clock.monotonic_ms)
            for endpoint, quota in QUOTAS.items()
        }
        self.compression = Compression.UNPROVEN if compress else Compression.OFF
        self.traffic = {endpoint: Traffic() for endpoint in Endpoint}
        self._take_key()

    @property
    def has_key(self) -> bool:
        """Whether the hub has a key at all; without one, no request is made."""
        return self._key is not None

    def wait_s(self, endpoint: Endpoint) -> float:
        """Return how long until a request to ``endpoint`` may be made; 0 for now."""
        return max(self.quotas[endpoint].wait_ms(), self.link.wait_ms(endpoint)) / 1000

    async def ready(self, endpoint: Endpoint) -> None:
        """Wait until a request to ``endpoint`` may be made."""
        while not self.has_key:
            await asyncio.sleep(KEY_POLL_S)
            # One that cannot be read yet is being put there just now; `climahub status` says that there is none.
            with contextlib.suppress(ConfigInvalid):
                self._take_key()
        while wait_s := self.wait_s(endpoint):  # noqa: ASYNC110 - time passes by itself, nobody sets an event
            await asyncio.sleep(wait_s)

    def _take_key(self) -> None:
        self._key = self._read_key()
        if self._key is None:
            self.link.unprovisioned()
        else:
            self.link.provisioned()

    async def post_telemetry(self, readings: Iterable[tuple[str, float, int, str | None]]) -> int | None:
        """Send 1 to 100 readings, each (sensor_type, value, utc_ms, device_id or `None` for the hub itself).

        Returns:
            How many the cloud accepted; `None` where it answered without saying (202 or 204 without a body).

        Raises:
            CloudUnavailable: It is not known whether they arrived: send the same again.
            Throttled: They did not arrive: send the same again.
            Unauthorized: The key is refused.
            Refused: Something in the batch is not acceptable.
        """
        body = wire.telemetry_body(readings)
        compressed = self.compression in {Compression.UNPROVEN, Compression.PROVEN} and len(body) >= GZIP_BYTES_MIN
        try:
            accepted = await self._request(
                Endpoint.TELEMETRY,
                _accepted,
                _gzipped(body) if compressed else body,
                encoding="gzip" if compressed else "",
            )
        except Refused as error:
            if self._doubt_compression(compressed=compressed, status=error.status):
                raise CloudUnavailable(f"{error}; sending the same without gzip", retry_after_s=0.0) from error
            if error.status == HTTPStatus.NOT_FOUND:
                # The address is wrong or the API is being moved: that says nothing about the readings.
                raise CloudUnavailable(f"{error}; check cloud.base_url") from error
            raise
        if compressed:
            self.compression = Compression.PROVEN
        elif self.compression is Compression.DOUBTED:
            self.compression = Compression.OFF
        return accepted

    def _doubt_compression(self, *, compressed: bool, status: int) -> bool:
        """After a refusal: tell whether the same should be tried without gzip."""
        if compressed and (status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE or self.compression is Compression.UNPROVEN):
            if status in _UNREADABLE_BODY:
                self.compression = Compression.DOUBTED
                return True
        elif self.compression is Compression.DOUBTED:
            # Refused without gzip as well: it was the readings, not the compression.
            self.compression = Compression.PROVEN
        return False

    async def get_settings(self) -> wire.Settings:
        """Return the device's settings as the cloud holds them.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        return await self._request(Endpoint.SETTINGS_GET, _decode_object)

    async def put_settings(self, changes: Mapping[str, Any]) -> wire.Settings:
        """Change some settings and return them all as the cloud holds them then.

        Raises:
            ValueError: ``changes`` is empty, which the cloud may refuse (contract section 4.2).
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        if not changes:
            raise ValueError("no setting to change")
        return await self._request(Endpoint.SETTINGS_PUT, _decode_object, msgspec.json.encode(changes))

    async def register_sensor(self, sensor_api_key: str, ieee_address: str) -> wire.RegisterAnswer:
        """Bind a relayed sensor to this hub and return its identity.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        body = msgspec.json.encode(wire.RegisterBody(sensor_api_key, ieee_address or None))
        return await self._request(Endpoint.ZIGBEE_REGISTER, _decode_registration, body)

    async def get_pending_commands(self) -> list[Any]:
        """Return the commands that wait for this hub, as they came, oldest first.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        return (await self._request(Endpoint.COMMANDS_PENDING, _decode_pending)).commands

    async def ack_command(
        self, command_id: str, status: str, *, error_message: str = "", result: Mapping[str, Any] | None = None
    ) -> None:
        """Report how a command ended.

        Args:
            command_id: As the cloud gave it.
            status: "acked" or "failed".
            error_message: Why it failed, at most 1 KiB.
            result: What it found, at most 64 KiB of JSON.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`. Refused with 404 or 409: the cloud
                has settled the command already.
        """
        body = msgspec.json.encode(wire.AckBody(command_id, status, error_message or None, result))
        await self._request(Endpoint.COMMANDS_ACK, _acknowledged, body)

    async def _request(
        self, endpoint: Endpoint, decode: Callable[[bytes], T], body: bytes | None = None, *, encoding: str = ""
    ) -> T:
        """Make one request, count what became of it, and return what its 2xx answer says."""
        if self._key is None:
            raise Unauthorized(f"{endpoint.value}: the hub has no key")
        if wait_s := self.wait_s(endpoint):
            raise Throttled(f"{endpoint.value} must wait {wait_s:.1f} s", retry_after_s=wait_s)
        quota = self.quotas[endpoint]
        slot = quota.begin(timeout_ms=self._timeout_ms)
        try:
            status, headers, answer = await self._exchange(endpoint, body, encoding)
        except CloudUnavailable as error:
            if isinstance(error, _NotSent):
                quota.give_back(slot)
            self.link.failed(endpoint, str(error))
            raise
        quota.end(slot)
        if not 200 <= status < 300:  # noqa: PLR2004
            problem = answers.problem(endpoint.value, status, answer, headers, now_utc_ms=self._clock.utc_ms())
            self._count(endpoint, problem)
            raise problem
        try:
            if not answer and status not in {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
                # A captive portal may answer so; it would be wrong to take the readings for delivered.
                raise msgspec.DecodeError(f"an empty {status}")
            decoded = decode(answer)
        except UNREADABLE as error:
            text = f"{endpoint.value} was answered with something else than the contract says: {error}"
            self.link.failed(endpoint, text)
            raise CloudUnavailable(text) from error
        self.link.succeeded(endpoint)
        return decoded

    def _count(self, endpoint: Endpoint, problem: ClimahubError) -> None:
        if isinstance(problem, Refused):
            self.link.succeeded(endpoint)
        elif isinstance(problem, Throttled):
            wait_s = problem.retry_after_s
            self.link.throttled(endpoint, QUOTAS[endpoint].window_s if wait_s is None else wait_s)
        elif isinstance(problem, Unauthorized):
            self.link.refused(endpoint, str(problem))
            # A key that is just being replaced cannot be read: the old one is probed with until it can.
            with contextlib.suppress(ConfigInvalid):
                self._take_key()
        elif isinstance(problem, CloudUnavailable):
            self.link.failed(endpoint, str(problem), retry_after_s=problem.retry_after_s)

    async def _exchange(
        self, endpoint: Endpoint, body: bytes | None, encoding: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if encoding:
            headers["Content-Encoding"] = encoding
        try:
            async with self._session.request(
                endpoint.method,
                self._base_url + endpoint.path,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                answer = await _bounded(response)
                self.traffic[endpoint].count(response, len(body or b""), len(answer))
                return response.status, response.headers, answer
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_problem(endpoint, error) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._certificate_problem(endpoint, error) from error
        except aiohttp.ClientConnectorError as error:
            raise _NotSent(f"{endpoint.value}: {_no_connection(error)}") from error
        except TimeoutError as error:
            raise CloudUnavailable(f"{endpoint.value}: no answer within {self._timeout.total:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            said = redact(str(error)) or type(error).__name__
            raise CloudUnavailable(f"{endpoint.value}: {said}") from error

    def _certificate_problem(self, endpoint: Endpoint, error: Exception) -> _NotSent:
        advice = "check cloud.ca_file"
        if self._clock.utc_ms() is None:
            advice = "this hub's clock is not synchronised yet, which may be why"
        return _NotSent(f"{endpoint.value}: the server's certificate is not accepted ({error}); {advice}")


def _accepted(answer: bytes) -> int | None:
    return _decode_accepted(answer).accepted if answer else None


def _acknowledged(answer: bytes) -> None:
    if answer:
        _decode_ack(answer)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            raise aiohttp.ClientPayloadError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _gzipped(body: bytes) -> bytes:
    return zlib.compress(body, GZIP_LEVEL, wbits=31)


def new_session(connector: aiohttp.BaseConnector, *, user_agent: str) -> aiohttp.ClientSession:
    """Return a session for `CloudClient`: no cookies, and no header that the contract does not ask for."""
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        skip_auto_headers={"Accept", "Accept-Encoding"},
    )
    # aiohttp sends a GET once more by itself when a kept-alive connection breaks: the cloud would count two requests
    # where our account has one. There is no public switch; aiohttp's own test client sets the same attribute.
    session._retry_connection = False  # noqa: SLF001
    return session


def tcp_connector(ca_file: str | None) -> aiohttp.TCPConnector:
    """Return the connector of a real hub: TLS verified, against the system's authorities or ``ca_file`` alone.

    Raises:
        ConfigInvalid: The file cannot be read, or holds no certificate.
    """
    try:
        # `True` is the verifying context that aiohttp has made already: 150 authorities need not be read twice.
        verified = ssl.create_default_context(cafile=ca_file) if ca_file else True
    except OSError as error:
        said = error.strerror or str(error)
        raise ConfigInvalid(f"cloud.ca_file: {ca_file} gives no certificate in PEM form ({said})") from error
    return aiohttp.TCPConnector(
        ssl=verified,
        limit=4,
        keepalive_timeout=KEEP_ALIVE_S,
    )


def _no_connection(error: aiohttp.ClientConnectorError) -> str:
    """Say it in the words of the system ("Connection refused") instead of the library's."""
    number = error.os_error.errno or 0
    reason = os.strerror(number) if number > 0 else error.os_error.strerror
    return f"no connection to {error.host}:{error.port} ({reason or type(error).__name__})"
