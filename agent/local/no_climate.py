"""What a hub that drives nothing says of heating and cooling, without the memory that the control room takes."""

from http import HTTPStatus

from aiohttp import web

_NOTHING = b'{"zones":[],"heat_source":null,"problems":[],"timezone":""}'
_REFUSED = b'{"error":"not_found","message":"this hub drives nothing: [climate] in its configuration has no zones"}'


def routes() -> list[web.RouteDef]:
    """Return the room's part of the door."""

    async def get_climate(_: web.Request) -> web.Response:
        return web.Response(body=_NOTHING, content_type="application/json")

    async def post_order(_: web.Request) -> web.Response:
        return web.Response(body=_REFUSED, status=HTTPStatus.NOT_FOUND, content_type="application/json")

    return [web.get("/v1/climate", get_climate), web.post("/v1/climate/{zone}", post_order)]
