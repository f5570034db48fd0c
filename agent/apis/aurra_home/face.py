"""AURRA Home as the frame sees it: its table of calls, limits, headers and errors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.apis.aurra_home.alerts import Alerts
from agent.apis.aurra_home.assumptions import DIAGNOSTICS_ENDPOINT
from agent.apis.aurra_home.calls import Calls
from agent.apis.aurra_home.errors import word
from agent.apis.aurra_home.events import AurraEvents, MaintenanceEvents
from agent.apis.aurra_home.records import AurraRecords
from agent.apis.aurra_home.signing_keys import SigningKeys
from agent.apis.aurra_home.tokens import API, Tokens
from agent.apis.base_face import BaseFace
from agent.apis.face import CHANGES, SETTINGS, ApiAnswer, ApiClient, ApiProblem, ApiRoute, Limit, LimitUse
from agent.apis.webhooks.endpoints import WebhookEvent

if TYPE_CHECKING:
    from agent.apis.assembly import ApiParts

TIERS = {"standard": Limit("standard", 100), "enterprise": Limit("enterprise", 500)}
"""Requests a minute (the handout)."""
DIAGNOSTICS = Limit("diagnostics", 60)
"""Of `POST /diagnostics/*`, besides the tier's (the handout)."""

COMFORT, READ_DIAGNOSTICS, ALERTS = "comfort:write", "diagnostics:read", "alerts:write"


def routes(tokens: Tokens, calls: Calls) -> tuple[ApiRoute, ...]:
    """Return the twelve documented calls, and the keys, which are this hub's own."""
    zone = "/thermostat/{device_id}"
    diagnostics, changes, settings = (DIAGNOSTICS.name,), (CHANGES.name,), (SETTINGS.name,)
    return (
        ApiRoute("POST", "/auth/token", tokens.give_token, is_open=True, is_sign_in=True),
        ApiRoute("GET", "/auth/jwks.json", tokens.get_keys, is_open=True),
        ApiRoute("GET", f"{zone}/status", calls.get_status),
        ApiRoute("POST", f"{zone}/setpoint", calls.set_setpoint, COMFORT, limits=settings),
        ApiRoute("POST", f"{zone}/schedule", calls.put_schedule, COMFORT, limits=changes),
        ApiRoute("POST", f"{zone}/schedule/sync", calls.sync_schedule, COMFORT, limits=settings),
        ApiRoute("POST", f"{zone}/eco", calls.set_eco, COMFORT, limits=settings),
        ApiRoute("POST", "/diagnostics/vibration", calls.add_vibration, READ_DIAGNOSTICS, limits=diagnostics),
        ApiRoute("POST", "/diagnostics/energy", calls.add_energy, READ_DIAGNOSTICS, limits=diagnostics),
        ApiRoute("GET", "/predictive/hvac/{device_id}/status", calls.get_prediction, READ_DIAGNOSTICS),
        ApiRoute("POST", "/alerts", calls.create_alert, ALERTS, limits=changes),
        ApiRoute("POST", "/climate/optimize", calls.optimize, COMFORT, limits=settings),
        ApiRoute("POST", "/integration/voice-assistant", calls.link_voice, COMFORT, limits=changes),
    )


class AurraHomeFace(BaseFace):
    """The face of one hub.

    Attributes:
        alerts: What clients have found, for the local API too.
    """

    def __init__(
        self, tokens: Tokens, calls: Calls, alerts: Alerts, loops: Mapping[str, Callable[[], Awaitable[None]]]
    ) -> None:
        """Prepare.

        Args:
            tokens: Gives and accepts tokens.
            calls: Answers the rest.
            alerts: For the local API.
            loops: Of keys and records.
        """
        super().__init__(API, routes(tokens, calls))
        self._tokens = tokens
        self.alerts = alerts
        self._loops = loops

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return the client of a token; see `Tokens.authenticate`."""
        return await self._tokens.authenticate(headers)

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        """Return the limit of the client's tier after those that count the call besides."""
        further = [limit for limit in (DIAGNOSTICS, CHANGES, SETTINGS) if limit.name in route.limits]
        return [*further, TIERS.get(client.tier, TIERS["standard"])]

    def limit_headers(self, uses: Sequence[LimitUse]) -> Mapping[str, str]:
        """Return the tier and its numbers, or those of diagnostics, or of what writes a file once that is used up."""
        shown, tier = uses[0], uses[-1]
        if shown.limit in {CHANGES, SETTINGS} and shown.remaining:
            shown = tier
        headers = {"X-RateLimit-Tier": tier.limit.name, **shown.headers}
        if shown.limit is DIAGNOSTICS:
            headers["X-RateLimit-Endpoint"] = DIAGNOSTICS_ENDPOINT
        return headers

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        """Return a problem in the envelope of AURRA Home."""
        return word(problem)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of keys and records."""
        return self._loops


def build_face(parts: "ApiParts") -> AurraHomeFace:
    """Return the face of a hub."""
    keys = SigningKeys(
        parts.state_dir,
        clock=parts.clock,
        disk=parts.disk,
        worker=parts.worker,
        random_bytes=parts.random_bytes,
    )
    records = AurraRecords(parts.state_dir, disk=parts.disk, worker=parts.worker)
    tokens = Tokens(parts.clients, keys, clock=parts.clock, worker=parts.worker, random_bytes=parts.random_bytes)
    webhooks = parts.webhooks

    def offer(found: Sequence[WebhookEvent]) -> None:
        if webhooks:
            webhooks.offer(found)

    events = AurraEvents(parts.home.thermostats, offer, parts.clock)
    alerts = Alerts(records, clock=parts.clock, offer=offer, add_fault=parts.add_fault, remove_fault=parts.remove_fault)
    calls = Calls(
        parts.home,
        records,
        clock=parts.clock,
        worker=parts.slow_worker,
        random_bytes=parts.random_bytes,
        alerts=alerts,
        homekit=parts.homekit,
    )
    loops = {
        "AURRA Home keys": keys.run,
        "AURRA Home records": records.run,
        "AURRA Home alerts": alerts.run,
        "AURRA Home events": events.run,
    }
    if own := parts.home.alerts:
        loops["AURRA Home maintenance"] = MaintenanceEvents(own, offer, parts.clock).run
    return AurraHomeFace(tokens, calls, alerts, loops)
