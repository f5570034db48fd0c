import pytest

from agent.pairing.lifecycle import PairingRecord
from agent.pairing.registration import SensorKeys, canonical

IEEE = "0x00158d0001a2b3c4"
ATTIC = PairingRecord("00:15:8d:00:01:a2:b3:c4", name="Attic north", ieee_address=IEEE)


@pytest.mark.parametrize(
    "label",
    [
        IEEE,
        IEEE.upper(),
        "00158D0001A2B3C4",
        "00:15:8D:00:01:A2:B3:C4",
        "00-15-8d-00-01-a2-b3-c4",
        "Attic north",
        "attic  NORTH ",
    ],
)
def test_a_key_is_found_by_address_and_by_name_in_any_spelling(label: str) -> None:
    keys = SensorKeys({"other": "no", label: "the key"})
    assert keys.key_of(ATTIC) == "the key"
    assert keys.unmatched([ATTIC], {}) == ["other"]


def test_what_the_network_calls_a_sensor_counts_while_nobody_has_named_it() -> None:
    keys = SensorKeys({"T1": "one"})
    assert keys.key_of(PairingRecord("dev"), network_name="T1") == "one"
    assert keys.key_of(PairingRecord("dev", name="hall"), network_name="T1") == ""
    assert keys.unmatched([PairingRecord("dev")], {"dev": "T1"}) == []


def test_an_address_wins_over_a_name() -> None:
    keys = SensorKeys({"Attic north": "by name", IEEE: "by address"})
    assert keys.key_of(ATTIC) == "by address"


def test_no_label_matches_what_is_empty() -> None:
    assert SensorKeys({"": "x"}).key_of(PairingRecord("dev")) == ""
    assert SensorKeys({}).key_of(ATTIC) == ""


def test_a_name_is_no_address_by_accident() -> None:
    assert canonical("a.b") == "a.b"
    assert canonical("dead beef") == "dead beef"
