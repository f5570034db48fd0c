"""Downloads from servers with habits of their own: nothing confirmed is fetched twice, and nothing is refused."""

import asyncio
import functools
import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web

from agent.cloud.quota import MARGIN_MS
from agent.ota.bundle_format import BundleHeader
from agent.ota.lifecycle import UpdateState
from agent.ota.manifest import CHUNK_BYTES, Offer
from agent.ota.service import UpdateService
from lab.simulation.rollout import SimulatedRelease, make_release

from .update_bench import GOOD, NEXT, Bench, bench, closed, live

HOUR_S = 3600.0
DOWNLOAD = "/v1/ota/download/"
Answer = tuple[int, dict[str, str], bytes]


@functools.cache
def big() -> SimulatedRelease:
    """Return a release of six chunks: it takes seconds to pack, which whoever only collects these tests need not do."""
    return make_release("2.0.0", 2, chunks=6)


class Server:
    """Serves one file, and notes how much of each answer went out."""

    def __init__(self, made: Bench, data: bytes, answer: Callable[["Server", int | None], Answer]) -> None:
        self.data = data
        self.asked: list[int | None] = []
        self.headers: list[dict[str, str]] = []
        self.cut_after_bytes = 0
        self.is_down = False
        self._answer = answer
        made.middlewares.append(self.middleware)
        made.trees["2.0.0"] = big().tree_files

    @web.middleware
    async def middleware(self, request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        if not request.path.startswith(DOWNLOAD):
            return await handler(request)  # type: ignore[misc]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        self.asked.append(int(asked[1]) if asked else None)
        self.headers.append(dict(request.headers))
        status, headers, body = self._answer(self, self.asked[-1])
        response = web.StreamResponse(status=status, headers={"ETag": '"6749c1f2-80a1f3"', **headers})
        response.content_length = len(body)
        await response.prepare(request)
        sent = body[: self.cut_after_bytes] if self.cut_after_bytes else body
        await response.write(sent)
        if len(sent) < len(body):
            await asyncio.sleep(1)
            assert request.transport is not None
            request.transport.close()
        return response


def part(data: bytes, begins: int, ends: int, **more: str) -> Answer:
    return 206, {"Content-Range": f"bytes {begins}-{ends - 1}/{len(data)}", **more}, data[begins:ends]


def plain(server: Server, asked: int | None) -> Answer:
    """As nginx and S3 answer, with a tag that is no SHA-256."""
    return (200, {}, server.data) if asked is None else part(server.data, asked, len(server.data))


def in_blocks(server: Server, asked: int | None) -> Answer:
    """As a CDN that sends its own blocks of 2.5 MiB."""
    block = 5 * CHUNK_BYTES // 2
    begins = (asked or 0) // block * block
    return part(server.data, begins, min(len(server.data), begins + block))


def once(first: Callable[[Server, int], Answer]) -> Callable[[Server, int | None], Answer]:
    """Answer the first range in a strange way, and all else as usual."""

    def answer(server: Server, asked: int | None) -> Answer:
        ranges = [each for each in server.asked if each is not None]
        return first(server, asked) if asked is not None and len(ranges) == 1 else plain(server, asked)

    return answer


def multipart(server: Server, asked: int) -> Answer:
    head = f"--B\r\nContent-Range: bytes {asked}-{len(server.data) - 1}/{len(server.data)}\r\n\r\n".encode()
    return 206, {"Content-Type": "multipart/byteranges; boundary=B"}, head + server.data[asked:] + b"\r\n--B--\r\n"


STRANGE: dict[str, Callable[[Server, int | None], Answer]] = {
    "a tag that is no SHA-256": plain,
    "416": once(lambda server, _: (416, {"Content-Range": f"bytes */{len(server.data)}"}, b"")),
    "no Content-Range": once(lambda server, asked: (206, {}, server.data[asked:])),
    "a range further on": once(lambda server, asked: part(server.data, asked + 5, len(server.data))),
    "a range from before": once(lambda server, asked: part(server.data, asked - 5, len(server.data))),
    "a compressed range": once(
        lambda server, asked: (*part(server.data, asked, len(server.data), **{"Content-Encoding": "gzip"})[:2], b"x")
    ),
    "another range than it says": once(lambda server, asked: (*part(server.data, asked, len(server.data))[:2],
                                                              server.data[: len(server.data) - asked])),
    "multipart": once(multipart),
    "a page": once(lambda server, asked: (200, {"Content-Type": "text/html"}, b"<html>please log in</html>")),
    "another size": once(lambda server, asked: (206, {"Content-Range": f"bytes {asked}-{asked + 8}/9999"}, b"x" * 9)),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_interrupted_download_completes_with_any_kind_of_server(name: str) -> None:
    with bench() as made:
        server = Server(made, big().data, STRANGE[name])
        server.cut_after_bytes = 5 * CHUNK_BYTES // 2
        made.publish(big())
        # A strange answer may cost a request or two, and then it must be given the whole file once.
        made.config = {"download_deadline_s": 100.0}

        def mended(service: UpdateService) -> bool:
            if len(server.asked) >= 3 and None in server.asked[1:]:
                server.cut_after_bytes = 0
            return closed(UpdateState.COMPLETED)(service)

        service = live(made, mended)
        assert service.store.record.refusals == ()
        assert not [each for each in server.headers if "If-Range" in each]
        assert {each["Accept-Encoding"] for each in server.headers} == {"identity"}
        if name == "a tag that is no SHA-256":
            assert server.asked == [None, 5 * CHUNK_BYTES // 2, 5 * CHUNK_BYTES]
            assert made.loop.time() < HOUR_S


def test_cdn_that_serves_aligned_blocks_completes() -> None:
    with bench() as made:
        server = Server(made, big().data, in_blocks)
        made.publish(big())
        live(made, closed(UpdateState.COMPLETED))
        assert len(server.asked) == 3


def test_server_without_ranges_loses_no_verified_bytes() -> None:
    """It answers 200 to a range: what is there already is compared, not written again."""
    with bench() as made:
        server = Server(made, big().data, lambda server, _: (200, {}, server.data))
        server.cut_after_bytes = 4 * CHUNK_BYTES
        made.publish(big())

        def mended(service: UpdateService) -> bool:
            kept = made.machine.state_dir / "update.part"
            if len(server.asked) == 2:
                server.cut_after_bytes = CHUNK_BYTES  # less than is there
            if len(server.asked) >= 3:
                assert server.asked[1] == server.asked[2] or closed(UpdateState.COMPLETED)(service)
                assert not kept.exists() or kept.stat().st_size >= 3 * CHUNK_BYTES
                server.cut_after_bytes = 0
            return closed(UpdateState.COMPLETED)(service)

        service = live(made, mended)
        assert service.store.record.refusals == ()


def test_a_compressed_whole_file_is_understood() -> None:
    with bench() as made:
        Server(made, big().data, lambda server, _: (200, {"Content-Encoding": "gzip"}, gzip.compress(server.data, 1)))
        made.publish(big())
        assert live(made, closed(UpdateState.COMPLETED)).store.record.refusals == ()


def test_republished_file_replaces_the_partial_download() -> None:
    other = make_release("2.0.0", 3, chunks=1, files={"other": b"x"})

    def changed(server: Server, asked: int | None) -> Answer:
        if len(server.asked) > 1:
            server.data, server.cut_after_bytes = other.data, 0
        return plain(server, asked)

    with bench() as made:
        server = Server(made, big().data, changed)
        server.cut_after_bytes = 5 * CHUNK_BYTES // 2
        made.trees["2.0.0"] = other.tree_files

        @web.middleware
        async def check(request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
            if request.path == "/v1/ota/check":
                return web.json_response({"update_available": True, "version": "2.0.0"})  # neither size nor checksum
            return await handler(request)  # type: ignore[misc]

        made.middlewares.append(check)

        service = live(made, lambda service: service.store.record.state is UpdateState.COMPLETED)
        assert service.launcher_state.floor == 3
        assert service.store.record.refusals == ()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b""),
        (404, b'{"message": "Not Found"}'),
        (404, b'{"error": "not_found", "message": "no such release"}'),
        (409, b'{"error": "conflict"}'),
        (410, b""),
        (403, b"<Error><Code>AccessDenied</Code></Error>"),
        (451, b"{}"),
        (500, b""),
    ],
)
def test_unavailable_file_is_downloaded_once_offered_again(status: int, body: bytes) -> None:
    def answer(server: Server, asked: int | None) -> Answer:
        if len(server.asked) == 2:
            return status, {"Content-Type": "application/json"}, body
        return plain(server, asked)

    with bench() as made:
        server = Server(made, big().data, answer)
        server.cut_after_bytes = 5 * CHUNK_BYTES // 2
        made.publish(big())

        def mended(service: UpdateService) -> bool:
            server.cut_after_bytes = 0 if len(server.asked) > 1 else server.cut_after_bytes
            return closed(UpdateState.COMPLETED)(service)

        service = live(made, mended)
        assert service.store.record.refusals == ()
        assert server.asked[2] == 5 * CHUNK_BYTES // 2  # what has come is not fetched again


@pytest.mark.parametrize("harm", ["damaged", "no bundle"])
def test_bytes_damaged_once_do_not_refuse_the_release(harm: str) -> None:
    def answer(server: Server, asked: int | None) -> Answer:
        if len(server.asked) > 1:
            return plain(server, asked)
        wrong = bytearray(server.data)
        wrong[5 if harm == "no bundle" else 3 * CHUNK_BYTES] ^= 1
        return 200, {}, bytes(wrong)

    with bench() as made:
        server = Server(made, big().data, answer)
        made.publish(big())
        service = live(made, closed(UpdateState.COMPLETED))
        assert service.store.record.refusals == ()
        assert len(server.asked) == 2


def test_file_that_never_matches_the_offer_is_dropped_and_not_refused() -> None:
    with bench() as made:
        server = Server(made, big().data, lambda server, _: (200, {}, server.data[:-9]))
        made.publish(big())
        service = live(made, closed(UpdateState.FAILED))
        assert "not" in service.store.record.error
        assert service.store.record.refusals == ()
        assert len(server.asked) <= 5


def test_refusal_is_cleared_once_the_missing_part_is_present() -> None:
    kettle = make_release("2.0.0", 2, model="kettle")
    with bench() as made:
        made.trees["2.0.0"] = kettle.tree_files
        made.publish(kettle)
        service = live(made, closed(UpdateState.FAILED))
        assert "is for kettle" in service.store.record.refusals[0].reason
        live(made, lambda service: "is not taken" in service.outcome.text)
        made.config = {"model": "kettle"}
        live(made, closed(UpdateState.COMPLETED))


def test_download_continues_at_once_after_a_reboot() -> None:
    """What was asked before is remembered; that the boot is young says nothing."""
    with bench() as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        assert made.loop.time() < HOUR_S
        stamps = made.cloud.admin.ota_history(made.device_id).posts
        assert stamps


def test_download_quota_holds_over_reboots() -> None:
    with bench() as made:
        server = Server(made, big().data, plain)
        server.cut_after_bytes = 1000
        made.publish(big())
        times: list[float] = []

        def rebooted(service: UpdateService) -> bool:
            if len(server.asked) > len(times):
                times.extend([made.loop.time()] * (len(server.asked) - len(times)))
                if len(times) in {2, 4, 6}:
                    made.is_rebooting = True
                    made.restart.set()
            return len(times) >= 12

        service = live(made, rebooted)
        assert len(service.store.record.downloads_utc_ms) == 5
        assert all(later - earlier >= HOUR_S - 10 for earlier, later in zip(times, times[5:], strict=False))
        assert MARGIN_MS


def test_reason_for_a_delayed_download_is_shown_with_its_time() -> None:
    with bench() as made:
        server = Server(made, big().data, plain)
        server.cut_after_bytes = 1000
        made.publish(big())
        service = live(made, lambda service: "at most 5 an hour" in service.run_control.blocked_reason)
        assert re.fullmatch(r"no download for \d+ min \(at most 5 an hour\)", service.run_control.blocked_reason)
        assert len(server.asked) == 5
        assert msgspec.json.encode(service.store.record)


def test_damaged_slot_is_repaired_with_the_same_release() -> None:
    with bench() as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        (made.machine.state_dir / "slots" / "a" / "__main__.py").write_bytes(b"rotten")
        live(made, lambda service: service.context.running.version == "1.0.0")
        assert made.boots[-1] == "1.0.0"
        service = live(
            made,
            lambda service: service.context.running.version == "2.0.0" and closed(UpdateState.COMPLETED)(service),
        )
        assert (service.launcher_state.good, service.launcher_state.floor) == ("b", 2)


def test_slot_damaged_before_its_first_start_does_not_refuse_the_release() -> None:
    with bench() as made:
        made.publish(GOOD)
        made.config = {"maintenance_window": "02:00-03:00"}
        live(made, lambda service: service.store.record.state is UpdateState.READY)
        (made.machine.state_dir / "slots" / "a" / "__main__.py").write_bytes(b"rotten")
        made.config = {}
        service = live(made, closed(UpdateState.COMPLETED))
        assert service.store.record.refusals == ()
        assert "changed or damaged" in " ".join(made.faults)


def test_newer_offer_replaces_a_waiting_download() -> None:
    def answer(server: Server, asked: int | None) -> Answer:
        return (503, {}, b"") if server.is_down else plain(server, asked)

    with bench() as made:
        server = Server(made, big().data, answer)
        server.is_down = True
        newer = make_release("3.0.0", 3)
        made.trees["3.0.0"] = newer.tree_files
        made.publish(big())
        live(made, lambda service: len(server.asked) >= 3)
        made.publish(newer)
        live(made, lambda service: service.store.record.offer.version == "3.0.0")
        server.data, server.is_down = newer.data, False
        assert live(made, closed(UpdateState.COMPLETED)).context.running.version == "3.0.0"


def test_withdrawn_offer_drops_a_waiting_download() -> None:
    with bench() as made:
        Server(made, big().data, lambda server, asked: (503, {}, b""))
        made.publish(big())
        live(made, lambda service: service.store.record.state is UpdateState.DOWNLOADING)
        made.cloud.admin.offer("2.0.0", [])
        service = live(made, closed(UpdateState.FAILED))
        assert "not offered any more" in service.store.record.error
        assert service.store.record.refusals == ()


def test_file_damaged_on_the_disk_does_not_refuse_the_release() -> None:
    with bench() as made:
        made.publish(GOOD)
        made.config = {"metered": "never"}

        def damage(service: UpdateService) -> bool:
            if not made.tasks and service.store.record.state is UpdateState.IDLE:
                place = service.staging.verify

                def rotten(offer: Offer | None) -> BundleHeader:
                    path = made.machine.state_dir / "update.bundle"
                    data = bytearray(path.read_bytes())
                    data[-1] ^= 1
                    path.write_bytes(data)
                    service.staging.verify = place  # type: ignore[method-assign]
                    return place(offer)

                service.staging.verify = rotten  # type: ignore[method-assign]
                made.tasks.append(made.loop.create_task(asyncio.sleep(0)))
            return closed(UpdateState.COMPLETED)(service)

        service = live(made, damage)
        assert service.store.record.refusals == ()
        assert "damaged on the disk" in " ".join(made.faults)


def wait_for_window(made: Bench) -> None:
    """Let a release be installed at noon, and wait for its maintenance window at night."""
    made.config = {"maintenance_window": "02:00-05:00"}
    made.local = datetime(2026, 1, 1, 12, tzinfo=UTC)
    made.publish(GOOD)
    live(made, lambda service: service.store.record.state is UpdateState.READY)


def test_release_withdrawn_before_its_window_is_not_started() -> None:
    with bench() as made:
        wait_for_window(made)
        made.cloud.admin.offer(GOOD.version, [])
        live(made, closed(UpdateState.FAILED))
        made.local = datetime(2026, 1, 2, 3, tzinfo=UTC)
        service = live(made, lambda _: made.loop.time() > 6 * HOUR_S)
        assert set(made.boots) == {"1.0.0"}
        assert "not offered any more" in service.store.record.error
        assert service.store.record.refusals == ()


def test_newer_release_replaces_one_waiting_for_its_window() -> None:
    with bench() as made:
        wait_for_window(made)
        made.publish(NEXT)
        live(made, lambda service: service.store.record.offer.version == "3.0.0")
        made.local = datetime(2026, 1, 2, 3, tzinfo=UTC)
        live(made, closed(UpdateState.COMPLETED))
        assert set(made.boots) == {"1.0.0", "3.0.0"}
