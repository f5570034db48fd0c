"""The checks of a running hub, and their route. They are imported with the first run: an idle hub does without."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.local.routes import Handler, LocalRequest
from agent.port.checks.report import ChecksReport
from agent.port.history.recorder import History
from agent.port.hub_parts import HubParts

if TYPE_CHECKING:
    from agent.port.checks.facts import Missing, PortState
    from agent.port.checks.runner import CheckRunner


class ChecksService:
    """The checks of one hub."""

    def __init__(self, hub: HubParts, history: History, port: "Callable[[], PortState | Missing]") -> None:
        """Prepare; nothing is read.

        Args:
            hub: What is looked at.
            history: The sensors' values of the last days.
            port: Returns the state of the technician's port.
        """
        self._hub = hub
        self._history = history
        self._port = port
        self._runner: CheckRunner | None = None

    async def run(self) -> ChecksReport:
        """Run all checks; within 10 s."""
        if self._runner is None:
            from agent.port.checks.hub_probes import make_runner  # noqa: PLC0415 - see above

            self._runner = make_runner(self._hub, self._history, self._port)
        return await self._runner.run()

    def forget(self) -> None:
        """Have the next run look anew: something was repaired."""
        if self._runner is not None:
            self._runner.forget()

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handler of the checks."""

        async def get_checks(_: LocalRequest) -> ChecksReport:
            return await self.run()

        return {"get_checks": get_checks}
