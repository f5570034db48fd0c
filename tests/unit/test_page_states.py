"""Every state that the hub reports in a word has its text on the page, and no text is for a state of old."""

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import pytest

from agent.cloud.compression import CompressionState
from agent.cloud.connectivity import ConnectivityState, EndpointState
from agent.cloud.contract import Endpoint
from agent.foundation.boot_trail import BootEnd
from agent.local.routes import Role
from agent.ota.lifecycle import UpdateState
from agent.pairing.lifecycle import PairingStage, PairingStepKind
from agent.port.hardware.output_test import Outcome, TestPhase
from hal.interface import HvacAction, Quality, SensorKind
from hal.radio import RadioState
from tests.unit.page_source import PAGE

STATES: Mapping[str, tuple[type[Enum], ...]] = MappingProxyType(
    {
        "action": (HvacAction,),
        "boot_end": (BootEnd,),
        "compression": (CompressionState,),
        "endpoint": (Endpoint,),
        "endpoint_state": (EndpointState,),
        "kind": (SensorKind,),
        "link": (ConnectivityState,),
        "outcome": (Outcome, TestPhase),
        "quality": (Quality,),
        "radio": (RadioState,),
        "role": (Role,),
        "stage": (PairingStage,),
        "step": (PairingStepKind,),
        "update_state": (UpdateState,),
    }
)
NOT_SHOWN = {"outcome.running", "outcome.done", "role.public", "stage.removed"}
"""A running test shows its phase, and a test that is done its outcome; nobody signs in as public; removed is gone."""


@pytest.mark.parametrize("group", sorted(STATES))
def test_a_group_of_words_has_the_states_of_the_hub(group: str) -> None:
    texts = json.loads((PAGE / "texts" / "en.json").read_text())
    reported = {f"{group}.{state.value}" for kind in STATES[group] for state in kind} - NOT_SHOWN
    assert {key for key in texts if key.rpartition(".")[0] == group} == reported
