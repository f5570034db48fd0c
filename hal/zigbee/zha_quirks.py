"""The device table of the Zigbee community (zha-quirks), of which only what speaks of a met device is imported.

Importing all of it costs 43 MiB and more than two seconds; the modules of one device cost one or two MiB. There is no
index: which module speaks of a device is read from the text of the modules, once for each model that is met.
"""

import importlib
import linecache
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

_log = logging.getLogger(__name__)

_PACKAGE = "zhaquirks"

IMPORT_ERRORS = (ImportError, AttributeError, LookupError, TypeError, ValueError)
"""What a module for another zigpy ends with when it is imported: one broken module must not cost the radio."""


class MatchingModules(msgspec.Struct, frozen=True):
    """Modules that speak of a device.

    Attributes:
        both: They name its manufacturer and its model.
        either: They name one of the two, or are called like the model. Most devices are found before that.
    """

    both: tuple[str, ...] = ()
    either: tuple[str, ...] = ()


def naming(sources: Iterable[tuple[str, bytes]], manufacturer: str, model: str) -> MatchingModules:
    """Find the modules that speak of a device. Pure.

    What stands in a package counts for the modules in it: that is where a maker's name is kept.

    Args:
        sources: Name and text of each module.
        manufacturer: As the device calls it.
        model: Likewise.
    """
    patterns = [_quoted(word) for word in (manufacturer, model)]
    holders: list[set[str]] = [set() for _ in patterns]
    called: set[str] = set()
    for name, text in sources:
        for pattern, holding in zip(patterns, holders, strict=True):
            if pattern is not None and pattern.search(text):
                holding.add(name)
        if name.rpartition(".")[2] == model.strip().lower():
            called.add(name)
    either = set().union(*holders)
    both = {name for name in either if all(holding.intersection(_with_packages(name)) for holding in holders)}
    return MatchingModules(tuple(sorted(both)), tuple(sorted((either | called) - both)))


def _quoted(word: str) -> re.Pattern[bytes] | None:
    # Some makers put a space before their names, and the table adds it where it uses them.
    bare = word.strip()
    return re.compile(rb"""["'] ?""" + re.escape(bare.encode()) + rb"""["']""") if bare else None


def _with_packages(name: str) -> Sequence[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


class QuirkTable:
    """Resolves devices as the whole table would, and imports what that takes."""

    def __init__(self, package: ModuleType, registry: Any, register: Callable[[], None]) -> None:  # noqa: ANN401
        """Prepare; nothing of the table is imported yet.

        Args:
            package: The table.
            registry: Where its modules register what they know.
            register: Has the registry take in what the modules have left for it.
        """
        self._root = Path(package.__path__[0])
        self._registry = registry
        self._register = register
        self._met: set[tuple[str, str]] = set()

    def resolve(self, device: Any) -> Any:  # noqa: ANN401 - zigpy is untyped
        """Return a zigpy device, corrected where the table knows it."""
        met = (device.manufacturer or "", device.model or "")
        if met not in self._met:
            self._met.add(met)
            named = naming(self._sources(), *met)
            self._load(named.both)
            if self._registry.match_entry(device) is None:
                self._load(named.either)
        return self._registry.resolve(device)

    def _sources(self) -> Iterable[tuple[str, bytes]]:
        for path in sorted(self._root.rglob("*.py")):
            parts = [part for part in path.relative_to(self._root).with_suffix("").parts if part != "__init__"]
            yield ".".join((_PACKAGE, *parts)), path.read_bytes()

    def _load(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                importlib.import_module(name)
            except IMPORT_ERRORS as error:
                _log.warning("zigbee.quirks: %s cannot be used: %r", name, error)
        self._register()
        # Registering reads the source of what it registers.
        linecache.clearcache()


def table() -> QuirkTable:
    """Return the table.

    Raises:
        ImportError: It is not installed, or is not the version that this hub knows.
        AttributeError: Likewise.
    """
    package = importlib.import_module(_PACKAGE)
    registry = importlib.import_module("zha.quirks").DEVICE_REGISTRY
    # The last step of its `setup()`, which imports all of it first.
    return QuirkTable(package, registry, package._register_pending_quirks)  # noqa: SLF001
