"""Imports aiohttp without parts that a hub does not use: 3.1 MiB of 46 (bench_daemon). The daemon calls it first.

Each switch is a public one of a library; the program works without them too.
"""

import functools
import mimetypes
import os
import re
import ssl
from pathlib import Path

_BY_HASH = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL names the file of an authority in a directory, to find it on demand."""


def import_aiohttp() -> None:
    """Import aiohttp, client and server."""
    # Its compiled lists load the C++ runtime, for a handful of callbacks.
    os.environ.setdefault("FROZENLIST_NO_EXTENSIONS", "1")
    # A table of file name extensions: the hub serves no files.
    mimetypes.knownfiles.clear()
    real = ssl.create_default_context
    directory = authorities_directory()
    if directory is not None:
        # aiohttp makes its TLS context on import and reads 150 authorities for it.
        ssl.create_default_context = functools.partial(real, capath=directory)
    # It makes a second one that verifies nothing, and reads the same authorities for that: 25 ms and 0.9 MiB.
    ssl.SSLContext.set_default_verify_paths = _read_authorities  # type: ignore[assignment, method-assign]
    try:
        __import__("aiohttp.web")
    finally:
        ssl.create_default_context = real
        del ssl.SSLContext.set_default_verify_paths


def _read_authorities(context: ssl.SSLContext) -> None:
    if context.verify_mode != ssl.CERT_NONE:
        super(ssl.SSLContext, context).set_default_verify_paths()


def authorities_directory() -> str | None:
    """Return the directory of the system's authorities, one file each; `None` where OpenSSL has to read all at once.

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
