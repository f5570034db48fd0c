"""Switches off all outputs after the agent has ended (`climahub run --outputs-off`), and maps the relays to lines.

It also saves the result that the service manager gives for this end, for the next start.

A relay may stay on until this has run. So it must import only the configuration and the lines: that takes a
fraction of the agent's start, and works with an agent that cannot be imported.
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import BoardConfig, BoilerConfig, ClimateConfig, LinuxConfig, load_board, load_boiler
from agent.errors import ConfigInvalid
from agent.foundation.text import escape_lines
from hal.errors import ActuatorFault, HalError
from hal.line_names import LineName, parse_line_name

if TYPE_CHECKING:
    from hal.linux.output_lines import RelayWiring, ZoneRelays
    from hal.zigbee.output_table import LineUse

RESTING_PARTS = frozenset({"heat", "cool", "stage2", "aux"})
"""The parts of a heat source that have its minimum off time; pump, fan and valve need none."""

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: a restart does not help."""


def main(config_path: Path) -> int:
    """Switch off all outputs and return the exit code."""
    code = 0
    try:
        for act in (_switch_off, _hand_back):
            try:
                act(config_path)
            except (ConfigInvalid, HalError) as error:
                sys.stderr.write(f"climahub: {escape_lines(str(error))}\n")
                code = EXIT_CONFIG
    finally:
        from agent.foundation.host import record_service_result  # noqa: PLC0415 - the outputs must not wait for it

        record_service_result(os.environ)
    return code


def _switch_off(path: Path) -> None:
    switch_off(load_board(path))


def _hand_back(path: Path) -> None:
    hand_back(load_boiler(path))


def switch_off(config: BoardConfig) -> None:
    """Switch off the outputs of a board, if it has relays.

    Raises:
        ActuatorFault: Some lines are not available; the others are off.
    """
    wirings = wirings_of(config.linux) if config.name == "linux" else ()
    if not wirings:
        return
    from hal.linux.relays import RelayOutputs  # noqa: PLC0415 - hubs without relays do without

    problems = []
    # The GPIO chip comes first: it does not hang, unless it is an expander.
    for wiring in wirings:
        outputs = RelayOutputs(wiring)
        try:
            outputs.off()
        except HalError as error:
            problems.append(str(error))
        finally:
            outputs.close()
    if problems:
        raise ActuatorFault("; ".join(problems))


def hand_back(config: BoilerConfig) -> None:
    """Hand a boiler behind a gateway back to its own control.

    Raises:
        ActuatorFault: The gateway does not confirm that.
    """
    if config.driver == "none":
        return
    from hal.boilers import hand_back as boilers  # noqa: PLC0415 - as above

    if config.driver == "otgw":
        boilers.hand_back_otgw(config.address)
    else:
        boilers.hand_back_ebusd(config.address, config.ebusd_message)


def wirings_of(config: LinuxConfig, climate: ClimateConfig | None = None) -> "Sequence[RelayWiring]":
    """Return which relay is on which line, for each device that has some; the GPIO chip first.

    Args:
        config: Of the board.
        climate: Gives the lines their minimum off times; what only switches everything off needs none.
    """
    gpio = str(config.gpio_chip)
    names = [name for name in _line_names(config) if not name.radio_device]
    if not config.relays and not config.heat_source_lines:
        return ()

    def line_on(device: str, line: int | str | None) -> int | None:
        if isinstance(line, str):
            name = parse_line_name(line)
            return name.number if name.device == device else None
        return line if device == gpio else None

    devices = sorted({gpio, *(name.device for name in names)}, key=lambda each: (each != gpio, each))
    wirings = [_wiring(config, device, functools.partial(line_on, device), climate) for device in devices]
    return [wiring for wiring in wirings if wiring.lines]


def _rests_s(zones: "Sequence[ZoneRelays]", heat_source: Mapping[str, int], climate: ClimateConfig) -> dict[int, float]:
    """Return the minimum off time of what each line drives."""
    rests_s = {
        line: climate.heat_source_min_off_s if part in RESTING_PARTS else 0.0 for part, line in heat_source.items()
    }
    for zone in zones:
        for line in (zone.heat_line, zone.cool_line):
            if line is not None:
                # A line that drives both needs the longer rest.
                rests_s[line] = max(rests_s.get(line, 0.0), climate.relay_min_off_s)
    return rests_s


def radio_wiring_of(config: LinuxConfig) -> "tuple[RelayWiring, Sequence[LineName]]":
    """Return which zones and parts are on paired devices of the radio: each line by its place among the names."""
    names = list(dict.fromkeys(name for name in _line_names(config) if name.radio_device))

    def place(line: int | str | None) -> int | None:
        name = parse_line_name(line) if isinstance(line, str) else None
        return names.index(name) if name in names else None

    return _wiring(config, "zigbee", place), names


def radio_uses_of(config: BoardConfig, climate: ClimateConfig) -> "Sequence[LineUse]":
    """Return what the lines on paired devices drive, and its minimum off time."""
    if config.name != "linux":
        return ()
    from hal.zigbee.output_table import LineUse  # noqa: PLC0415 - as above

    wiring, names = radio_wiring_of(config.linux)
    drives = {line: part for part, line in wiring.heat_source.items()}
    for zone in wiring.zones:
        drives |= {line: zone.name for line in (zone.heat_line, zone.cool_line) if line is not None}
    rests_s = _rests_s(wiring.zones, wiring.heat_source, climate)
    return [LineUse(names[line], drives[line], rests_s[line]) for line in sorted(drives)]


def _line_names(config: LinuxConfig) -> Sequence[LineName]:
    lines = [line for relay in config.relays for line in (relay.heat_line, relay.cool_line)]
    lines += [part.line for part in config.heat_source_lines]
    return [parse_line_name(line) for line in lines if isinstance(line, str)]


def _wiring(
    config: LinuxConfig,
    device: str,
    number_of: Callable[[int | str | None], int | None],
    climate: ClimateConfig | None = None,
) -> "RelayWiring":
    """Return what is on one device; ``number_of`` returns its number of a configured line."""
    from hal.linux.output_lines import RelayWiring, ZoneRelays  # noqa: PLC0415 - as above

    relays = [ZoneRelays(each.name, number_of(each.heat_line), number_of(each.cool_line)) for each in config.relays]
    zones = tuple(each for each in relays if each.heat_line is not None or each.cool_line is not None)
    parts = [(part.part, number_of(part.line)) for part in config.heat_source_lines]
    heat_source = {part: line for part, line in parts if line is not None}
    return RelayWiring(
        device=device,
        zones=zones,
        heat_source=heat_source,
        is_active_low=_is_active_low(config, device),
        rests_s={} if climate is None else _rests_s(zones, heat_source, climate),
    )


def _is_active_low(config: LinuxConfig, device: str) -> bool:
    if device.startswith("i2c-"):
        return config.expanders_active_low
    # A USB board switches its relays itself.
    return config.relays_active_low and not device.startswith("usb-")
