"""The support bundle of a running hub: its documents, then what the machine tells, as one stream.

Decides which documents a bundle holds; `bundle_fields` names their fields. Must never hold up the hub: documents are
made on the loop one after the other, everything that blocks runs on a thread, and one bundle is made at a time.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import MappingProxyType

import msgspec

from agent import __version__
from agent.config import Config
from agent.errors import ClimahubError
from agent.foundation import rfc3339, system_info
from agent.foundation.clock import Clock
from agent.local.routes import Answer, Caller, Handler, Handlers, LocalRequest, RequestRefused, Role, Stream
from agent.port.bundle import packing
from agent.port.bundle.handler import MEDIA_TYPE
from agent.port.bundle.machine import DOCUMENT_BYTES_MAX, Machine, document, known_secrets
from agent.port.bundle.packing import Manifest, Member
from agent.port.bundle.scrub import Scrubber
from hal.errors import HalError

DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "verdict.json": "get_verdict",
        "status.json": "get_status",
        "checks.json": "get_checks",
        "boots.json": "get_boots",
        "climate.json": "get_climate",
        "zigbee.json": "get_zigbee",
        "update.json": "get_update",
        "commands.json": "get_commands",
        "tests.json": "get_tests",
        "config.json": "get_config",
        "log.json": "get_log",
        "metrics.txt": "get_metrics",
    }
)
"""By the name in the bundle: the handler whose answer it holds. In the order of their importance."""

JOURNALS = ("kernel.txt", "journal.txt")
"""What a hub whose user is not in the group systemd-journal cannot read."""

DOCUMENT_S_MAX = 20.0
"""How long one document may take; the checks take up to 10 s."""

THREAD_NAME = "support bundle"

_QUERIES: Mapping[str, Mapping[str, str]] = MappingProxyType({"get_log": {"limit": "1000"}})
_CALLER = Caller("", Role.VIEWER, "support bundle")


def file_name(utc_ms: int | None, now_ms: int, *, is_zstd: bool) -> str:
    """Return the name of a bundle made now.

    Args:
        utc_ms: The time; `None` while it is not known.
        now_ms: Boot time: names the bundle in place of the time, so that a second one does not meet the first.
        is_zstd: Its format.
    """
    if utc_ms is None:
        stamp = f"uptime-{now_ms // 1000}s"
    else:
        stamp = rfc3339.render(utc_ms)[:19].replace(":", "").replace("T", "-")
    return f"climahub-support-{stamp}.{packing.file_extension(is_zstd=is_zstd)}"


class SupportBundle:
    """Makes the bundles of one hub."""

    def __init__(self, config: Config, *, handlers: Callable[[], Handlers], clock: Clock) -> None:
        """Prepare.

        Args:
            config: Of the hub.
            handlers: Returns the handlers of all documents.
            clock: Of the hub.
        """
        self._config = config
        self._handlers = handlers
        self._clock = clock
        self._is_busy = False

    def make(self) -> Stream:
        """Return a bundle as a stream.

        Raises:
            RequestRefused: One is being made already.
        """
        if self._is_busy:
            text = "wait a minute: a support bundle is being made already"
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        is_zstd = packing.has_zstd()
        name = file_name(self._clock.utc_ms(), self._clock.monotonic_ms(), is_zstd=is_zstd)
        return Stream(MEDIA_TYPE, self._chunks(is_zstd=is_zstd), name)

    async def _chunks(self, *, is_zstd: bool) -> AsyncGenerator[bytes, None]:
        if self._is_busy:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", "a support bundle is being made already")
        self._is_busy = True
        loop = asyncio.get_running_loop()
        # One thread of its own: what closes the archive comes after the piece that is being made, also where the caller
        # has left meanwhile.
        thread = ThreadPoolExecutor(1, THREAD_NAME)
        archive: Iterator[bytes] = iter(())
        try:
            secrets = await loop.run_in_executor(thread, known_secrets, self._config, os.environ)
            scrubber = Scrubber(secrets)
            known = self._handlers()
            documents = [
                await _document(name, found, scrubber, query=_QUERIES.get(handler, {}))
                for name, handler in DOCUMENTS.items()
                if (found := known.get(handler)) is not None
            ]
            utc_ms = self._clock.utc_ms()
            machine = Machine(self._config, scrubber, utc_ms=utc_ms).members()
            # The hub's own document says what was changed at it; the machine's is for a hub without one.
            members = [*documents, *_without(machine, {each.name for each in documents})]
            files = packing.contents(
                members,
                made=rfc3339.render_known(utc_ms),
                versions={"climahub": __version__, **system_info.versions()},
                made_by="hub",
            )
            archive = packing.stream(files, is_zstd=is_zstd, at_s=(utc_ms or 0) // 1000)
            while (chunk := await loop.run_in_executor(thread, _next, archive)) is not None:
                yield chunk
        finally:
            closing = loop.run_in_executor(thread, _close, archive)
            closing.add_done_callback(self._end)
            thread.shutdown(wait=False)
            await asyncio.shield(closing)

    def _end(self, _: object) -> None:
        self._is_busy = False


def _without(members: Iterable[Member], names: Container[str]) -> Iterator[Member]:
    return (member for member in members if member.name not in names)


async def _document(name: str, handler: Handler, scrubber: Scrubber, *, query: Mapping[str, str]) -> Member:
    """Return the answer of a handler as a member."""
    try:
        async with asyncio.timeout(DOCUMENT_S_MAX):
            answer = await handler(LocalRequest({}, _CALLER, query=query))
    except (ClimahubError, HalError, TimeoutError) as error:
        kind = type(error).__name__
        return document(name, lambda: {"not_available": kind}, scrubber)
    if isinstance(answer, Answer) and isinstance(answer.document, bytes):
        content = answer.document
        return Member(
            name,
            lambda: scrubber.text(content.decode(errors="replace")).encode(),
            DOCUMENT_BYTES_MAX,
            is_text=True,
        )
    return document(name, lambda: answer, scrubber)


def _next(archive: Iterator[bytes]) -> bytes | None:
    return next(archive, None)


def _close(archive: Iterator[bytes]) -> None:
    close = getattr(archive, "close", None)
    if close is not None:
        close()


def completed(data: bytes, machine: Machine) -> Iterator[bytes] | None:
    """Return a hub's bundle with the journals that the hub's user may not read; `None` where nothing is missing.

    Args:
        data: The bundle.
        machine: Reads the journals as the user of this process.

    Raises:
        ValueError: It is no bundle.
        OSError: zstd failed.
    """
    files = packing.unpack(data)
    own = {member.name: member for member in machine.members() if member.name in JOURNALS}
    manifest = msgspec.json.decode(files.pop(packing.MANIFEST, b""), type=Manifest)
    missing = [each.name for each in manifest.members if each.name in own and not each.size_bytes]
    if not missing:
        return None
    kept = [_kept(name, content) for name, content in files.items()]
    again = packing.contents(
        [*kept, *(own[name] for name in missing)],
        made=manifest.made,
        versions=manifest.versions,
        made_by=f"{manifest.made_by}; {', '.join(missing)} by the command line",
    )
    made = None if manifest.made is None else rfc3339.parse(manifest.made)
    return packing.stream(again, is_zstd=not data.startswith(b"PK"), at_s=(made or 0) // 1000)


def _kept(name: str, content: bytes) -> Member:
    return Member(name, lambda: content, len(content))


def offline_members(machine: Machine, documents: Mapping[str, msgspec.Struct], scrubber: Scrubber) -> Iterator[Member]:
    """Yield the members of a bundle of a hub that does not answer.

    Args:
        machine: What the machine tells.
        documents: What the caller has found out itself, by name.
        scrubber: Removes secrets.
    """
    for name, found in documents.items():
        yield document(name, lambda found=found: found, scrubber)  # type: ignore[misc] # a default binds the loop's value
    yield from machine.trail_members()
    yield from machine.members()
