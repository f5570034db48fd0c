"""The radio's document: every member of the network stands in it once."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.local.zigbee import RadioOutputReport, build_zigbee
from agent.pairing.lifecycle import PairingRecord, PairingStage, PairingState
from agent.pairing.service import PairingQueries
from agent.telemetry.intake import ChannelState, Intake
from hal.interface import Reading, RelayedSensor, SensorKind
from hal.radio import RadioOutput, RadioState, RadioStatus, SensorLink

CLOCK = cast("Any", SimpleNamespace(monotonic_ms=lambda: 10_000))


class Radio(SimpleNamespace):
    """A radio with outputs, as far as the document reads it."""

    radio_outputs: Sequence[RadioOutput] = ()
    sensors = ()
    receive = drain = confirm = lambda _: None


def document(state: PairingState, *links: SensorLink, **sources: tuple[str, int]) -> Any:  # noqa: ANN401
    radio = Radio(radio=RadioStatus(RadioState.UP), links=links)
    measuring = [RelayedSensor("T1", "m x", (SensorKind.TEMPERATURE,)), RelayedSensor("T2", "m y", (SensorKind.IAQ,))]
    pairing = SimpleNamespace(
        radio=radio, sensors=measuring, state=state, steps=(), file_problem="", problem_of=lambda _: ""
    )
    states = {
        (device, source, SensorKind.TEMPERATURE): ChannelState(
            latest=Reading(device, source, SensorKind.TEMPERATURE, float(at_ms), at_ms)
        )
        for source, (device, at_ms) in sources.items()
    }
    intake = SimpleNamespace(channels=states)
    return build_zigbee(cast("PairingQueries", pairing), intake=cast("Intake", intake), clock=CLOCK)


def test_every_member_is_listed_once_with_or_without_a_record() -> None:
    state = PairingState(
        {
            name: PairingRecord(name, stage)
            for name, stage in (("T1", PairingStage.RELAYING), ("P1", PairingStage.LEAVING))
        }
    )
    found = document(
        state,
        SensorLink("T1", "m", "x", problem="reports no temperature any more", notes=("a probe",)),
        SensorLink("T2", "m", "y", is_sleepy=False),
        SensorLink("P1", "m", "plug", is_sleepy=False),
        SensorLink("P2", "m", "plug", is_sleepy=False),
        SensorLink("G1", "_TZE200_x", "TS0601", notes=("not in the table",)),
        SensorLink("G2", is_interviewed=False),
    )
    assert [(each.device, each.stage, each.problem, each.notes) for each in found.sensors] == [
        ("T1", "relaying", "reports no temperature any more", ["a probe"]),
        ("P1", "leaving", "", []),
    ]
    assert [each.device for each in found.routers] == ["P2"]
    assert [(each.device, each.is_interviewed, each.notes) for each in found.others] == [
        ("T2", True, []),
        ("G1", True, ["not in the table"]),
        ("G2", False, []),
    ]


def test_configured_outputs_are_listed_before_those_that_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug, other = "zigbee-01/switch/1", "zigbee-01/switch/2"
    absent = RadioOutput("zigbee-02/valve/1", "bath", problem="pair the device")
    monkeypatch.setattr(Radio, "radio_outputs", (absent, RadioOutput(plug, "attic", is_on=True, goes_off_alone=True)))
    found = document(PairingState(), SensorLink("0x01", "maker", "plug", outputs=(plug, other)))
    assert found.outputs == [
        RadioOutputReport(absent.line, "", "bath", problem="pair the device"),
        RadioOutputReport(plug, "maker plug", "attic", is_on=True, goes_off_alone=True),
        RadioOutputReport(other, "maker plug"),
    ]


def test_removed_sensor_that_is_still_a_member_is_listed() -> None:
    found = document(
        PairingState({"T1": PairingRecord("T1", PairingStage.REMOVED, sensor_id="id")}), SensorLink("T1", "m", "x")
    )
    assert [each.device for each in found.others] == ["T1"]


def test_newer_of_two_readings_of_a_kind_is_shown() -> None:
    found = document(
        PairingState({"T1": PairingRecord("T1", PairingStage.RELAYING)}), one=("T1", 1000), two=("T1", 3000)
    )
    assert [(each.kind, each.value) for each in found.sensors[0].readings] == [("temperature", 3000.0)]


def test_last_heard_is_no_older_than_the_newest_value() -> None:
    state = PairingState({name: PairingRecord(name, PairingStage.RELAYING) for name in ("T1", "T2", "T3")})
    found = document(
        state,
        SensorLink("T1", "m", "x"),
        SensorLink("T2", "m", "x", last_seen_ms=9_000),
        one=("T1", 7_000),
        other=("T1", 3_000),
        two=("T2", 2_000),
    )
    assert [each.last_seen_age_s for each in found.sensors] == [3, 1, None]
