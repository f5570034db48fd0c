"""Requests of a technician, checked against the stored state."""

import msgspec
import pytest

from agent.errors import LabelInvalid, PairingRefused, UnknownSensor
from agent.pairing import transitions
from agent.pairing.actions import JoinWindowRequest, build_join_window, find_sensor, validate_key
from agent.pairing.lifecycle import (
    JoinWindow,
    PairingEvent,
    PairingState,
    transition,
)
from hal.interface import RelayedSensor, SensorKind

KINDS = (SensorKind.TEMPERATURE,)
DEVICES = [f"0x00158d00000000{number:02x}" for number in range(4)]
CODE = "83FED3407A939723A5C639B26916D505C3B5"


def sensor(device: str) -> RelayedSensor:
    return RelayedSensor(device, f"name of {device}", KINDS, device)


def window(**changed: object) -> JoinWindow:
    return msgspec.structs.replace(JoinWindow("boot", 1000), **changed)


def with_window(state: PairingState = PairingState(), **changed: object) -> PairingState:  # noqa: B008 - frozen
    return transitions.with_window(state, window(**changed))


def paired(device: str, state: PairingState = PairingState(), sensor_id: str = "") -> PairingState:  # noqa: B008 - frozen
    """Return the state after a sensor has gone all the way."""
    state = transitions.interview(transitions.join(state, device), sensor(device))
    state = transitions.register(state, device, sensor_id=sensor_id or f"id {device}", serial_number="S")
    return transitions.with_records(state, transition(state.sensors[device], PairingEvent.RELEASE))


def test_a_sensor_is_found_by_name_and_by_address_in_any_form() -> None:
    state = transitions.rename(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "Attic north")
    for called in ("attic NORTH", DEVICES[0], DEVICES[0].upper(), "00:15:8D:00:00:00:00:00", "00158d0000000000"):
        assert find_sensor(state, called).device == DEVICES[0]
    with pytest.raises(UnknownSensor, match="climahub zigbee list"):
        find_sensor(state, "cellar")


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
