"""The table and what it is used for: whatever happens in whatever order, no identity and no name has two owners."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import LabelInvalid, PairingRefused, UnknownSensor
from agent.pairing import changes
from agent.pairing.lifecycle import EDGES, Content, Event, Record, Stage, Window, after, picture
from agent.pairing.requests import WindowRequest, checked_key, window_for
from hal.interface import RelayedSensor, SensorKind

KINDS = (SensorKind.TEMPERATURE,)
DEVICES = [f"0x00158d00000000{number:02x}" for number in range(4)]
CODE = "83FED3407A939723A5C639B26916D505C3B5"


def sensor(device: str) -> RelayedSensor:
    return RelayedSensor(device, f"name of {device}", KINDS, device)


def window(**changed: object) -> Window:
    return msgspec.structs.replace(Window("boot", 1000), **changed)


def with_window(content: Content = Content(), **changed: object) -> Content:  # noqa: B008 - frozen
    return changes.set_window(content, window(**changed))


def paired(device: str, content: Content = Content(), sensor_id: str = "") -> Content:  # noqa: B008 - frozen
    """Return the content after a sensor has gone all the way."""
    content = changes.interviewed(changes.joined(content, device), sensor(device))
    content = changes.registered(content, device, sensor_id=sensor_id or f"id {device}", serial_number="S")
    return changes.put(content, after(content.sensors[device], Event.RELEASE))


def test_every_stage_can_be_reached_and_left() -> None:
    reached = {Stage.JOINED} | set(EDGES.values())
    assert reached == set(Stage) == {stage for stage, _ in EDGES}
    assert {event for _, event in EDGES} == set(Event)


def test_a_router_is_no_sensor_and_leaves_name_and_key_to_the_next() -> None:
    plan = {"name": "bath", "key": "sk_1"}
    taken = changes.joined(with_window(**plan), DEVICES[0])
    assert taken.sensors[DEVICES[0]].key == "sk_1"
    content = changes.measures_nothing(taken, DEVICES[0])
    assert content == with_window(**plan)
    content = changes.interviewed(changes.joined(content, DEVICES[1]), sensor(DEVICES[1]))
    assert (content.sensors[DEVICES[1]].name, content.sensors[DEVICES[1]].key) == ("bath", "sk_1")


def test_a_sensor_that_is_relayed_stays_one_whatever_an_interview_says() -> None:
    content = paired(DEVICES[0])
    assert changes.measures_nothing(content, DEVICES[0]) == content


def test_what_is_not_in_the_table_is_a_defect() -> None:
    with pytest.raises(ValueError, match="it cannot release"):
        after(Record("T1"), Event.RELEASE)


def test_the_picture_is_that_of_the_documents() -> None:
    document = Path(__file__).parents[3] / "docs" / "pairing.md"
    assert f"```mermaid\n{picture()}\n```" in document.read_text()
    assert len(picture().splitlines()) == len(EDGES) + 2


# The window's plan.


def test_the_first_new_sensor_takes_name_and_key_and_the_window_ends_with_its_interview() -> None:
    content = changes.joined(with_window(name="attic", key="k"), DEVICES[0])
    assert content.window == window(device=DEVICES[0])
    second = changes.joined(content, DEVICES[1])
    assert second.sensors[DEVICES[1]] == Record(DEVICES[1])
    done = changes.interviewed(second, sensor(DEVICES[0]), "maker")
    first = done.sensors[DEVICES[0]]
    assert (first.stage, first.name, first.key, first.about) == (Stage.KEYED, "attic", "k", "maker")
    assert done.window is None


def test_one_that_comes_back_does_not_take_what_is_meant_for_a_new_one() -> None:
    content = with_window(paired(DEVICES[0]), name="attic", key="k")
    content = changes.joined(content, DEVICES[0])
    assert content.sensors[DEVICES[0]].name == ""
    assert content.window == window(name="attic", key="k")


def test_an_address_on_the_label_keeps_others_from_the_plan() -> None:
    content = changes.joined(with_window(name="attic", ieee_address=DEVICES[1]), DEVICES[0])
    assert content.sensors[DEVICES[0]].name == ""
    content = changes.joined(content, DEVICES[1])
    assert content.sensors[DEVICES[1]].name == "attic"


def test_a_window_for_many_stays_open() -> None:
    content = with_window(is_many=True)
    for device in DEVICES:
        content = changes.interviewed(changes.joined(content, device), sensor(device))
    assert content.window == window(is_many=True)
    assert {record.stage for record in content.sensors.values()} == {Stage.INTERVIEWED}


def test_one_that_joined_while_nobody_looked_does_not_take_anothers_key() -> None:
    """Found by seed 12 of the harsh rehearsals: the hub was down while it joined."""
    content = changes.interviewed(with_window(key="k"), sensor(DEVICES[0]))
    assert content.sensors[DEVICES[0]].stage is Stage.INTERVIEWED
    assert content.window == window(key="k")
    named = changes.interviewed(with_window(key="k", ieee_address=DEVICES[0]), sensor(DEVICES[0]))
    assert named.sensors[DEVICES[0]].stage is Stage.KEYED


def test_a_sensor_that_waits_for_its_key_and_comes_back_does_not_take_anothers() -> None:
    content = changes.interviewed(changes.joined(Content(), DEVICES[0]), sensor(DEVICES[0]))
    content = changes.joined(with_window(content, key="k"), DEVICES[0])
    assert content.sensors[DEVICES[0]].stage is Stage.INTERVIEWED
    assert content.window == window(key="k")


@pytest.mark.parametrize("changed", [{"ieee_address": DEVICES[0]}, {}])
def test_a_sensor_that_waits_can_be_paired_again_where_it_is_meant(changed: dict[str, str]) -> None:
    content = changes.interviewed(changes.joined(Content(), DEVICES[0]), sensor(DEVICES[0]))
    if not changed:
        content = changes.away(content, DEVICES[0])  # it was reset, so it joins anew
    content = changes.joined(with_window(content, key="k", **changed), DEVICES[0])
    assert content.sensors[DEVICES[0]].stage is Stage.KEYED


# Rejoining, leaving, removing, replacing.


def test_a_rejoin_keeps_identity_and_brings_one_back_that_was_away() -> None:
    content = changes.renamed(paired(DEVICES[0]), DEVICES[0], "attic")
    content = changes.away(content, DEVICES[0])
    assert content.sensors[DEVICES[0]].is_away
    content = changes.interviewed(changes.joined(content, DEVICES[0]), sensor(DEVICES[0]))
    record = content.sensors[DEVICES[0]]
    assert (record.stage, record.name, record.sensor_id) == (Stage.RELAYING, "attic", f"id {DEVICES[0]}")
    assert not record.is_away


def test_a_removed_sensor_that_is_paired_again_is_recognised() -> None:
    content = changes.forgotten(changes.removing(paired(DEVICES[0]), DEVICES[0]), DEVICES[0])
    assert content.sensors[DEVICES[0]].stage is Stage.REMOVED
    content = changes.interviewed(changes.joined(content, DEVICES[0]), sensor(DEVICES[0]))
    assert content.sensors[DEVICES[0]].stage is Stage.REGISTERED


def test_one_that_was_replaced_and_comes_back_is_a_stranger() -> None:
    content = changes.renamed(paired(DEVICES[0]), DEVICES[0], "attic")
    content = changes.joined(with_window(content, replaces=DEVICES[0]), DEVICES[1])
    content = changes.forgotten(changes.interviewed(content, sensor(DEVICES[1])), DEVICES[0])
    assert content.sensors[DEVICES[0]].sensor_id  # for the readings that wait
    content = changes.interviewed(changes.joined(content, DEVICES[0]), sensor(DEVICES[0]))
    back = content.sensors[DEVICES[0]]
    assert (back.stage, back.sensor_id, back.name) == (Stage.INTERVIEWED, "", "")


def test_of_one_that_was_never_registered_nothing_is_left() -> None:
    content = changes.removing(changes.joined(Content(), DEVICES[0]), DEVICES[0])
    assert changes.forgotten(content, DEVICES[0]) == Content()


def test_one_that_is_leaving_does_not_join() -> None:
    content = changes.removing(paired(DEVICES[0]), DEVICES[0])
    assert changes.joined(content, DEVICES[0]) == content
    assert changes.interviewed(content, sensor(DEVICES[0])) == content
    assert changes.away(content, DEVICES[0]) == content


def test_a_key_accepted_while_the_sensor_was_being_removed_names_what_it_had_measured() -> None:
    content = changes.interviewed(changes.joined(Content(), DEVICES[0]), sensor(DEVICES[0]))
    content = changes.removing(content, DEVICES[0])
    content = changes.registered(content, DEVICES[0], sensor_id="id", serial_number="")
    assert (content.sensors[DEVICES[0]].stage, content.sensors[DEVICES[0]].sensor_id) == (Stage.LEAVING, "id")


def test_a_new_sensor_takes_over_name_and_history() -> None:
    content = changes.renamed(paired(DEVICES[0]), DEVICES[0], "attic")
    content = changes.joined(with_window(content, replaces=DEVICES[0]), DEVICES[1])
    assert content.sensors[DEVICES[0]].stage is Stage.RELAYING  # until the new one can do it
    content = changes.interviewed(content, sensor(DEVICES[1]))
    old, new = content.sensors[DEVICES[0]], content.sensors[DEVICES[1]]
    assert (new.stage, new.name, new.sensor_id, new.serial_number) == (
        Stage.REGISTERED, "attic", f"id {DEVICES[0]}", "S"
    )  # fmt: skip
    assert (old.stage, old.sensor_id) == (Stage.LEAVING, new.sensor_id)


def test_a_sensor_that_waits_can_take_over_as_well() -> None:
    content = changes.interviewed(changes.joined(paired(DEVICES[0]), DEVICES[1]), sensor(DEVICES[1]))
    content = changes.replaced(content, DEVICES[0], DEVICES[1])
    assert content.sensors[DEVICES[1]].sensor_id == f"id {DEVICES[0]}"


def test_one_with_an_identity_of_its_own_does_not_take_over() -> None:
    content = changes.forgotten(changes.removing(paired(DEVICES[1]), DEVICES[1]), DEVICES[1])
    content = changes.joined(with_window(paired(DEVICES[0], content), replaces=DEVICES[0]), DEVICES[1])
    content = changes.interviewed(content, sensor(DEVICES[1]))
    assert "identity of its own" in content.sensors[DEVICES[1]].problem
    assert content.sensors[DEVICES[0]].stage is Stage.RELAYING


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: changes.replaced(c, DEVICES[0], DEVICES[1]), "identity of its own already"),
        (lambda c: changes.replaced(c, DEVICES[2], DEVICES[3]), "never registered"),
        (lambda c: changes.replaced(c, DEVICES[0], DEVICES[3]), "not interviewed yet"),
        (lambda c: changes.keyed(c, DEVICES[0], "k"), "needs no key"),
        (lambda c: changes.keyed(c, "T9", "k"), 'no sensor "T9"'),
        (lambda c: changes.removing(c, "T9"), 'no sensor "T9"'),
        (lambda c: changes.renamed(c, DEVICES[1], "Attic"), "is the name of"),
        (lambda c: changes.renamed(c, DEVICES[1], DEVICES[0]), "is the name of"),
        (lambda c: changes.renamed(c, DEVICES[1], "  "), "1 to 64 printable"),
        (lambda c: changes.renamed(c, DEVICES[1], "x" * 65), "1 to 64 printable"),
        (lambda c: changes.renamed(c, DEVICES[1], "\x07"), "1 to 64 printable"),
    ],
)
def test_what_cannot_be_done_is_refused_in_plain_words(change: Callable[[Content], Content], told: str) -> None:
    content = changes.renamed(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "attic")
    content = changes.interviewed(changes.joined(content, DEVICES[2]), sensor(DEVICES[2]))
    content = changes.joined(content, DEVICES[3])
    with pytest.raises(PairingRefused, match=told):
        change(content)


def test_a_sensor_is_found_by_name_and_by_address_in_any_form() -> None:
    content = changes.renamed(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "Attic north")
    for called in ("attic NORTH", DEVICES[0], DEVICES[0].upper(), "00:15:8D:00:00:00:00:00", "00158d0000000000"):
        assert changes.find(content, called).device == DEVICES[0]
    with pytest.raises(UnknownSensor, match="climahub zigbee list"):
        changes.find(content, "cellar")


def test_more_sensors_than_the_limit_are_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SENSORS_MAX", 2)
    content = Content()
    for device in DEVICES:
        content = changes.interviewed(changes.joined(content, device), sensor(device))
    assert list(content.sensors) == DEVICES[:2]


def test_the_oldest_removed_sensors_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "REMOVED_MAX", 2)
    content = Content()
    for device in DEVICES:
        content = changes.forgotten(changes.removing(paired(device, content), device), device)
    assert list(content.sensors) == DEVICES[2:]


# What is asked for.


def test_a_request_becomes_a_window() -> None:
    content = changes.renamed(paired(DEVICES[0]), DEVICES[0], "attic")
    request = WindowRequest(
        seconds=60, through="attic", label=f"Z:{DEVICES[1][2:].upper()}$I:{CODE} sk_sensor_x", replaces="attic"
    )
    assert window_for(request, content, "boot", 5) == Window(
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
        (WindowRequest(seconds=0), PairingRefused),
        (WindowRequest(seconds=255), PairingRefused),
        (WindowRequest(is_many=True, name="x"), PairingRefused),
        (WindowRequest(name="attic"), PairingRefused),
        (WindowRequest(key="two words"), PairingRefused),
        (WindowRequest(label="nonsense"), LabelInvalid),
        (WindowRequest(replaces="nobody"), UnknownSensor),
        (WindowRequest(through="nobody"), UnknownSensor),
    ],
)
def test_a_request_that_cannot_be_met(request_: WindowRequest, error: type[Exception]) -> None:
    with pytest.raises(error):
        window_for(request_, changes.renamed(paired(DEVICES[0]), DEVICES[0], "attic"), "boot", 0)


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 257, "a\nb"])
def test_no_key(key: str) -> None:
    with pytest.raises(PairingRefused) as caught:
        checked_key(key)
    assert "x" * 10 not in str(caught.value)


# Whatever happens in whatever order.


def one_event(content: Content, rng: random.Random) -> Content:  # noqa: C901, PLR0911 (one line an event)
    device, other = rng.choice(DEVICES), rng.choice(DEVICES)
    record = content.sensors.get(device)
    match rng.randrange(12):
        case 0 | 1:
            return changes.joined(content, device)
        case 2 | 3:
            return changes.interviewed(content, sensor(device))
        case 4:
            return changes.away(content, device)
        case 5:
            return changes.removing(content, device)
        case 6 if record is not None and record.stage is Stage.LEAVING:
            return changes.forgotten(content, device)
        case 7:
            return changes.keyed(content, device, f"key {device}")
        case 8 if record is not None and record.stage in {Stage.INTERVIEWED, Stage.KEYED}:
            return changes.registered(content, device, sensor_id=f"id {device}", serial_number="")
        case 9 if record is not None and record.stage is Stage.REGISTERED:
            return changes.put(content, after(record, Event.RELEASE))
        case 10:
            replaces = other if record is None and other in content.sensors else ""
            name = rng.choice(["", device])
            return changes.set_window(content, window(key=f"key {device}", name=f"n{name}", replaces=replaces))
        case 11:
            return changes.replaced(content, device, other)
        case _:
            return content


@given(st.integers(0, 2**32))
def test_no_identity_and_no_key_has_two_owners(seed: int) -> None:
    rng = random.Random(seed)
    content = Content()
    for _ in range(200):
        try:
            content = one_event(content, rng)
        except PairingRefused:
            continue
        present = [record for record in content.sensors.values() if record.is_relayed]
        identities = [record.sensor_id for record in present if record.sensor_id]
        assert len(identities) == len(set(identities))
        assert not [record for record in content.sensors.values() if record.sensor_id and record.key]
        for record in content.sensors.values():
            if record.stage in {Stage.REGISTERED, Stage.RELAYING, Stage.REMOVED}:
                assert record.sensor_id
            if record.stage is Stage.KEYED:
                assert record.key
