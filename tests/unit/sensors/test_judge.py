"""The judge: corrects what it understands, makes a doubted sensor suspect, and leaves everything else alone."""

import math
import random
from collections.abc import Iterator

import pytest

from agent.sensors.calibration import Offset
from agent.sensors.judge import (
    NOTES_MAX,
    OWN_SENSORS_MAX,
    PAIR_AGE_MS_MAX,
    PROCESSOR_AGE_MS_MAX,
    REFERENCE_AGE_MS_MAX,
    RELAYED_MAX,
    SILENT_MS_MIN,
    WATCH_CHANGES_MIN,
    SensorJudge,
)
from agent.sensors.neighbours import NeighbourDetector
from agent.sensors.self_heating import LAGS_S, humidity_at
from hal.interface import HUB, Quality, Reading, SensorKind
from hal.plausibility import PlausibilityCheck
from hal.sim.hub_case import HubCase

T, RH, P = SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.PRESSURE
BOARD = "i2c-1-0076/bme280/temperature"
BOARD_RH = "i2c-1-0076/bme280/humidity"
PIPE = "w1-28-00000a1b2c3d/ds18b20/temperature"
OTHER_PIPE = "w1-28-00000a1b2c3e/ds18b20/temperature"
CPU = "hwmon/cpu_thermal/temp1"
RADIO = "0x00158d0001a2b3c4"
MINUTE_MS = 60_000


class Bench:
    """A judge, and the checks that come before it at the hub."""

    def __init__(self, *in_case: str, rooms: tuple[tuple[str, ...], ...] = ((BOARD, "Living"),)) -> None:
        self.offsets: dict[str, Offset] = {}
        self.judge = SensorJudge(
            in_case=frozenset(in_case),
            rooms=rooms,
            offsets=lambda: self.offsets,
            devices=lambda: {"Living": RADIO},
        )
        self.checks: dict[tuple[str, SensorKind], PlausibilityCheck] = {}
        self.minute = 0

    def read(self, sensor: str, value: float, *, kind: SensorKind = T, device: str = HUB) -> Reading:
        at_ms = self.minute * MINUTE_MS
        check = self.checks.setdefault((device or sensor, kind), PlausibilityCheck(kind))
        quality, reason = check.check(value, at_ms)
        return self.judge.judge(Reading(device, sensor, kind, value, at_ms, quality, reason))

    def settle(self, board_c: float = 25.0, cpu_c: float = 45.0) -> Reading:
        """Let the case reach these temperatures."""
        reading = self.read(BOARD, board_c)
        for _ in range(10 * round(LAGS_S[-1] / 60)):
            self.minute += 1
            self.read(CPU, cpu_c)
            reading = self.read(BOARD, board_c)
        return reading

    def doubt(self, sensor: str, kind: SensorKind = T, device: str = HUB) -> str:
        return self.judge.notes[device, sensor, kind].doubt


def test_what_is_not_in_the_case_is_not_corrected() -> None:
    bench = Bench()
    assert bench.settle().value == 25.0
    assert bench.judge.notes[HUB, BOARD, T].uncertainty is None


def test_what_is_in_the_case_is_corrected_with_its_uncertainty() -> None:
    bench = Bench(BOARD)
    assert bench.settle().value == pytest.approx(22.0, abs=0.01)
    note = bench.judge.notes[HUB, BOARD, T]
    assert (note.measured, note.value) == (25.0, pytest.approx(22.0, abs=0.01))
    assert note.rise_k == pytest.approx(3.0, abs=0.01)
    assert note.uncertainty
    assert note.uncertainty > 2.0


def test_humidity_of_that_chip_keeps_its_vapour_pressure() -> None:
    bench = Bench(BOARD)
    room_c = bench.settle().value
    assert bench.read(BOARD_RH, 40.0, kind=RH).value == pytest.approx(
        humidity_at(40.0, measured_c=25.0, room_c=room_c), abs=0.001
    )
    assert bench.judge.notes[HUB, BOARD_RH, RH].uncertainty
    assert bench.read("i2c-1-0044/sht4x/humidity", 40.0, kind=RH).value == 40.0
    bench.minute += PAIR_AGE_MS_MAX // MINUTE_MS + 1
    assert bench.read(BOARD_RH, 40.0, kind=RH).value == 40.0


def test_a_processor_that_is_silent_teaches_nothing() -> None:
    bench = Bench(BOARD)
    bench.settle()
    before = bench.judge.learned[BOARD]
    bench.minute += PROCESSOR_AGE_MS_MAX // MINUTE_MS + 1
    bench.read(BOARD, 25.0)
    assert bench.judge.learned[BOARD] is before


def test_the_best_processor_counts() -> None:
    bench = Bench(BOARD)
    for name, value in (("hwmon/acpitz/temp1", 90.0), (CPU, 45.0), ("hwmon/acpitz/temp1", 90.0), ("hwmon/nvme/x", 1.0)):
        bench.read(name, value)
    bench.read(BOARD, 25.0)
    assert bench.judge.learned[BOARD].hypotheses[0].x_k == 20.0


def test_it_learns_from_the_other_sensor_of_the_room() -> None:
    bench = Bench(BOARD)
    bench.settle()
    for _ in range(3 * 24 * 60):
        bench.minute += 1
        if bench.minute % 10 == 0:
            bench.read("", 20.0, device=RADIO)
        bench.read(CPU, 45.0)
        reading = bench.read(BOARD, 25.0)
    assert reading.value == pytest.approx(20.0, abs=0.3)
    assert bench.judge.learned[BOARD].references > 100


def test_a_silent_or_doubted_sensor_is_no_reference() -> None:
    bench = Bench(BOARD)
    bench.read("", 20.0, device=RADIO)
    bench.minute += REFERENCE_AGE_MS_MAX // MINUTE_MS + 1
    bench.settle()
    assert bench.judge.learned[BOARD].references == 0


def test_an_entered_temperature_is_learned() -> None:
    bench = Bench(BOARD)
    assert not bench.judge.enter(BOARD, 20.0)
    bench.settle()
    assert bench.judge.enter(BOARD, 20.0)
    assert not bench.judge.enter(PIPE, 20.0)
    assert bench.judge.present(BOARD, T, 25.0, bench.minute * MINUTE_MS)[0] == pytest.approx(20.0, abs=0.1)
    bench.judge.forget_learned(BOARD)
    assert not bench.judge.learned[BOARD].is_learned


@pytest.mark.parametrize(
    ("sensor", "device", "kind", "key", "offset", "shown"),
    [
        (PIPE, HUB, T, PIPE, -0.5, 20.5),
        ("", RADIO, T, f"{RADIO}/temperature", 0.7, 21.7),
        ("", RADIO, RH, f"{RADIO}/humidity", 90.0, 100.0),
        ("", RADIO, P, f"{RADIO}/humidity", 5.0, 21.0),
        ("", RADIO, SensorKind.BATTERY_LEVEL, f"{RADIO}/battery_level", 5.0, 21.0),
    ],
)
def test_offsets(sensor: str, device: str, kind: SensorKind, key: str, offset: float, shown: float) -> None:
    bench = Bench()
    bench.offsets[key] = Offset(offset)
    value = 21.0 if kind is not P else 900.0
    reading = Reading(device, sensor, kind, value, 0)
    assert bench.judge.judge(reading).value == pytest.approx(shown if kind is not P else 900.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_left_alone(value: float) -> None:
    reading = Reading(HUB, BOARD, T, value, 0, Quality.BAD, "is not a number")
    assert Bench(BOARD).judge.judge(reading) is reading


def test_a_bad_value_stays_as_it_was_measured() -> None:
    bench = Bench()
    bench.offsets[BOARD] = Offset(1.0)
    reading = Reading(HUB, BOARD, T, 99.0, 0, Quality.BAD, "is outside")
    assert bench.judge.judge(reading) == reading


def test_power_up_value_is_never_believed() -> None:
    bench = Bench()
    bench.read(PIPE, 21.0)
    for _ in range(200):
        bench.minute += 1
        reading = bench.read(PIPE, 85.0)
        assert reading.quality is not Quality.GOOD
        assert "lost power" in reading.reason
    assert reading.quality is Quality.SUSPECT
    bench.minute += 1
    bench.read(PIPE, 21.0)
    bench.minute += 1
    assert all(bench.read(PIPE, 21.0 + step / 16).quality is not Quality.SUSPECT for step in range(3))


def test_a_boiler_pipe_may_be_at_85() -> None:
    bench = Bench()
    for value in (21.0, 60.0, 75.0, 84.0, 85.0, 85.0, 85.0):
        bench.minute += 5
        last = bench.read(PIPE, value)
    assert last.quality is Quality.GOOD


def test_too_little_power_is_named() -> None:
    bench = Bench()
    reading = bench.read(PIPE, 127.9375)
    assert (reading.quality, "3 wires" in reading.reason) == (Quality.BAD, True)


def test_humidity_over_a_hundred_is_used_and_told() -> None:
    bench = Bench()
    reading = bench.read(BOARD_RH, 101.3, kind=RH)
    assert (reading.value, reading.quality, reading.reason) == (100.0, Quality.GOOD, "")
    assert "it measures 101.3 %" in bench.doubt(BOARD_RH, RH)
    assert bench.read(BOARD_RH, 105.1, kind=RH).quality is Quality.BAD


def minutes(bench: Bench, count: int) -> Iterator[int]:
    for index in range(count):
        bench.minute += 1
        yield index


def test_a_jump_makes_a_room_thermometer_suspect_and_no_other() -> None:
    bench = Bench()
    for index in minutes(bench, 6):
        value = 21.0 if index < 3 else 24.0
        room, radio = bench.read(BOARD, value), bench.read("", value, device=RADIO)
        pipe = bench.read(PIPE, value + 20.0)
    assert (room.quality, radio.quality, pipe.quality) == (Quality.SUSPECT, Quality.SUSPECT, Quality.GOOD)
    assert "jumped from 21.0 to 24.0" in room.reason
    assert bench.doubt(BOARD) == room.reason


def test_a_loose_contact_makes_it_suspect() -> None:
    bench = Bench()
    rng = random.Random(1)
    for _ in minutes(bench, 20):
        reading = bench.read(BOARD, 21.0 + rng.choice([0.0, 1.5]))
    assert "back and forth" in reading.reason


def test_a_frozen_chip_is_suspect_with_all_its_channels() -> None:
    bench, rng = Bench(), random.Random(1)
    for _ in minutes(bench, 28 * 60):
        bench.read(BOARD, round(21.0 + rng.gauss(0, 0.02), 2))
        bench.read(BOARD_RH, round(45.0 + rng.gauss(0, 0.1), 2), kind=RH)
    for _ in minutes(bench, 30):
        readings = bench.read(BOARD, 21.0), bench.read(BOARD_RH, 45.0, kind=RH)
    assert [reading.quality for reading in readings] == [Quality.SUSPECT] * 2
    # The time in which it was frozen teaches nothing.
    assert all(channel.is_frozen for channels in bench.judge._chips.values() for channel in channels.values())
    bench.minute += 1
    assert bench.read(BOARD, 21.05).quality is Quality.GOOD


def test_a_channel_that_is_read_rarely_is_suspect_with_its_chip() -> None:
    bench, rng, found = Bench(), random.Random(1), []
    for minute in minutes(bench, 28 * 60 + 20):
        is_frozen = minute >= 28 * 60
        bench.read(BOARD, 21.0 if is_frozen else round(21.0 + rng.gauss(0, 0.02), 2))
        if minute % 5 == 0:
            found.append(bench.read(BOARD_RH, 45.0 if is_frozen else round(45.0 + rng.gauss(0, 0.1), 2), kind=RH))
    assert [reading.quality for reading in found[-4:]] == [Quality.GOOD] * 3 + [Quality.SUSPECT]


def test_neighbours_and_stuck_bits_reach_the_reading() -> None:
    bench = Bench()
    for index in minutes(bench, 7):
        a = bench.read(PIPE, 30.0 if index < 2 else 45.0)
        bench.read(OTHER_PIPE, 45.0)
    assert "the same values as" in a.reason
    bench = Bench(rooms=((PIPE,),))
    for index in minutes(bench, 3 * 24 * 60):
        number = round((20.3 + 1.5 * math.sin(index / 240 * math.tau)) * 16) | 16
        reading = bench.read(PIPE, number / 16)
    assert "1 K is stuck" in reading.reason


def test_a_sensor_that_follows_the_processor_is_told_and_believed() -> None:
    bench, case, rng = Bench(), HubCase(), random.Random(3)
    inside, load = case.steady(0.1), 0.1
    for index in minutes(bench, 3 * 24 * 60):
        if index % 90 == 0:
            load = rng.choice([0.0, 0.5, 1.0])
        inside = case.advance(inside, load, 60.0)
        room_c = 20.5 + math.sin(index / 1440 * math.tau)
        bench.read(CPU, inside.cpu_c(room_c))
        reading = bench.read(BOARD, round(inside.board_c(room_c) + rng.gauss(0, 0.02), 2))
        bench.read(PIPE, round(room_c * 16) / 16)
    assert bench.judge.learned[BOARD].changes >= WATCH_CHANGES_MIN
    assert "sensors.in_case" in bench.doubt(BOARD)
    assert reading.quality is Quality.GOOD
    assert reading.value == bench.judge.notes[HUB, BOARD, T].measured
    assert bench.doubt(PIPE) == ""


def test_two_or_three_steps_of_the_load_show_a_sensor_that_the_processor_warms() -> None:
    bench, case = Bench(), HubCase()
    inside = case.steady(0.0)
    told = None
    for index in minutes(bench, 12 * 60):
        inside = case.advance(inside, float(index // 120 % 2), 60.0)
        bench.read(CPU, inside.cpu_c(20.5))
        bench.read(BOARD, round(inside.board_c(20.5), 2))
        if told is None and bench.doubt(BOARD):
            told = index, bench.doubt(BOARD)
    assert told is not None
    assert told[0] <= 7 * 60
    assert told[1] == (
        "name it in sensors.in_case, or move it away from the hub: it gets warmer whenever the processor works"
    )
    assert not bench.doubt(CPU)


def test_other_kinds_pass() -> None:
    reading = Reading(HUB, "power/mains", SensorKind.POWER_AVAILABILITY, 1.0, 0)
    assert Bench().judge.judge(reading) is reading


def pipe(number: int) -> str:
    return f"w1-28-{number:012x}/ds18b20/temperature"


def test_sensors_that_are_gone_make_room_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(NeighbourDetector, "forget", lambda _, name: forgotten.append(name))
    bench = Bench()
    for number in range(OWN_SENSORS_MAX):
        bench.read(pipe(number), 20.0 + number % 40)
    assert bench.read(PIPE, 85.0).quality is Quality.GOOD
    bench.minute += SILENT_MS_MIN // MINUTE_MS - 1
    bench.read(pipe(0), 20.0)
    assert bench.read(PIPE, 85.0).quality is Quality.GOOD
    bench.minute += 1
    assert bench.read(PIPE, 85.0).quality is Quality.SUSPECT
    assert (HUB, pipe(0), T) in bench.judge.notes
    assert (HUB, pipe(1), T) not in bench.judge.notes
    assert forgotten == [pipe(1)]
    for a, b in ((21.0, 40.0), (21.0, 40.0), (40.0, 21.0)):
        bench.minute += 1
        bench.read(PIPE, a)
        last = bench.read(OTHER_PIPE, b)
    assert "exchanged" in last.reason


def test_relayed_sensors_that_are_gone_make_room_for_new_ones() -> None:
    bench = Bench()
    for number in range(RELAYED_MAX):
        bench.read("", 20.0, device=f"{number:#018x}")

    def jumps() -> list[Quality]:
        found = []
        for value in (21.0, 21.0, 26.0, 26.0, 26.0):
            bench.minute += 1
            found.append(bench.read("", value, device=RADIO).quality)
        return found

    assert Quality.SUSPECT not in jumps()[-1:]
    bench.minute += SILENT_MS_MIN // MINUTE_MS
    assert jumps()[-1] is Quality.SUSPECT
    assert len(bench.judge.notes) == RELAYED_MAX


def test_what_was_learned_in_the_case_stays_when_others_need_the_room() -> None:
    bench = Bench(BOARD)
    bench.settle()
    bench.read(BOARD_RH, 50.0, kind=RH)
    learned = bench.judge.learned[BOARD]
    bench.minute += SILENT_MS_MIN // MINUTE_MS + 1
    for number in range(OWN_SENSORS_MAX):
        bench.read(pipe(number), 20.0 + number % 40)
    assert (HUB, BOARD, T) not in bench.judge.notes
    assert bench.judge.learned[BOARD] == learned
    assert len(bench.judge.notes) == OWN_SENSORS_MAX


def test_a_relayed_device_that_makes_up_names_of_sensors_is_not_remembered_by_all_of_them() -> None:
    bench = Bench()
    for number in range(NOTES_MAX + 10):
        bench.judge.judge(Reading(RADIO, f"made up {number}", RH, 50.0, number))
    assert len(bench.judge.notes) == NOTES_MAX
    assert (RADIO, f"made up {NOTES_MAX + 9}", RH) in bench.judge.notes
