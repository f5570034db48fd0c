"""The only HTTP client of ClimaSense: keeps quotas, bounds responses, maps each error by what the caller does next.

Owns the key and the request. Must never log a key or a body, and must never follow a redirect to another host with the
key.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from agent.cloud import error_mapping
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import QUOTAS, Endpoint
from agent.cloud.key_sharing import KeySharing
from agent.cloud.quota import QuotaLedger, SlidingWindow
from agent.cloud.session import FOREIGN_ERRORS, READ_ERRORS, DataUsage, RequestOptions, redirect_target
from agent.errors import Cause, ClimahubError, CloudUnavailable, ConfigInvalid, Refused, Throttled, Unauthorized
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.log import redact
from agent.foundation.text import sanitize
from agent.foundation.time_estimate import http_date_ms

T = TypeVar("T")

RESPONSE_BYTES_MAX = 256 * 1024
"""Bound of a JSON response: many times a hundred commands with payloads."""

KEY_POLL_S = 10.0
"""How often a hub without a key reads its file."""

STREAM_BUFFER_BYTES = 256 * 1024
"""Read at once from a download; measured, it halves the cost of the default."""

REDIRECTS_MAX = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_STREAMED = {200, 206, 416}


class RequestNotSent(CloudUnavailable):
    """No connection was made: the cloud has not seen the request."""

    def __init__(self, message: str, *, cause: Cause = Cause.NO_CONNECTION) -> None:
        super().__init__(message, cause=cause)


class CloudTransport:
    """Sends requests to the endpoints. The arguments are those of `CloudClient`.

    Attributes:
        connectivity: The health of each endpoint and of the connection.
        quotas: The quota of each endpoint.
        data_usage: The bytes of the requests to each endpoint.
        key_sharing: Whether another hub may use the same key.
    """

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
        timekeeper: Timekeeper | None,
        options: Callable[[URL], RequestOptions],
    ) -> None:
        """Prepare; no request is sent."""
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._read_key = read_key
        self._key: str | None = None
        self._key_changed = asyncio.Event()
        self._clock = clock
        self._timekeeper = timekeeper
        self._options = options
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._timeout_ms = int(request_timeout_s * 1000)
        self.connectivity = connectivity
        self.quotas = {
            endpoint: SlidingWindow(ledger.slots(endpoint), quota, clock.monotonic_ms)
            for endpoint, quota in QUOTAS.items()
        }
        self.data_usage = {endpoint: DataUsage() for endpoint in Endpoint}
        self.key_sharing = KeySharing(clock.monotonic_ms)
        self._load_key()

    @property
    def has_key(self) -> bool:
        """Whether the hub has a key; without one, no request is sent."""
        return self._key is not None

    def wait_s(self, endpoint: Endpoint) -> float:
        """Return how long until a request to ``endpoint`` may be sent; 0 for now."""
        return max(self.quotas[endpoint].wait_ms(), self.connectivity.wait_ms(endpoint)) / 1000

    async def ready(self, endpoint: Endpoint) -> None:
        """Wait until a request to ``endpoint`` may be sent."""
        while not self.has_key:
            await asyncio.sleep(KEY_POLL_S)
            # A file that cannot be read may be in the middle of being written; `climahub status` reports it.
            with contextlib.suppress(ConfigInvalid):
                self._load_key()
        while wait_s := self.wait_s(endpoint):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._key_changed.wait()

    def reload_key(self) -> None:
        """Read the key again; a new one is tried at once.

        Raises:
            ConfigInvalid: It cannot be read; the old one stays.
        """
        before = self._key
        self._load_key()
        if self._key != before and self._key is not None:
            self.connectivity.set_key(is_new=True)
            self.key_sharing = KeySharing(self._clock.monotonic_ms)
            self._wake_waiting()

    def retry_now(self) -> None:
        """Let every endpoint be tried at once, within the quotas."""
        self.connectivity.retry_now()
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        """Wake every waiting caller, and no later one."""
        self._key_changed.set()
        self._key_changed.clear()

    def _load_key(self) -> None:
        self._key = self._read_key()
        if self._key is None:
            self.connectivity.remove_key()
        else:
            self.connectivity.set_key()

    async def request(
        self,
        endpoint: Endpoint,
        decode: Callable[[bytes], T],
        body: bytes | None = None,
        *,
        encoding: str = "",
        query: Mapping[str, str] | None = None,
    ) -> T:
        """Send one request, record its outcome, and return the decoded 2xx response.

        Args:
            endpoint: Which.
            decode: Decodes the body of the response; raises one of `DECODE_ERRORS`.
            body: JSON; `None` for none.
            encoding: The `Content-Encoding` of ``body``; empty for none.
            query: Of the URL.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `agent.cloud.client`.
        """
        sent_ms = self._clock.monotonic_ms()
        with self._count_against_quota(endpoint):
            status, headers, response = await self._exchange(endpoint, body, encoding, query)
        if not 200 <= status < 300:  # noqa: PLR2004
            error = error_mapping.error_for_response(
                endpoint, status, response, headers, now_utc_ms=self._clock.utc_ms()
            )
            self._record_failure(endpoint, error)
            raise error
        try:
            if not response and status not in {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
                # A captive portal may respond like this; readings must not count as delivered then.
                raise msgspec.DecodeError(f"an empty {status}")
            decoded = decode(response)
        except DECODE_ERRORS as cause:
            text = f"the response to {endpoint.value} does not keep the contract: {cause}"
            error = CloudUnavailable(text, cause=Cause.UNUSABLE_ANSWER)
            self._record_failure(endpoint, error)
            raise error from cause
        self.connectivity.record_success(endpoint)
        self.key_sharing.record_answer()
        self._offer_time(headers, round_trip_ms=self._clock.monotonic_ms() - sent_ms)
        return decoded

    def _offer_time(self, headers: Mapping[str, str], *, round_trip_ms: int) -> None:
        """Pass the server's time on; a response from a cache (`Age`) has the time at which it was made."""
        date_ms = http_date_ms(headers.get("Date", ""))
        if self._timekeeper is not None and date_ms is not None and "Age" not in headers:
            is_verified = self._base_url.startswith("https:")
            self._timekeeper.offer_server_time(date_ms, round_trip_ms=round_trip_ms, is_verified=is_verified)

    @contextlib.contextmanager
    def _count_against_quota(self, endpoint: Endpoint) -> Iterator[None]:
        """Take a slot of the quota for one request; a request that was not sent gives it back.

        Raises:
            Unauthorized: The hub has no key.
            Throttled: The request has to wait.
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
            if isinstance(error, RequestNotSent):
                quota.cancel(slot)
            self._record_failure(endpoint, error)
            raise
        quota.complete(slot)

    def _record_failure(self, endpoint: Endpoint, error: ClimahubError) -> None:
        if isinstance(error, Refused):
            self.connectivity.record_success(endpoint)
        elif isinstance(error, Throttled):
            quota = self.quotas[endpoint]
            self.key_sharing.record_throttling(endpoint, used=quota.used(), quota=quota.quota)
            wait_s = error.retry_after_s
            self.connectivity.record_throttling(
                endpoint, str(error), QUOTAS[endpoint].window_s if wait_s is None else wait_s
            )
        elif isinstance(error, Unauthorized):
            self.connectivity.record_key_refusal(endpoint, str(error))
            # A key that is being replaced right now cannot be read: the old one is tried until it can.
            with contextlib.suppress(ConfigInvalid):
                self.reload_key()
        elif isinstance(error, CloudUnavailable):
            self.connectivity.record_failure(endpoint, str(error), cause=error.cause, retry_after_s=error.retry_after_s)

    @contextlib.asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, tail: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request whose response is read in pieces; the timeout applies to the start of the response.

        A redirect is followed, since storage may be elsewhere (contract section 6.2), but the key goes to no other
        host.

        Args:
            endpoint: Which.
            tail: Appended to its path, quoted.
            headers: Beside the key.

        Yields:
            The response: 200, 206 or 416. Errors while it is read are mapped like all others.

        Raises:
            CloudUnavailable, Throttled, Unauthorized, Refused: See `agent.cloud.client`.
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
                    body = await _read_limited(response)
                    error = error_mapping.error_for_response(
                        endpoint, response.status, body, response.headers, now_utc_ms=self._clock.utc_ms()
                    )
                    self._record_failure(endpoint, error)
                    raise error
                self.connectivity.record_success(endpoint)
                yield response
        finally:
            self.data_usage[endpoint].add(response, 0, response.content.total_bytes)
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
        """Map the errors of the libraries to what the caller does next.

        Args:
            endpoint: For the message.
            foreign: The libraries' errors beside those that have a clause here; fewer where the caller's own code
                runs inside.
        """
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_error(endpoint, error) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._certificate_error(endpoint, error) from error
        except aiohttp.ClientConnectorError as error:
            raise RequestNotSent(f"{endpoint.value}: {error_mapping.connection_failure_text(error)}") from error
        except aiohttp.ClientHttpProxyError as error:
            raise RequestNotSent(f"{endpoint.value}: {error_mapping.proxy_refusal_text(error)}") from error
        except TimeoutError as error:
            raise CloudUnavailable(f"{endpoint.value}: no answer within {self._timeout.total:.0f} s") from error
        except foreign as error:
            text = redact(sanitize(str(error))) or type(error).__name__
            raise CloudUnavailable(f"{endpoint.value}: {text}") from error

    def _certificate_error(self, endpoint: Endpoint, error: Exception) -> RequestNotSent:
        text = error_mapping.certificate_failure_text(error, is_time_known=self._clock.utc_ms() is not None)
        return RequestNotSent(f"{endpoint.value}: {text}", cause=Cause.CERTIFICATE)

    async def _exchange(
        self, endpoint: Endpoint, body: bytes | None, encoding: str, query: Mapping[str, str] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if encoding:
            headers["Content-Encoding"] = encoding
        with self._translate_errors(endpoint):
            url = URL(self._base_url + endpoint.path + (f"?{urlencode(query)}" if query else ""), encoded=True)
            async with self._session.request(
                endpoint.method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                **self._options(url),
            ) as response:
                received = await _read_limited(response)
                self.data_usage[endpoint].add(response, len(body or b""), len(received))
                return response.status, response.headers, received


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            response.close()
            raise aiohttp.ClientPayloadError(f"the answer is larger than {RESPONSE_BYTES_MAX} bytes")
    return bytes(body)
