"""The handler of the support bundle. Must stay light to import: most hubs never make one."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from agent.config import Config
from agent.foundation.clock import Clock
from agent.local.routes import Handler, Handlers, LocalRequest, Stream

if TYPE_CHECKING:
    from agent.port.bundle.support_bundle import SupportBundle

MEDIA_TYPE = "application/octet-stream"
"""Whether a bundle is a tar.zst or a zip depends on the hub; its name says which."""


def handlers(config: Config, *, all_handlers: Callable[[], Handlers], clock: Clock) -> Mapping[str, Handler]:
    """Return the handler; see `agent.port.bundle.support_bundle.SupportBundle` for the arguments."""
    made: SupportBundle | None = None

    async def get_support_bundle(_: LocalRequest) -> Annotated[Stream, MEDIA_TYPE]:
        nonlocal made
        # Imported late: archives and their programs take 2 MiB.
        from agent.port.bundle.support_bundle import SupportBundle  # noqa: PLC0415

        if made is None:
            made = SupportBundle(config, handlers=all_handlers, clock=clock)
        return made.make()

    return {"get_support_bundle": get_support_bundle}
