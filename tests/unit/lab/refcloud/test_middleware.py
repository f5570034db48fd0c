# ruff: noqa: ANN401 (the connector's signature is aiohttp's own business)
"""Faults and observers over HTTP. What takes time runs on a loop in virtual time."""

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import async_solipsism
import pytest
from aiohttp import web

from lab.refcloud.admin import NewCommand, NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import (
    AcceptedLower,
    BrokenJson,
    ClockOff,
    ConnectionRefused,
    CutAfter,
    CutBefore,
    ErrorStatus,
    ExtraFields,
    Fault,
    FaultRule,
    LatencyDown,
    LatencyUp,
    Redirect,
    SlowDrip,
    TruncatedJson,
    WrongContentType,
)
from lab.refcloud.middleware import RequestOutcome

World = Any
Make = Callable[..., Any]
POLL = "/v1/commands/pending"
URL = "http://127.0.0.1:8080"


def strike(world: World, *faults: Fault) -> None:
    world.cloud.set_faults([FaultRule(fault, next_n=1) for fault in faults])


async def test_observer_receives_every_request(world: World, reading: Make) -> None:
    world.advance(5)
    await world.send(reading())
    world.advance(5)
    await world.call("PUT", "/v1/settings", {})
    await world.call("GET", POLL, key="unknown")
    assert world.seen == [
        ("attic", Endpoint.TELEMETRY, 1005.0, RequestOutcome(200, 200)),
        ("attic", Endpoint.SETTINGS_PUT, 1010.0, RequestOutcome(422, 422)),
        ("", Endpoint.COMMANDS_PENDING, 1010.0, RequestOutcome(401, 401)),
    ]


async def test_cut_before_processing(world: World, reading: Make) -> None:
    strike(world, CutBefore())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await world.send(reading())
    assert not world.batches
    assert world.seen == [("attic", Endpoint.TELEMETRY, 1000.0, RequestOutcome(0, 0, ("CutBefore",)))]
    usage = world.cloud.statistics().requests[world.hub.device.device_id]["telemetry"]
    assert usage.requests == 1


async def test_cut_after_processing(world: World, reading: Make) -> None:
    strike(world, CutAfter())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await world.send(reading())
    assert len(world.batches) == 1
    assert world.seen[0][3] == RequestOutcome(200, 0, ("CutAfter",))
    assert (await world.send(reading())).json["accepted"] == 1
    assert world.admin.tallies()[world.hub.device.device_id].duplicates == 1


async def test_cut_in_the_middle_of_a_download(world: World) -> None:
    image = bytes(range(256)) * 1000
    world.admin.publish("2", image, batches=["stable"])
    strike(world, CutAfter(body_bytes=100_000))
    headers = {"Authorization": f"Bearer {world.hub.api_key}"}
    got = bytearray()

    async def download() -> None:
        async with world.client.get("/v1/ota/download/2", headers=headers) as response:
            async for chunk in response.content.iter_any():
                got.extend(chunk)

    with pytest.raises(aiohttp.ClientPayloadError):
        await download()
    assert image.startswith(got)
    assert len(got) <= 100_000


@pytest.mark.parametrize("how", ["fault", "switch"])
async def test_refused_connection(world: World, reading: Make, how: str) -> None:
    if how == "fault":
        strike(world, ConnectionRefused())
    else:
        world.cloud.listening = False
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await world.send(reading())
    world.cloud.listening = True
    assert not world.seen
    assert not world.cloud.statistics().requests
    assert (await world.send(reading())).status == 200


@pytest.mark.parametrize("is_processed", [False, True])
async def test_error_status_replaces_the_response(world: World, reading: Make, is_processed: bool) -> None:
    strike(world, ErrorStatus(503, is_processed=is_processed))
    reply = await world.send(reading())
    assert (reply.status, reply.content_type) == (503, "application/json")
    assert reply.json == {"error": "service_unavailable", "message": "a fault on demand"}
    assert "Retry-After" not in reply.headers
    assert len(world.batches) == is_processed
    assert world.seen[0][3] == RequestOutcome(200 if is_processed else 0, 503, ("Status",))


async def test_retry_after_as_seconds_and_date(world: World) -> None:
    strike(world, ErrorStatus(429, retry_after_s=90))
    assert (await world.call("GET", POLL)).headers["Retry-After"] == "90"
    strike(world, ErrorStatus(503, retry_after_s=90, retry_after_form="date"))
    assert (await world.call("GET", POLL)).headers["Retry-After"] == "Sun, 29 Mar 2026 12:01:30 GMT"


@pytest.mark.parametrize(("status", "reason"), [(502, "Bad Gateway"), (599, "Unknown")])
async def test_html_error_page_of_a_proxy(world: World, status: int, reason: str) -> None:
    strike(world, ErrorStatus(status, is_json=False))
    reply = await world.call("GET", POLL)
    assert (reply.status, reply.content_type) == (status, "text/html")
    assert reason.encode() in reply.body


async def test_redirect(world: World, reading: Make) -> None:
    strike(world, Redirect("http://elsewhere.invalid/", status=307))
    reply = await world.send(reading())
    assert (reply.status, reply.headers["Location"]) == (307, "http://elsewhere.invalid/")
    assert not world.batches


async def test_wrong_content_type(world: World) -> None:
    strike(world, WrongContentType("text/html"))
    reply = await world.call("GET", POLL)
    assert (reply.status, reply.content_type, reply.body) == (200, "text/html", b'{"commands":[]}')


@pytest.mark.parametrize("fault", [BrokenJson(), TruncatedJson()])
async def test_broken_json_response(world: World, reading: Make, fault: Fault) -> None:
    strike(world, fault)
    reply = await world.send(reading())
    assert (reply.status, reply.content_type) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json
    assert len(world.batches) == 1


async def test_extra_fields_also_in_errors(world: World) -> None:
    strike(world, ExtraFields())
    reply = await world.call("PUT", "/v1/settings", {})
    assert (reply.status, set(reply.json)) == (422, {"error", "message", "x_added_later"})


async def test_accepted_count_is_lower_than_stored(world: World, reading: Make) -> None:
    strike(world, AcceptedLower(1))
    assert (await world.send(reading(), reading(1, "2026-03-29T12:01:00Z"))).json["accepted"] == 1
    assert len(world.admin.readings().readings) == 2


async def test_clock_offset_applies_to_every_timestamp(world: World, reading: Make) -> None:
    world.admin.queue_command(world.hub.device.device_id, NewCommand("reboot"))
    world.cloud.set_faults(
        [FaultRule(ClockOff(-3600)), FaultRule(ErrorStatus(503, 60, "date"), endpoint=Endpoint.OTA_CHECK)]
    )
    reply = await world.send(reading())
    assert reply.headers["Date"] == "Sun, 29 Mar 2026 11:00:00 GMT"
    assert reply.json["timestamp"] == "2026-03-29T11:00:00Z"
    pending = await world.call("GET", POLL)
    assert pending.json["commands"][0]["expires_at"] == "2026-03-30T11:00:00Z"
    late = await world.call("GET", "/v1/ota/check?current_version=1")
    assert late.headers["Retry-After"] == "Sun, 29 Mar 2026 11:01:00 GMT"
    world.cloud.set_faults([])
    assert (await world.send(reading())).json["timestamp"] == "2026-03-29T12:00:00Z"


async def test_a_seed_of_its_own_gives_the_same_faults_again(world: World) -> None:
    async def statuses() -> list[int]:
        world.cloud.set_faults([FaultRule(ErrorStatus(503), probability=0.5)], seed=3)
        world.advance(3600)
        return [(await world.call("GET", POLL)).status for _ in range(20)]

    first = await statuses()
    assert await statuses() == first
    assert set(first) == {200, 503}
    assert world.cloud.statistics().faults == {"Status": first.count(503)}


class _InMemory(aiohttp.TCPConnector):
    """Connects through the loop: async-solipsism has no `sock_connect`."""

    async def _wrap_create_connection(self, *args: Any, addr_infos: Any, **_: Any) -> Any:
        host, port = addr_infos[0][4][:2]
        return await self._loop.create_connection(args[0], host, port)


@pytest.fixture
def virtual_loop() -> Iterator[async_solipsism.EventLoop]:
    loop = async_solipsism.EventLoop()
    yield loop
    loop.close()


def in_virtual_time(
    loop: async_solipsism.EventLoop,
    scenario: Callable[[ReferenceCloud, aiohttp.ClientSession], Coroutine[Any, Any, None]],
    seen: list[tuple[str, Endpoint, float, RequestOutcome]],
) -> None:
    async def run() -> None:
        ids = itertools.count()
        cloud = ReferenceCloud(
            utc_ms=lambda: int(loop.time() * 1000),
            monotonic_s=loop.time,
            rng=random.Random(1),
            new_id=lambda: str(next(ids)),
            on_request=lambda *args: seen.append(args),
        )
        key = cloud.admin.provision(NewDevice(name="attic")).api_key
        runner = web.AppRunner(cloud.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 8080).start()
        async with aiohttp.ClientSession(connector=_InMemory(), headers={"Authorization": f"Bearer {key}"}) as session:
            await scenario(cloud, session)
        await runner.cleanup()

    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run())
    finally:
        asyncio.set_event_loop(None)


async def poll(session: aiohttp.ClientSession) -> bytes:
    async with session.get(URL + POLL) as response:
        return await response.read()


def test_latency_on_the_way_up_is_before_the_arrival_and_down_after(virtual_loop: async_solipsism.EventLoop) -> None:
    seen: list[tuple[str, Endpoint, float, RequestOutcome]] = []

    async def scenario(cloud: ReferenceCloud, session: aiohttp.ClientSession) -> None:
        cloud.set_faults([FaultRule(LatencyUp(2, 3), next_n=1), FaultRule(LatencyDown(5, 6), next_n=1)])
        await poll(session)
        _, _, arrived_s, _ = seen[0]
        assert 2 <= arrived_s <= 3
        assert 5 <= virtual_loop.time() - arrived_s <= 6

    in_virtual_time(virtual_loop, scenario, seen)


def test_slow_drip_sends_the_body_in_pieces(virtual_loop: async_solipsism.EventLoop) -> None:
    async def scenario(cloud: ReferenceCloud, session: aiohttp.ClientSession) -> None:
        cloud.set_faults([FaultRule(SlowDrip(piece_bytes=4, pause_s=10))])
        async with session.get(URL + POLL) as response:
            arrivals_s = [round(virtual_loop.time()) async for _ in response.content.iter_any()]
        assert arrivals_s == [0, 10, 20, 30]

    in_virtual_time(virtual_loop, scenario, [])


def test_client_may_disconnect_during_a_slow_drip(
    virtual_loop: async_solipsism.EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cloud: ReferenceCloud, session: aiohttp.ClientSession) -> None:
        cloud.set_faults([FaultRule(SlowDrip(piece_bytes=1, pause_s=10), next_n=1)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(25):
                await poll(session)
        await asyncio.sleep(300)
        assert await poll(session) == b'{"commands":[]}'

    in_virtual_time(virtual_loop, scenario, [])
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_quotas_in_virtual_time_admit_exactly_the_rate(virtual_loop: async_solipsism.EventLoop) -> None:
    seen: list[tuple[str, Endpoint, float, RequestOutcome]] = []

    async def scenario(_cloud: ReferenceCloud, session: aiohttp.ClientSession) -> None:
        for _ in range(300):
            await poll(session)
            await asyncio.sleep(2)

    in_virtual_time(virtual_loop, scenario, seen)
    assert [outcome.status for *_, outcome in seen] == [200] * 300
