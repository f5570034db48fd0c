"""Reports on the hub: as many sections as are asked for and fit. Changes nothing, so a crash costs nothing."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord
from agent.commands.payloads import requested_sections
from agent.errors import ClimahubError, Transient
from agent.foundation.supervisor import contain_failure

Section = Callable[[], Any]
"""Returns JSON values. May raise `OSError` where the machine does not say."""


class DiagnosticsHandler:
    """The command `diagnostics`."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        """Prepare.

        Args:
            sections: What can be reported, by name, in the order of the report.
        """
        self._sections = sections

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: nothing, `{}`, or a list of `sections`."""
        requested_sections(payload, self._sections.keys())

    async def prepare(self) -> None:
        """See `Handler`: nothing hinders it."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `Handler`."""
        wanted = requested_sections(record.payload or {}, self._sections.keys())
        return CommandOutcome(CommandEvent.SUCCEED, result={name: self._told(name) for name in wanted})

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `Handler`: asking again does no harm."""
        del record
        return None

    def _told(self, name: str) -> Any:  # noqa: ANN401 (any JSON)
        """Return one section; one that cannot be had costs no other."""
        try:
            with contain_failure(f"section {name} of the diagnostics"), _read_errors():
                return self._sections[name]()
        except ClimahubError as error:
            return {"problem": str(error)}


@contextlib.contextmanager
def _read_errors() -> Iterator[None]:
    """Let what the machine does not say be no defect."""
    try:
        yield
    except OSError as error:
        raise Transient(str(error)) from error
