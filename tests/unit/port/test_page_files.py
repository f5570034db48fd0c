"""The page's files: only those that are there, compressed, and asked again by their hash."""

import gzip
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import pytest

from agent.foundation.worker import InlineWorker
from agent.local.routes import Answer, Caller, LocalRequest, RequestRefused, Role
from agent.port.page_files import PAGE_DIRECTORY, handlers, page_files

NOBODY = Caller("", Role.PUBLIC, "127.0.0.1")
GZIP = MappingProxyType({"Accept-Encoding": "gzip, br"})


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page" / "vendor").mkdir(parents=True)
    (tmp_path / "secret.js").write_text("no")
    (tmp_path / "page" / "index.html").write_text("<p>hub</p>")
    (tmp_path / "page" / "main.js").write_text("let a = 1;" * 100)
    (tmp_path / "page" / "notes.txt").write_text("not of the page")
    (tmp_path / "page" / "vendor" / "lib.mjs").write_text("export {}")
    return tmp_path / "page"


async def ask(page: Path, handler: str, file: str = "", headers: Mapping[str, str] = GZIP) -> Answer:
    answered = await handlers(InlineWorker(), page)[handler](LocalRequest({"file": file}, NOBODY, headers=headers))
    assert isinstance(answered, Answer)
    return answered


async def test_files_are_compressed_and_have_their_type(page: Path) -> None:
    index = await ask(page, "get_page")
    assert isinstance(index.document, bytes)
    assert gzip.decompress(index.document) == b"<p>hub</p>"
    assert (index.content_type, index.headers["Content-Encoding"]) == ("text/html; charset=utf-8", "gzip")
    assert (await ask(page, "get_page_file", "main.js")).content_type == "text/javascript; charset=utf-8"
    assert (await ask(page, "get_page_library", "lib.mjs")).content_type == "text/javascript; charset=utf-8"


async def test_client_without_gzip_gets_plain_bytes(page: Path) -> None:
    plain = await ask(page, "get_page", headers={})
    assert (plain.document, plain.headers.get("Content-Encoding")) == (b"<p>hub</p>", None)


async def test_unchanged_file_is_answered_304(page: Path) -> None:
    etag = (await ask(page, "get_page")).headers["ETag"]
    again = await ask(page, "get_page", headers={**GZIP, "If-None-Match": etag})
    assert (again.status, again.document) == (HTTPStatus.NOT_MODIFIED, b"")
    changed = await ask(page, "get_page", headers={**GZIP, "If-None-Match": '"other"'})
    assert changed.status is HTTPStatus.OK


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.js",
        "missing.js",
        "notes.txt",
        "vendor",
        "vendor/lib.mjs/..",
        "main.js\0",
        "/etc/passwd",
    ],
)
async def test_nothing_else_is_served(page: Path, name: str) -> None:
    for handler in ("get_page_file", "get_page_text", "get_page_library"):
        with pytest.raises(RequestRefused, match="it has no such file"):
            await ask(page, handler, name)


def test_the_hubs_page_is_found() -> None:
    assert {"index.html", "main.js", "style.css", "texts/en.json", "vendor/preact.mjs"} <= set(
        page_files(PAGE_DIRECTORY)
    )
