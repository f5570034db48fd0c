"""Builds the home for one hub when it is first needed: a hub without zones and APIs imports none of it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from agent.home.parts import HomeParts

if TYPE_CHECKING:
    from agent.home.home import Home


class HomeAssembly:
    """The home of one hub.

    Attributes:
        has_zones: The hub heats or cools something.
    """

    def __init__(self, parts: HomeParts) -> None:
        """Keep what it is built of."""
        self._parts = parts
        self.has_zones = parts.climate is not None

    @cached_property
    def home(self) -> "Home":
        """The home, built at the first use."""
        # Imported late: with the types of the climate control it takes 2 MiB.
        from agent.home.home import Home  # noqa: PLC0415

        return Home(self._parts)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of a home that has been built, by the name under which their faults are shown."""
        return self.home.loops() if "home" in vars(self) else {}
