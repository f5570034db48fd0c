"""What is needed to read a device on a bus: overlay, module, package, permission. Pure, and never guesses a chip.

Source of the overlays: overlays/README of Raspberry Pi's firmware (`i2c-sensor`, `i2c-rtc`, `w1-gpio`, `dtparam`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

CONFIG_TXT = "/boot/firmware/config.txt"
HEADER_BUS = "i2c-1"
"""The bus on pins 3 and 5, which is the overlays' own where they name none."""

ENABLE_I2C = f"add dtparam=i2c_arm=on to {CONFIG_TXT} and restart: the bus on pins 3 and 5 is off"
LOAD_I2C_DEV = "echo i2c-dev | sudo tee /etc/modules-load.d/i2c-dev.conf, then sudo modprobe i2c-dev"
INSTALL_SMBUS2 = "pip install 'climahub[i2c]'"
ENABLE_ONE_WIRE = f"for 1-Wire thermometers add dtoverlay=w1-gpio,gpiopin=4 to {CONFIG_TXT} and restart"
LOAD_ONE_WIRE = "sudo modprobe w1-therm: no driver reads it"

_OVERLAYS: Mapping[int, Sequence[tuple[str, str]]] = MappingProxyType(
    {
        0x23: (("BH1750 (light)", "bh1750"),),
        0x38: (("AHT10, AHT20", "aht10"),),
        0x39: (("TSL4531 (light)", "tsl4531"),),
        0x58: (("SGP30", "sgp30"),),
        0x5A: (("CCS811", "ccs811"),),
        0x5C: (("BH1750 (light)", "bh1750"),),
        0x69: (("SPS30 (dust)", "sps30"),),
        0x76: (("BMP280", "bmp280"), ("DPS310", "dps310")),
        0x77: (("BMP280", "bmp280"), ("BMP180", "bmp180"), ("DPS310", "dps310")),
    }
)
"""Sensors that only a driver of the kernel reads, by the address where they can be: name, and parameter of the overlay
`i2c-sensor`."""

_OTHERS: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys(range(0x20, 0x28), "perhaps a line expander, PCF8574 or MCP23017 (board.linux.relays)"),
        **dict.fromkeys(range(0x39, 0x3C), "perhaps a line expander, PCF8574A (board.linux.relays)"),
        **dict.fromkeys((0x3C, 0x3D), "perhaps a display"),
        **dict.fromkeys(range(0x50, 0x58), "perhaps a memory, such as that of a HAT"),
        0x68: f"perhaps a clock: for a DS3231 add dtoverlay=i2c-rtc,ds3231 to {CONFIG_TXT}",
        **dict.fromkeys(range(0x70, 0x76), "perhaps a multiplexer: dtoverlay=i2c-mux,pca9548"),
    }
)


def overlay_line(overlay: str, bus: str, address: int) -> str:
    """Return the line of config.txt for a sensor; empty where the overlay does not know it."""
    if not overlay:
        return ""
    place = "" if bus == HEADER_BUS else f",{bus.replace('-', '')}"
    return f"dtoverlay=i2c-sensor,{overlay},addr={address:#04x}{place}"


def advice_for_known(overlay: str, bus: str, address: int, *, is_pi: bool) -> str:
    """Return what may be done about a chip that the hub reads itself."""
    line = overlay_line(overlay, bus, address) if is_pi else ""
    return f"nothing is needed; the kernel's driver would take it over by {line}" if line else "nothing is needed"


def advice_for_unknown(bus: str, address: int, *, is_pi: bool) -> str:
    """Return what may be done about a device that answers and is none of the chips that the hub can read."""
    lines = [f"{name}: {overlay_line(overlay, bus, address)}" for name, overlay in _OVERLAYS.get(address, ())]
    if lines and is_pi:
        return f"if it is one of these, add its line to {CONFIG_TXT} and restart: {'; '.join(lines)}"
    other = _OTHERS.get(address, "")
    return other or "see its data sheet: the hub cannot read it, a driver of the kernel may"
