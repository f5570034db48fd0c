"""What is there to set up: the machine, its channels with their values, and a Zigbee stick.

A running hub is asked for its channels, because two programs that speak with one chip disturb each other. Never drives
an output.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.cli import hub_client
from agent.config import BoardConfig, load, resolve_text
from agent.config.primary import choose_primary, is_machine_part
from agent.environment import make_board
from agent.errors import ConfigInvalid
from agent.foundation.clock import SystemClock
from agent.foundation.format import measured
from agent.foundation.text import plural, sanitize
from agent.local.hardware import BoardChannelReport, LiveSensorsReport
from hal.channels import KINDS, ChannelReader, FindsChannels, Quantity
from hal.errors import HalError

MODEL_FILES = ("proc/device-tree/model", "sys/class/dmi/id/product_name")
"""Of a board with a device tree, such as a Raspberry Pi, and of a PC."""

READ_S_MAX = 5.0
SHOWN_MAX = 12
"""Channels on a screen; the rest are counted."""


class Machine(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        model: Of the board; empty where it does not say.
        channels: What it measures now, the hub's own.
        sticks: The Zigbee sticks by name; the hub uses one that is alone.
    """

    model: str = ""
    channels: Sequence[BoardChannelReport] = ()
    sticks: Sequence[str] = ()

    @property
    def buses(self) -> frozenset[str]:
        """The buses that the hub reads itself, without a driver of the kernel."""
        return frozenset(channel.bus for channel in self.channels if channel.driver == "climahub")


def read_model(root: Path = Path("/")) -> str:
    """Return the machine's name of itself; empty where it has none."""
    for name in MODEL_FILES:
        with contextlib.suppress(OSError):
            return sanitize((root / name).read_text(errors="replace").strip("\0\n "))
    return ""


def find_sticks() -> Sequence[str]:
    """Return the ports of the Zigbee sticks that are plugged in; none where pyserial is not installed."""
    try:
        # Imported late: it needs pyserial, which a hub without a radio may lack.
        from hal.zigbee.serial_ports import list_sticks  # noqa: PLC0415
    except ImportError:
        return ()
    return list_sticks()


async def find_channels(board: BoardConfig, socket: Path) -> Sequence[BoardChannelReport]:
    """Return what this machine measures now, as the running hub says, or else read here.

    Args:
        board: Of the configuration.
        socket: Of the hub.
    """
    try:
        body = await asyncio.to_thread(hub_client.fetch, socket, "/v1/tests/sensors", timeout_s=30.0)
        return hub_client.decode(body, LiveSensorsReport).channels
    except (hub_client.NoAnswer, hub_client.RequestRefused):
        return await _read_here(board)


async def _read_here(board: BoardConfig) -> Sequence[BoardChannelReport]:
    """Find and read the channels, with no relay opened."""
    linux = msgspec.structs.replace(board.linux, relays=(), heat_source_lines=(), led="none")
    made = make_board(msgspec.structs.replace(board, linux=linux), SystemClock())
    try:
        if not isinstance(made, FindsChannels):
            return [
                BoardChannelReport(sensor.name, sensor.kind.value, None, "", None, "", "", "", "")
                for sensor in made.sensors
            ]
        await made.search()
        return [await _read(reader) for reader in made.channels]
    finally:
        await made.close()


async def _read(reader: ChannelReader) -> BoardChannelReport:
    channel, value, problem = reader.channel, None, ""
    try:
        async with asyncio.timeout(READ_S_MAX):
            value = await reader.read()
    except TimeoutError:
        problem = f"no answer within {READ_S_MAX:.0f} s"
    except HalError as error:
        problem = str(error)
    return BoardChannelReport(
        channel.name,
        channel.quantity.value,
        value,
        channel.unit,
        0 if value is not None else None,
        channel.bus,
        channel.address,
        channel.chip,
        channel.driver,
        problem,
    )


def find_present(config_file: Path) -> tuple[BoardConfig, Path, str]:
    """Return board, socket and cloud of the present configuration; the defaults of a hub where there is none."""
    try:
        config = load(config_file, environ={})
    except ConfigInvalid:
        text = '[cloud]\nbase_url = "https://none.invalid"\n[board]\nname = "linux"\n'
        config = resolve_text(text, file="", directory=Path("/"), environ={}).config
        return config.board, config.local_api.socket, ""
    return config.board, config.local_api.socket, config.cloud.base_url


def read_temperatures(board: BoardConfig, socket: Path) -> dict[str, float]:
    """Return what measures a temperature here now, by name, without parts of the machine itself. Blocks."""
    return {
        channel.sensor: channel.value
        for channel in asyncio.run(find_channels(board, socket))
        if channel.quantity == Quantity.TEMPERATURE
        and channel.value is not None
        and not is_machine_part(channel.sensor)
    }


def primary_of(channels: Sequence[BoardChannelReport]) -> Sequence[str]:
    """Return the sensors whose readings will be the hub's own in the cloud, if the configuration names no others."""
    sensors = [
        (channel.sensor, KINDS[Quantity(channel.quantity)])
        for channel in channels
        if channel.quantity in {quantity.value for quantity in KINDS}
    ]
    return tuple(dict.fromkeys(choose_primary(sensors, primary={}, disabled=()).sensors.values()))


def as_text(machine: Machine) -> str:
    """Return what was found, for a person: a line for the machine, and one for each channel."""
    primary = set(primary_of(machine.channels))
    lines = [f"{machine.model or 'a Linux machine'}, {plural(len(machine.channels), 'channel')}"]
    for channel in machine.channels[:SHOWN_MAX]:
        value = measured(channel.value, channel.unit) if channel.value is not None else channel.problem or "no value"
        mark = "  (the hub's own in the cloud)" if channel.sensor in primary else ""
        lines.append(f"{channel.sensor}  {value}{mark}")
    if len(machine.channels) > SHOWN_MAX:
        lines.append(f"and {len(machine.channels) - SHOWN_MAX} more: climahub sensors")
    lines += [f"Zigbee stick {stick}" for stick in machine.sticks]
    return "\n".join(lines)
