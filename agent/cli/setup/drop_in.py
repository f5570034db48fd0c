"""The drop-in by which setup opens to the service what its configuration needs: buses, lines, sticks, the key. Pure.

Opens one device or class of devices for each need, as the drop-ins in `systemd/` do, which say why.
"""

from collections.abc import Collection, Sequence

import msgspec

from agent.config import Config
from agent.outputs import wirings_of
from hal.line_names import i2c_address, parse_line_name

KEY_UNIT = "climahub-key.service"
DECRYPTED_KEY = "/run/climahub-key/api-key"
"""Where that unit puts the key: memory that only root can read, and that the service's credential is loaded from."""

_SERIAL = ("char-ttyUSB", "char-ttyACM", "char-ttyAMA")


class Needs(msgspec.Struct, frozen=True):
    """What the service has to open.

    Attributes:
        devices: As `DeviceAllow=` names them.
        groups: Of those devices.
        is_key_encrypted: The key is a credential that `KEY_UNIT` decrypts.
    """

    devices: Sequence[str] = ()
    groups: Sequence[str] = ()
    is_key_encrypted: bool = False


def needs_of(config: Config, buses: Collection[str], *, is_key_encrypted: bool = False) -> Needs:
    """Return what a configuration needs on this machine.

    Args:
        config: The configuration.
        buses: The buses that the hub itself reads, such as "i2c-1".
        is_key_encrypted: See `Needs`.
    """
    devices: dict[str, str] = {f"/dev/{bus}": "i2c" for bus in sorted(buses) if bus.startswith("i2c-")}
    if config.board.name == "linux":
        linux = config.board.linux
        if linux.mains_line is not None or linux.button_line is not None:
            devices["char-gpiochip"] = "gpio"
        for wiring in wirings_of(linux):
            if wiring.is_on_gpio:
                devices["char-gpiochip"] = "gpio"
            elif wiring.device.startswith("i2c-"):
                bus, _ = i2c_address(parse_line_name(f"{wiring.device}/{wiring.lines[0]}").bus_address)
                devices[f"/dev/i2c-{bus}"] = "i2c"
            else:
                devices["/dev/climahub-usb-relay"] = ""
    if config.zigbee.port != "none" or config.boiler.address.startswith("/"):
        devices |= dict.fromkeys(_SERIAL, "dialout")
    groups = tuple(dict.fromkeys(filter(None, devices.values())))
    return Needs(tuple(devices), groups, is_key_encrypted)


def drop_in_text(needs: Needs, groups: Collection[str]) -> str:
    """Return the drop-in; empty where nothing is needed.

    Args:
        needs: What the service has to open.
        groups: The groups of this machine: systemd starts no service of a group that does not exist.
    """
    unit = [f"Wants={KEY_UNIT}", f"After={KEY_UNIT}"] if needs.is_key_encrypted else []
    service = ["PrivateDevices=no"] if needs.devices else []
    service += [f"DeviceAllow={device} rw" for device in needs.devices]
    service += [f"SupplementaryGroups={group}" for group in needs.groups if group in groups]
    if needs.is_key_encrypted:
        service.append(f"LoadCredential=climahub-api-key:{DECRYPTED_KEY}")
    parts = [f"[{name}]\n" + "\n".join(lines) for name, lines in (("Unit", unit), ("Service", service)) if lines]
    return (
        "\n".join(("# Written by climahub setup, which writes it anew: docs/install.md", *parts, "")) if parts else ""
    )
