"""Imports zigpy without what a hub seldom or never uses of it, and gives memory back afterwards: 11 MiB (bench_zigbee).

* Firmware updates of sensors are switched off here, but importing them parses 150 certificate authorities into a TLS
  context and loads a JSON schema library: both get an empty stand-in.
* Cryptography is for install codes and Green Power: its stand-ins import it when they are used.

The stand-ins are for zigpy's own import statements, while zigpy is imported. Nobody else sees them.
"""

import builtins
import contextlib
import ctypes
import gc
import importlib
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

_ZIGPY = "zigpy"
_NEVER_USED = "jsonschema"
_USED_LATER = "cryptography"
_EXCEPTIONS = ".exceptions"


def import_zigpy() -> None:
    """Import zigpy.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    # A version of zigpy that asks more of the stand-ins is imported as it wants to be.
    with contextlib.suppress(ImportError, AttributeError, TypeError), _stand_ins():
        __import__("zigpy.application")
    __import__("zigpy.application")


def trim_heap() -> None:
    """Return what importing and starting left free in the heap; glibc keeps it otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Later:
    """Stands for a class of a package that is imported when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._place = (module, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the real one takes them
        return self.real()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.real(), name)

    def real(self) -> Any:  # noqa: ANN401
        """Import the package, put its own names into all of zigpy, and return what this stands for."""
        for name, module in list(sys.modules.items()):
            if _is_zigpy(name):
                _put_real_names(module)
        return _at(*self._place)


class _NotRaisedYet(Exception):
    """Stands for an exception of a package that is not imported yet, so that nobody can raise it."""

    place: ClassVar[tuple[str, str]]


class _Package(ModuleType):
    """Stands for a module from which names are imported."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__.endswith(_EXCEPTIONS):
            return type(name, (_NotRaisedYet,), {"place": (self.__name__, name)})
        return _Later(self.__name__, name)


def _put_real_names(module: ModuleType) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, _Later):
            setattr(module, name, _at(*value._place))  # noqa: SLF001 - asking it for its real one would not end
        elif isinstance(value, type) and issubclass(value, _NotRaisedYet):
            setattr(module, name, _at(*value.place))


def _at(module: str, name: str) -> Any:  # noqa: ANN401
    return getattr(importlib.import_module(module), name)


def _is_zigpy(name: str) -> bool:
    return name.partition(".")[0] == _ZIGPY


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    thread = threading.get_ident()
    real_import, real_context = builtins.__import__, ssl.create_default_context

    def import_here(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - as the real one names them
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        asks = str((globals or {}).get("__name__", ""))
        if level == 0 and name not in sys.modules and _is_zigpy(asks):
            package = name.partition(".")[0]
            if package == _NEVER_USED:
                return ModuleType(name)
            if package == _USED_LATER and fromlist:
                return _Package(name)
        return real_import(name, globals, locals, fromlist, level)

    def context_here(*arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one takes them
        if threading.get_ident() == thread:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return real_context(*arguments, **options)

    builtins.__import__, ssl.create_default_context = import_here, context_here
    try:
        yield
    finally:
        builtins.__import__, ssl.create_default_context = real_import, real_context
