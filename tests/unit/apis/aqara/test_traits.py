"""Values of traits: every form that clients send, and the documented one."""

import msgspec
import pytest

from agent.apis.aqara import traits
from agent.apis.aqara.traits import TraitForm, ValueInvalid, read_value


@pytest.mark.parametrize(
    ("form", "sent", "value"),
    [
        (traits.ON_OFF, True, True),
        (traits.ON_OFF, "true", True),
        (traits.ON_OFF, "TRUE ", True),
        (traits.ON_OFF, 1, True),
        (traits.ON_OFF, "1", True),
        (traits.ON_OFF, False, False),
        (traits.ON_OFF, "false", False),
        (traits.ON_OFF, 0, False),
        (traits.MODE, "1", "1"),
        (traits.MODE, 1, "1"),
        (traits.MODE, 12.0, "12"),
        (traits.HEATING, 21, 21.0),
        (traits.HEATING, 21.37, 21.37),
        (traits.HEATING, 4, 4.0),
        (traits.HEATING, 35, 35.0),
        (traits.FIRMWARE, "1.0", "1.0"),
    ],
)
def test_value_is_read_in_every_form(form: TraitForm, sent: object, value: object) -> None:
    found = read_value(form, sent)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (traits.ON_OFF, 2),
        (traits.ON_OFF, None),
        (traits.ON_OFF, []),
        (traits.MODE, True),
        (traits.MODE, "heat"),
        (traits.MODE, 1.5),
        (traits.MODE, 14),
        (traits.HEATING, "21"),
        (traits.HEATING, True),
        (traits.HEATING, 3.99),
        (traits.HEATING, 35.01),
        (traits.HEATING, float("nan")),
        (traits.HEATING, float("inf")),
        (traits.HEATING, {}),
        (traits.FIRMWARE, 1),
    ],
)
def test_other_values_are_refused(form: TraitForm, sent: object) -> None:
    with pytest.raises(ValueInvalid, match=form.code):
        read_value(form, sent)


def test_parameter_says_what_a_trait_can_be() -> None:
    shown = msgspec.to_builtins(traits.BATTERY.parameter)
    assert shown["unit"] == "%"
    assert not shown["writable"]
    assert "supportedValues" not in shown
    assert "supportedValues" in msgspec.to_builtins(traits.MODE.parameter)
