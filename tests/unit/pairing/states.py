"""States of pairing that the tests of its pure files begin with."""

import msgspec

from agent.pairing import transitions
from agent.pairing.lifecycle import JoinWindow, PairingEvent, PairingState, transition
from hal.interface import RelayedSensor, SensorKind

KINDS = (SensorKind.TEMPERATURE,)
DEVICES = [f"0x00158d00000000{number:02x}" for number in range(4)]


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
