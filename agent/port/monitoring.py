"""What other programs ask a hub: is it alive (`/healthz`), is it ready (`/readyz`), its metrics, what its API offers.

`/healthz` answers anybody and says nothing about the house. Reads only.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated

import msgspec

from agent import __version__
from agent.local.climate import ClimateReport
from agent.local.routes import ROUTES, Answer, Handler, Handlers, LocalRequest
from agent.local.status import HubStatus
from agent.local.zigbee import ZigbeeReport


class Liveness(msgspec.Struct, frozen=True):
    """The hub answers."""

    status: str = "alive"


class Readiness(msgspec.Struct, frozen=True):
    """Whether the hub does its work.

    Attributes:
        is_ready: No check has a problem.
        checks: The problem of each check in words; empty where it has none.
    """

    is_ready: bool
    checks: Mapping[str, str]


def judge_readiness(checks: Mapping[str, Callable[[], str]]) -> Readiness:
    """Return the result of all checks. Each returns its problem; empty where it has none."""
    problems = {name: check() for name, check in checks.items()}
    return Readiness(not any(problems.values()), problems)


def description_handlers(handlers: Callable[[], Handlers]) -> Mapping[str, Handler]:
    """Return the handler of the API's description.

    Args:
        handlers: Returns the handlers of this hub, by the names of the table of routes.
    """
    document = b""

    async def get_openapi(_: LocalRequest) -> bytes:
        nonlocal document
        if not document:
            # Imported late: it takes the forms of all climate requests, and few ask for it.
            from agent.port import openapi  # noqa: PLC0415

            document = msgspec.json.encode(openapi.build_openapi(ROUTES, handlers(), version=__version__))
        return document

    return {"get_openapi": get_openapi}


def handlers(
    checks: Mapping[str, Callable[[], str]],
    *,
    status: Callable[[], HubStatus],
    climate: Callable[[], ClimateReport],
    zigbee: Callable[[], ZigbeeReport],
) -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        checks: The checks of readiness by name.
        status: Builds the status document.
        climate: Builds the climate document.
        zigbee: Builds the Zigbee document.
    """
    render: Callable[[], bytes] | None = None

    async def get_liveness(_: LocalRequest) -> Liveness:
        return Liveness()

    async def get_readiness(
        _: LocalRequest,
    ) -> Readiness | Annotated[Answer, Readiness, HTTPStatus.SERVICE_UNAVAILABLE]:
        readiness = judge_readiness(checks)
        return readiness if readiness.is_ready else Answer(readiness, HTTPStatus.SERVICE_UNAVAILABLE)

    async def get_metrics(_: LocalRequest) -> Annotated[Answer, "text/plain"]:
        nonlocal render
        # Imported late: most hubs are never scraped, and prometheus-client takes 1 MiB.
        from agent.port import metrics  # noqa: PLC0415

        if render is None:
            render = metrics.build_exposition(metrics.HubCollector(status, climate, zigbee))
        return Answer(render(), content_type=metrics.CONTENT_TYPE)

    return {each.__name__: each for each in (get_liveness, get_readiness, get_metrics)}
