"""Imports aiohttp without what a hub has no use for: 2.2 MiB of 45 (bench_daemon). For the daemon, before all else.

Each way is a public switch of a library; the same program works without them.
"""

import functools
import mimetypes
import os
import re
import ssl
from pathlib import Path

_BY_HASH = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL names an authority's file in a directory, to find it when it needs it."""


def import_aiohttp() -> None:
    """Import aiohttp, client and server."""
    # Its compiled lists bring the C++ runtime with them, for a handful of callbacks.
    os.environ.setdefault("FROZENLIST_NO_EXTENSIONS", "1")
    # A table of file name endings: the hub serves no files.
    mimetypes.knownfiles.clear()
    real = ssl.create_default_context
    directory = authorities_directory()
    if directory is not None:
        # aiohttp makes its context on import, and reads 150 authorities for it.
        ssl.create_default_context = functools.partial(real, capath=directory)
    try:
        __import__("aiohttp.web")
    finally:
        ssl.create_default_context = real


def authorities_directory() -> str | None:
    """Return where OpenSSL finds the system's authorities one by one; `None` where it has to read them all.

    A file that the administrator names in `SSL_CERT_FILE` is read as a whole.
    """
    paths = ssl.get_default_verify_paths()
    if paths.openssl_cafile_env in os.environ or paths.capath is None:
        return None
    try:
        names = [entry.name for entry in Path(paths.capath).iterdir()]
    except OSError:
        return None
    return paths.capath if any(_BY_HASH.fullmatch(name) for name in names) else None
