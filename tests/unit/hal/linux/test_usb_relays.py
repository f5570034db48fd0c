"""Relays on a USB board: found by its port and product, switched by its protocol, read back, off before and after."""

import errno
from pathlib import Path

import pytest

from hal.errors import ActuatorFault
from hal.interface import HvacAction, HvacDemand
from hal.linux.output_lines import OutputLines, RelayWiring, ZoneRelays
from hal.linux.relays import RelayOutputs
from hal.linux.usb_relays import HIDIOCGFEATURE, open_usb_relays

HEAT = HvacAction.HEAT
WIRING = RelayWiring("usb-1-1.2/usbrelay", (ZoneRelays("living", 1), ZoneRelays("bath", 4)))


class Machine:
    """A machine with a board of four relays at USB port 1-1.2; its hidraw device is a file that keeps what is written.

    The firmware's side of the protocol is that of u1f35c/usb-relay-firmware: report 1 returns serial and state.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sysfs, self.dev = root / "sys", root / "dev"
        self.usb = self.sysfs / "bus/usb/devices/1-1.2"
        self.dev.mkdir()
        self.node = self.dev / "hidraw3"
        self.state = 0
        self.seen = 0
        self.error: OSError | None = None
        self.answer_bytes = 9
        monkeypatch.setattr("hal.linux.usb_relays.fcntl.ioctl", self._ioctl)

    def plug(self, product: str = "USBRelay4", number: int = 3) -> None:
        hid = self.usb / f"1-1.2:1.0/0003:16C0:05DF.0001/hidraw/hidraw{number}"
        hid.mkdir(parents=True)
        (self.usb / "product").write_text(f"{product}\n")
        self.node = self.dev / f"hidraw{number}"
        self.node.touch()

    def _ioctl(self, fd: int, request: int, report: bytearray) -> int:
        if self.error is not None:
            raise self.error
        assert (request, report[0]) == (HIDIOCGFEATURE, 1)
        self._obey()
        report[:8] = b"BITFT\0\0" + bytes([self.state])
        return self.answer_bytes

    def _obey(self) -> None:
        for each in self.reports[self.seen :]:
            number, command, relay, *rest = each
            assert (number, rest) == (0, [0] * 6)
            bit = 1 << (relay - 1)
            self.state = {0xFF: self.state | bit, 0xFD: self.state & ~bit}[command]
        self.seen = len(self.reports)

    @property
    def reports(self) -> list[bytes]:
        written = self.node.read_bytes()
        return [written[start : start + 9] for start in range(0, len(written), 9)]

    @property
    def on(self) -> int:
        self._obey()
        return self.state

    def open(self, wiring: RelayWiring) -> OutputLines:
        return open_usb_relays(wiring, self.sysfs, self.dev)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


async def test_relays_follow_the_demand_and_others_on_the_board_stay(machine: Machine) -> None:
    machine.plug()
    machine.state = 0b1010  # ours is on from before, and one of somebody else
    relays = RelayOutputs(WIRING, machine.open)
    await relays.apply(HvacDemand({"living": HEAT}))
    assert machine.on == 0b0011
    assert [each[:3] for each in machine.reports] == [b"\x00\xfd\x04", b"\x00\xff\x01"]
    await relays.apply(HvacDemand({"living": HEAT}))
    assert len(machine.reports) == 2
    relays.close()
    assert machine.on == 0b0010


async def test_a_board_that_was_plugged_in_again_is_found_under_another_number_and_set_again(machine: Machine) -> None:
    machine.plug()
    relays = RelayOutputs(WIRING, machine.open)
    await relays.apply(HvacDemand({"bath": HEAT}))
    machine.error = OSError(errno.ENODEV, "No such device")
    with pytest.raises(ActuatorFault, match="No such device; check the board's plug"):
        await relays.apply(HvacDemand({"bath": HEAT}))
    machine.error, machine.state, machine.seen = None, 0, 0
    (machine.usb / "1-1.2:1.0/0003:16C0:05DF.0001/hidraw/hidraw3").rmdir()
    machine.plug(number=5)
    await relays.apply(HvacDemand({"bath": HEAT}))
    assert machine.on == 0b1000


async def test_a_relay_that_does_not_follow_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.plug()
    monkeypatch.setattr(machine, "_obey", lambda: None)
    with pytest.raises(ActuatorFault, match="usbrelay: line 4 did not follow"):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand({"bath": HEAT}))


@pytest.mark.parametrize(
    ("product", "words"),
    [
        ("", "nothing is plugged in at USB port 1-1.2; check the board's plug"),
        ("USB Keyboard", "plug the relay board in at USB port 1-1.2, or name its port: 'USB Keyboard' is there"),
        ("USBRelay2", "has no relay 4, only 1 to 2; check board.linux"),
    ],
)
async def test_what_is_no_such_board_is_never_written_to(machine: Machine, product: str, words: str) -> None:
    if product:
        machine.plug(product)
    with pytest.raises(ActuatorFault, match=words):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand({"bath": HEAT}))
    assert not machine.node.exists() or not machine.reports


async def test_a_board_that_cannot_be_opened_or_answers_short_is_explained(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.plug()
    machine.answer_bytes = 3
    with pytest.raises(ActuatorFault, match="the board's answer is too short; check the board's plug"):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand())

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("hal.linux.usb_relays.os.open", refuse)
    with pytest.raises(ActuatorFault, match=r"no permission to open .*hidraw3; install systemd/62-climahub-usb-relay"):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand())
    monkeypatch.undo()
    machine.node.unlink()
    with pytest.raises(ActuatorFault, match=r"hidraw3 cannot be opened \(No such file or directory\)"):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand())
    (machine.usb / "1-1.2:1.0/0003:16C0:05DF.0001/hidraw/hidraw3").rmdir()
    with pytest.raises(ActuatorFault, match="the kernel offers no hidraw device for it"):
        await RelayOutputs(WIRING, machine.open).apply(HvacDemand())
