"""`climahub sensors scan`: what answers on each bus of the machine, who reads it, and what would be needed.

A running hub is asked, because two programs that speak with one chip disturb each other. Without one the buses are
asked from here.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import NoAnswer, config_option, run_on_hub, socket_option
from hal.channels import BusDevice, BusScan, MachineScan

ROUTE = "/v1/tests/bus-scan"

TIMEOUT_S = 30.0
"""The hub gives up a bus that hangs after 15 s."""


@click.command(
    epilog=epilog(
        "climahub sensors scan",
        "climahub sensors scan --json | jq '.buses[].devices[] | select(.driver == \"\")'",
        exits="0 done, 77 this user may not ask",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@config_option
@socket_option
def scan(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show what answers on each I2C and 1-Wire bus, who reads it, and what would be needed to read the rest.

    Asks the running hub, else the buses themselves: only a byte is read where no known sensor can be.
    """

    def ask(path: Path) -> None:
        try:
            body = hub_client.fetch(path, ROUTE, method="POST", timeout_s=TIMEOUT_S)
            found = hub_client.decode(body, MachineScan)
        except NoAnswer:
            found = scan_here()
            body = msgspec.json.encode(found)
        click.echo(hub_client.as_json(body) if as_json else as_text(found))

    return run_on_hub(ask, config_file, socket_path)


def scan_here() -> MachineScan:
    """Return what answers on this machine's buses, asked by this process."""
    # Imported late: most commands need no hardware.
    from hal.linux.bus_scan import MachineBuses  # noqa: PLC0415
    from hal.linux.i2c.chip_source import find_i2c_chips  # noqa: PLC0415

    root = Path("/sys")
    buses = MachineBuses(
        find_i2c_chips(sysfs_root=root, now_ms=lambda: time.monotonic_ns() // 1_000_000), sysfs_root=root
    )
    return MachineScan([buses.scan(bus) for bus in buses.buses()], buses.missing())


def as_text(found: MachineScan) -> str:
    """Return the scan for a person: each bus, a line for each device, then what is missing."""
    lines = [line for bus in found.buses for line in _bus_lines(bus)]
    if not found.buses:
        lines.append("this machine shows no I2C or 1-Wire bus")
    return "\n".join([*lines, *(f"! {sentence}" for sentence in found.missing)])


def _bus_lines(bus: BusScan) -> Iterator[str]:
    yield f"{bus.bus}  {bus.name}".rstrip()
    for device in bus.devices:
        yield f"  {_device(device)}"
    if bus.problem:
        yield f"  ! {bus.problem}"
    elif not bus.devices:
        yield "  nothing answers: check the wiring and supply of a sensor that should be here"


def _device(device: BusDevice) -> str:
    place = device.address.replace("00", "0x", 1) if len(device.address) == 4 else device.address  # noqa: PLR2004
    reader = f"read by {device.driver}" if device.driver else "read by nobody"
    return f"{place}  {device.chip or 'unknown'}, {reader}" + (f": {device.advice}" if device.advice else "")
