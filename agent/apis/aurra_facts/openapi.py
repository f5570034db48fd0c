"""What goes into the calls of Aurra facts and comes out of them, for its OpenAPI document.

Pure. Must not be imported before somebody asks for the document.
"""

from types import MappingProxyType
from typing import Annotated

import msgspec

from agent.apis.aurra_facts import wire
from agent.apis.aurra_facts.assumptions import LIMIT_MAX
from agent.apis.openapi import ApiForm, CallForm


class ListQuery(msgspec.Struct, frozen=True):
    """Query of `GET /agent/memories`. Times are ISO 8601 with their zone."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    tenant_id: str | msgspec.UnsetType = msgspec.UNSET
    as_of: str | msgspec.UnsetType = msgspec.UNSET
    transaction_as_of: str | msgspec.UnsetType = msgspec.UNSET
    include_superseded: bool | msgspec.UnsetType = msgspec.UNSET


class Refusal(msgspec.Struct, frozen=True):
    """Every error."""

    detail: str


FORM = ApiForm(
    "1.0.0",
    Refusal,
    MappingProxyType(
        {
            "add_memory": CallForm(wire.AddAnswer, wire.AddRequest),
            "list_memories": CallForm(wire.MemoryList, query=ListQuery),
            "answer_question": CallForm(wire.QueryAnswer, wire.QueryRequest),
            "supersede_memory": CallForm(wire.SupersedeAnswer, wire.SupersedeRequest),
            "show_timeline": CallForm(wire.Timeline),
            "show_audit": CallForm(wire.Audit),
            "show_settings": CallForm(wire.SettingsAnswer),
            "change_settings": CallForm(wire.SettingsAnswer, wire.SettingsChange),
            "show_plan": CallForm(wire.PlanStatus),
        }
    ),
)
