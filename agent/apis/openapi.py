"""The OpenAPI 3.1 document of an API as this hub answers it: the part that all of them share.

Each API has `openapi.FORM`, made from the structs of its bodies and answers, which is imported when somebody asks for
the document. Pure but for that import.
"""

import importlib
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec

from agent.apis.catalog import APIS
from agent.apis.face import ApiAnswer, ApiRequest, ApiRoute

VERSION = "3.1.1"
DOCUMENT_PATH = "/openapi.json"

_JSON = "application/json"
_REF = "#/components/schemas/{name}"

BEARER: Mapping[str, Mapping[str, str]] = MappingProxyType({"token": {"type": "http", "scheme": "bearer"}})
"""The usual way of showing a credential."""


class CallForm(msgspec.Struct, frozen=True):
    """What goes into one call and comes out of it.

    Attributes:
        answer: The type of the answer; `None` for any object.
        body: The type of the body; `None` for none.
        status: Of the answer.
        query: A struct with the parameters of the query; `None` for none.
        content_types: In which the body may come.
    """

    answer: Any = None
    body: Any = None
    status: HTTPStatus = HTTPStatus.OK
    query: type[msgspec.Struct] | None = None
    content_types: tuple[str, ...] = (_JSON,)


class ApiForm(msgspec.Struct, frozen=True):
    """What goes into an API and comes out of it.

    Attributes:
        version: Of the API.
        error: The type of every error.
        calls: By the name of the handler.
        security: The ways of showing a credential, by name; each is enough.
    """

    version: str
    error: type[msgspec.Struct]
    calls: Mapping[str, CallForm]
    security: Mapping[str, Mapping[str, str]] = BEARER


def with_document(api: str, calls: Sequence[ApiRoute]) -> tuple[ApiRoute, ...]:
    """Return the table of an API with `GET /openapi.json`, which is this hub's own.

    Args:
        api: The name of the API.
        calls: The calls that the document describes.
    """

    async def get_document(_: ApiRequest) -> ApiAnswer:
        form = importlib.import_module(f"agent.apis.{api}.openapi").FORM
        return ApiAnswer(build_document(api, table, form))

    table = (*calls, ApiRoute("GET", DOCUMENT_PATH, get_document, is_open=True))
    return table


def build_document(api: str, routes: Sequence[ApiRoute], form: ApiForm) -> dict[str, Any]:
    """Return the document.

    Args:
        api: The name of the API.
        routes: Its table. Of an address with and without a slash at its end, the one with it is described.
        form: What goes in and comes out.
    """
    calls = {"get_document": CallForm(), **form.calls}
    types = dict.fromkeys(each for call in calls.values() for each in (call.body, call.answer) if each is not None)
    types[form.error] = None
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = dict(zip(types, map(_one_of, found), strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        if route.path:
            name = operation_id(route)
            operation = _operation(route, name, calls[name], schemas, form)
            paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": VERSION,
        "info": {"title": f"{APIS[api].title} on a climahub hub", "version": form.version},
        "servers": [{"url": APIS[api].prefix}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {name: dict(each) for name, each in form.security.items()},
        },
    }


def operation_id(route: ApiRoute) -> str:
    """Return the name of a call: that of its handler."""
    return getattr(route.handler, "__name__", "").lstrip("_")


def _operation(route: ApiRoute, name: str, call: CallForm, schemas: Mapping[Any, Any], form: ApiForm) -> dict[str, Any]:
    error = {_JSON: {"schema": schemas[form.error]}}
    answer = {"type": "object"} if call.answer is None else schemas[call.answer]
    operation: dict[str, Any] = {
        "operationId": name,
        "security": [] if route.is_open else [{each: [route.scope] if route.scope else []} for each in form.security],
        "responses": {
            str(call.status.value): {"description": call.status.phrase, "content": {_JSON: {"schema": answer}}},
            "4XX": {"description": "The request is refused", "content": error},
            "503": {"description": "The hub cannot do it now", "content": error},
        },
    }
    parameters = [
        {"name": each, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for each in re.findall(r"{(\w+)}", route.path)
    ]
    if call.query is not None:
        (described,) = msgspec.json.schema(call.query)["$defs"].values()
        parameters += [{"name": each, "in": "query", "schema": of} for each, of in described["properties"].items()]
    if parameters:
        operation["parameters"] = parameters
    if call.body is not None:
        content = {each: {"schema": schemas[call.body]} for each in call.content_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _one_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which one form excludes the others where a field tells which it is."""
    if "discriminator" in schema:
        return {("oneOf" if name == "anyOf" else name): value for name, value in schema.items()}
    return schema
