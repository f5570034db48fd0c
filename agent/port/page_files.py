"""The files of the technician's page: found once, compressed at the first request, and known to browsers by their hash.

What no browser needs stays here (`agent.port.page_minifier`). Serves the files of `agent/port/page` and nothing else: a
name is looked up among them and never joined to a path.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import msgspec

from agent.foundation.worker import Worker
from agent.local.routes import Answer, Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.port.page_minifier import ShortNames

PAGE_DIRECTORY = Path(__file__).parent / "page"

INDEX = "index.html"
LIBRARIES = "vendor"
"""Sent byte for byte as they are: their hashes are published."""

FILE_BYTES_MAX = 1024 * 1024
"""A larger file does not belong to a page that may have 150 KB in all."""

_TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
    }
)
"""Media types by suffix. A file of another kind is not served."""


_CATALOGUE = re.compile(r"[a-z]{2}\.json")
"""The page's own texts in one language."""

_HUB_CATALOGUE = re.compile(r"[a-z]{2}-hub\.json")
"""What the hub says in one language, by its English."""

PageAnswer = Annotated[Answer, "*/*", HTTPStatus.NOT_MODIFIED]


class PageFile(msgspec.Struct, frozen=True):
    """One file as it is sent.

    Attributes:
        content_type: Its media type.
        etag: Changes with its content.
        compressed: The content, compressed by gzip.
    """

    content_type: str
    etag: str
    compressed: bytes


def page_files(directory: Path) -> Mapping[str, Path]:
    """Return the files that are served, by their path below the directory. Blocks."""
    found = [path for path in sorted(directory.rglob("*")) if path.suffix in _TYPES and path.is_file()]
    return {path.relative_to(directory).as_posix(): path for path in found}


def read_page_file(path: Path, names: "ShortNames") -> PageFile:
    """Read and compress one file. Blocks.

    Args:
        path: The file.
        names: Those of its page: see `read_short_names`.

    Raises:
        OSError: It cannot be read.
    """
    content = path.read_bytes()[:FILE_BYTES_MAX]
    is_catalogue = _CATALOGUE.fullmatch(path.name) is not None
    if path.parent.name != LIBRARIES:
        from agent.port.page_minifier import as_sent  # noqa: PLC0415 - sixteen patterns, compiled for the first visitor

        is_of_hub = _HUB_CATALOGUE.fullmatch(path.name) is not None
        content = as_sent(content, path.suffix, names=names, is_catalogue=is_catalogue, is_of_hub=is_of_hub)
    # The time stamp of gzip is left out: the same content is the same response.
    compressed = gzip.compress(content, 9, mtime=0)
    content_type = "text/plain; charset=utf-8" if is_catalogue else _TYPES[path.suffix]
    return PageFile(content_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"', compressed)


def read_short_names(directory: Path) -> "ShortNames":
    """Return what is sent in the place of names that the files of a page share. Blocks.

    Raises:
        OSError: A file cannot be read.
    """
    from agent.port.page_minifier import short_names  # noqa: PLC0415 - as above

    scripts = [path.read_bytes()[:FILE_BYTES_MAX] for path in sorted(directory.glob("*.js"))]
    # Every language has the same keys (`tests/unit/test_page.py`).
    catalogue = next(iter(sorted((directory / "texts").glob("??.json"))), None)
    keys = {} if catalogue is None else msgspec.json.decode(catalogue.read_bytes()[:FILE_BYTES_MAX])
    return short_names(scripts, keys)


class _Page:
    """The files of the page, each read at its first request."""

    def __init__(self, worker: Worker, directory: Path) -> None:
        self._worker = worker
        self._directory = directory
        self._found: tuple[Mapping[str, Path], ShortNames] | None = None
        self._read: dict[str, PageFile] = {}

    async def get(self, name: str) -> PageFile:
        """Return a file.

        Raises:
            RequestRefused: The page has no such file.
        """
        if self._found is None:
            self._found = await self._worker.run(
                lambda: (page_files(self._directory), read_short_names(self._directory))
            )
        paths, names = self._found
        if name not in self._read:
            # Strangers who ask for what is not there must not keep the worker busy.
            if (path := paths.get(name)) is None:
                raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", "open the page at /: it has no such file")
            self._read[name] = await self._worker.run(lambda: read_page_file(path, names))
        return self._read[name]


def answer_of(file: PageFile, request: LocalRequest) -> Answer:
    """Return a file as a browser can take it; only its hash where the browser has it already."""
    # Asked again at each visit, for 200 bytes: after an update of the hub no file of the old release is used.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("If-None-Match", "") == file.etag:
        return Answer(b"", HTTPStatus.NOT_MODIFIED, file.content_type, headers)
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return Answer(gzip.decompress(file.compressed), content_type=file.content_type, headers=headers)
    return Answer(file.compressed, content_type=file.content_type, headers={**headers, "Content-Encoding": "gzip"})


def handlers(worker: Worker, directory: Path = PAGE_DIRECTORY) -> Mapping[str, Handler]:
    """Return the handlers of the page's files. Nothing is read before the first request.

    Args:
        worker: Where reading and compressing a file blocks, once each.
        directory: Where the files are.
    """
    page = _Page(worker, directory)

    async def get_page(request: LocalRequest) -> Annotated[Answer, "text/html", HTTPStatus.NOT_MODIFIED]:
        return answer_of(await page.get(INDEX), request)

    async def get_page_file(request: LocalRequest) -> PageAnswer:
        return answer_of(await page.get(request.parameters["file"]), request)

    async def get_page_text(request: LocalRequest) -> PageAnswer:
        return answer_of(await page.get(f"texts/{request.parameters['file']}"), request)

    async def get_page_library(request: LocalRequest) -> PageAnswer:
        return answer_of(await page.get(f"vendor/{request.parameters['file']}"), request)

    return {each.__name__: each for each in (get_page, get_page_file, get_page_text, get_page_library)}
