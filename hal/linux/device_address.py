"""Where a device is connected, from its place in sysfs: an address that is the same over boots and glitches.

Facts: the kernel's Documentation/admin-guide/sysfs-rules.rst (a device's directory has a link `subsystem`; the parents
of a device are the directories above it), Documentation/i2c/i2c-sysfs.rst (`1-0076` is address 0x76 on bus 1; an
adapter's number is fixed by the machine's description, but given out in turn to adapters on USB, PCI and behind a
multiplexer), Documentation/w1/w1-generic.rst (`28-00000a1b2c3d` is family and serial number), and
Documentation/driver-api/usb/usb.rst (`1-1.2:1.0` is interface 1.0 of the device at port 1-1.2).

Numbers that the kernel gives out in turn (`hwmonN`, `iio:deviceN`) must never be part of an address.
"""

import re
from pathlib import Path

import msgspec

_I2C = re.compile(r"([0-9]+)-([0-9a-f]{4})")
_ONE_WIRE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{12}")
_ADAPTER = re.compile(r"i2c-[0-9]+")


class DeviceAddress(msgspec.Struct, frozen=True):
    """An address.

    Attributes:
        prefix: Begins the names of the device's channels: `i2c-1-0076`, `w1-28-00000a1b2c3d`, `usb-1-1.2`, `spi-0.0`.
        bus: What is shared while the device is read: `i2c-1`, `w1_bus_master1`, `usb-1-1.2`, `spi-0`.
        address: On that bus.
    """

    prefix: str
    bus: str
    address: str


def address_of(device: Path) -> DeviceAddress | None:
    """Return the address of a device, or of the nearest parent that has one; `None` for a part of the machine."""
    path = device.resolve()
    for directory in (path, *path.parents):
        match _subsystem(directory), directory.name:
            case "i2c", name if found := _I2C.fullmatch(name):
                return DeviceAddress(f"{i2c_adapter(directory.parent)}-{found[2]}", f"i2c-{found[1]}", found[2])
            case "w1", name if _ONE_WIRE.fullmatch(name):
                return DeviceAddress(f"w1-{name}", directory.parent.name, name)
            case "spi", name if name.startswith("spi"):
                place = name.removeprefix("spi")
                return DeviceAddress(f"spi-{place}", f"spi-{place.partition('.')[0]}", place.partition(".")[2])
            case "usb", name:
                port = name.partition(":")[0]
                return DeviceAddress(f"usb-{port}", f"usb-{port}", port)
    return None


def i2c_adapter(adapter: Path) -> str:
    """Return the stable name of an I2C adapter: its own, or what it is connected to where its number is given out.

    Args:
        adapter: Its directory, such as `/sys/bus/i2c/devices/i2c-1`.
    """
    path = adapter.resolve()
    for parent in path.parents:
        match _subsystem(parent), parent.name:
            case "usb", name:
                return f"usb-{name.partition(':')[0]}"
            case "pci", name:
                beside = [each for each in parent.iterdir() if _ADAPTER.fullmatch(each.name)]
                return f"pci-{name}" if len(beside) == 1 else path.name
            case "i2c", name if found := _I2C.fullmatch(name):
                channel = _mux_channel(parent, path)
                return f"{i2c_adapter(parent.parent)}-{found[2]}-{channel}" if channel else path.name
    return path.name


def gpio_chip_bus(chip: str, sysfs_root: Path) -> str:
    """Return the bus that the lines of a GPIO chip are behind (`pcf857x`, `pinctrl-mcp23s08`), which can hang.

    Empty for a part of the processor, which answers in microseconds. A chip that is not there yet waits for its driver,
    as expanders do: its own name stands for its bus.

    Args:
        chip: Its character device, or a link to it. Its name is that of the device in `/sys/bus/gpio/devices`.
        sysfs_root: Mount point of sysfs.
    """
    device = Path(chip).resolve()
    if not device.exists():
        return device.name
    address = address_of(sysfs_root / "bus" / "gpio" / "devices" / device.name)
    return "" if address is None else address.bus


def _mux_channel(mux: Path, adapter: Path) -> str:
    """Return the channel of a multiplexer that an adapter is: `channel-N` links to it (drivers/i2c/i2c-mux.c)."""
    for link in mux.glob("channel-*"):
        if link.resolve() == adapter:
            return link.name.replace("channel-", "ch")
    return ""


NO_DEVICE = "virtual"
"""In place of an address, for a chip without a device."""


def bus_name(device: Path) -> str:
    """Return the name of the nearest device on any bus: the address in names of the hwmon class, such as a PCI slot."""
    if not device.exists():
        return NO_DEVICE
    path = device.resolve()
    for parent in (path, *path.parents):
        if _subsystem(parent):
            return parent.name
    return path.name


def driver_of(device: Path) -> str:
    """Return the name of the kernel's driver that is bound to a device; empty without one."""
    link = device / "driver"
    return link.resolve().name if link.is_symlink() else ""


def _subsystem(directory: Path) -> str:
    """Return the bus of a device; empty for a device of a class and for a directory that is no device."""
    link = directory / "subsystem"
    if not link.is_symlink():
        return ""
    target = link.resolve()
    return target.name if target.parent.name == "bus" else ""
