"""What is done with a stick."""

import pytest

from hal.zigbee import network_ownership
from hal.zigbee.network_ownership import NetworkPhase, NetworkSettings, OwnershipDecision

OURS = NetworkSettings(
    ieee="04cd15aabbccddee", extended_pan_id="1122334455667788", key="0a" * 16, pan_id=0x1A2B, channel=15
)


MOVED = NetworkSettings(ieee=OURS.ieee, extended_pan_id=OURS.extended_pan_id, key=OURS.key, pan_id=0x3333, channel=25)


FOREIGN = NetworkSettings(ieee="0000000000000001", extended_pan_id="99" * 8, key="0b" * 16, pan_id=1, channel=11)


OTHER_STICK = NetworkSettings(ieee="04cd150000000000", extended_pan_id=OURS.extended_pan_id, key=OURS.key)


PLANNED = NetworkSettings(ieee="", extended_pan_id=OURS.extended_pan_id, key=OURS.key)


@pytest.mark.parametrize(
    ("stick", "phase", "ours", "expected"),
    [
        (None, None, None, OwnershipDecision.FORM),
        (FOREIGN, None, None, OwnershipDecision.REFUSE),
        (None, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.FORM),
        (OURS, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.FORM),
        (FOREIGN, NetworkPhase.PLANNED, PLANNED, OwnershipDecision.REFUSE),
        (None, NetworkPhase.FORMED, OURS, OwnershipDecision.RESTORE),
        (OURS, NetworkPhase.FORMED, OURS, OwnershipDecision.USE),
        (MOVED, NetworkPhase.FORMED, OURS, OwnershipDecision.USE),
        (OTHER_STICK, NetworkPhase.FORMED, OURS, OwnershipDecision.REFUSE),
        (FOREIGN, NetworkPhase.FORMED, OURS, OwnershipDecision.REFUSE),
        (None, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
        (OURS, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
        (FOREIGN, NetworkPhase.RESTORING, OURS, OwnershipDecision.RESTORE),
    ],
)
def test_decision_for_each_state_of_stick_and_hub(
    stick: NetworkSettings | None, phase: NetworkPhase | None, ours: NetworkSettings | None, expected: OwnershipDecision
) -> None:
    for has_sensors in (False, True):
        chosen = network_ownership.decide(
            stick, phase=phase, own=ours, remembered="", has_sensors=has_sensors, takes_over=False
        )
        assert chosen is expected


@pytest.mark.parametrize(
    ("remembered", "has_sensors", "takes_over", "expected"),
    [
        ("", False, True, OwnershipDecision.USE),
        (network_ownership.fingerprint(FOREIGN.extended_pan_id), False, False, OwnershipDecision.FORM),
        (network_ownership.fingerprint(FOREIGN.extended_pan_id), True, False, OwnershipDecision.USE),
        (network_ownership.fingerprint(OURS.extended_pan_id), True, False, OwnershipDecision.REFUSE),
    ],
)
def test_decision_for_a_stick_with_a_network_on_a_hub_without_one(
    remembered: str, has_sensors: bool, takes_over: bool, expected: OwnershipDecision
) -> None:
    chosen = network_ownership.decide(
        FOREIGN, phase=None, own=None, remembered=remembered, has_sensors=has_sensors, takes_over=takes_over
    )
    assert chosen is expected


def test_a_refusal_names_the_stick_the_loss_and_the_choices() -> None:
    text = network_ownership.refusal_text(FOREIGN, port="/dev/stick", sensors=12, has_network=True)
    for words in ("/dev/stick", "0x0001", "channel 11", "12 sensors", "blank one", "climahub zigbee restore"):
        assert words in text
    assert "take_over" in network_ownership.refusal_text(FOREIGN, port="/dev/stick", sensors=0, has_network=False)
    assert FOREIGN.key not in text
