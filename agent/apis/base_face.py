"""What every local API has in common: its name, prefix and table, and neither loops nor headers where it says nothing.

Decides nothing: see `agent.apis.face.Face` for what each of these is for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from agent.apis.catalog import APIS
from agent.apis.face import ApiRoute, LimitUse
from agent.apis.openapi import with_document


class BaseFace:
    """The base of a face.

    Attributes:
        name: As in `[apis]`.
        prefix: Where it is mounted.
        routes: Every call, and its description.
    """

    def __init__(self, name: str, calls: Sequence[ApiRoute]) -> None:
        """Prepare the table.

        Args:
            name: As in `[apis]`.
            calls: What the description describes.
        """
        self.name = name
        self.prefix = APIS[name].prefix
        self.routes: Sequence[ApiRoute] = with_document(name, calls)

    def limit_headers(self, uses: Sequence[LimitUse]) -> Mapping[str, str]:
        """Return no headers: of an API that publishes none about its limits."""
        del uses
        return {}

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return no loops."""
        return {}
