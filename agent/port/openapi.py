"""The OpenAPI 3.1 document of the local API, made from the table of routes and the annotations of the handlers.

Nothing is described twice: bodies and queries come from the table, answers from what a handler says that it returns.
Pure. Must not be imported before somebody asks for the document.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from agent.climate.requests import ClimateRequest
from agent.local.routes import Answer, Handlers, ProblemDetails, Role, Route, Stream

VERSION = "3.1.1"
REF = "#/components/schemas/{name}"

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream"
BINARY = "application/octet-stream"

SECURITY_SCHEMES = MappingProxyType(
    {
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "climahub_session",
            "description": "A browser's session: `POST /v1/session` with the hub's code begins it.",
        },
        "token": {"type": "http", "scheme": "bearer", "description": "A token for scripts: `climahub port tokens`."},
    }
)

DESCRIPTION = """\
The API of one hub, for its page, its command line and other programs on the spot. The hub's Unix socket needs no
sign-in; every other listener needs a session or a token of the role that `security` names, or a higher one: viewer,
service, owner.
Every error is a problem (RFC 9457): `detail` is for people and names the remedy first, `error` is for programs.
Fields may be added to a document, never renamed."""

EVENTS = """\
Server-sent events. `status`, `climate`, `zigbee`, `update` and `verdict` carry the document of that route whenever it
says something new; `log` and `audit` (for service and owner) one entry of that list; `resync` tells that entries of
lists may be missing. A comment comes every 15 s without an event. With `Last-Event-ID` the stream begins where it
ended."""

_BODIES: Mapping[str, Any] = MappingProxyType({"change_climate": ClimateRequest})
"""The form of bodies that the table gives as bytes, because their handlers import it late."""

Document = dict[str, Any]
Schemas = Mapping[Any, Document]
"""The schema of each type, mostly a reference to a component."""


def build_openapi(routes: Sequence[Route], handlers: Handlers, *, version: str) -> Document:
    """Return the document of the routes that this hub serves.

    Args:
        routes: The table.
        handlers: By the names of the table. A route without a handler is left out: it does not exist on this hub.
        version: Of the hub.
    """
    served = [(route, answer_of(handlers[route.handler])) for route in routes if route.handler in handlers]
    types = _types(served)
    # All at once: of two structs with one name, both get longer ones.
    found, components = msgspec.json.schema_components(types, ref_template=REF)
    schemas = dict(zip(types, found, strict=True))
    paths: Document = {}
    for route, answer in served:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, answer, schemas)
    return {
        "openapi": VERSION,
        "info": {
            "title": "climahub",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": dict(SECURITY_SCHEMES),
            "responses": {
                "problem": {
                    "description": "The request is refused, or cannot be carried out now",
                    "content": {PROBLEM_JSON: {"schema": schemas[ProblemDetails]}},
                }
            },
        },
    }


class Content(msgspec.Struct, frozen=True):
    """What a handler answers.

    Attributes:
        media_type: Of the body.
        document: The type of a JSON document; `None` for other content, and for JSON of an open form.
        statuses: The HTTP statuses with which it comes.
    """

    media_type: str
    document: Any
    statuses: Sequence[HTTPStatus] = (HTTPStatus.OK,)


def answer_of(handler: object) -> Content:
    """Return what a handler answers, by its annotation.

    `Annotated[Answer, X]` and `Annotated[Stream, X]` say what stands inside: a struct for JSON of that form, a text for
    another media type, and any further statuses. `bytes` are JSON of an open form.

    Raises:
        TypeError: The annotation does not say what is answered.
    """
    hint = get_type_hints(handler, include_extras=True)["return"]
    options = [each for each in _options(hint) if each is not NoneType]
    annotated = [each for each in options if get_origin(each) is Annotated]
    if annotated:
        (first, *_) = annotated
        found = first.__metadata__
        statuses = (HTTPStatus.OK, *(each for each in found if isinstance(each, HTTPStatus)))
        media = next((each for each in found if isinstance(each, str)), JSON)
        document = next((each for each in found if isinstance(each, type)), None)
        return Content(media, document, statuses)
    (only,) = options
    if only is bytes:
        return Content(JSON, None)
    if only in {object, Any, Answer, Stream} or not isinstance(only, type) or not issubclass(only, msgspec.Struct):
        raise TypeError(f"annotate the answer of {handler!r} with a struct: {only!r} says nothing")
    return Content(JSON, only)


def _options(hint: Any) -> Sequence[Any]:  # noqa: ANN401 (any annotation)
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _types(served: Sequence[tuple[Route, Content]]) -> Sequence[Any]:
    found: dict[Any, None] = {ProblemDetails: None}
    for route, answer in served:
        for each in (answer.document, _body_type(route)):
            if each is not None:
                found[each] = None
    return list(found)


def _body_type(route: Route) -> Any:  # noqa: ANN401 (a type)
    """Return the type of a JSON body; `None` where there is none, or its form is open."""
    declared = _BODIES.get(route.handler, route.body)
    return None if declared in {None, bytes, AsyncIterator} else declared


def _operation(route: Route, answer: Content, schemas: Schemas) -> Document:
    operation: Document = {
        "operationId": route.handler,
        "summary": route.handler.replace("_", " ").capitalize(),
        "security": [] if route.role is Role.PUBLIC else [{name: [route.role.value]} for name in SECURITY_SCHEMES],
        "responses": dict(_responses(answer, schemas)),
    }
    if answer.media_type == EVENT_STREAM:
        operation["description"] = EVENTS
    if parameters := [*_path_parameters(route.path), *_query_parameters(route), *_header_parameters(answer)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    return operation


def _request_body(route: Route, schemas: Schemas) -> Document:
    if route.body is AsyncIterator:
        return {"required": True, "content": {BINARY: {}}}
    return {
        "required": True,
        "description": f"At most {route.bytes_max} bytes",
        "content": {JSON: {"schema": schemas.get(_body_type(route), {})}},
    }


def _responses(answer: Content, schemas: Schemas) -> Iterator[tuple[str, Document]]:
    schema = {"type": "string"} if answer.media_type.startswith("text/") else schemas.get(answer.document, {})
    for status in answer.statuses:
        described: Document = {"description": status.phrase}
        if status is not HTTPStatus.NOT_MODIFIED:
            described["content"] = {answer.media_type: {"schema": schema}}
        yield str(status.value), described
    yield "4XX", {"$ref": "#/components/responses/problem"}
    yield "5XX", {"$ref": "#/components/responses/problem"}


def _path_parameters(path: str) -> Iterator[Document]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(route: Route) -> Iterator[Document]:
    if route.query is None:
        return
    _, components = msgspec.json.schema_components([route.query], ref_template=REF)
    schema = components[route.query.__name__]
    for name, each in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": each}


def _header_parameters(answer: Content) -> Iterator[Document]:
    if answer.media_type == EVENT_STREAM:
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The id of the last event that was received",
            "schema": {"type": "string"},
        }
