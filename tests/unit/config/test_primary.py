"""The choice of the primary sensor of each kind."""

import pytest

from agent.config.primary import PrimarySensors, case_problems, choose_primary, is_machine_part, machine_parts_named
from hal.interface import SensorKind

TEMPERATURE, HUMIDITY = SensorKind.TEMPERATURE, SensorKind.HUMIDITY
ONE = [("hwmon/board/temp1", TEMPERATURE), ("bme280", HUMIDITY)]
TWO = [*ONE, ("hwmon/sht/T", TEMPERATURE)]
CPU = ("hwmon/cpu_thermal/temp1", TEMPERATURE)


def test_only_sensor_of_a_kind_is_primary() -> None:
    chosen = choose_primary(ONE, primary={}, disabled=())
    assert chosen.sensors == {TEMPERATURE: "hwmon/board/temp1", HUMIDITY: "bme280"}
    assert chosen.reasons[HUMIDITY] == "the only sensor of humidity"


def test_a_board_without_sensors_has_no_primary() -> None:
    assert choose_primary([], primary={}, disabled=()) == PrimarySensors({})


def test_configuration_chooses_between_two() -> None:
    chosen = choose_primary(TWO, primary={TEMPERATURE: "hwmon/sht/T"}, disabled=())
    assert chosen.sensors[TEMPERATURE] == "hwmon/sht/T"


def test_disabling_one_of_two_leaves_the_other() -> None:
    chosen = choose_primary(TWO, primary={}, disabled=("hwmon/sht/T",))
    assert chosen.sensors[TEMPERATURE] == "hwmon/board/temp1"


def test_disabling_all_sensors_leaves_no_primary() -> None:
    assert choose_primary(ONE, primary={}, disabled=("bme280", "hwmon/board/temp1")) == PrimarySensors({})


def test_one_chip_may_be_primary_for_two_kinds() -> None:
    chosen = choose_primary(
        [("bme280", TEMPERATURE), ("bme280", HUMIDITY)], primary={TEMPERATURE: "bme280"}, disabled=()
    )
    assert (chosen.sensors, chosen.problems) == ({TEMPERATURE: "bme280", HUMIDITY: "bme280"}, ())


@pytest.mark.parametrize(
    ("primary", "disabled", "expected"),
    [
        (
            {TEMPERATURE: "hwmon/board/temp2"},
            (),
            (
                'sensors.primary.temperature: this board has no sensor "hwmon/board/temp2"; did you mean'
                ' "hwmon/board/temp1"? Allowed: "hwmon/board/temp1", "hwmon/sht/T"'
            ),
        ),
        (
            {TEMPERATURE: "bme280"},
            (),
            '"bme280" measures humidity, not temperature; allowed: "hwmon/board/temp1", "hwmon/sht/T"',
        ),
        (
            {TEMPERATURE: "hwmon/board/temp1"},
            ("hwmon/board/temp1",),
            '"hwmon/board/temp1" is named in sensors.disabled too',
        ),
        ({SensorKind.IAQ: "bme280"}, ("hwmon/board/temp1",), "measures humidity, not iaq; allowed: none"),
        (
            {},
            ("bme208", "hwmon/board/temp1"),
            'sensors.disabled: this board has no sensor "bme208"; did you mean "bme280"?',
        ),
        ({}, ("zzz", "hwmon/board/temp1"), 'sensors.disabled: this board has no sensor "zzz"'),
    ],
)
def test_a_wrong_name_is_reported_and_the_other_kinds_have_a_primary(
    primary: dict[SensorKind, str], disabled: tuple[str, ...], expected: str
) -> None:
    chosen = choose_primary(TWO, primary=primary, disabled=disabled)
    (problem,) = chosen.problems
    assert expected in problem
    assert chosen.sensors[HUMIDITY] == "bme280"


def test_missing_chosen_sensor_is_not_replaced() -> None:
    chosen = choose_primary(TWO, primary={TEMPERATURE: "hwmon/w1_slave_temp@28-0000000000aa/temp1"}, disabled=())
    assert TEMPERATURE not in chosen.sensors
    assert "this board has no sensor" in chosen.problems[0]


def test_all_mistakes_are_listed() -> None:
    assert len(choose_primary(TWO, primary={HUMIDITY: "x", TEMPERATURE: "z"}, disabled=("y",)).problems) == 3


def test_humidity_of_the_primary_temperature_chip_is_chosen_automatically() -> None:
    chips = [
        (f"hwmon/sht3x@1-004{place}/{channel}", kind)
        for place in (4, 5)
        for channel, kind in (("temp1", TEMPERATURE), ("humidity1", HUMIDITY))
    ]
    named = choose_primary(chips, primary={TEMPERATURE: "hwmon/sht3x@1-0045/temp1"}, disabled=())
    assert named.sensors[HUMIDITY] == "hwmon/sht3x@1-0045/humidity1"
    left = choose_primary(chips, primary={}, disabled=("hwmon/sht3x@1-0045/temp1",))
    assert left.sensors[HUMIDITY] == "hwmon/sht3x@1-0044/humidity1"
    assert left.reasons[HUMIDITY] == "on the chip of the primary temperature"
    apart = choose_primary([*chips, ("a/b", TEMPERATURE)], primary={TEMPERATURE: "a/b"}, disabled=())
    assert apart.sensors[HUMIDITY] == "hwmon/sht3x@1-0044/humidity1"
    assert apart.reasons[HUMIDITY] == "chosen as the first; to change it, set sensors.primary.humidity"


BME280 = ("i2c-1-0076/bme280/temperature", TEMPERATURE)
BME280_HUMIDITY = ("i2c-1-0076/bme280/humidity", HUMIDITY)
SCD41 = ("i2c-1-0062/scd41/temperature", TEMPERATURE)
SCD41_HUMIDITY = ("i2c-1-0062/scd41/humidity", HUMIDITY)
BMP280 = ("i2c-1-0077/bmp280/temperature", TEMPERATURE)
PROBE = ("w1-28-0000000000aa/ds18b20/temperature", TEMPERATURE)
OLD_PROBE = ("hwmon/w1_slave_temp@28-0000000000bb/temp1", TEMPERATURE)
CLOCK = ("i2c-1-0068/ds3231/temperature", TEMPERATURE)
BOARD = ("hwmon/nct6775/SYSTIN", TEMPERATURE)
BEST_FIRST = (BME280, BMP280, SCD41, BOARD, PROBE, CLOCK)


@pytest.mark.parametrize("worse", range(1, len(BEST_FIRST)))
def test_the_sensor_of_a_room_comes_before_probes_and_boards(worse: int) -> None:
    better = BEST_FIRST[worse - 1]
    for pair in ((BEST_FIRST[worse], better), (better, BEST_FIRST[worse])):
        chosen = choose_primary([*pair, BME280_HUMIDITY, SCD41_HUMIDITY], primary={}, disabled=())
        assert chosen.sensors[TEMPERATURE] == better[0]
        assert chosen.problems == ()


def test_the_choice_is_explained() -> None:
    chosen = choose_primary([PROBE, BME280, BME280_HUMIDITY, CPU], primary={}, disabled=())
    assert chosen.reasons == {
        TEMPERATURE: (
            "chosen (it measures temperature and humidity: a sensor for rooms); to change it, set"
            " sensors.primary.temperature"
        ),
        HUMIDITY: "the only sensor of humidity",
    }
    named = choose_primary([PROBE, BME280], primary={TEMPERATURE: PROBE[0]}, disabled=())
    assert named.reasons == {TEMPERATURE: "named in sensors.primary.temperature"}
    probes = choose_primary([PROBE, OLD_PROBE], primary={}, disabled=())
    assert probes.reasons[TEMPERATURE].startswith("chosen (a 1-Wire probe may be on a pipe)")


def test_the_choice_of_earlier_is_kept_when_a_better_sensor_is_connected() -> None:
    kept = choose_primary([BME280, PROBE, BME280_HUMIDITY], primary={}, disabled=(), before={TEMPERATURE: PROBE[0]})
    assert kept.sensors[TEMPERATURE] == PROBE[0]
    assert kept.reasons[TEMPERATURE].startswith("chosen earlier and kept (a 1-Wire probe may be on a pipe)")
    # The configuration decides against it, and so does `disabled`.
    named = choose_primary(
        [BME280, PROBE], primary={TEMPERATURE: BME280[0]}, disabled=(), before={TEMPERATURE: PROBE[0]}
    )
    assert named.sensors[TEMPERATURE] == BME280[0]
    off = choose_primary([BME280, PROBE], primary={}, disabled=(PROBE[0],), before={TEMPERATURE: PROBE[0]})
    assert off.sensors[TEMPERATURE] == BME280[0]


def test_the_place_of_a_sensor_that_is_missing_is_kept_and_told() -> None:
    missing = choose_primary([PROBE], primary={}, disabled=(), before={TEMPERATURE: BME280[0]})
    assert missing.sensors == missing.missing == {TEMPERATURE: BME280[0]}
    assert missing.problems == (
        (
            f'sensors.primary.temperature: connect "{BME280[0]}" again, or set this key to "{PROBE[0]}":'
            " the primary sensor is missing"
        ),
    )
    # One that was there in this boot is no different; one that the configuration names stays.
    gone = choose_primary([BME280, PROBE], primary={}, disabled=(), before={TEMPERATURE: BME280[0]}, gone=(BME280[0],))
    assert gone.missing == {TEMPERATURE: BME280[0]}
    named = choose_primary([BME280, PROBE], primary={TEMPERATURE: BME280[0]}, disabled=(), gone=(BME280[0],))
    assert (named.sensors, named.problems) == ({TEMPERATURE: BME280[0]}, ())
    alone = choose_primary([CPU], primary={}, disabled=(), before={TEMPERATURE: BME280[0]})
    assert alone.problems == (
        f'sensors.primary.temperature: connect "{BME280[0]}" again: the primary sensor is missing',
    )


def test_cpu_temperature_is_primary_only_where_named() -> None:
    alone = choose_primary([CPU], primary={}, disabled=())
    assert alone.sensors == {}
    (problem,) = alone.problems
    assert "it measures the machine itself and not a room" in problem
    assert "sensors.primary.temperature" in problem
    assert choose_primary([CPU], primary={TEMPERATURE: CPU[0]}, disabled=()).sensors == {TEMPERATURE: CPU[0]}
    assert choose_primary([CPU], primary={}, disabled=(CPU[0],)) == PrimarySensors({})
    # Beside it, what measures a room needs no name.
    room = ("hwmon/w1_slave_temp@28-0000000000aa/temp1", TEMPERATURE)
    nvme = ("hwmon/nvme@0000:01:00.0/Composite", TEMPERATURE)
    chosen = choose_primary([CPU, room, nvme], primary={}, disabled=())
    assert (chosen.sensors, chosen.problems) == ({TEMPERATURE: room[0]}, ())


def test_cpu_temperature_used_for_a_room_is_reported() -> None:
    said = machine_parts_named({TEMPERATURE: CPU[0]}, {"living": ("kitchen 1", CPU[0]), "bath": ("sim/temperature",)})
    assert [text.partition(":")[0] for text in said] == ["sensors.primary.temperature", "climate.zones (living)"]
    assert "not of a room" in said[0]


@pytest.mark.parametrize(
    ("sensor", "is_part"),
    [
        ("hwmon/coretemp/Package-id-0", True),
        ("hwmon/K10Temp/Tctl", True),
        ("hwmon/sht3x@1-0044/temp1", False),
        ("hwmon/bme280/temp1", False),
        ("sim/temperature", False),
        ("cpu/a", False),
        ("living room", False),
    ],
)
def test_sensors_of_the_machine_are_recognised_by_their_chip(sensor: str, *, is_part: bool) -> None:
    assert is_machine_part(sensor) is is_part


@pytest.mark.parametrize(
    ("sensors", "in_case", "texts"),
    [
        (["hwmon/cpu_thermal/temp1", "i2c-1-0076/bme280/temperature"], ["i2c-1-0076/bme280/temperature"], []),
        (["hwmon/cpu_thermal/temp1"], [], []),
        (
            ["hwmon/cpu_thermal/temp1", "i2c-1-0076/bme280/temperature"],
            ["i2c-1-0077/bme280/temperature"],
            ["no sensor"],
        ),
        (["hwmon/cpu_thermal/temp1"], ["hwmon/cpu_thermal/temp1"], ["no sensor"]),
        (["i2c-1-0076/bme280/temperature"], ["i2c-1-0076/bme280/temperature"], ["processor's temperature"]),
    ],
)
def test_sensors_in_the_case_have_to_be_there(sensors: list[str], in_case: list[str], texts: list[str]) -> None:
    problems = case_problems([(name, TEMPERATURE) for name in sensors], in_case)
    assert len(problems) == len(texts)
    assert all(text in problem for text, problem in zip(texts, problems, strict=True))
