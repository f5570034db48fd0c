"""One attempt to deliver: a POST over TLS, to an address that the endpoint may have, without following redirects.

A name is resolved for each attempt and every address is checked before the connection (`addresses.py`): a name that
resolves to another address tomorrow reaches nothing that its endpoint may not. The answer's body is never read. Must
never name a secret or the path of a URL in a problem: a path is often a secret itself.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from agent.apis.webhooks.addresses import is_allowed, refusal_text
from agent.apis.webhooks.attempts import ANSWER_S_MAX, Result
from agent.apis.webhooks.endpoints import Endpoint
from agent.cloud.session import FOREIGN_ERRORS
from agent.errors import ClimahubError
from agent.foundation.log import redact
from agent.foundation.text import sanitize

_RETRY_AFTER = re.compile(r"\s*(\d{1,6})\s*", re.ASCII)
_HEAD_BYTES_MAX = 8190
"""Of one header of an answer, and of its status line."""


class Sender(Protocol):
    """Makes attempts."""

    async def send(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Result:
        """Make one attempt and return how it ended; raises nothing but a cancellation."""
        ...


class _AddressRefused(ClimahubError):
    """No delivery goes to this address.

    Attributes:
        is_final: It is the address itself, and no name that may have another one tomorrow.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class _CheckedResolver(AbstractResolver):
    """Resolves names to addresses that an endpoint may have."""

    def __init__(self, resolver: AbstractResolver, *, is_private_allowed: bool, is_plain: bool) -> None:
        self._resolver = resolver
        self._is_private_allowed = is_private_allowed
        self._is_plain = is_plain

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            _AddressRefused: None of them may be used.
        """
        found = await self._resolver.resolve(host, port, family)  # type: ignore[arg-type] # as above
        usable = [each for each in found if self._is_usable(each["host"])]
        if found and not usable:
            raise _AddressRefused(
                refusal_text(host, is_private_allowed=self._is_private_allowed, is_plain=self._is_plain),
                is_final=False,
            )
        return usable

    def check_literal(self, host: str) -> None:
        """Check a host that is an address, which the HTTP library does not resolve.

        Raises:
            _AddressRefused: It may not be used.
        """
        with contextlib.suppress(ValueError):  # a name
            if not self._is_usable(host):
                text = refusal_text(host, is_private_allowed=self._is_private_allowed, is_plain=self._is_plain)
                raise _AddressRefused(text, is_final=True)

    def _is_usable(self, address: str) -> bool:
        return is_allowed(address, is_private_allowed=self._is_private_allowed, is_plain=self._is_plain)

    async def close(self) -> None:
        """Close the resolver below."""
        await self._resolver.close()


class HttpSender:
    """Sends over HTTP, with a connection for each attempt: deliveries are rare, and no state stays between them."""

    def __init__(
        self, *, user_agent: str, verified: ssl.SSLContext | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            user_agent: Of the requests.
            verified: Verifies servers; by default against the authorities of the system.
            resolver: Resolves names; by default the system.
        """
        self._user_agent = user_agent
        self._verified: ssl.SSLContext | bool = verified or True
        self._resolver = resolver

    async def send(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Result:
        """Make one attempt."""
        url = URL(endpoint.url)
        resolver = _CheckedResolver(
            self._resolver or aiohttp.DefaultResolver(),
            is_private_allowed=endpoint.is_private_allowed,
            is_plain=url.scheme == "http",
        )
        try:
            resolver.check_literal(url.host or "")
            async with asyncio.timeout(ANSWER_S_MAX):
                return await self._post(url, headers, body, resolver)
        except _AddressRefused as error:
            return Result(problem=str(error), is_final=error.is_final)
        except TimeoutError:
            return Result(problem=f"it did not answer within {ANSWER_S_MAX:.0f} s")
        except aiohttp.ClientConnectorCertificateError:
            return Result(problem="check its certificate: no authority that this hub trusts has signed it")
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or type(error.os_error).__name__
            return Result(problem=f"check its address: no connection ({sanitize(redact(reason))})")
        except FOREIGN_ERRORS as error:
            # The type only: a message of the library may quote the URL.
            return Result(problem=f"it gave no usable answer ({type(error).__name__})")

    async def _post(self, url: URL, headers: Mapping[str, str], body: bytes, resolver: AbstractResolver) -> Result:
        connector = aiohttp.TCPConnector(
            ssl=self._verified, resolver=resolver, use_dns_cache=False, force_close=True, limit=1
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                skip_auto_headers={"Accept-Encoding"},
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX),
                max_line_size=_HEAD_BYTES_MAX,
                max_field_size=_HEAD_BYTES_MAX,
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            wait = _RETRY_AFTER.fullmatch(response.headers.get("Retry-After", ""))
            status = response.status
            response.close()
            return Result(status, retry_after_s=float(wait[1]) if wait else None)
