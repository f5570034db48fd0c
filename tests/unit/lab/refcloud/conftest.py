# ruff: noqa: ANN401 (bodies here are JSON of any shape)
"""A reference cloud on real loopback sockets, with time in the test's hand, on both stores."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from lab.refcloud.admin import Admin, NewDevice, ProvisionedDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Endpoint
from lab.refcloud.middleware import RequestOutcome
from lab.refcloud.records import AcceptedReading, DeviceKind
from lab.refcloud.store import MemoryStore, SqliteStore, Store

NOON_MS = 1_774_785_600_000  # 2026-03-29T12:00:00Z
ADMIN_TOKEN = "let-me-in"


class World:
    """The cloud, the hub "attic" with a key, and what the observers saw."""

    def __init__(self, store: Store, **options: Any) -> None:
        self.utc_ms = NOON_MS
        self.monotonic_s = 1000.0
        self.seen: list[tuple[str, Endpoint, float, RequestOutcome]] = []
        self.batches: list[tuple[str, Sequence[AcceptedReading]]] = []
        ids = itertools.count(1)
        self.store = store
        self.cloud = ReferenceCloud(
            utc_ms=lambda: self.utc_ms,
            monotonic_s=lambda: self.monotonic_s,
            rng=random.Random(7),
            new_id=lambda: f"00000000-0000-4000-8000-{next(ids):012}",
            store=store,
            admin_token=ADMIN_TOKEN,
            on_readings=lambda name, readings: self.batches.append((name, readings)),
            on_request=lambda *seen: self.seen.append(seen),
            **options,
        )
        self.hub = self.provision("attic")
        self.client: TestClient[Any, Any]

    @property
    def admin(self) -> Admin:
        return self.cloud.admin

    def provision(self, name: str, kind: DeviceKind = DeviceKind.HUB) -> ProvisionedDevice:
        return self.admin.provision(NewDevice(name=name, kind=kind))

    def advance(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.utc_ms += round(seconds * 1000)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> "Reply":
        given = {"Authorization": f"Bearer {self.hub.api_key if key is None else key}"}
        if isinstance(body, bytes):
            options |= {"data": body}
            given["Content-Type"] = "application/json"
        elif body is not None:
            options |= {"json": body}
        given |= headers or {}
        async with self.client.request(method, path, headers=given, allow_redirects=False, **options) as response:
            return Reply(response, await response.read())

    async def send(self, *readings: dict[str, Any], **options: Any) -> "Reply":
        return await self.call("POST", "/v1/telemetry", {"readings": list(readings)}, **options)


class Reply:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.body = body
        self.response = response

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "cloud.db")
    yield store
    store.close()


@pytest.fixture
async def make_world(store: Store) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    """Makes a world with other options than the ordinary ones."""
    clients: list[TestClient[Any, Any]] = []

    async def make(**options: Any) -> World:
        world = World(store, **options)
        world.client = TestClient(TestServer(world.cloud.application()))
        clients.append(world.client)
        await world.client.start_server()
        return world

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def world(make_world: Callable[..., Awaitable[World]]) -> World:
    return await make_world()


@pytest.fixture
def reading() -> Callable[..., dict[str, Any]]:
    def make(value: float = 21.5, timestamp: str = "2026-03-29T12:00:00Z", **fields: Any) -> dict[str, Any]:
        return {"sensor_type": "temperature", "value": value, "timestamp": timestamp} | fields

    return make
