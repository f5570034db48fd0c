"""The handlers of the local API for API clients: an owner makes, lists and revokes them.

A secret goes out once, in the answer to the request that makes it. Lets nobody make one who may not make a token.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent.apis.catalog import APIS
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.text import quote
from agent.local.api_clients import ApiClientReport, ApiClientsReport, ApiReport, NewApiClient
from agent.local.routes import Caller, Done, Handler, LocalRequest, RequestRefused
from agent.port.http.gates import user_name
from agent.port.sign_in.handlers import may_make_secret

if TYPE_CHECKING:
    from agent.apis.assembly import ApiService
    from agent.apis.client_records import ClientRecord

ALL_OFF = "switch an API on first (apis.aurra_home = true in the configuration): this hub answers none"


def handlers(
    apis: "ApiService | None",
    clock: Clock,
    session: Callable[[str], Caller | None],
    addresses: Callable[[], Sequence[str]],
) -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        apis: The APIs; `None` where all are switched off.
        clock: The machine's clocks.
        session: Returns the caller of a session cookie.
        addresses: Returns where the port listens: "http://127.0.0.1:8480".
    """

    async def get_api_clients(_: LocalRequest) -> ApiClientsReport:
        if apis is None:
            return ApiClientsReport([], [], "")
        found = [APIS[face.name] for face in apis.faces]
        return ApiClientsReport(
            [ApiReport(each.name, each.title, each.prefix) for each in found],
            [_report(each, clock.utc_ms(), apis.limits.idle_s(each.client.client_id)) for each in apis.clients.records],
            apis.clients.problem,
        )

    async def add_api_client(request: LocalRequest) -> NewApiClient:
        if not may_make_secret(request.caller, session(request.session), user_name(os.geteuid())):
            text = "use sudo, or sign in as owner on the page: this caller may not make a credential"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)
        if apis is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", ALL_OFF)
        from agent.apis.client_records import NewClient  # noqa: PLC0415 - hubs without APIs do without

        body = request.body
        if body.api in APIS and all(face.name != body.api for face in apis.faces):
            text = f"set apis.{body.api} = true in the configuration first: this API is switched off"
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        wanted = NewClient(
            body.api, body.name, tuple(body.scopes), body.tier, tuple(body.zones), body.days, is_test=body.test
        )
        secret, made = await apis.clients.add(wanted)
        path = APIS[body.api].prefix
        return NewApiClient(_report(made, clock.utc_ms()), secret, path, [each + path for each in addresses()])

    async def revoke_api_client(request: LocalRequest) -> Done:
        client_id = request.parameters["client"]
        if apis is None or not await apis.clients.revoke(client_id):
            text = f"look at the ids (climahub api client list): there is no client {quote(client_id)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return Done()

    return {each.__name__: each for each in (get_api_clients, add_api_client, revoke_api_client)}


def _report(record: "ClientRecord", utc_ms: int | None, idle_s: float | None = None) -> ApiClientReport:
    client = record.client
    return ApiClientReport(
        client_id=client.client_id,
        api=client.api,
        name=client.name,
        scopes=list(client.scopes),
        tier=client.tier,
        zones=list(client.zones),
        is_test=client.is_test,
        made=rfc3339.render_known(record.made_utc_ms),
        expires=rfc3339.render_known(record.expires_utc_ms),
        is_expired=utc_ms is not None and not record.is_valid_at(utc_ms),
        idle_s=idle_s,
    )
