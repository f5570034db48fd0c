"""The server under check: sends requests, and says what was expected where an answer is another.

Must never print a credential. Redirects are not followed, answers are read up to a limit.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from agent.cloud.error_mapping import no_answer_text
from agent.errors import CloudUnavailable
from lab.conformance.lines import Mismatch, NotTried

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""The device list of a full hub takes 300 KiB."""
ANSWER_S_MAX = 30.0
SHOWN_CHARACTERS_MAX = 200

UNAVAILABLE_S = 2.0
UNAVAILABLE_MAX = 5
"""How often a server is asked that answers 503: right after its start a hub makes a key for some seconds."""


class Access(msgspec.Struct, frozen=True):
    """What a check may use.

    Attributes:
        secret: The key or client secret.
        client_id: Of an API that has ids.
        device: The device to look at; empty for the first one that the API lists.
        may_change: Checks may change something.
    """

    secret: str
    client_id: str = ""
    device: str = ""
    may_change: bool = False


class Reply(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        status: The HTTP status.
        headers: By any case.
        document: The JSON of the body; `None` where it is none.
        text: The body as text.
    """

    status: int
    headers: Mapping[str, str]
    document: Any
    text: str

    def expect(self, *statuses: int) -> "Reply":
        """Return the reply itself.

        Raises:
            Mismatch: It has none of these statuses.
        """
        if self.status not in statuses:
            wanted = " or ".join(str(each) for each in statuses)
            raise Mismatch(f"expected {wanted}, found {self.status}: {self.text[:SHOWN_CHARACTERS_MAX]}")
        return self

    def at(self, *path: str | int) -> Any:  # noqa: ANN401 - JSON of another server
        """Return a part of the document.

        Raises:
            Mismatch: It is not there.
        """
        value = self.document
        for number, step in enumerate(path):
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                where = ".".join(str(each) for each in path[: number + 1])
                raise Mismatch(f"expected {where} in {self.text[:SHOWN_CHARACTERS_MAX]}") from None
        return value


class Server:
    """One server, by its base address.

    Attributes:
        access: What checks may use.
        found: What earlier checks have found, such as a token or the first device.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, access: Access) -> None:
        """Prepare; nothing is sent yet.

        Args:
            session: Sends the requests.
            base_url: What the paths of the contract follow.
            access: What checks may use.
        """
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._numbers = itertools.count(1)
        self.access = access
        self.found: dict[str, Any] = {}
        self._undo: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._left: dict[str, None] = {}

    def undo_later(self, text: str, undo: Callable[[], Awaitable[None]]) -> None:
        """Have a change taken back after the last check, the latest change first.

        Args:
            text: What stays on the server if that fails.
            undo: Takes it back.
        """
        self._undo.append((text, undo))

    def leave(self, text: str) -> None:
        """Take note of a change that the API has no call to take back."""
        self._left[text] = None

    async def undo(self) -> list[str]:
        """Take the changes back, and return what stays on the server."""
        while self._undo:
            text, undo = self._undo.pop()
            try:
                await undo()
            except (Mismatch, LookupError, TypeError, ValueError, AttributeError):
                self.leave(text)
        return list(self._left)

    def number(self) -> int:
        """Return another number at each call, for ids and names."""
        return next(self._numbers)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,  # noqa: ANN401 - see aiohttp
    ) -> Reply:
        """Send a request and return the answer.

        Args:
            method: The HTTP method.
            path: What follows the base address.
            body: Sent as JSON.
            headers: Further headers.
            data: Sent as it is, or as a form, in place of `body`.

        Raises:
            Mismatch: The server does not answer as HTTP, or not in time.
            CloudUnavailable: There is no server.
        """
        given: dict[str, Any] = {"data": data} if data is not None else {}
        if body is not None:
            given = {"data": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}
        given["headers"] = {**given.get("headers", {}), **(headers or {})}
        for _ in range(UNAVAILABLE_MAX):
            reply = await self._send(method, path, **given)
            if reply.status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(UNAVAILABLE_S)
        return reply

    async def _send(self, method: str, path: str, **given: Any) -> Reply:  # noqa: ANN401 - see aiohttp
        timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
        content = bytearray()
        try:
            async with self._session.request(
                method, self._base_url + path, allow_redirects=False, timeout=timeout, **given
            ) as response:
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > ANSWER_BYTES_MAX:
                        raise Mismatch(f"{method} {path}: the answer has more than {ANSWER_BYTES_MAX} bytes")
                return self._reply(response.status, response.headers, bytes(content))
        except aiohttp.ClientConnectorError as error:
            raise CloudUnavailable(f"check the address {self._base_url}: {no_answer_text(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Mismatch(f"{method} {path} is not answered: {no_answer_text(error)}") from error

    def _reply(self, status: int, headers: Mapping[str, str], content: bytes) -> Reply:
        try:
            document = msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError):
            document = None
        text = content.decode("utf-8", "replace")
        # A server may repeat what it was sent, and the text is shown.
        return Reply(
            status, headers, document, text.replace(self.access.secret, "(the secret)") if self.access.secret else text
        )

    def need(self, name: str, remedy: str) -> Any:  # noqa: ANN401 - what an earlier check has stored
        """Return what an earlier check has found.

        Raises:
            NotTried: It has found nothing.
        """
        if name not in self.found:
            raise NotTried(remedy)
        return self.found[name]


def check_type(name: str, value: object, *kinds: type) -> None:
    """Check the type of a value; a boolean is no number.

    Raises:
        Mismatch: It has another one.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise Mismatch(f"expected {name} as {wanted}, found {value!r}"[:SHOWN_CHARACTERS_MAX])


def check_one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Check a value against those that are allowed.

    Raises:
        Mismatch: It is another one.
    """
    if value not in allowed:
        raise Mismatch(
            f"expected {name} as one of {', '.join(map(str, allowed))}, found {value!r}"[:SHOWN_CHARACTERS_MAX]
        )


def check_fields(document: object, fields: Mapping[str, tuple[type, ...]], *, where: str) -> None:
    """Check that an object has fields of these types; it may have more.

    Raises:
        Mismatch: It has not.
    """
    if not isinstance(document, dict):
        raise Mismatch(f"expected {where} as an object, found {document!r}"[:SHOWN_CHARACTERS_MAX])
    for name, kinds in fields.items():
        if name not in document:
            raise Mismatch(f"expected {where}.{name}, found {', '.join(map(str, document))}"[:SHOWN_CHARACTERS_MAX])
        check_type(f"{where}.{name}", document[name], *kinds)
