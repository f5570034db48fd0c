"""Switches off all outputs after the agent has ended (`climahub run --outputs-off`), and maps the relays to GPIO lines.

It also saves the result that the service manager gives for this end, for the next start.

A relay may stay on until this has run. So it must import only the configuration and the GPIO lines: that takes a
fraction of the agent's start, and works with an agent that cannot be imported.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import BoardConfig, LinuxConfig, load_board
from agent.errors import ConfigInvalid
from agent.foundation.text import escape_lines
from hal.errors import HalError

if TYPE_CHECKING:
    from hal.linux.gpio import RelayWiring

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: a restart does not help."""


def main(config_path: Path) -> int:
    """Switch off all outputs and return the exit code."""
    try:
        switch_off(load_board(config_path))
    except (ConfigInvalid, HalError) as error:
        sys.stderr.write(f"climahub: {escape_lines(str(error))}\n")
        return EXIT_CONFIG
    finally:
        from agent.foundation.host import record_service_result  # noqa: PLC0415 - the outputs must not wait for it

        record_service_result(os.environ)
    return 0


def switch_off(config: BoardConfig) -> None:
    """Switch off the outputs of a board, if it has relays.

    Raises:
        ActuatorFault: Some lines are not available; the others are off.
    """
    wiring = wiring_of(config.linux) if config.name == "linux" else None
    if wiring is not None:
        from hal.linux.gpio import GpioOutputs  # noqa: PLC0415 - hubs without relays may lack it

        outputs = GpioOutputs(wiring)
        outputs.off()
        outputs.close()


def wiring_of(config: LinuxConfig) -> "RelayWiring | None":
    """Return which relay is on which line; `None` without relays."""
    if not config.relays:
        return None
    from hal.linux.gpio import RelayWiring, ZoneRelays  # noqa: PLC0415 - as above

    return RelayWiring(
        chip=config.gpio_chip,
        zones=tuple(ZoneRelays(relay.name, relay.heat_line, relay.cool_line) for relay in config.relays),
        heat_source={part.part: part.line for part in config.heat_source_lines},
        is_active_low=config.relays_active_low,
    )
