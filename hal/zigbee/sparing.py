"""Imports zigpy without what a hub never uses of it, and gives memory back afterwards: 4 MiB of 72 (bench_zigbee).

zigpy's firmware updates of sensors are switched off here, but importing them parses 150 certificate authorities into a
TLS context and loads a JSON schema library. Both get an empty stand-in while zigpy is imported, on this thread only.
"""

import contextlib
import ctypes
import gc
import ssl
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_SCHEMAS = "jsonschema"
_PROVIDERS = "zigpy.ota.providers"


def import_zigpy() -> None:
    """Import the radio and with it zigpy.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    if _PROVIDERS in sys.modules:
        return
    # A version of zigpy that asks more of the stand-ins is imported as it wants to be.
    with contextlib.suppress(ImportError, AttributeError, TypeError), _stand_ins():
        __import__(_PROVIDERS)
    __import__("zigpy.application")


def give_back_memory() -> None:
    """Return what importing and starting left free in the heap; glibc keeps it otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    thread = threading.get_ident()
    real = ssl.create_default_context

    def empty_here(*arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one takes them
        if threading.get_ident() == thread:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return real(*arguments, **options)

    is_new = _SCHEMAS not in sys.modules
    if is_new:
        sys.modules[_SCHEMAS] = ModuleType(_SCHEMAS)
    ssl.create_default_context = empty_here
    try:
        yield
    finally:
        ssl.create_default_context = real
        if is_new:
            sys.modules.pop(_SCHEMAS, None)
