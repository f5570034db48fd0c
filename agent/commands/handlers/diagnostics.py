"""Reports on the hub: as many sections as are asked for and fit. Changes nothing, so a crash costs nothing."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.commands.handlers import Outcome
from agent.commands.lifecycle import Event, Record
from agent.commands.payloads import wanted_sections

Section = Callable[[], Any]
"""Returns JSON values. May raise `OSError` where the machine does not say."""


class Diagnostics:
    """The command `diagnostics`."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        """Prepare.

        Args:
            sections: What can be reported, by name, in the order of the report.
        """
        self._sections = sections

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: nothing, `{}`, or a list of `sections`."""
        wanted_sections(payload, self._sections.keys())

    async def execute(self, record: Record) -> Outcome:
        """See `Handler`."""
        wanted = wanted_sections(record.payload or {}, self._sections.keys())
        return Outcome(Event.SUCCEED, result={name: self._told(name) for name in wanted})

    async def reconcile(self, record: Record) -> Outcome | None:
        """See `Handler`: asking again does no harm."""
        del record
        return None

    def _told(self, name: str) -> Any:  # noqa: ANN401 (any JSON)
        try:
            return self._sections[name]()
        except OSError as error:
            return {"problem": str(error)}
