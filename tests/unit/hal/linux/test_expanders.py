"""Relays on I2C expanders and USB boards: off first, read back, and a bus that fails is named with its remedy."""

import errno
import sys
import threading
from pathlib import Path

import pytest

from agent import outputs
from agent.config import resolve_text
from agent.errors import ConfigInvalid
from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from hal.line_names import LineName, i2c_address, parse_line_name
from hal.linux.board import LinuxBoard
from hal.linux.bus_relays import BusRelays
from hal.linux.expanders import IODIR, OLAT, open_expander
from hal.linux.output_lines import OutputLines, RelayWiring, ZoneRelays
from hal.linux.relays import RelayOutputs
from tests.emulated_chips import Mcp23017, Pcf8574

HEAT = HvacAction.HEAT
PCF = RelayWiring("i2c-1-0020/pcf8574", (ZoneRelays("living", 0), ZoneRelays("bath", 3)), is_active_low=True)
MCP = RelayWiring("i2c-1-0021/mcp23017", (ZoneRelays("living", 1), ZoneRelays("bath", 15)), {"pump": 8})


class FakeBus:
    """An I2C bus with a PCF8574 at 0x20 and an MCP23017 at 0x21."""

    def __init__(self) -> None:
        self.pcf, self.mcp = Pcf8574(), Mcp23017()
        self.chips: dict[int, Pcf8574 | Mcp23017] = {0x20: self.pcf, 0x21: self.mcp}
        self.error: OSError | None = None
        self.is_closed = False

    def transfer(self, address: int, write: bytes, read_bytes: int) -> bytes:
        if self.error is not None:
            raise self.error
        if address not in self.chips:
            raise OSError(errno.ENXIO, "No such device or address")
        if write:
            self.chips[address].write(write)
        return self.chips[address].read(read_bytes) if read_bytes else b""

    def close(self) -> None:
        self.is_closed = True


class Rig:
    """Opens the expander of a wiring on a fake bus, as often as it is asked to."""

    def __init__(self, wiring: RelayWiring) -> None:
        self.bus = FakeBus()
        self.opened = 0
        self.relays = RelayOutputs(wiring, self.open)

    def open(self, wiring: RelayWiring) -> OutputLines:
        self.opened += 1
        return open_expander(wiring, lambda _: self.bus)


async def test_a_pcf8574_sinks_for_relays_that_are_on_and_leaves_other_lines_high() -> None:
    rig = Rig(PCF)
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    assert rig.bus.pcf.told == [b"\xf7"]
    await rig.relays.apply(HvacDemand({"living": HEAT, "bath": HEAT}))
    assert rig.bus.pcf.latch == 0b1111_0110
    rig.relays.close()
    assert (rig.bus.pcf.latch, rig.bus.is_closed) == (0xFF, True)


async def test_an_mcp23017_gets_its_level_before_it_drives_and_keeps_lines_of_others() -> None:
    rig = Rig(MCP)
    # A relay that is on from before, and a line of somebody else.
    rig.bus.mcp.set(OLAT, 0x8022)
    rig.bus.mcp.set(IODIR, 0xFFDF)
    await rig.relays.apply(HvacDemand({"bath": HEAT}, HeatSourceDemand(HEAT, 1, is_pump_on=True)))
    assert rig.bus.mcp.told == [b"\x14\x20\x81", b"\x00\xdd\x7e"]
    rig.relays.close()
    assert rig.bus.mcp.get(OLAT) == 0x0020


async def test_an_expander_that_lost_its_supply_is_set_up_again() -> None:
    rig = Rig(MCP)
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    rig.bus.mcp.set(IODIR, 0xFFFF)
    rig.bus.mcp.set(OLAT, 0x0000)
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    assert (rig.bus.mcp.get(IODIR) & 0x8102, rig.bus.mcp.get(OLAT)) == (0, 0x8000)


@pytest.mark.parametrize(("wiring", "line"), [(MCP, 15), (PCF, 3)])
async def test_a_pin_that_does_not_follow_is_named(wiring: RelayWiring, line: int) -> None:
    rig = Rig(wiring)
    (rig.bus.mcp if wiring is MCP else rig.bus.pcf).shorted = 1 << line
    on = HvacDemand({"bath": HEAT}) if wiring is MCP else HvacDemand()
    with pytest.raises(ActuatorFault, match=f"{wiring.device}: line {line} did not follow"):
        await rig.relays.apply(on)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "a driver of the kernel has it; give its GPIO chip as board.linux.gpio_chip"),
        (errno.EREMOTEIO, "it does not answer; check its supply, its cable and the address"),
        (errno.ETIMEDOUT, "check the cable and the other devices of the bus"),
    ],
)
async def test_an_error_of_the_bus_is_a_fault_with_its_remedy_and_is_over_when_the_bus_is_back(
    number: int, words: str
) -> None:
    rig = Rig(PCF)
    rig.bus.error = OSError(number, "gone")
    with pytest.raises(ActuatorFault, match=words):
        await rig.relays.apply(HvacDemand({"bath": HEAT}))
    rig.bus.error = None
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    rig.bus.error = OSError(number, "gone")
    with pytest.raises(ActuatorFault, match=words):
        await rig.relays.apply(HvacDemand())
    rig.bus.error = None
    await rig.relays.apply(HvacDemand())
    assert (rig.opened, rig.bus.pcf.latch) == (3, 0xFF)


@pytest.mark.parametrize("wiring", [PCF, MCP])
async def test_an_expander_that_is_opened_again_keeps_a_relay_that_stays_wanted(wiring: RelayWiring) -> None:
    rig = Rig(wiring)
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    chip = rig.bus.mcp if wiring is MCP else rig.bus.pcf
    rig.bus.error = OSError(errno.EREMOTEIO, "gone")
    with pytest.raises(ActuatorFault):
        await rig.relays.apply(HvacDemand({"bath": HEAT}))
    rig.bus.error = None
    chip.told.clear()
    await rig.relays.apply(HvacDemand({"bath": HEAT}))
    assert rig.opened == 2
    assert set(chip.told) == ({b"\x14\x00\x80"} if wiring is MCP else {b"\xf7"})


class StuckBus(FakeBus):
    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def transfer(self, address: int, write: bytes, read_bytes: int) -> bytes:
        self.released.wait()
        return super().transfer(address, write, read_bytes)


async def test_a_bus_that_hangs_is_reported_at_once_and_nothing_is_queued_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 0.05)
    bus = StuckBus()
    relays = BusRelays(PCF, lambda wiring: open_expander(wiring, lambda _: bus))
    try:
        with pytest.raises(ActuatorFault, match="i2c-1-0020/pcf8574: no response within"):
            await relays.apply(HvacDemand({"bath": HEAT}))
        with pytest.raises(ActuatorFault, match="the bus hangs in an earlier command; switch the board's supply"):
            await relays.apply(HvacDemand())
    finally:
        bus.released.set()
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 60.0)
    while True:
        try:
            await relays.apply(HvacDemand())
        except ActuatorFault as error:
            assert "earlier" in str(error)  # noqa: PT017 - until the thread is through
        else:
            break
    assert bus.pcf.told[-1] == b"\xff"
    await relays.close()
    assert bus.is_closed


def test_line_names_are_addresses() -> None:
    assert parse_line_name("i2c-1-0020/pcf8574/7") == LineName("i2c-1-0020", "pcf8574", 7)
    assert parse_line_name("usb-1-1.2/usbrelay/8").device == "usb-1-1.2/usbrelay"
    assert i2c_address("i2c-10-003f") == (10, 0x3F)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i2c-1-0020/pcf8574/8", "pcf8574 has the lines 0 to 7, not 8"),
        ("usb-1-1.2/usbrelay/0", "usbrelay has the lines 1 to 8, not 0"),
        ("i2c-1-0020/pca9999/1", "no line is called 'i2c-1-0020/pca9999/1'; a name is like"),
        ("i2c-1-0090/pcf8574/1", "no line is called"),
        ("usb-1/usbrelay/1", "no line is called"),
    ],
)
def test_a_name_that_is_none_is_refused_with_its_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_line_name(text)
    whole = (
        f'[cloud]\nbase_url = "https://a.example"\n[board.linux]\nrelays = [{{ name = "a", heat_line = "{text}" }}]\n'
    )
    with pytest.raises(ConfigInvalid, match=words):
        resolve_text(whole, file="test", directory=Path("/"), environ={})


MIXED = """[cloud]
base_url = "https://a.example"
[board]
name = "linux"
[board.linux]
relays_active_low = true
relays = [
  { name = "living", heat_line = "i2c-1-0020/pcf8574/0", cool_line = 17 },
  { name = "bath", heat_line = "i2c-1-0021/mcp23017/3" },
]
heat_source_lines = [{ part = "pump", line = "usb-1-1.2/usbrelay/1" }, { part = "heat", line = 4 }]
"""


def test_each_device_has_its_lines_and_gpio_comes_first(tmp_path: Path) -> None:
    config = resolve_text(MIXED, file="test", directory=tmp_path, environ={}).config
    assert list(outputs.wirings_of(config.board.linux)) == [
        RelayWiring("/dev/gpiochip0", (ZoneRelays("living", None, 17),), {"heat": 4}, is_active_low=True),
        RelayWiring("i2c-1-0020/pcf8574", (ZoneRelays("living", 0),), {}, is_active_low=True),
        RelayWiring("i2c-1-0021/mcp23017", (ZoneRelays("bath", 3),), {}, is_active_low=True),
        RelayWiring("usb-1-1.2/usbrelay", (), {"pump": 1}, is_active_low=False),
    ]


@pytest.fixture
def smbus(monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    bus = FakeBus()
    monkeypatch.setattr("hal.linux.expanders.SmbusPort", lambda _: bus)
    return bus


EXPANDER = """[cloud]
base_url = "https://a.example"
[board]
name = "linux"
[board.linux]
relays = [{ name = "living", heat_line = "i2c-1-0020/pcf8574/0" }]
"""


async def test_the_board_drives_an_expander_and_closes_it_off(tmp_path: Path, smbus: FakeBus) -> None:
    config = resolve_text(EXPANDER, file="test", directory=tmp_path, environ={}).config
    board = LinuxBoard(sysfs_root=tmp_path, proc_root=tmp_path, wirings=outputs.wirings_of(config.board.linux))
    assert board.outputs is not None
    await board.outputs.apply(HvacDemand({"living": HEAT}))
    assert smbus.pcf.latch == 0xFE
    await board.close()
    assert (smbus.pcf.latch, smbus.is_closed) == (0xFF, True)


def test_what_a_killed_agent_left_on_goes_off_afterwards(tmp_path: Path, smbus: FakeBus) -> None:
    path = tmp_path / "config.toml"
    path.write_text(EXPANDER)
    smbus.pcf.latch = 0xFE
    assert outputs.main(path) == 0
    assert smbus.pcf.latch == 0xFF


def test_an_expander_that_is_gone_keeps_no_other_device_on(
    tmp_path: Path, smbus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        EXPANDER.replace('pcf8574/0" }]', 'pcf8574/0" }, { name = "b", heat_line = "i2c-1-0021/mcp23017/0" }]').replace(
            "0020/pcf", "0024/pcf"
        )
    )
    smbus.mcp.set(IODIR, 0xFFFE)
    assert outputs.main(path) == outputs.EXIT_CONFIG
    assert "i2c-1-0024/pcf8574: No such device or address; it does not answer" in capsys.readouterr().err
    assert smbus.mcp.get(OLAT) == 0x0001


async def test_missing_smbus2_and_bus_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    with pytest.raises(ActuatorFault, match=r"pip install 'climahub\[i2c\]'"):
        await RelayOutputs(PCF).apply(HvacDemand())
    for error, words in (
        (FileNotFoundError(2, "none"), r"/dev/i2c-1 does not exist; enable the bus \(dtparam=i2c_arm=on"),
        (PermissionError(13, "no"), "/dev/i2c-1: this user has no permission to open it; add the user to the group"),
        (OSError(5, "Input/output error"), r"/dev/i2c-1 cannot be opened \(Input/output error\)"),
    ):

        def fail(_: Path, error: OSError = error) -> FakeBus:
            raise error

        monkeypatch.setattr("hal.linux.expanders.SmbusPort", fail)
        with pytest.raises(ActuatorFault, match=words):
            await RelayOutputs(PCF).apply(HvacDemand())
