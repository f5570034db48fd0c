"""Outputs on paired Zigbee devices in the configuration: named, checked, and kept apart from the lines of boards."""

from pathlib import Path

import msgspec
import pytest

from agent import outputs
from agent.config import Resolved, resolve_text
from agent.environment import output_names, with_parts
from agent.errors import ConfigInvalid
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from hal.line_names import LineName, parse_line_name
from hal.linux.board import LinuxBoard
from hal.linux.output_lines import RelayWiring, ZoneRelays

PLUG, VALVE = "zigbee-00124b0012345678/switch/1", "zigbee-00124b00abcdef01/valve/1"


def resolved(board: str, *, port: str = "auto", directory: Path = Path("/")) -> Resolved:
    text = (
        f'[cloud]\nbase_url = "https://a.example"\n[zigbee]\nport = "{port}"\n[storage]\nstate_dir = "{directory}"\n'
        f'[board]\nname = "linux"\n[board.linux]\n{board}\n'
    )
    return resolve_text(text, file="test", directory=directory, environ={})


MIXED = (
    f'relays = [{{ name = "living", heat_line = "{PLUG}", cool_line = 17 }}, '
    f'{{ name = "bath", heat_line = "{VALVE}" }}]\n'
    f'heat_source_lines = [{{ part = "pump", line = "{PLUG.replace("/1", "/2")}" }}]'
)


def test_lines_of_devices_are_kept_apart_from_those_of_boards(tmp_path: Path) -> None:
    config = resolved(MIXED, directory=tmp_path).config
    linux = config.board.linux
    gpio = str(linux.gpio_chip)
    assert outputs.wirings_of(linux) == [RelayWiring(gpio, (ZoneRelays("living", None, 17),))]
    wiring, names = outputs.radio_wiring_of(linux)
    assert [str(name) for name in names] == [PLUG, VALVE, PLUG.replace("/1", "/2")]
    assert wiring == RelayWiring("zigbee", (ZoneRelays("living", 0), ZoneRelays("bath", 1)), {"pump": 2})
    assert output_names(config.board) == ["living", "bath"]
    board = LinuxBoard(sysfs_root=tmp_path, proc_root=tmp_path, wirings=outputs.wirings_of(linux))
    whole = with_parts(board, config, SystemClock(trust_wall_clock=True), Disk())
    assert whole.outputs is not None
    zones = {zone.name: (zone.can_heat, zone.can_cool, zone.device) for zone in whole.outputs.zones}
    assert zones == {"living": (True, True, "0x00124b0012345678"), "bath": (True, False, "0x00124b00abcdef01")}


def test_line_rests_as_long_as_what_it_drives(tmp_path: Path) -> None:
    parts = ", ".join(
        f'{{ part = "{part}", line = "{PLUG[:-1]}{place}" }}' for place, part in ((1, "heat"), (2, "pump"))
    )
    board = f'relays = [{{ name = "bath", heat_line = "{VALVE}" }}, {{ name = "living", heat_line = "{PLUG[:-1]}3" }}]'
    config = resolved(f"{board}\nheat_source_lines = [{parts}]", directory=tmp_path).config
    climate = msgspec.structs.replace(config.climate, relay_min_off_s=60.0, heat_source_min_off_s=300.0)
    uses = {use.drives: use.timing.rest_s for use in outputs.radio_uses_of(config.board, climate)}
    assert uses == {"bath": 0.0, "living": 60.0, "heat": 300.0, "pump": 0.0}
    expander = resolved(
        'relays = [{ name = "a", heat_line = "i2c-1-0020/pcf8574/1", cool_line = "i2c-1-0020/pcf8574/4" }]\n'
        'heat_source_lines = [{ part = "pump", line = "i2c-1-0020/pcf8574/2" }, { part = "heat", line = '
        '"i2c-1-0020/pcf8574/4" }]',
        directory=tmp_path,
    ).config
    (wiring,) = outputs.wirings_of(expander.board.linux, climate)
    assert wiring.rests_s == {1: 60.0, 2: 0.0, 4: 300.0}


def test_name_of_a_device_is_its_address_and_endpoint() -> None:
    assert parse_line_name(VALVE) == LineName("zigbee-00124b00abcdef01", "valve", 1)
    assert (str(parse_line_name(VALVE)), parse_line_name("i2c-1-0020/pcf8574/7").radio_device) == (VALVE, "")


@pytest.mark.parametrize(
    ("board", "words"),
    [
        (f'relays = [{{ name = "a", cool_line = "{VALVE}" }}]', "a radiator valve heats; name it as heat_line"),
        (f'heat_source_lines = [{{ part = "heat", line = "{VALVE}" }}]', "a radiator valve is the heat_line of a zone"),
        ('relays = [{ name = "a", heat_line = "zigbee-00124b/switch/1" }]', "no line is called"),
        (f'relays = [{{ name = "a", heat_line = "{PLUG[:-1]}241" }}]', "switch has the lines 1 to 240, not 241"),
    ],
)
def test_mistake_is_refused_with_its_reason(board: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        resolved(board)


def test_device_without_a_radio_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"zigbee.port: set it .*: board.linux.relays names a Zigbee device"):
        resolved(MIXED, port="none")
