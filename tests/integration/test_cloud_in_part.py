"""A cloud that works in part: one endpoint fails, a middlebox spoils compressed bodies, the address is wrong."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import hdrs, web

from agent.cli.status import as_text
from agent.cloud import contract
from agent.local.problems import STALLED_S, problems
from lab.refcloud import faults
from lab.refcloud.contract import Endpoint
from tests.integration.conftest import Cloud, HubClock, MakeHub, until

READINGS = [20 + n / 100 for n in range(50)]

Meddle = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


async def fronted(meddle: Meddle) -> Cloud:
    """Return a cloud with something on the way to it that answers in its place where it likes."""
    cloud = Cloud()
    make = cloud.reference.application

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        return await meddle(request) or await handler(request)

    def application() -> web.Application:
        made = make()
        made.middlewares.insert(0, middleware)
        return made

    cloud.reference.application = application  # type: ignore[method-assign]
    await cloud.up()
    return cloud


async def hang(request: web.Request) -> web.StreamResponse | None:
    if request.headers.get(hdrs.CONTENT_ENCODING) == "gzip":
        await asyncio.sleep(60)
    return None


async def fail(request: web.Request) -> web.StreamResponse | None:
    return web.Response(status=502) if request.headers.get(hdrs.CONTENT_ENCODING) == "gzip" else None


async def reset(request: web.Request) -> web.StreamResponse | None:
    if request.headers.get(hdrs.CONTENT_ENCODING) == "gzip" and request.transport is not None:
        request.transport.abort()
        await asyncio.sleep(60)
    return None


@pytest.mark.parametrize("meddle", [hang, fail, reset])
async def test_readings_pass_a_proxy_that_breaks_gzip(make_hub: MakeHub, meddle: Meddle) -> None:
    cloud = await fronted(meddle)
    hub = make_hub(cloud.url, config_text="request_timeout_s = 1")
    hub.start()
    hub.report(*READINGS)
    await until(lambda: len(cloud.stored) == 50)
    await hub.end()
    await cloud.down()


async def test_wrong_address_is_requested_with_backoff(cloud: Cloud, make_hub: MakeHub) -> None:
    hub = make_hub(f"{cloud.url}/v1")
    hub.start()
    hub.report(*READINGS)
    await until(lambda: hub.status().outbox.retrying)
    await until(lambda: hub.status().link.state == "down")
    assert "check cloud.base_url" in hub.status().link.reason
    # An answer that is judged as a failure puts the next try off.
    await until(lambda: hub.hub.client.wait_s(contract.Endpoint.TELEMETRY) > 0)
    assert hub.status().outbox.pending == 50


async def test_failing_telemetry_is_not_hidden_by_working_endpoints(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.faults(faults.FaultRule(faults.ErrorStatus(status=500), endpoint=Endpoint.TELEMETRY))
    hub = make_hub(cloud.url)
    hub.start()
    hub.report(*READINGS)
    await until(lambda: cloud.answered(Endpoint.COMMANDS_PENDING) and cloud.answered(Endpoint.TELEMETRY))
    await until(lambda: hub.status().link.state == "degraded")
    assert "POST /v1/telemetry was answered 500" in hub.status().link.reason
    (problem,) = problems(hub.status())
    assert "cloud: reports an error of its own for readings" in problem.what
    assert "NO PROBLEMS" not in as_text(hub.status())
    cloud.faults()
    await until(lambda: hub.status().outbox.accepted == 50)
    assert hub.status().link.state == "up"
    assert hub.status().outbox.accepted_age_s is not None


async def test_refused_readings_are_reported_while_the_link_is_up(cloud: Cloud, make_hub: MakeHub) -> None:
    cloud.faults(faults.FaultRule(faults.ErrorStatus(status=403), endpoint=Endpoint.TELEMETRY))
    clock = HubClock()
    hub = make_hub(cloud.url, clock=clock)
    hub.start()
    hub.report(*READINGS)
    await until(lambda: hub.status().outbox.last_refusal)
    clock.skip(STALLED_S + 2)
    assert hub.status().outbox.sendable == 50
    (problem,) = (problem for problem in problems(hub.status()) if problem.what.startswith("cloud: "))
    assert "50 readings due, none accepted for 3 min" in problem.what
    assert "POST /v1/telemetry was answered 403" in problem.what
