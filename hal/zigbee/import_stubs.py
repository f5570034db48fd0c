"""Imports zigpy without packages that a hub rarely uses, and returns memory afterwards: saves 11 MiB (bench_zigbee).

* Firmware updates of sensors are disabled, but importing them parses 150 certificate authorities into a TLS context and
  loads a JSON schema library: both are replaced by an empty stub.
* Cryptography is used for install codes and Green Power only: its stubs import it at first use.

The stubs apply to zigpy's own import statements, while zigpy is imported. No other importer sees them.
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
_UNUSED_PACKAGE = "jsonschema"
_DEFERRED_PACKAGE = "cryptography"
_EXCEPTIONS = ".exceptions"


def import_zigpy() -> None:
    """Import zigpy.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    # A version of zigpy that needs more than the stubs offer is imported without them.
    with contextlib.suppress(ImportError, AttributeError, TypeError), _stubs():
        __import__("zigpy.application")
    __import__("zigpy.application")


def trim_heap() -> None:
    """Return free heap memory to the system after importing and starting; glibc keeps it otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _DeferredClass:
    """Stub of a class whose package is imported at first use."""

    def __init__(self, module: str, name: str) -> None:
        self._place = (module, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the real one takes them
        return self.real()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.real(), name)

    def real(self) -> Any:  # noqa: ANN401
        """Import the package, replace its stubs in all zigpy modules, and return the real class."""
        for name, module in list(sys.modules.items()):
            if _is_zigpy(name):
                _replace_stubs(module)
        return _import_name(*self._place)


class _DeferredException(Exception):
    """Stub of an exception whose package is not imported yet, so it cannot be raised."""

    place: ClassVar[tuple[str, str]]


class _StubModule(ModuleType):
    """Stub of a module from which names are imported."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__.endswith(_EXCEPTIONS):
            return type(name, (_DeferredException,), {"place": (self.__name__, name)})
        return _DeferredClass(self.__name__, name)


def _replace_stubs(module: ModuleType) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, _DeferredClass):
            setattr(module, name, _import_name(*value._place))  # noqa: SLF001 - its method `real` would recurse
        elif isinstance(value, type) and issubclass(value, _DeferredException):
            setattr(module, name, _import_name(*value.place))


def _import_name(module: str, name: str) -> Any:  # noqa: ANN401
    return getattr(importlib.import_module(module), name)


def _is_zigpy(name: str) -> bool:
    return name.partition(".")[0] == _ZIGPY


@contextlib.contextmanager
def _stubs() -> Iterator[None]:
    thread = threading.get_ident()
    real_import, real_context = builtins.__import__, ssl.create_default_context

    def import_here(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - as the real one names them
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        importer = str((globals or {}).get("__name__", ""))
        if level == 0 and name not in sys.modules and _is_zigpy(importer):
            package = name.partition(".")[0]
            if package == _UNUSED_PACKAGE:
                return ModuleType(name)
            if package == _DEFERRED_PACKAGE and fromlist:
                return _StubModule(name)
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
