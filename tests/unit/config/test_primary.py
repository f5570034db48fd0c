"""Which source speaks for the hub."""

import pytest

from agent.config.primary import Primary, choose_primary
from hal.interface import SensorKind

TEMPERATURE, HUMIDITY = SensorKind.TEMPERATURE, SensorKind.HUMIDITY
ONE = [("hwmon/cpu/temp1", TEMPERATURE), ("bme280", HUMIDITY)]
TWO = [*ONE, ("hwmon/nvme/Composite", TEMPERATURE)]


def test_a_source_that_measures_alone_speaks() -> None:
    assert choose_primary(ONE, primary={}, disabled=()) == Primary({TEMPERATURE: "hwmon/cpu/temp1", HUMIDITY: "bme280"})


def test_a_board_without_sensors_has_no_primary() -> None:
    assert choose_primary([], primary={}, disabled=()) == Primary({})


def test_configuration_chooses_between_two() -> None:
    chosen = choose_primary(TWO, primary={TEMPERATURE: "hwmon/nvme/Composite"}, disabled=())
    assert chosen.sources[TEMPERATURE] == "hwmon/nvme/Composite"


def test_disabling_one_of_two_leaves_the_other() -> None:
    chosen = choose_primary(TWO, primary={}, disabled=("hwmon/nvme/Composite",))
    assert chosen.sources[TEMPERATURE] == "hwmon/cpu/temp1"


def test_disabling_all_leaves_none() -> None:
    assert choose_primary(ONE, primary={}, disabled=("bme280", "hwmon/cpu/temp1")) == Primary({})


def test_one_source_may_speak_for_two_kinds() -> None:
    chosen = choose_primary(
        [("bme280", TEMPERATURE), ("bme280", HUMIDITY)], primary={TEMPERATURE: "bme280"}, disabled=()
    )
    assert chosen == Primary({TEMPERATURE: "bme280", HUMIDITY: "bme280"})


@pytest.mark.parametrize(
    ("primary", "disabled", "expected"),
    [
        (
            {},
            (),
            (
                'sensors.primary.temperature: 2 sources measure temperature: "hwmon/cpu/temp1", "hwmon/nvme/Composite";'
                " set this key"
            ),
        ),
        (
            {TEMPERATURE: "hwmon/cpu/temp2"},
            (),
            (
                'sensors.primary.temperature: this board has no source "hwmon/cpu/temp2"; did you mean'
                ' "hwmon/cpu/temp1"? Allowed: "hwmon/cpu/temp1", "hwmon/nvme/Composite"'
            ),
        ),
        (
            {TEMPERATURE: "bme280"},
            (),
            '"bme280" measures humidity, not temperature; allowed: "hwmon/cpu/temp1", "hwmon/nvme/Composite"',
        ),
        (
            {TEMPERATURE: "hwmon/cpu/temp1"},
            ("hwmon/cpu/temp1",),
            '"hwmon/cpu/temp1" is named in sensors.disabled too',
        ),
        ({SensorKind.IAQ: "bme280"}, ("hwmon/cpu/temp1",), "measures humidity, not iaq; allowed: none"),
        (
            {},
            ("bme208", "hwmon/cpu/temp1"),
            'sensors.disabled: this board has no source "bme208"; did you mean "bme280"?',
        ),
        ({}, ("zzz", "hwmon/cpu/temp1"), 'sensors.disabled: this board has no source "zzz"'),
    ],
)
def test_what_is_ambiguous_or_wrong_is_told_and_the_rest_speaks(
    primary: dict[SensorKind, str], disabled: tuple[str, ...], expected: str
) -> None:
    chosen = choose_primary(TWO, primary=primary, disabled=disabled)
    (problem,) = chosen.problems
    assert expected in problem
    assert chosen.sources[HUMIDITY] == "bme280"


def test_a_chosen_sensor_that_is_missing_gives_its_place_to_no_other() -> None:
    chosen = choose_primary(TWO, primary={TEMPERATURE: "hwmon/w1_slave_temp@28-0000000000aa/temp1"}, disabled=())
    assert TEMPERATURE not in chosen.sources
    assert "this board has no source" in chosen.problems[0]


def test_all_mistakes_are_told_at_once() -> None:
    assert len(choose_primary(TWO, primary={HUMIDITY: "x"}, disabled=("y",)).problems) == 3


def test_the_humidity_of_the_chip_whose_temperature_speaks_needs_no_key() -> None:
    chips = [
        (f"hwmon/sht3x@1-004{place}/{channel}", kind)
        for place in (4, 5)
        for channel, kind in (("temp1", TEMPERATURE), ("humidity1", HUMIDITY))
    ]
    named = choose_primary(chips, primary={TEMPERATURE: "hwmon/sht3x@1-0045/temp1"}, disabled=())
    assert named.sources[HUMIDITY] == "hwmon/sht3x@1-0045/humidity1"
    left = choose_primary(chips, primary={}, disabled=("hwmon/sht3x@1-0045/temp1",))
    assert left.sources[HUMIDITY] == "hwmon/sht3x@1-0044/humidity1"
    torn = choose_primary([*chips, ("cpu/a", TEMPERATURE)], primary={TEMPERATURE: "cpu/a"}, disabled=())
    assert HUMIDITY not in torn.sources
    assert torn.problems[0].startswith("sensors.primary.humidity: 2 sources measure humidity")
