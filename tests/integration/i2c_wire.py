"""A /dev/i2c-1 with emulated chips, by umockdev: run by Debian's Python, which has its bindings, for another process.

Prints the directory of the test bed, then answers each line of JSON with one: `{"plug": {"0x76": "bme280"}}` replaces
the chips, `{"fault": ...}` plants a fault of `EmulatedBus`, `{"bad_checksum_at": n}` spoils one byte of each answer,
`{"short": true}` transfers one message fewer than asked for, `{"bound": [0x76]}` makes addresses busy. Each answer has
the addresses that were asked for since the last one, how many bytes went over the bus, and what expanders were told.

A transfer that hangs is not among them: umockdev holds up every thread of the process meanwhile, which the kernel does
not (tests/unit/hal/linux/i2c/test_chip_source.py lets one hang).
"""

import errno
import importlib
import json
import struct
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
emulated: Any = importlib.import_module("emulated_chips")
gi: Any = importlib.import_module("gi")
gi.require_version("UMockdev", "1.0")
UMockdev: Any = importlib.import_module("gi.repository.UMockdev")
GLib: Any = importlib.import_module("gi.repository.GLib")

READS = 0x0001
I2C_FUNC_I2C = 0x00000001
MESSAGE = struct.Struct("<HHHxxQ")
"""`struct i2c_msg` of 64 bits: address, flags, length, pointer."""

DEVICE = """P: /devices/platform/soc/7e804000.i2c/i2c-1
N: i2c-1
E: DEVNAME=/dev/i2c-1
E: SUBSYSTEM=i2c
A: name=bcm2835 (i2c@7e804000)
"""


def new_chip(name: str) -> Any:  # noqa: ANN401 - of a module that is imported by its path
    if name in emulated.EXPANDERS:
        return emulated.EXPANDERS[name]()
    return emulated.ready(emulated.ALL[name][1]())


class Wire(UMockdev.IoctlBase):  # type: ignore[misc]
    """Answers the ioctls of i2c-dev."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = emulated.EmulatedBus({})
        self.bound: set[int] = set()
        self.is_short = False

    def do_handle_ioctl(self, client: Any) -> bool:  # noqa: ANN401 - GObject
        argument = client.get_arg()
        # include/uapi/linux/i2c-dev.h of the kernel: I2C_FUNCS, I2C_SLAVE, I2C_RDWR.
        match client.get_request():
            case 0x0705:
                argument.resolve(0, 8).update(0, list(struct.pack("<Q", I2C_FUNC_I2C)))
                client.complete(0, 0)
            case 0x0703:
                address = int.from_bytes(bytes(argument.retrieve())[:8], "little")
                client.complete(*((-1, errno.EBUSY) if address in self.bound else (0, 0)))
            case 0x0707:
                try:
                    client.complete(self.transfer(argument.resolve(0, 16)), 0)
                except OSError as error:
                    client.complete(-1, error.errno)
            case _:
                return False
        return True

    def transfer(self, data: Any) -> int:  # noqa: ANN401 - GObject
        count = int.from_bytes(bytes(data.retrieve())[8:12], "little")
        messages = data.resolve(0, count * MESSAGE.size)
        raw = bytes(messages.retrieve())
        write, place, read_bytes, to = b"", None, 0, None
        for at in range(0, len(raw), MESSAGE.size):
            to, flags, length, _ = MESSAGE.unpack_from(raw, at)
            buffer = messages.resolve(at + MESSAGE.size - 8, length)
            if flags & READS:
                place, read_bytes = buffer, length
            else:
                write = bytes(buffer.retrieve())
        answer = self.bus.transfer(to, write, read_bytes)
        if self.is_short:
            return count - 1
        if place is not None:
            place.update(0, list(answer))
        return count

    def order(self, line: dict[str, Any]) -> dict[str, Any]:
        if "plug" in line:
            self.bus.chips = {int(address, 16): new_chip(name) for address, name in line["plug"].items()}
        if "fault" in line:
            fault = line["fault"]
            self.bus.bytes_done, self.bus.fault = 0, tuple(fault) if isinstance(fault, list) else fault
        for chip in self.bus.chips.values():
            if "bad_checksum_at" in line:
                chip.bad_checksum_at = line["bad_checksum_at"]
        self.bound = set(line.get("bound", self.bound))
        self.is_short = line.get("short", self.is_short)
        asked = sorted({address for address, _, _ in self.bus.transfers})
        self.bus.transfers.clear()
        told = [data.hex() for chip in self.bus.chips.values() for data in getattr(chip, "told", [])]
        return {"asked": asked, "bytes": self.bus.bytes_done, "told": told}


def main() -> None:
    testbed = UMockdev.Testbed.new()
    testbed.add_from_string(DEVICE)
    wire = Wire()
    testbed.attach_ioctl("/dev/i2c-1", wire)
    # The buses' list has each device by its name, which the test bed leaves out for a subsystem with a device node.
    devices = Path(testbed.get_root_dir()) / "sys" / "bus" / "i2c" / "devices"
    devices.mkdir(parents=True, exist_ok=True)
    if not (devices / "i2c-1").exists():
        (devices / "i2c-1").symlink_to("../../../devices/platform/soc/7e804000.i2c/i2c-1")
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    print(testbed.get_root_dir(), flush=True)  # noqa: T201 - the answer
    for line in sys.stdin:
        print(json.dumps(wire.order(json.loads(line))), flush=True)  # noqa: T201 - the answer


main()
