"""The OpenAPI 3.1 document of AURRA Home as this hub answers it, made from the structs of its bodies and answers.

Pure. Must not be imported before somebody asks for the document.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from agent.apis.aurra_home import wire
from agent.apis.aurra_home.errors import ErrorEnvelope
from agent.apis.catalog import APIS
from agent.apis.face import ApiRoute

VERSION = "3.1.1"
API_VERSION = "1.0.0"
REF = "#/components/schemas/{name}"
FORM = "application/x-www-form-urlencoded"

_OK, _CREATED = HTTPStatus.OK, HTTPStatus.CREATED


class TokenBody(msgspec.Struct, frozen=True):
    """Body of `POST /auth/token`, as JSON or as a form."""

    client_id: str
    client_secret: str
    grant_type: str
    scope: str = ""


FORMS: dict[str, tuple[type[msgspec.Struct] | None, type[msgspec.Struct] | None, HTTPStatus]] = {
    "give_token": (TokenBody, wire.Token, _OK),
    "get_keys": (None, None, _OK),
    "get_document": (None, None, _OK),
    "get_status": (None, wire.StatusDocument, _OK),
    "set_setpoint": (wire.SetpointBody, wire.Applied, _OK),
    "put_schedule": (wire.ScheduleBody, wire.ScheduleAnswer, _CREATED),
    "sync_schedule": (None, wire.Synced, _OK),
    "set_eco": (wire.EcoBody, wire.EcoApplied, _OK),
    "add_vibration": (wire.VibrationBody, wire.ReadingAccepted, _CREATED),
    "add_energy": (wire.EnergyBody, wire.ReadingAccepted, _CREATED),
    "get_prediction": (None, wire.PredictiveStatus, _OK),
    "create_alert": (wire.AlertBody, wire.AlertCreated, _CREATED),
    "optimize": (wire.OptimizeBody, wire.Optimized, _OK),
    "link_voice": (wire.VoiceBody, wire.VoiceLinked, _OK),
}
"""Body, answer and status of each call, by the name of its handler."""


def build_document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """Return the document.

    Args:
        routes: The table of the API.
    """
    types = [each for body, answer, _ in FORMS.values() for each in (body, answer) if each] + [ErrorEnvelope]
    found, components = msgspec.json.schema_components(types, ref_template=REF)
    schemas = dict(zip(types, found, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": "AURRA Home on a climahub hub", "version": API_VERSION},
        "servers": [{"url": APIS["aurra_home"].prefix}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: ApiRoute, schemas: dict[Any, Any]) -> dict[str, Any]:
    name = getattr(route.handler, "__name__", "")
    body, answer, status = FORMS[name]
    error = {"application/json": {"schema": schemas[ErrorEnvelope]}}
    operation: dict[str, Any] = {
        "operationId": name,
        "security": [] if route.is_open else [{"token": [route.scope] if route.scope else []}],
        "responses": {
            str(status.value): {
                "description": status.phrase,
                "content": {"application/json": {"schema": schemas[answer] if answer else {"type": "object"}}},
            },
            "4XX": {"description": "The request is refused", "content": error},
            "503": {"description": "The hub cannot do it now", "content": error},
        },
    }
    if parameters := re.findall(r"{(\w+)}", route.path):
        operation["parameters"] = [
            {"name": each, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for each in parameters
        ]
    if body is not None:
        content = {"application/json": {"schema": schemas[body]}}
        if route.is_open:
            content[FORM] = content["application/json"]
        operation["requestBody"] = {"required": True, "content": content}
    return operation
