"""Switches off what an agent that is gone may have left on (`climahub run --outputs-off`), and says what hangs where.

Keeps for the next start what the service manager says of this end.

A relay may stay on until this has run. So it imports the configuration and the lines and nothing else, which takes a
fraction of the time that the agent takes, and works where half of the agent cannot be imported.
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
"""EX_CONFIG of sysexits.h: starting again will not help."""


def main(config_path: Path) -> int:
    """Switch everything off; return the exit code."""
    try:
        off(load_board(config_path))
    except (ConfigInvalid, HalError) as error:
        sys.stderr.write(f"climahub: {escape_lines(str(error))}\n")
        return EXIT_CONFIG
    finally:
        from agent.foundation.host import record_service_result  # noqa: PLC0415 - after what must not wait

        record_service_result(os.environ)
    return 0


def off(config: BoardConfig) -> None:
    """Switch off a board's outputs. A board without relays has nothing to switch.

    Raises:
        ActuatorFault: Some lines cannot be had; the others are off.
    """
    wiring = wiring_of(config.linux) if config.name == "linux" else None
    if wiring is not None:
        from hal.linux.gpio import GpioOutputs  # noqa: PLC0415 - hubs without relays need not have it

        outputs = GpioOutputs(wiring)
        outputs.off()
        outputs.close()


def wiring_of(config: LinuxConfig) -> "RelayWiring | None":
    """Return what hangs on which line; `None` where nothing does."""
    if not config.relays:
        return None
    from hal.linux.gpio import RelayWiring, ZoneRelays  # noqa: PLC0415 - as above

    return RelayWiring(
        chip=config.gpio_chip,
        zones=tuple(ZoneRelays(relay.name, relay.heat_line, relay.cool_line) for relay in config.relays),
        heat_source={part.part: part.line for part in config.heat_source_lines},
        is_active_low=config.relays_active_low,
    )
