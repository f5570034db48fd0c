"""The probes: alive says nothing, ready names each problem, metrics are read at each scrape."""

import subprocess
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import msgspec

from agent.local.routes import Answer, Caller, LocalRequest, Role
from agent.local.status import HubStatus
from agent.port import monitoring
from agent.port.monitoring import Readiness
from tests.unit.port.test_metrics import CLIMATE, ZIGBEE

ANY = cast("Any", None)
REQUEST = LocalRequest({}, Caller("", Role.VIEWER, "socket"))


async def ask(name: str, status: HubStatus = ANY, **checks: Callable[[], str]) -> object:
    handlers = monitoring.handlers(checks, status=lambda: status, climate=lambda: CLIMATE, zigbee=lambda: ZIGBEE)
    return await handlers[name](REQUEST)


async def test_healthz_reveals_nothing_of_the_house() -> None:
    assert msgspec.to_builtins(await ask("get_liveness")) == {"status": "alive"}


async def test_readyz_of_a_ready_hub() -> None:
    answer = await ask("get_readiness", control=lambda: "", disk=lambda: "")
    assert answer == Readiness(is_ready=True, checks={"control": "", "disk": ""})


async def test_readyz_names_the_failed_checks() -> None:
    answer = await ask("get_readiness", control=lambda: "", disk=lambda: "free some space: the disk is full")
    assert isinstance(answer, Answer)
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.document == Readiness(
        is_ready=False, checks={"control": "", "disk": "free some space: the disk is full"}
    )


async def test_metrics_are_current_text(status: HubStatus) -> None:
    answer = await ask("get_metrics", status)
    assert isinstance(answer, Answer)
    assert isinstance(answer.document, bytes)
    assert b"\nclimahub_cloud_link_up 1.0\n" in answer.document
    assert answer.content_type.startswith("text/plain; version=0.0.4")


def test_a_hub_that_is_never_scraped_does_not_import_the_library() -> None:
    code = "import sys, agent.port.monitoring; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
