"""Imports aiohttp and msgspec, for the daemon, without parts that a hub does not use: 7 MiB of 46 (bench_daemon).

Each switch is a public one of a library; the program works without them too. Modules of which the two use a function or
two where hardly a hub comes are imported when such a function is called (docs/decisions/0008).
"""

import contextlib
import functools
import importlib
import mimetypes
import os
import re
import ssl
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

_BY_HASH = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL names the file of an authority in a directory, to find it on demand."""

_TRACING = (
    "Trace", "TraceConfig", "TraceConnectionCreateEndParams", "TraceConnectionCreateStartParams",
    "TraceConnectionQueuedEndParams", "TraceConnectionQueuedStartParams", "TraceConnectionReuseconnParams",
    "TraceDnsCacheHitParams", "TraceDnsCacheMissParams", "TraceDnsResolveHostEndParams",
    "TraceDnsResolveHostStartParams", "TraceRequestChunkSentParams", "TraceRequestEndParams",
    "TraceRequestExceptionParams", "TraceRequestHeadersSentParams", "TraceRequestRedirectParams",
    "TraceRequestStartParams", "TraceResponseChunkReceivedParams",
)  # fmt: skip

PUT_OFF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aiohttp.tracing": _TRACING,
        "argparse": ("ArgumentParser",),
        "attr.validators": (),
        "email.parser": ("HeaderParser",),
        "email.policy": ("HTTP",),
        "html": ("escape",),
        "idna": ("decode", "encode"),
        "msgspec._json_schema": ("schema", "schema_components"),
        "msgspec.inspect": (),
        "tempfile": ("SpooledTemporaryFile",),
        "urllib.request": ("getproxies", "proxy_bypass"),
    }
)
"""Modules, and what aiohttp, yarl, attrs and msgspec take from them on import: for tracing of requests, aiohttp's own
command line, validators of attributes, media types, pages of errors and directories, host names beyond ASCII, JSON
schemas, files in forms, and proxies from the environment."""

DERIVED_FROM: Mapping[str, str] = MappingProxyType({"ast": "NodeVisitor", "pickle": "_Unpickler"})
"""Modules, and the class from which `inspect` (up to Python 3.12) and aiohttp derive one on import: to find the source
of a class, and to read cookies from a file."""


def _read_platform() -> Mapping[str, object]:
    """Return what aiohttp, attrs and multidict ask of `platform` on import."""
    return {
        "python_implementation": lambda: {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name, ""),
        "system": lambda: os.uname().sysname,
    }


def _no_decimal() -> Mapping[str, object]:
    """Return the class by which msgspec recognises decimal numbers: one of which there is no object.

    So msgspec refuses them, in the daemon, where nobody has any.
    """
    return {"Decimal": type("Decimal", (), {})}


def _read_typing() -> Mapping[str, object]:
    """Return what aiohttp, aiosignal and msgspec take from `typing_extensions`: `typing` has it since Python 3.11.

    It gives variables of types a default since 3.13 only, which nothing but a type checker reads.
    """

    def without_default(make: Callable[..., object], *arguments: object, **options: object) -> object:
        options.pop("default", None)
        return make(*arguments, **options)

    same = ("NotRequired", "Required", "Self", "Unpack", "get_type_hints")
    variables = ("TypeVar", "TypeVarTuple")
    return {name: getattr(typing, name) for name in same} | {
        name: functools.partial(without_default, getattr(typing, name)) for name in variables
    }


INSTEAD: Mapping[str, Callable[[], Mapping[str, object]]] = MappingProxyType(
    {"decimal": _no_decimal, "platform": _read_platform, "typing_extensions": _read_typing}
)
"""Modules that are asked for a line or two on import, and what answers in their place."""


def import_libraries() -> None:
    """Import msgspec and the client of aiohttp."""
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
        with _put_off():
            __import__("aiohttp")
            __import__("msgspec")
    finally:
        ssl.create_default_context = real
        del ssl.SSLContext.set_default_verify_paths


def import_server() -> None:
    """Import the server of aiohttp; on any thread: who imports the same modules meanwhile can use the stand-ins."""
    with _put_off():
        __import__("aiohttp.web")


@contextlib.contextmanager
def _put_off() -> Iterator[None]:
    """Give importers stand-ins of modules that are not imported yet, while it lasts."""
    stand_ins = {name: _stand_in(name) for name in (*PUT_OFF, *DERIVED_FROM, *INSTEAD) if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _PutOff:
    """Stands for a function, class or object of a module that is not imported: passes calls and attributes on to it."""

    def __init__(self, load: Callable[[], Any]) -> None:
        """Take what returns the real thing; it is called at each use."""
        self._load = load

    def __call__(self, *arguments: object, **options: object) -> object:
        return self._load()(*arguments, **options)

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            # Asked by `typing`, which takes anything that can be called.
            raise AttributeError(attribute)
        return getattr(self._load(), attribute)


def _stand_in(name: str) -> ModuleType:
    """Return a module that has the members, and imports the real one when one is used or anything else is asked."""

    def real(attribute: str) -> Any:  # noqa: ANN401 - whatever the module has
        if attribute.startswith("__"):
            # The import statement itself asks for these.
            raise AttributeError(attribute)
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    module = ModuleType(name)
    vars(module).update({each: _PutOff(functools.partial(real, each)) for each in PUT_OFF.get(name, ())})
    if base := DERIVED_FROM.get(name):
        vars(module)[base] = _LateBase(base, (), {"load": functools.partial(real, base)})
    if name in INSTEAD:
        vars(module).update(INSTEAD[name]())
    vars(module)["__getattr__"] = real
    return module


class _LateBase(type):
    """The class of classes that are derived from a stand-in: making their first object gives them their real base."""

    load: Callable[[], type]

    def __call__(cls, *arguments: object, **options: object) -> object:
        if vars(cls).get("load"):
            return cls.load()(*arguments, **options)
        cls.__bases__ = tuple(base.load() if isinstance(base, _LateBase) else base for base in cls.__bases__)
        return super().__call__(*arguments, **options)


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
