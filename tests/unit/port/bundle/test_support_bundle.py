"""How a support bundle is made beside the control: on one thread of its own, to the end of what that thread does."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import resolve_text
from agent.foundation.clock import SystemClock
from agent.local.routes import Answer, Handlers, LocalRequest, RequestRefused
from agent.port.bundle import packing, support_bundle
from agent.port.bundle.scrub import Scrubber
from agent.port.bundle.support_bundle import SupportBundle


def bundles(directory: Path, handlers: Handlers | None = None) -> SupportBundle:
    text = '[cloud]\nbase_url = "https://cloud.example"\n[storage]\nstate_dir = "."\n'
    config = resolve_text(text, file="config.toml", directory=directory, environ={}).config
    return SupportBundle(config, handlers=lambda: handlers or {}, clock=SystemClock())


class SlowArchive:
    """An archive whose second piece takes until it is released."""

    def __init__(self) -> None:
        self.is_at_second = threading.Event()
        self.release = threading.Event()
        self.is_closed = False
        self.threads: set[str] = set()

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        try:
            self.threads.add(threading.current_thread().name)
            yield b"first"
            self.is_at_second.set()
            self.release.wait(10)
            yield b"second"
        finally:
            self.is_closed = True


async def test_caller_who_leaves_during_a_piece_ends_the_bundle_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = SlowArchive()
    monkeypatch.setattr(packing, "stream", archive.stream)
    made = bundles(tmp_path)
    chunks = made.make().chunks

    async def read() -> None:
        async for _ in chunks:
            pass

    reading = asyncio.create_task(read())
    await asyncio.to_thread(archive.is_at_second.wait, 10)
    # Twice: the one who reads is impatient, and then the hub stops.
    for _ in range(2):
        reading.cancel()
        await asyncio.sleep(0.02)
    with pytest.raises(RequestRefused, match="is being made already"):
        made.make()
    archive.release.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until_free(made)
    assert archive.is_closed


async def until_free(made: SupportBundle) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                made.make()
            except RequestRefused:
                await asyncio.sleep(0.01)
            else:
                return


async def test_bundle_takes_no_thread_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default executor has four threads on a Pi: name look-ups wait for them."""
    archive = SlowArchive()
    archive.release.set()
    monkeypatch.setattr(packing, "stream", archive.stream)
    made = bundles(tmp_path)
    assert [chunk async for chunk in made.make().chunks] == [b"first", b"second"]
    await until_free(made)
    (name,) = archive.threads
    assert name.startswith(support_bundle.THREAD_NAME)
    # The bundle is over a moment before its thread.
    for each in threading.enumerate():
        if each.name.startswith(support_bundle.THREAD_NAME):
            await asyncio.to_thread(each.join, 60)
            assert not each.is_alive()


async def test_metrics_are_searched_for_secrets_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a hub with many sensors take 70 ms."""
    threads: list[threading.Thread] = []
    search = Scrubber.text

    def record(self: Scrubber, text: str) -> str:
        if text == "metrics":
            threads.append(threading.current_thread())
        return search(self, text)

    async def get_metrics(_: LocalRequest) -> Answer:
        return Answer(b"metrics")

    monkeypatch.setattr(Scrubber, "text", record)
    assert b"".join([chunk async for chunk in bundles(tmp_path, {"get_metrics": get_metrics}).make().chunks])
    assert threads
    assert threading.main_thread() not in threads


def test_archive_that_is_closed_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    is_begun, is_ended = threading.Event(), threading.Event()

    def files() -> Iterator[tuple[str, bytes]]:
        yield "first", bytes(2 * packing.CHUNK_BYTES)
        is_begun.set()
        time.sleep(0.3)
        is_ended.set()
        yield "second", b""

    # zstd holds back what it has; cat does not.
    monkeypatch.setattr(packing, "ZSTD", ("cat",))
    archive = packing.stream(files(), is_zstd=True, at_s=0)
    next(archive)
    assert is_begun.wait(10)
    assert not is_ended.is_set()
    support_bundle._close(archive)
    assert is_ended.is_set()
