"""Whole numbers that no float and no 64 bits hold: each API refuses them as any other value out of range."""

import msgspec
import pytest

from agent.apis.aqara.traits import HEATING, MODE, ON_OFF, TraitForm, ValueInvalid, read_value
from agent.apis.aurra_facts import translation as facts
from agent.apis.aurra_facts import wire as facts_wire
from agent.apis.aurra_home import translation, wire
from agent.apis.face import ApiClient, ApiRefused
from agent.facts.model import FactRefused, check_draft

HUGE = [10**400, -(10**400), 10**25]


@pytest.mark.parametrize("value", HUGE, ids=["+400", "-400", "+25"])
def test_a_setpoint_of_aurra_home(value: int) -> None:
    body = msgspec.json.decode(f'{{"temperature":{value},"mode":"heat"}}', type=wire.SetpointBody)
    with pytest.raises(ApiRefused, match="400"):
        translation.check_temperature("temperature", body.temperature)


@pytest.mark.parametrize("value", HUGE, ids=["+400", "-400", "+25"])
@pytest.mark.parametrize("form", [HEATING, MODE, ON_OFF])
def test_a_trait_of_aqara(form: TraitForm, value: int) -> None:
    with pytest.raises(ValueInvalid, match="send"):
        read_value(form, msgspec.json.decode(str(value)))


@pytest.mark.parametrize("value", HUGE, ids=["+400", "-400", "+25"])
def test_an_importance_and_a_limit_of_aurra_facts(value: int) -> None:
    sent = f'{{"content":"The boiler is old","importance_score":{value}}}'
    draft = facts.draft_of(msgspec.json.decode(sent, type=facts_wire.AddRequest), "test")
    with pytest.raises(FactRefused, match="importance from 1 to 10"):
        check_draft(draft, 0)
    asked = msgspec.json.decode(f'{{"question":"old?","limit":{value}}}', type=facts_wire.QueryRequest)
    with pytest.raises(facts.OutOfRange, match="limit from 1"):
        facts.question_query(ApiClient("acc_1", "test", "aurra_facts"), asked)
