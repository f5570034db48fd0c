"""Which source speaks for the hub."""

import pytest

from agent.config.primary import choose_primary
from agent.errors import ConfigInvalid
from hal.interface import SensorKind

TEMPERATURE, HUMIDITY = SensorKind.TEMPERATURE, SensorKind.HUMIDITY
ONE = [("hwmon/cpu/temp1", TEMPERATURE), ("bme280", HUMIDITY)]
TWO = [*ONE, ("hwmon/nvme/Composite", TEMPERATURE)]


def test_a_source_that_measures_alone_speaks() -> None:
    assert choose_primary(ONE, primary={}, disabled=()) == {TEMPERATURE: "hwmon/cpu/temp1", HUMIDITY: "bme280"}


def test_a_board_without_sensors_has_no_primary() -> None:
    assert choose_primary([], primary={}, disabled=()) == {}


def test_configuration_chooses_between_two() -> None:
    chosen = choose_primary(TWO, primary={TEMPERATURE: "hwmon/nvme/Composite"}, disabled=())
    assert chosen[TEMPERATURE] == "hwmon/nvme/Composite"


def test_disabling_one_of_two_leaves_the_other() -> None:
    assert choose_primary(TWO, primary={}, disabled=("hwmon/nvme/Composite",))[TEMPERATURE] == "hwmon/cpu/temp1"


def test_disabling_all_leaves_none() -> None:
    assert choose_primary(ONE, primary={}, disabled=("bme280", "hwmon/cpu/temp1")) == {}


def test_one_source_may_speak_for_two_kinds() -> None:
    chosen = choose_primary(
        [("bme280", TEMPERATURE), ("bme280", HUMIDITY)], primary={TEMPERATURE: "bme280"}, disabled=()
    )
    assert chosen == {TEMPERATURE: "bme280", HUMIDITY: "bme280"}


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
def test_what_is_ambiguous_or_wrong_is_refused(
    primary: dict[SensorKind, str], disabled: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        choose_primary(TWO, primary=primary, disabled=disabled)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        choose_primary(TWO, primary={HUMIDITY: "x"}, disabled=("y",))
    assert len(str(caught.value).splitlines()) == 4


def test_the_humidity_of_the_chip_whose_temperature_speaks_needs_no_key() -> None:
    chips = [
        (f"hwmon/sht3x@1-004{place}/{channel}", kind)
        for place in (4, 5)
        for channel, kind in (("temp1", TEMPERATURE), ("humidity1", HUMIDITY))
    ]
    named = choose_primary(chips, primary={TEMPERATURE: "hwmon/sht3x@1-0045/temp1"}, disabled=())
    assert named[HUMIDITY] == "hwmon/sht3x@1-0045/humidity1"
    left = choose_primary(chips, primary={}, disabled=("hwmon/sht3x@1-0045/temp1",))
    assert left[HUMIDITY] == "hwmon/sht3x@1-0044/humidity1"
    with pytest.raises(ConfigInvalid, match=r"sensors.primary.humidity: 2 sources measure humidity"):
        choose_primary([*chips, ("cpu/a", TEMPERATURE)], primary={TEMPERATURE: "cpu/a"}, disabled=())
