"""The memory of this process, as the C library keeps it."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

IMPORTS_THRESHOLD = 50_000
"""Objects between two searches for garbage while modules are imported. They are 55,000 and nearly all stay: with
Python's own 700 there are 120 searches, a tenth of what the imports cost. Without any, what the imports leave
behind makes the heap 0.7 MiB larger for good."""


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Search for garbage less often while it lasts, and never again among what exists at its end."""
    usual = gc.get_threshold()
    gc.set_threshold(IMPORTS_THRESHOLD, *usual[1:])
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*usual)


def give_back_memory() -> None:
    """Return freed heap to the system, which glibc otherwise keeps; takes milliseconds. Elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
