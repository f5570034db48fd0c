"""What a hub that drives nothing says of heating and cooling, without the memory that the control room takes."""

from http import HTTPStatus

from aiohttp import web

_NOTHING = b'{"zones":[],"source":null,"problems":[],"timezone":""}'
_REFUSED = b'{"error":"not_found","message":"this hub drives nothing: [climate] in its configuration has no zones"}'


def add_routes(application: web.Application) -> None:
    """Open the room's part of the door."""

    async def get_climate(_: web.Request) -> web.Response:
        return web.Response(body=_NOTHING, content_type="application/json")

    async def post_order(_: web.Request) -> web.Response:
        return web.Response(body=_REFUSED, status=HTTPStatus.NOT_FOUND, content_type="application/json")

    application.router.add_get("/v1/climate", get_climate)
    application.router.add_post("/v1/climate/{zone}", post_order)
