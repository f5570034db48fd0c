"""Speaks HTTP with ClimaSense: one keep-alive session, bounded bodies, quotas kept, errors told by what to do next.

Owns the request; who calls it owns the retry. Must never log a key or a body, and never follow a redirect with a key.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from agent.cloud import error_mapping, messages
from agent.cloud.compression import CompressionTrial, gzip_body
from agent.cloud.connection_errors import certificate_failure_text, connection_failure_text, proxy_refusal_text
from agent.cloud.connectivity import Connectivity
from agent.cloud.data_usage import DataUsage
from agent.cloud.endpoints import QUOTAS, Endpoint
from agent.cloud.quota import QuotaLedger, SlidingWindow
from agent.cloud.redirects import redirect_target
from agent.cloud.session import FOREIGN_ERRORS, READ_ERRORS, RequestOptions
from agent.errors import Cause, ClimahubError, CloudUnavailable, ConfigInvalid, Refused, Throttled, Unauthorized
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.log import redact
from agent.foundation.text import sanitize
from agent.foundation.time_estimate import http_date_ms

T = TypeVar("T")

ANSWER_BYTES_MAX = 256 * 1024
"""Bound of any JSON answer: a hundred commands with payloads fit many times over."""

KEY_POLL_S = 10.0
"""How often a hub without a key looks for one."""

STREAM_BUFFER_BYTES = 256 * 1024
"""Read at once from a download; measured, it halves the cost of the default."""

REDIRECTS_MAX = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_STREAMED = {200, 206, 416}


class _RequestNotSent(CloudUnavailable):
    """No connection came about: the cloud saw nothing of the request."""

    def __init__(self, message: str, *, cause: Cause = Cause.NO_CONNECTION) -> None:
        super().__init__(message, cause=cause)


class CloudClient:
    """One hub's way to ClimaSense."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        read_key: Callable[[], str | None],
        clock: Clock,
        connectivity: Connectivity,
        ledger: QuotaLedger,
        request_timeout_s: float,
        compress: bool,
        timekeeper: Timekeeper | None = None,
        options: Callable[[URL], RequestOptions] = lambda _: RequestOptions(),
    ) -> None:
        """Prepare; no request is made.

        Args:
            session: Made by `new_session`, or one whose connector goes elsewhere (a simulation).
            base_url: Without the `/v1`.
            read_key: Returns the hub's key, `None` where it has none; called again after a 401 and now and then while
                there is none, so that a new key is picked up.
            clock: For quotas and for dates in answers.
            connectivity: Where success and failure are counted.
            ledger: The account of quotas.
            request_timeout_s: Whole request, connecting included.
            compress: Send telemetry with gzip as long as the server takes it.
            timekeeper: Told of the `Date` of each answer that keeps the contract.
            options: How a request to an address goes.
        """
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._read_key = read_key
        self._key: str | None = None
        self._key_changed = asyncio.Event()
        self._clock = clock
        self._timekeeper = timekeeper
        self._options = options
        self.connectivity = connectivity
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._timeout_ms = int(request_timeout_s * 1000)
        self.quotas = {
            endpoint: SlidingWindow(ledger.slots(endpoint), quota, clock.monotonic_ms)
            for endpoint, quota in QUOTAS.items()
        }
        self.compression = CompressionTrial(is_wanted=compress)
        self.data_usage = {endpoint: DataUsage() for endpoint in Endpoint}
        self._load_key()

    @property
    def has_key(self) -> bool:
        """Whether the hub has a key at all; without one, no request is made."""
        return self._key is not None

    def wait_s(self, endpoint: Endpoint) -> float:
        """Return how long until a request to ``endpoint`` may be made; 0 for now."""
        return max(self.quotas[endpoint].wait_ms(), self.connectivity.wait_ms(endpoint)) / 1000

    async def ready(self, endpoint: Endpoint) -> None:
        """Wait until a request to ``endpoint`` may be made."""
        while not self.has_key:
            await asyncio.sleep(KEY_POLL_S)
            # One that cannot be read yet is being put there just now; `climahub status` says that there is none.
            with contextlib.suppress(ConfigInvalid):
                self._load_key()
        while wait_s := self.wait_s(endpoint):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._key_changed.wait()

    def reload_key(self) -> None:
        """Take the key as it is now; another one is tried at once.

        Raises:
            ConfigInvalid: It cannot be read; the old one stays.
        """
        before = self._key
        self._load_key()
        if self._key != before and self._key is not None:
            self.connectivity.set_key(is_new=True)
            # Whoever waits looks again.
            self._key_changed.set()
            self._key_changed.clear()

    def _load_key(self) -> None:
        self._key = self._read_key()
        if self._key is None:
            self.connectivity.remove_key()
        else:
            self.connectivity.set_key()

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
        body = messages.encode_telemetry(readings)
        is_compressed = self.compression.should_compress(len(body))
        try:
            accepted = await self._request(
                Endpoint.TELEMETRY,
                messages.parse_accepted_count,
                gzip_body(body) if is_compressed else body,
                encoding="gzip" if is_compressed else "",
            )
        except Refused as error:
            if self.compression.record_refused(error.status, is_compressed=is_compressed):
                raise CloudUnavailable(f"{error}; sending the same without gzip", retry_after_s=0.0) from error
            raise
        except _RequestNotSent:
            raise
        except CloudUnavailable:
            self.compression.record_failed(is_compressed=is_compressed)
            raise
        self.compression.record_accepted(is_compressed=is_compressed)
        return accepted

    async def get_settings(self) -> messages.SettingsObject:
        """Return the device's settings as the cloud holds them.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        return await self._request(Endpoint.SETTINGS_GET, messages.parse_settings)

    async def put_settings(self, changes: Mapping[str, Any]) -> messages.SettingsObject:
        """Change some settings and return them all as the cloud holds them then.

        Raises:
            ValueError: ``changes`` is empty, which the cloud may refuse (contract section 4.2).
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        if not changes:
            raise ValueError("no setting to change")
        return await self._request(Endpoint.SETTINGS_PUT, messages.parse_settings, msgspec.json.encode(changes))

    async def register_sensor(self, sensor_api_key: str, ieee_address: str) -> messages.RegisterResponse:
        """Bind a relayed sensor to this hub and return its identity.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        body = msgspec.json.encode(messages.RegisterRequest(sensor_api_key, ieee_address or None))
        return await self._request(Endpoint.ZIGBEE_REGISTER, messages.parse_registration, body)

    async def get_pending_commands(self) -> list[bytes]:
        """Return the commands that wait for this hub, oldest first, each as the JSON that came.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        return await self._request(Endpoint.COMMANDS_PENDING, messages.parse_pending_commands)

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
        body = msgspec.json.encode(messages.AckRequest(command_id, status, error_message or None, result))
        await self._request(Endpoint.COMMANDS_ACK, messages.parse_acknowledgement, body)

    async def check_update(self, current_version: str) -> messages.UpdateCheckResponse:
        """Return what the cloud offers to this hub.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        query = urlencode({"current_version": current_version})
        return await self._request(Endpoint.OTA_CHECK, messages.parse_update_check, query=query)

    async def post_update_status(
        self, version: str, status: str, *, progress_percent: int | None = None, error_message: str = ""
    ) -> None:
        """Report how an update goes (contract section 6.3).

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        body = messages.UpdateStatusRequest(version, status, progress_percent, error_message or None)
        await self._request(Endpoint.OTA_STATUS, messages.parse_acknowledgement, msgspec.json.encode(body))

    async def _request(
        self,
        endpoint: Endpoint,
        decode: Callable[[bytes], T],
        body: bytes | None = None,
        *,
        encoding: str = "",
        query: str = "",
    ) -> T:
        """Make one request, count what became of it, and return what its 2xx answer says."""
        sent_ms = self._clock.monotonic_ms()
        with self._count_against_quota(endpoint):
            status, headers, answer = await self._exchange(endpoint, body, encoding, query)
        if not 200 <= status < 300:  # noqa: PLR2004
            problem = error_mapping.error_for_response(
                endpoint, status, answer, headers, now_utc_ms=self._clock.utc_ms()
            )
            self._count(endpoint, problem)
            raise problem
        try:
            if not answer and status not in {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
                # A captive portal may answer so; it would be wrong to take the readings for delivered.
                raise msgspec.DecodeError(f"an empty {status}")
            decoded = decode(answer)
        except DECODE_ERRORS as error:
            text = f"{endpoint.value} was answered with something else than the contract says: {error}"
            problem = CloudUnavailable(text, cause=Cause.UNUSABLE_ANSWER)
            self._count(endpoint, problem)
            raise problem from error
        self.connectivity.record_success(endpoint)
        self._offer_time(headers, round_trip_ms=self._clock.monotonic_ms() - sent_ms)
        return decoded

    def _offer_time(self, headers: Mapping[str, str], *, round_trip_ms: int) -> None:
        """Tell what time the cloud says it is; an answer out of a cache says when it was made."""
        date_ms = http_date_ms(headers.get("Date", ""))
        if self._timekeeper is not None and date_ms is not None and "Age" not in headers:
            is_verified = self._base_url.startswith("https:")
            self._timekeeper.offer_server_time(date_ms, round_trip_ms=round_trip_ms, is_verified=is_verified)

    @contextlib.contextmanager
    def _count_against_quota(self, endpoint: Endpoint) -> Iterator[None]:
        """Make one request of the quota; one that never left the hub is given back to it.

        Raises:
            Unauthorized: The hub has no key.
            Throttled: It is not time yet.
        """
        if self._key is None:
            raise Unauthorized(f"{endpoint.value}: the hub has no key")
        if wait_s := self.wait_s(endpoint):
            raise Throttled(f"{endpoint.value} must wait {wait_s:.1f} s", retry_after_s=wait_s)
        quota = self.quotas[endpoint]
        slot = quota.acquire(timeout_ms=self._timeout_ms)
        self.connectivity.begin_request(endpoint, timeout_ms=self._timeout_ms)
        try:
            yield
        except CloudUnavailable as error:
            if isinstance(error, _RequestNotSent):
                quota.cancel(slot)
            self._count(endpoint, error)
            raise
        quota.complete(slot)

    def _count(self, endpoint: Endpoint, problem: ClimahubError) -> None:
        if isinstance(problem, Refused):
            self.connectivity.record_success(endpoint)
        elif isinstance(problem, Throttled):
            wait_s = problem.retry_after_s
            self.connectivity.record_throttling(
                endpoint, str(problem), QUOTAS[endpoint].window_s if wait_s is None else wait_s
            )
        elif isinstance(problem, Unauthorized):
            self.connectivity.record_key_refusal(endpoint, str(problem))
            # A key that is just being replaced cannot be read: the old one is probed with until it can.
            with contextlib.suppress(ConfigInvalid):
                self._load_key()
        elif isinstance(problem, CloudUnavailable):
            self.connectivity.record_failure(
                endpoint, str(problem), cause=problem.cause, retry_after_s=problem.retry_after_s
            )

    @contextlib.asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, tail: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make one request whose answer is read piece by piece; the time-out is that of the answer's beginning.

        A redirect is followed, as storage may lie elsewhere (contract section 6.2), but the key goes to no other host.

        Args:
            endpoint: Which.
            tail: What follows its path, quoted.
            headers: Beside the key.

        Yields:
            The answer, 200, 206 or 416. What goes wrong while it is read is told like everything else.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `post_telemetry`.
        """
        with self._count_against_quota(endpoint), self._translate_errors(endpoint):
            url = URL(self._base_url + endpoint.path + tail, encoded=True)
            keyed = {**headers, "Authorization": f"Bearer {self._key}"}
            response = await self._open_stream(endpoint, url, keyed)
            for _ in range(REDIRECTS_MAX):
                if response.status not in _REDIRECTS:
                    break
                location = response.headers.get("Location", "")
                response.close()
                target = redirect_target(url, location)
                keyed = keyed if target.origin() == url.origin() else dict(headers)
                url = target
                response = await self._open_stream(endpoint, url, keyed)
        try:
            with self._translate_errors(endpoint, READ_ERRORS):
                if response.status not in _STREAMED:
                    answer = await _read_limited(response)
                    problem = error_mapping.error_for_response(
                        endpoint, response.status, answer, response.headers, now_utc_ms=self._clock.utc_ms()
                    )
                    self._count(endpoint, problem)
                    raise problem
                self.connectivity.record_success(endpoint)
                yield response
        finally:
            response.close()

    async def _open_stream(self, endpoint: Endpoint, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout.total, sock_read=self._timeout.total)
        async with asyncio.timeout(self._timeout.total):
            return await self._session.request(
                endpoint.method,
                url,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                read_bufsize=STREAM_BUFFER_BYTES,
                **self._options(url),
            )

    @contextlib.contextmanager
    def _translate_errors(
        self, endpoint: Endpoint, foreign: tuple[type[Exception], ...] = FOREIGN_ERRORS
    ) -> Iterator[None]:
        """Tell the errors of the libraries by what the caller does next.

        Args:
            endpoint: For the message.
            foreign: What counts as theirs, beside what is told apart here: narrower where the caller's own code runs
                inside.
        """
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_error(endpoint, error) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._certificate_error(endpoint, error) from error
        except aiohttp.ClientConnectorError as error:
            raise _RequestNotSent(f"{endpoint.value}: {connection_failure_text(error)}") from error
        except aiohttp.ClientHttpProxyError as error:
            raise _RequestNotSent(f"{endpoint.value}: {proxy_refusal_text(error)}") from error
        except TimeoutError as error:
            raise CloudUnavailable(f"{endpoint.value}: no answer within {self._timeout.total:.0f} s") from error
        except foreign as error:
            said = redact(sanitize(str(error))) or type(error).__name__
            raise CloudUnavailable(f"{endpoint.value}: {said}") from error

    def _certificate_error(self, endpoint: Endpoint, error: Exception) -> _RequestNotSent:
        text = certificate_failure_text(error, is_time_known=self._clock.utc_ms() is not None)
        return _RequestNotSent(f"{endpoint.value}: {text}", cause=Cause.CERTIFICATE)

    async def _exchange(
        self, endpoint: Endpoint, body: bytes | None, encoding: str, query: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if encoding:
            headers["Content-Encoding"] = encoding
        with self._translate_errors(endpoint):
            url = URL(self._base_url + endpoint.path + (f"?{query}" if query else ""), encoded=True)
            async with self._session.request(
                endpoint.method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                **self._options(url),
            ) as response:
                answer = await _read_limited(response)
                self.data_usage[endpoint].add(response, len(body or b""), len(answer))
                return response.status, response.headers, answer


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            raise aiohttp.ClientPayloadError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)
