"""Requests of a technician, checked against the stored state."""

import pytest

from agent.errors import LabelInvalid, PairingRefused, UnknownSensor
from agent.pairing import transitions
from agent.pairing.actions import build_join_window, find_sensor, validate_key, with_network_names
from agent.pairing.lifecycle import (
    JoinWindow,
)
from agent.pairing.requests import JoinWindowRequest

from .states import DEVICES, paired

CODE = "83FED3407A939723A5C639B26916D505C3B5"


def test_a_sensor_is_found_by_name_and_by_address_in_any_form() -> None:
    state = transitions.rename(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "Attic north")
    for called in ("attic NORTH", DEVICES[0], DEVICES[0].upper(), "00:15:8D:00:00:00:00:00", "00158d0000000000"):
        assert find_sensor(state, called).device == DEVICES[0]
    with pytest.raises(UnknownSensor, match="climahub zigbee list"):
        find_sensor(state, "cellar")


def test_a_sensor_without_a_name_of_its_own_is_found_by_the_name_that_is_shown() -> None:
    state = transitions.rename(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "attic")
    shown = with_network_names(state, {DEVICES[0]: "TS0201 0000", DEVICES[1]: "TS0201 0001"})
    assert find_sensor(shown, "ts0201 0001").device == DEVICES[1]
    assert find_sensor(shown, "attic").device == DEVICES[0]
    with pytest.raises(UnknownSensor):
        find_sensor(shown, "TS0201 0000")
    assert with_network_names(state, {}) == state


def test_request_becomes_a_join_window() -> None:
    state = transitions.rename(paired(DEVICES[0]), DEVICES[0], "attic")
    request = JoinWindowRequest(
        seconds=60, through="attic", label=f"Z:{DEVICES[1][2:].upper()}$I:{CODE} sk_sensor_x", replaces="attic"
    )
    assert build_join_window(request, state, "boot", 5) == JoinWindow(
        "boot",
        60_005,
        through=DEVICES[0],
        ieee_address=DEVICES[1],
        code=CODE.lower(),
        key="sk_sensor_x",
        replaces=DEVICES[0],
    )


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (JoinWindowRequest(seconds=0), PairingRefused),
        (JoinWindowRequest(seconds=255), PairingRefused),
        (JoinWindowRequest(is_many=True, name="x"), PairingRefused),
        (JoinWindowRequest(name="attic"), PairingRefused),
        (JoinWindowRequest(key="two words"), PairingRefused),
        (JoinWindowRequest(label="nonsense"), LabelInvalid),
        (JoinWindowRequest(replaces="nobody"), UnknownSensor),
        (JoinWindowRequest(through="nobody"), UnknownSensor),
    ],
)
def test_invalid_request_is_refused(request_: JoinWindowRequest, error: type[Exception]) -> None:
    with pytest.raises(error):
        build_join_window(request_, transitions.rename(paired(DEVICES[0]), DEVICES[0], "attic"), "boot", 0)


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 257, "a\nb"])
def test_invalid_key_is_refused(key: str) -> None:
    with pytest.raises(PairingRefused) as caught:
        validate_key(key)
    assert "x" * 10 not in str(caught.value)
