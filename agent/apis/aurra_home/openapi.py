"""What goes into the calls of AURRA Home and comes out of them, for its OpenAPI document.

Pure. Must not be imported before somebody asks for the document.
"""

from http import HTTPStatus
from types import MappingProxyType

import msgspec

from agent.apis.aurra_home import wire
from agent.apis.aurra_home.errors import ErrorEnvelope
from agent.apis.openapi import ApiForm, CallForm

_CREATED = HTTPStatus.CREATED


class TokenBody(msgspec.Struct, frozen=True):
    """Body of `POST /auth/token`, as JSON or as a form."""

    client_id: str
    client_secret: str
    grant_type: str
    scope: str = ""


FORM = ApiForm(
    "1.0.0",
    ErrorEnvelope,
    MappingProxyType(
        {
            "give_token": CallForm(
                wire.Token, TokenBody, content_types=("application/json", "application/x-www-form-urlencoded")
            ),
            "get_keys": CallForm(),
            "get_status": CallForm(wire.StatusDocument),
            "set_setpoint": CallForm(wire.Applied, wire.SetpointBody),
            "put_schedule": CallForm(wire.ScheduleAnswer, wire.ScheduleBody, _CREATED),
            "sync_schedule": CallForm(wire.Synced),
            "set_eco": CallForm(wire.EcoApplied, wire.EcoBody),
            "add_vibration": CallForm(wire.ReadingAccepted, wire.VibrationBody, _CREATED),
            "add_energy": CallForm(wire.ReadingAccepted, wire.EnergyBody, _CREATED),
            "get_prediction": CallForm(wire.PredictiveStatus),
            "create_alert": CallForm(wire.AlertCreated, wire.AlertBody, _CREATED),
            "optimize": CallForm(wire.Optimized, wire.OptimizeBody),
            "link_voice": CallForm(wire.VoiceLinked, wire.VoiceBody),
        }
    ),
    MappingProxyType({"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}),
)
