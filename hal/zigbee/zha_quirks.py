"""The Zigbee community's device table (zha-quirks), imported module by module for the devices that are met.

Importing the whole table costs 43 MiB and more than two seconds; the modules of one device cost one or two MiB. There
is no index: the modules of a device are found by searching the modules' text, once for each model that is met.
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
"""Raised when a module for another zigpy version is imported: one broken module must not stop the radio."""


class MatchingModules(msgspec.Struct, frozen=True):
    """Modules that mention a device.

    Attributes:
        both: Modules that mention its manufacturer and its model.
        either: Modules that mention one of the two, or have the model as their name. Rarely needed.
    """

    both: tuple[str, ...] = ()
    either: tuple[str, ...] = ()


def find_modules(sources: Iterable[tuple[str, bytes]], manufacturer: str, model: str) -> MatchingModules:
    """Find the modules that mention a device. Pure.

    The text of a package counts for its modules: vendors' names are defined in packages.

    Args:
        sources: Name and text of each module.
        manufacturer: As reported by the device.
        model: Likewise.
    """
    words = [word.strip().encode() for word in (manufacturer, model)]
    patterns = [_quoted(word) for word in words]
    holders: list[set[str]] = [set() for _ in words]
    called: set[str] = set()
    for name, text in sources:
        for word, pattern, holding in zip(words, patterns, holders, strict=True):
            # Most modules do not have the word at all, which a plain search tells much sooner than the pattern.
            if word and word in text and pattern.search(text):
                holding.add(name)
        if name.rpartition(".")[2] == model.strip().lower():
            called.add(name)
    either = set().union(*holders)
    both = {name for name in either if all(holding.intersection(_with_packages(name)) for holding in holders)}
    return MatchingModules(tuple(sorted(both)), tuple(sorted((either | called) - both)))


def _quoted(word: bytes) -> re.Pattern[bytes]:
    # Some vendors' names start with a space, which the table adds where it uses them.
    return re.compile(rb"""["'] ?""" + re.escape(word) + rb"""["']""")


def _with_packages(name: str) -> Sequence[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


class QuirkTable:
    """Resolves devices like the whole table, and imports the modules needed for that."""

    def __init__(self, package: ModuleType, registry: Any, register: Callable[[], None]) -> None:  # noqa: ANN401
        """Store the collaborators; no module of the table is imported yet.

        Args:
            package: The table's package.
            registry: The registry of its quirks.
            register: Moves the quirks of imported modules into the registry.
        """
        self._root = Path(package.__path__[0])
        self._registry = registry
        self._register = register
        self._met: set[tuple[str, str]] = set()

    def resolve(self, device: Any) -> Any:  # noqa: ANN401 - zigpy is untyped
        """Return a zigpy device, corrected if the table has a quirk for it."""
        met = (device.manufacturer or "", device.model or "")
        if met not in self._met:
            self._met.add(met)
            modules = find_modules(self._sources(), *met)
            self._load(modules.both)
            if self._registry.match_entry(device) is None:
                self._load(modules.either)
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
                _log.warning("zigbee.quirks: the module %s is unusable: %r", name, error)
        self._register()
        # Registration reads the source files of the quirks.
        linecache.clearcache()


def load_quirk_table() -> QuirkTable:
    """Return the table.

    Raises:
        ImportError: It is not installed, or its version is not supported.
        AttributeError: Likewise.
    """
    package = importlib.import_module(_PACKAGE)
    registry = importlib.import_module("zha.quirks").DEVICE_REGISTRY
    # The last step of its `setup()`, which first imports all modules.
    return QuirkTable(package, registry, package._register_pending_quirks)  # noqa: SLF001
