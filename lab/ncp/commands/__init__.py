"""What the stick does for each command of its host: one function a command, and the table of them.

Silicon Labs UG100, "EZSP Reference Guide". A command that is not in the table is refused, as an old stick refuses a new
one: a success that nothing stands behind would hide a host's mistake.
"""

from collections.abc import Mapping
from types import MappingProxyType

from lab.ncp.commands import messages, network, security, setup, tokens
from lab.ncp.commands.handler import Fields, Handler
from lab.ncp.coordinator import Coordinator
from lab.ncp.ezsp import EzspCommand

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {**setup.HANDLERS, **tokens.HANDLERS, **network.HANDLERS, **security.HANDLERS, **messages.HANDLERS}
)


def execute(coordinator: Coordinator, request: EzspCommand, now_s: float) -> Fields | None:
    """Carry out a command and return the fields of its answer; `None` where the command is not known."""
    handler = HANDLERS.get(request.name)
    if handler is None:
        return None
    coordinator.now_s = now_s
    return handler(coordinator, request.arguments)


__all__ = ["HANDLERS", "execute"]
