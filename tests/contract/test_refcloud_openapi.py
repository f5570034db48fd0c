"""The OpenAPI document against the real application, by schemathesis: each says no more and no less than the other."""
# ruff: noqa: ANN401 (a YAML document, and whatever a coroutine returns)

import asyncio
import random
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml  # type: ignore[import-untyped]  # stubs are not worth a dependency
from aiohttp import web
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection

from lab.refcloud.admin import NewCommand, NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import QUOTAS, ROUTES, SENSOR_TYPES, EndpointQuota
from lab.refcloud.records import DeviceKind
from lab.refcloud.rfc3339 import format_ms

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
ADMIN_TOKEN = "let-me-in"
NOON_MS = 1_774_785_600_000
VERSION_LENGTHS = range(1, 65)
"""The schema "Version" of the document."""

schemathesis.openapi.format("date-time", st.integers(0, 4_000_000_000_000).map(format_ms))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(["UTC", "Europe/Zurich", "America/Los_Angeles"]))

schema = schemathesis.openapi.from_path(DOCUMENT)


@schema.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """Write 3600.0 as 3600: the same integer to JSON Schema, but not to the server, nor to most others."""
    match body:
        case dict():
            return {name: map_body(_context, value) for name, value in body.items()}
        case list():
            return [map_body(_context, value) for value in body]
        case float() if body.is_integer():
            return int(body)
        case _:
            return body


device_api = schema.include(tag="device")
admin_api = schema.include(tag="admin")


class Server:
    """A cloud with some content on a loop in a thread of its own: schemathesis is synchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        rng = random.Random(1)
        self._cloud = ReferenceCloud(
            utc_ms=lambda: NOON_MS,
            monotonic_s=self._loop.time,
            rng=rng,
            new_id=lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            quotas=dict.fromkeys(QUOTAS, EndpointQuota(1_000_000_000, 60)),
            admin_token=ADMIN_TOKEN,
        )
        admin = self._cloud.admin
        hub = admin.provision(NewDevice("attic"))
        admin.provision(NewDevice("kitchen", kind=DeviceKind.SENSOR))
        admin.queue_command(hub.device.device_id, NewCommand("reboot", {"delay_seconds": 5}))
        admin.publish("1.3.0", b"firmware" * 100, batches=["stable"])
        self.key = hub.api_key
        self._runner = web.AppRunner(self._cloud.application(), access_log=None)
        self.url = self._run(self._start())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def calm(self) -> None:
        """Undo what the admin tests may have switched on: faults, and a cloud that does not listen."""
        self._cloud.set_faults(())
        self._cloud.listening = True

    def close(self) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


FEW = settings(
    max_examples=20,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def is_valid_check(case: "schemathesis.Case[Any]") -> bool:
    """Tell whether a request for an update is valid, although schemathesis has meant it to be wrong.

    The parameter that it has renamed may get its old name back, and the test gives the header that it has left out.
    """
    version = dict(case.query or {}).get("current_version")
    return len(case.query or {}) == 1 and isinstance(version, str) and len(version) in VERSION_LENGTHS


@pytest.mark.slow
@device_api.parametrize()
@FEW
def test_device_api_matches_its_document(server: Server, case: "schemathesis.Case[Any]") -> None:
    server.calm()
    case.call_and_validate(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.key}"},
        excluded_checks=[negative_data_rejection] if is_valid_check(case) else [],
    )


def has_only_unknown_parameters(case: "schemathesis.Case[Any]") -> bool:
    """Return whether a request is wrong only by unknown parameters, which the server ignores.

    The test itself sends the header that schemathesis may have left out.
    """
    known = {parameter.name for parameter in case.operation.query}
    return not case.operation.body and bool(case.query) and not known & set(case.query or {})


@pytest.mark.slow
@admin_api.parametrize()
@FEW
def test_admin_api_matches_its_document(server: Server, case: "schemathesis.Case[Any]") -> None:
    case.call_and_validate(
        base_url=server.url,
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        excluded_checks=[negative_data_rejection] if has_only_unknown_parameters(case) else [],
    )


def document() -> Any:
    return yaml.safe_load(DOCUMENT.read_text())


def test_the_document_has_every_endpoint_and_no_other() -> None:
    documented = {
        (method.upper(), path)
        for path, operations in document()["paths"].items()
        for method in operations
        if path.startswith("/v1")
    }
    assert documented == set(ROUTES.values())


def test_the_document_has_every_admin_route_and_no_other(server: Server) -> None:
    admin = server._cloud.application()._subapps[0]
    served = {(route.method, route.resource.canonical) for route in admin.router.routes() if route.resource is not None}
    documented = {
        (method.upper(), path)
        for path, operations in document()["paths"].items()
        for method in operations
        if path.startswith("/admin")
    }
    assert documented == served


def test_the_document_names_the_quotas_and_sensor_types_of_the_contract() -> None:
    paths = document()["paths"]
    for endpoint, (method, path) in ROUTES.items():
        quota = QUOTAS[endpoint]
        words = " ".join(paths[path][method.lower()]["description"].split())
        assert f"{quota.limit} requests {'a minute' if quota.window_s == 60 else 'an hour'}" in words
    assert tuple(document()["components"]["schemas"]["SensorType"]["enum"]) == SENSOR_TYPES
