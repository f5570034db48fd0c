"""What a voltage says of a battery."""

import pytest

from hal.zigbee.battery import Battery, Chemistry, battery_of, level_percent

COIN = Battery(Chemistry.LITHIUM)
AA, CR123A, BUILT_IN, UNKNOWN = 3, 8, 1, 0xFF


@pytest.mark.parametrize(("volt", "percent"), [(3.2, 100), (3.0, 100), (2.75, 50), (2.5, 0), (2.0, 0)])
def test_level_of_a_coin_cell(volt: float, percent: float) -> None:
    assert level_percent(COIN, volt) == percent


@pytest.mark.parametrize(
    ("volt", "size", "quantity", "battery", "percent"),
    [
        (2.4, None, None, COIN, 0),
        (2.4, UNKNOWN, None, COIN, 0),
        (2.4, AA, None, Battery(Chemistry.ALKALINE, 2), 40),
        (2.4, AA, 2, Battery(Chemistry.ALKALINE, 2), 40),
        (1.5, AA, 1, Battery(Chemistry.ALKALINE, 1), 100),
        # It says one cell and cannot have one.
        (2.9, AA, 1, Battery(Chemistry.ALKALINE, 2), 90),
        (6.2, None, None, Battery(Chemistry.ALKALINE, 4), 100),
        (4.6, None, None, Battery(Chemistry.ALKALINE, 3), 100),
        (3.0, CR123A, None, COIN, 100),
        (6.0, CR123A, None, Battery(Chemistry.LITHIUM, 2), 100),
        (3.75, BUILT_IN, None, Battery(Chemistry.LITHIUM_ION), 50),
    ],
)
def test_chemistry_follows_from_the_battery_attributes(
    volt: float, size: int | None, quantity: int | None, battery: Battery, percent: float
) -> None:
    assert battery_of(volt, size=size, quantity=quantity) == battery
    assert level_percent(battery, volt) == percent


@pytest.mark.parametrize(
    ("volt", "size"), [(3.7, None), (4.0, UNKNOWN), (0.0, None), (-1.0, AA), (25.4, None), (25.4, AA)]
)
def test_ambiguous_voltage_gives_no_level(volt: float, size: int | None) -> None:
    assert battery_of(volt, size=size) is None
