"""The handlers of the local API for webhooks: an owner registers endpoints, tests them, and sees what did not arrive.

A secret goes out once, in the answer to the request that makes it. Lets nobody make one who may not make a token.
"""

import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.foundation import rfc3339
from agent.foundation.text import quote
from agent.local.routes import Caller, Done, Handler, LocalRequest, RequestRefused
from agent.local.webhooks import (
    DeadDeliveryReport,
    NewWebhook,
    WebhookReport,
    WebhookRequest,
    WebhookRetryReport,
    WebhooksReport,
    WebhookTestReport,
)
from agent.port.http.gates import user_name
from agent.port.sign_in.handlers import may_make_secret

if TYPE_CHECKING:
    from agent.apis.webhooks.endpoints import Endpoint, NewEndpoint
    from agent.apis.webhooks.queue import Delivery
    from agent.apis.webhooks.service import WebhookService

ALL_OFF = "switch an API with webhooks on first (apis.amps or apis.aurra_home in the configuration)"


def handlers(webhooks: "WebhookService | None", session: Callable[[str], Caller | None]) -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        webhooks: The endpoints; `None` where no API with webhooks is switched on.
        session: Returns the caller of a session cookie.
    """

    def known(request: LocalRequest) -> "tuple[WebhookService, str]":
        """Return the service and the id of a request."""
        webhook_id = request.parameters["webhook"]
        if webhooks is None or all(each.id != webhook_id for each in webhooks.endpoints):
            text = f"look at the ids (climahub api webhook list): there is no webhook {quote(webhook_id)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return webhooks, webhook_id

    async def get_webhooks(_: LocalRequest) -> WebhooksReport:
        return WebhooksReport([], [], 0, "") if webhooks is None else await _report_all(webhooks)

    async def add_webhook(request: LocalRequest) -> NewWebhook:
        if not may_make_secret(request.caller, session(request.session), user_name(os.geteuid())):
            text = "use sudo, or sign in as owner on the page: this caller may not make a secret"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)
        if webhooks is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", ALL_OFF)
        made = await webhooks.add(_wanted(request.body))
        return NewWebhook(_report(made, 0), made.secret)

    async def remove_webhook(request: LocalRequest) -> Done:
        service, webhook_id = known(request)
        await service.remove(webhook_id)
        return Done()

    async def test_webhook(request: LocalRequest) -> WebhookTestReport:
        service, webhook_id = known(request)
        result = await service.test(webhook_id)
        return WebhookTestReport(result.has_arrived, result.text)

    async def retry_webhook(request: LocalRequest) -> WebhookRetryReport:
        service, webhook_id = known(request)
        return WebhookRetryReport(await service.retry(webhook_id))

    found = (get_webhooks, add_webhook, remove_webhook, test_webhook, retry_webhook)
    return {each.__name__: each for each in found}


async def _report_all(webhooks: "WebhookService") -> WebhooksReport:
    counts = await webhooks.counts()
    return WebhooksReport(
        [_report(each, counts.pending.get(each.id, 0)) for each in webhooks.endpoints],
        [_dead_letter(each) for each in await webhooks.dead_letters()],
        counts.lost + webhooks.dropped,
        webhooks.problem,
    )


def _wanted(body: WebhookRequest) -> "NewEndpoint":
    """Return what is asked for.

    Raises:
        RequestRefused: There is no such API.
    """
    from agent.apis.webhooks.endpoints import NewEndpoint  # noqa: PLC0415 - hubs without APIs do without
    from agent.apis.webhooks.signatures import WebhookApi  # noqa: PLC0415 - as above

    if body.api not in list(WebhookApi):
        text = f"choose {' or '.join(WebhookApi)}: {quote(body.api)} has no webhooks"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
    return NewEndpoint(
        url=body.url,
        api=WebhookApi(body.api),
        events=tuple(body.events),
        is_private_allowed=body.allow_private,
        is_sandbox=body.sandbox,
    )


def _report(endpoint: "Endpoint", waiting: int) -> WebhookReport:
    return WebhookReport(
        id=endpoint.id,
        api=endpoint.api.value,
        url=endpoint.url,
        events=list(endpoint.events),
        allow_private=endpoint.is_private_allowed,
        sandbox=endpoint.is_sandbox,
        made=rfc3339.render_known(endpoint.made_utc_ms),
        waiting=waiting,
    )


def _dead_letter(delivery: "Delivery") -> DeadDeliveryReport:
    return DeadDeliveryReport(
        id=delivery.id,
        webhook=delivery.endpoint,
        event=delivery.event,
        made=rfc3339.render_known(delivery.made_utc_ms),
        attempts=delivery.attempts,
        reason=delivery.reason,
    )
