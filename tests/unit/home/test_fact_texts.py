import msgspec
import pytest

from agent.climate.model import Block, Eco, Hold, HoldKind, Mode, Schedule, Setpoints
from agent.facts.model import SUBJECT_CHARACTERS_MAX, FactDraft, check_label
from agent.facts.tables import SubjectEnd
from agent.home.changes import ChangeKind
from agent.home.devices import DeviceKind, HomeDevice, Measurement
from agent.home.fact_texts import About, facts_of_change, facts_of_device
from agent.sensors.calibration import Offset
from hal.interface import SensorKind

ABOUT = About("living", "Living room", is_zone=True, at_ms=1000, by="anna")


def measured(sensor: str, offset: Offset | None) -> Measurement:
    return Measurement(SensorKind.TEMPERATURE, sensor, 20.0, "°C", 1.0, is_good=True, calibration=offset)


WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0),))


@pytest.mark.parametrize(
    ("kind", "old", "new", "subject", "text"),
    [
        (
            ChangeKind.SETPOINTS,
            None,
            Setpoints(20.555555, 26),
            "setpoints",
            "setpoints: heat to 20.56 °C, cool to 26 °C.",
        ),
        (ChangeKind.MODE, Mode.OFF, Mode.HEAT, "mode", "the mode is heat."),
        (ChangeKind.ECO, None, Eco(), "eco", "eco is off."),
        (ChangeKind.SCHEDULE, "", "week", "schedule", "follows the schedule week."),
        (ChangeKind.SCHEDULE, "week", "", "schedule", "follows no schedule."),
        (ChangeKind.HOLD_BEGUN, None, Hold("1", HoldKind.BOOST, 24.0), "hold/boost", "boost: heat to 24 °C."),
        (ChangeKind.HOLD_BEGUN, None, Hold("1", HoldKind.AWAY), "hold/away", "away: as before."),
        (ChangeKind.ONLINE, True, False, "fault", "cannot be reached, or has no value."),
    ],
)
def test_a_change_is_one_sentence_about_its_subject(
    kind: ChangeKind, old: object, new: object, subject: str, text: str
) -> None:
    facts = facts_of_change(kind, ABOUT, old, new)
    assert facts[-1] == FactDraft(
        f"Living room: {text}",
        topic=subject.split("/", maxsplit=1)[0],
        source="hub",
        author="anna",
        subject=f"living/{subject}",
        zone="living",
        valid_from_ms=1000,
    )


@pytest.mark.parametrize(
    ("kind", "old", "new", "subject"),
    [
        (ChangeKind.HOLD_ENDED, Hold("1"), None, "living/hold/hold"),
        (ChangeKind.HOLD_CANCELLED, Hold("1", HoldKind.AWAY), None, "living/hold/away"),
        (ChangeKind.SCHEDULE_DROPPED, WEEK, None, "living/schedule/week"),
        (ChangeKind.ONLINE, False, True, "living/fault"),
    ],
)
def test_what_is_over_ends_with_nothing_in_its_place(kind: ChangeKind, old: object, new: object, subject: str) -> None:
    assert SubjectEnd(subject, 1000, "anna") in facts_of_change(kind, ABOUT, old, new)


def test_the_blocks_of_a_schedule_are_in_its_fact() -> None:
    (fact,) = facts_of_change(ChangeKind.SCHEDULE_STORED, ABOUT, None, WEEK)
    assert isinstance(fact, FactDraft)
    assert "Day mon-tue-wed-thu-fri-sat-sun 06:00 to 22:00 heat to 21 °C, cool to 26 °C" in fact.text


def test_what_an_output_does_is_no_fact() -> None:
    assert facts_of_change(ChangeKind.ACTION, ABOUT, None, None) == []


def test_a_device_of_foreign_origin_stays_one_printable_line_within_the_bounds_of_a_fact() -> None:
    device = HomeDevice(
        device_id="x" * 200,
        kind=DeviceKind.SENSOR,
        name="evil\n\x1b[31m" + "n" * 5000,
        is_online=False,
        last_seen_s=5.0,
        firmware="1",
        manufacturer="a",
        model="b",
    )
    drafts = [fact for fact in facts_of_device(device, 5) if isinstance(fact, FactDraft)]
    assert [fact.topic for fact in drafts] == ["placement", "fault", "firmware", "placement"]
    for fact in drafts:
        assert fact.text.isprintable()
        assert len(fact.text.encode()) <= 4096
        assert len(fact.subject) <= 160


def test_a_sensor_that_was_not_received_since_the_start_is_no_fault() -> None:
    device = HomeDevice(device_id="d", kind=DeviceKind.SENSOR, name="n", is_online=False)
    assert SubjectEnd("d/fault", 5, "hub") in facts_of_device(device, 5)


def test_names_that_cannot_be_printed_or_are_long_have_subjects_of_their_own() -> None:
    names = ["week", "we\u00a0ek", "we\u3000ek", "we?ek", "w" * 200, "w" * 199 + "x", "\ud800", "\udfff"]
    subjects = [ABOUT.subject(f"schedule/{name}") for name in names]
    assert subjects[0] == "living/schedule/week"
    assert len(set(subjects)) == len(names)
    for subject in subjects:
        assert subject.startswith("living/schedule/")
        assert check_label("subject", subject, characters_max=SUBJECT_CHARACTERS_MAX)


@pytest.mark.parametrize(
    ("device", "subject", "text"),
    [
        (
            HomeDevice(
                device_id="hub.0",
                kind=DeviceKind.HUB,
                name="hub",
                is_online=True,
                measurements=(measured("i2c-1-0044/sht3x/temperature", Offset(0.3, "anna")),),
            ),
            "hub.0/calibration/i2c-1-0044/sht3x/temperature",
            "hub: +0.3 °C is added to each value of i2c-1-0044/sht3x/temperature.",
        ),
        (
            HomeDevice(
                device_id="0x1",
                kind=DeviceKind.SENSOR,
                name="Bedroom",
                is_online=True,
                measurements=(measured("T1", Offset(-1.25, "anna")),),
            ),
            "0x1/calibration/temperature",
            "Bedroom: -1.25 °C is added to each value of its temperature.",
        ),
    ],
)
def test_calibration_of_a_sensor_is_a_fact_with_who_set_it_and_ends_with_it(
    device: HomeDevice, subject: str, text: str
) -> None:
    (fact,) = (each for each in facts_of_device(device, 1000) if getattr(each, "topic", "") == "calibration")
    assert isinstance(fact, FactDraft)
    assert (fact.subject, fact.text, fact.author) == (subject, text, "anna")
    (plain,) = device.measurements
    bare = msgspec.structs.replace(device, measurements=(msgspec.structs.replace(plain, calibration=None),))
    assert SubjectEnd(subject, 1000, "hub") in facts_of_device(bare, 1000)
