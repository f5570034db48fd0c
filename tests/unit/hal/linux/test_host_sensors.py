"""Mains, batteries and wireless signal, on made-up trees in the shape of /sys and /proc."""

import pytest

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import SensorKind
from tests.unit.hal.linux.conftest import Machine, sources, value


@pytest.mark.parametrize(("online", "expected"), [("0", 0.0), ("1", 1.0), ("2", 1.0)])
async def test_mains_power_is_zero_or_one(machine: Machine, online: str, expected: float) -> None:
    machine.supply("AC", type="Mains", online=online)
    board = machine.board()
    assert [(sensor.name, sensor.kind) for sensor in board.sensors] == [
        ("power_supply/mains", SensorKind.POWER_AVAILABILITY)
    ]
    assert await value(board, "power_supply/mains") == expected


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({"A": ("Mains", "0"), "B": ("Mains", "1")}, 1.0),
        ({"A": ("Mains", "0"), "B": ("USB", "1")}, 0.0),
        ({"A": ("USB", "0"), "B": ("USB", "1")}, 1.0),
        ({"A": ("Wireless", "1")}, 1.0),
        ({"A": ("Mains", "?"), "B": ("Mains", "1")}, 1.0),
    ],
)
async def test_one_online_supply_means_power(
    machine: Machine, supplies: dict[str, tuple[str, str]], expected: float
) -> None:
    for name, (kind, online) in supplies.items():
        machine.supply(name, type=kind, online=online)
    assert await value(machine.board(), "power_supply/mains") == expected


async def test_unreadable_supply_makes_mains_unknown(machine: Machine) -> None:
    machine.supply("A", type="Mains")
    machine.supply("B", type="Mains", online="0")
    with pytest.raises(SensorUnavailable, match="A/online"):
        await value(machine.board(), "power_supply/mains")


async def test_a_battery_has_a_level_in_percent(machine: Machine) -> None:
    machine.supply("BAT0", type="Battery", capacity="87", present="1")
    board = machine.board()
    assert [(sensor.name, sensor.kind) for sensor in board.sensors] == [("power_supply/BAT0", SensorKind.BATTERY_LEVEL)]
    assert await value(board, "power_supply/BAT0") == 87


async def test_empty_battery_slot_has_no_level(machine: Machine) -> None:
    machine.supply("BAT0", type="Battery", capacity="0", present="0")
    with pytest.raises(SensorUnavailable, match="the battery slot is empty"):
        await value(machine.board(), "power_supply/BAT0")


def test_peripheral_batteries_are_ignored(machine: Machine) -> None:
    machine.supply("hid-mouse", type="Battery", scope="Device", capacity="50")
    machine.supply("odd", type="Battery")
    machine.supply("unknown", capacity="50")
    assert sources(machine.board()) == []


async def test_the_signal_is_in_dbm(machine: Machine) -> None:
    machine.wireless(" wlan0: 0000   54.  -56.  -256        0      0      0      0      8        0")
    board = machine.board()
    assert [(sensor.name, sensor.kind) for sensor in board.sensors] == [("wireless/wlan0", SensorKind.SIGNAL_STRENGTH)]
    assert await value(board, "wireless/wlan0") == -56


@pytest.mark.parametrize("level", ["0", "0.", "-256", "-256."])
async def test_no_signal_is_no_value(machine: Machine, level: str) -> None:
    machine.wireless(f"wlan0: 0000 0 {level} -256 0 0 0 0 0 0")
    with pytest.raises(SensorUnavailable, match="wlan0 has no signal; connect it"):
        await value(machine.board(), "wireless/wlan0")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wlan0: 0000 70. 100. 0", "gives 100, which is not in dBm"),
        ("wlan0: 0000 70. much", 'found "much" as the level'),
        ("wlan0: 0000", 'found "" as the level'),
        ("wlan0: 0000 70.", 'found "" as the level'),
    ],
)
async def test_a_level_that_is_not_in_dbm_is_implausible(machine: Machine, line: str, expected: str) -> None:
    machine.wireless(line)
    with pytest.raises(ReadingImplausible, match=expected):
        await value(machine.board(), "wireless/wlan0")


@pytest.mark.parametrize("mark", ["wireless", "phy80211"])
async def test_an_interface_that_is_off_is_known_and_unavailable(machine: Machine, mark: str) -> None:
    (machine.sys / "class" / "net" / "wlan1" / mark).mkdir(parents=True)
    (machine.sys / "class" / "net" / "eth0").mkdir()
    machine.wireless("wlan0: 0000 54. -56. -256")
    board = machine.board()
    assert sources(board) == ["wireless/wlan0", "wireless/wlan1"]
    with pytest.raises(SensorUnavailable, match="no line for wlan1; switch it on"):
        await value(board, "wireless/wlan1")
