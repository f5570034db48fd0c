"""Where HomeKit listens and what is announced of it: the configured interfaces, and nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import cast

from agent.apis.homekit.service import HomeKitService
from agent.config.port_tables import ApisConfig
from agent.port.announcement.records import ServiceRecord
from agent.port.homekit import SERVICE_TYPE, HomeKitListeners
from agent.port.http.endpoints import Endpoint


def listeners(
    listen: tuple[str, ...], *, is_installed: bool = True, details: Mapping[str, str] | None = None, port: int = 0
) -> HomeKitListeners:
    service = SimpleNamespace(
        is_installed=is_installed,
        announcement={"id": "AA:BB"} if details is None else details,
        make_connection=asyncio.Protocol,
    )
    config = ApisConfig(homekit=True, homekit_listen=listen, homekit_port=port)
    return HomeKitListeners(
        cast("HomeKitService", service), config, add_fault=lambda _: None, addresses_of=lambda _: ["127.0.0.1"]
    )


@contextlib.asynccontextmanager
async def running(made: HomeKitListeners) -> AsyncIterator[HomeKitListeners]:
    loop = asyncio.get_running_loop().create_task(made.run())
    for _ in range(20):
        await asyncio.sleep(0)
    try:
        yield made
    finally:
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


async def test_it_listens_where_it_is_told_and_ends_with_its_loop() -> None:
    async with running(listeners(("127.0.0.1",))) as made:
        ((endpoint, port),) = made.open_endpoints
        assert endpoint.address == "127.0.0.1"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    assert made.open_endpoints == []


async def test_without_the_library_or_an_address_nothing_is_opened() -> None:
    async with running(listeners(("127.0.0.1",), is_installed=False)) as made:
        assert made.open_endpoints == []
    async with running(listeners(())) as made:
        assert made.open_endpoints == []


async def test_a_port_that_is_taken_is_a_problem_with_its_own_keys() -> None:
    async with running(listeners(("127.0.0.1",))) as first:
        ((_, port),) = first.open_endpoints
        async with running(listeners(("127.0.0.1",), port=port)) as second:
            assert second.problems == [
                "HomeKit cannot be opened on 127.0.0.1: choose another apis.homekit_port: another program listens there"
            ]


def announced(*endpoints: Endpoint, details: Mapping[str, str] | None = None) -> list[ServiceRecord]:
    made = listeners((), details=details)
    for number, each in enumerate(endpoints):
        sockets = [SimpleNamespace(getsockname=lambda number=number: ("", 51827 + number))]
        made._open[each] = cast("asyncio.Server", SimpleNamespace(sockets=sockets))
    return list(made.announced)


def test_it_is_announced_on_its_interfaces_and_never_on_loopback() -> None:
    assert announced(Endpoint("127.0.0.1")) == []
    assert announced(Endpoint("192.0.2.7", "eth0"), Endpoint("::", "eth0"), Endpoint("127.0.0.1")) == [
        ServiceRecord(SERVICE_TYPE, 51827, "eth0", ("id=AA:BB",))
    ]
    assert announced(Endpoint("192.0.2.7", "eth0"), Endpoint("0.0.0.0")) == [
        ServiceRecord(SERVICE_TYPE, 51828, "", ("id=AA:BB",))
    ]
    assert announced(Endpoint("192.0.2.7", "eth0"), details={}) == []
