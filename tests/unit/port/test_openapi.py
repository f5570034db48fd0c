"""The OpenAPI document: it keeps the rules of OpenAPI 3.1 and has every route, with what goes in and comes out."""

from http import HTTPStatus
from typing import Annotated, Any, cast
from unittest.mock import Mock

import jsonschema_rs
import msgspec
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from agent import __version__
from agent.local.routes import ROUTES, Answer, Done, LocalRequest, Role, Stream
from agent.port import openapi
from agent.port.events.ring import RESYNC
from agent.port.events.stream import hub_documents
from agent.port.openapi import Content, answer_of
from tests.unit.port.http.test_routes import all_handlers


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made = openapi.build_openapi(ROUTES, all_handlers(), version=__version__)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return decoded


def references(value: object) -> set[str]:
    match value:
        case dict():
            found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return found.union(*(references(each) for each in value.values()))
        case list():
            return set().union(*(references(each) for each in value))
        case _:
            return set()


def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert [f"{error.instance_path}: {error.message}" for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    assert list(OPENAPI_31_VALIDATOR.iter_errors({**document, "paths": []}))
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_document_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    documented = {
        (method.upper(), path, operation["operationId"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert documented == {(route.method, route.path, route.handler) for route in ROUTES}


def test_a_hub_describes_what_it_serves() -> None:
    handlers = all_handlers()
    del handlers["get_log"]
    assert "/v1/log" not in openapi.build_openapi(ROUTES, handlers, version="1")["paths"]


def test_each_operation_names_its_role(document: dict[str, Any]) -> None:
    for route in ROUTES:
        security = document["paths"][route.path][route.method.lower()]["security"]
        role = route.role.value
        assert security == ([] if route.role is Role.PUBLIC else [{"session": [role]}, {"token": [role]}])


def test_an_operation_says_what_goes_in_and_comes_out(document: dict[str, Any]) -> None:
    log = document["paths"]["/v1/log"]["get"]
    assert log["responses"]["200"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/LogReport"}}
    }
    assert {parameter["name"] for parameter in log["parameters"]} == {"level", "text", "before", "after", "limit"}
    limit = next(each for each in log["parameters"] if each["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["required"]) == (1, 1000, False)
    assert log["responses"]["4XX"] == {"$ref": "#/components/responses/problem"}
    climate = document["paths"]["/v1/climate/{zone}"]["post"]
    assert climate["parameters"][0]["name"] == "zone"
    assert "hold" in str(climate["requestBody"])
    assert "application/octet-stream" in document["paths"]["/v1/update/bundle"]["put"]["requestBody"]["content"]
    events = document["paths"]["/v1/events"]["get"]
    assert list(events["responses"]["200"]["content"]) == ["text/event-stream"]
    assert events["parameters"][0]["name"] == "Last-Event-ID"
    assert all(f"`{name}`" in events["description"] for name in (*hub_documents(cast("Any", Mock())), RESYNC))
    assert set(document["paths"]["/readyz"]["get"]["responses"]) == {"200", "503", "4XX", "5XX"}


def test_every_handler_says_what_it_answers() -> None:
    for handler in all_handlers().values():
        answer_of(handler)


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (Done, Content("application/json", Done)),
        (bytes, Content("application/json", None)),
        (Done | None, Content("application/json", Done)),
        (Annotated[Answer, Done], Content("application/json", Done)),
        (Annotated[Stream, "text/plain"], Content("text/plain", None)),
        (
            Done | Annotated[Answer, Done, HTTPStatus.CONFLICT],
            Content("application/json", Done, (HTTPStatus.OK, HTTPStatus.CONFLICT)),
        ),
    ],
)
def test_the_annotation_is_the_answer(answer: object, content: Content) -> None:
    async def handler(_: LocalRequest) -> None: ...

    handler.__annotations__["return"] = answer
    assert answer_of(handler) == content


@pytest.mark.parametrize("answer", [object, Any, Answer, Stream, dict[str, int], int])
def test_an_annotation_that_says_nothing_is_refused(answer: object) -> None:
    async def handler(_: LocalRequest) -> None: ...

    handler.__annotations__["return"] = answer
    with pytest.raises(TypeError, match="annotate the answer"):
        answer_of(handler)
