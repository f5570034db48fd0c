"""What aiohttp and msgspec are imported without. That TLS verifies with authorities found one by one:
tests/integration/test_hub_tls.py."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from agent.foundation import lazy_imports

CAPATH, CAFILE = "SSL_CERT_DIR", "SSL_CERT_FILE"


def test_a_directory_counts_only_where_openssl_finds_names_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CAFILE, raising=False)
    monkeypatch.setenv(CAPATH, str(tmp_path / "none"))
    assert lazy_imports.authorities_directory() is None
    monkeypatch.setenv(CAPATH, str(tmp_path))
    (tmp_path / "ca-certificates.crt").touch()
    assert lazy_imports.authorities_directory() is None
    (tmp_path / "0a1b2c3d.0").touch()
    assert lazy_imports.authorities_directory() == str(tmp_path)
    monkeypatch.setenv(CAFILE, str(tmp_path / "ca-certificates.crt"))
    assert lazy_imports.authorities_directory() is None


BEGIN = """
import sys
from agent.foundation import lazy_imports

lazy_imports.import_libraries()
lazy_imports.import_server()
"""

ROOT = Path(__file__).parents[3]


def service_environment() -> dict[str, str]:
    """Return what the unit adds to the environment."""
    unit = (ROOT / "systemd" / "climahub.service").read_text()
    assigned = (line.removeprefix("Environment=") for line in unit.splitlines() if line.startswith("Environment="))
    return {name: value for name, _, value in (each.partition("=") for each in assigned)}


def run(program: str, begin: str = BEGIN) -> str:
    """Run a program in an interpreter that has imported them as the daemon does; return what it printed."""
    done = subprocess.run([sys.executable, "-c", begin + program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_daemon_imports_neither_what_libraries_take_for_others_nor_what_that_brings() -> None:
    loaded = {*run("import agent.daemon, agent.climate.service; print(*sys.modules)").split()}
    assert "aiohttp.web" in loaded
    brought = {
        "bz2",
        "email._header_value_parser",
        "html.entities",
        "http.client",
        "idna.idnadata",
        "lzma",
        "shutil",
        "statistics",
    }
    assert not loaded & {*lazy_imports.PUT_OFF, *lazy_imports.DERIVED_FROM, *lazy_imports.INSTEAD, *brought}


def test_the_service_loads_no_table_of_how_python_was_built_and_nothing_of_page_and_labels() -> None:
    environ = service_environment()
    program = BEGIN.replace("lazy_imports.import_server()", "import agent.daemon; print(*sys.modules)")
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True, capture_output=True, text=True, env=environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    loaded = {*done.stdout.split()}
    assert {"zoneinfo", "agent.port.service", "agent.pairing.actions"} <= loaded
    assert not [name for name in loaded if name.startswith("_sysconfigdata")]
    of_visits = {"aiohttp.web", "agent.port.serving", "agent.port.page_files", "agent.port.http.server"}
    assert not loaded & {"agent.pairing.labels", "agent.port.page_minifier", *of_visits}


def test_what_the_first_visitor_loads_is_loaded_beside_the_event_loop() -> None:
    printed = run("""
import asyncio, threading
[sys.modules.pop(name) for name in [*sys.modules] if name.startswith("aiohttp.web")]
import agent.port.service

class Finder:
    def find_spec(self, name, path, target=None):
        if name.startswith(("agent.port.serving", "aiohttp.web", "agent.port.http.server")):
            threads.add(threading.current_thread() is threading.main_thread())

threads = set()
sys.meta_path.insert(0, Finder())

def make():
    import agent.port.serving

async def main():
    made = object.__new__(agent.port.service.PortService)
    made._loading = asyncio.Lock()
    await made._loaded(make)

asyncio.run(main())
print(threads)
""")
    assert printed.split() == ["{False}"]


def test_the_service_finds_time_zones_where_python_would() -> None:
    environ = service_environment()
    probe = "import zoneinfo; print(*zoneinfo.TZPATH, sep=':')"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True, env=environ)
    assert done.stdout.strip() == sysconfig.get_config_var("TZPATH")


def test_what_was_put_off_is_the_real_thing_when_it_is_used() -> None:
    printed = run("""
import os
import aiohttp.helpers, aiohttp.web, aiohttp.web_protocol, aiohttp.web_request
print(aiohttp.web_protocol.html_escape("<a&b>"))
os.environ["http_proxy"] = "http://proxy.example:3128"
print(aiohttp.helpers.proxies_from_env()["http"].proxy)
with aiohttp.web_request.SpooledTemporaryFile(8) as file:
    file.write(b"more than eight")
    print(file.seek(0), file.read())
print(aiohttp.web.ArgumentParser(prog="there").prog)
print(aiohttp.helpers.parse_content_type("text/html; charset=utf-8"))
print(aiohttp.helpers.HTTP.max_line_length)
""")
    assert printed.splitlines() == [
        "&lt;a&amp;b&gt;", "http://proxy.example:3128", "0 b'more than eight'", "there",
        "('text/html', mappingproxy({'charset': 'utf-8'}))", "None",
    ]  # fmt: skip


def test_the_parts_of_packages_that_were_put_off_are_the_real_ones_when_they_are_used() -> None:
    printed = run("""
import attr, msgspec, yarl

print(yarl.URL("http://bücher.example").raw_host)
print(msgspec.json.schema(int))
print(msgspec.inspect.type_info(int))
@attr.s
class Checked:
    number = attr.ib(validator=attr.validators.instance_of(int))
try:
    Checked("1")
except TypeError:
    print("no number")
""")
    assert printed.splitlines()[:2] == ["xn--bcher-kva.example", "{'type': 'integer'}"]
    assert printed.splitlines()[2].startswith("IntType(")
    assert printed.splitlines()[3:] == ["no number"]


def test_a_class_derived_from_a_stand_in_is_derived_from_the_real_class_when_it_is_used(tmp_path: Path) -> None:
    printed = run(f"""
import inspect, http.cookies
import aiohttp.cookiejar

unpickler = aiohttp.cookiejar._RestrictedCookieUnpickler
import pickle, io
class Evil:
    def __reduce__(self):
        return print, ("executed",)
for value in ({{"a": (1, {{2}})}}, http.cookies.SimpleCookie("a=b"), Evil()):
    try:
        print(unpickler(io.BytesIO(pickle.dumps(value))).load())
    except pickle.UnpicklingError as error:
        print(str(error).partition(":")[0])
print(unpickler.__mro__[1] is pickle._Unpickler)
open({str(tmp_path / "told.py")!r}, "w").write("class Outer:\\n    class Inner:\\n        depth = 2\\n")
import sys
sys.path.insert(0, {str(tmp_path)!r})
import told
print(inspect.getsource(told.Outer.Inner).split())
print(inspect.signature(dict.get))
""")
    assert printed.splitlines() == [
        "{'a': (1, {2})}", "Set-Cookie: a=b", "Forbidden class", "True", "['class', 'Inner:', 'depth', '=', '2']",
        "(self, key, default=None, /)",
    ]  # fmt: skip


def test_what_is_asked_on_import_is_answered_as_the_real_modules_do() -> None:
    printed = run("""
import platform
import typing
print({name: platform.__dict__[name]() == answer() for name, answer in lazy_imports.INSTEAD["platform"]().items()})
import aiohttp.helpers, attr._compat, msgspec
print(aiohttp.helpers.IS_MACOS, aiohttp.helpers.IS_WINDOWS, attr._compat.PYPY)
class Row(msgspec.Struct, frozen=True):
    count: typing.Annotated[int, msgspec.Meta(ge=1)]
class Given(typing.TypedDict, total=False):
    row: typing.Required[Row]
    note: str
print(msgspec.json.decode(b'{"row":{"count":2}}', type=Given))
try:
    msgspec.json.decode(b'{"note":"n"}', type=Given)
except msgspec.ValidationError as error:
    print(error)
""")
    assert printed.splitlines() == [
        "{'python_implementation': True, 'system': True}", "False False False", "{'row': Row(count=2)}",
        "Object missing required field `row`",
    ]  # fmt: skip


def test_decimal_numbers_are_refused_in_the_daemon_and_never_taken_for_others() -> None:
    printed = run("""
import decimal, msgspec
value = decimal.Decimal("21.5")
for call in (
    lambda: msgspec.json.encode({"value": value}),
    lambda: msgspec.to_builtins(value),
    lambda: msgspec.json.decode(b'"21.5"', type=decimal.Decimal),
):
    try:
        print(call())
    except (TypeError, msgspec.ValidationError) as error:
        print(type(error).__name__)
""")
    assert printed.split() == ["TypeError", "TypeError", "ValidationError"]


def test_requests_are_traced_as_ever() -> None:
    printed = run("""
import asyncio, aiohttp
from aiohttp import web

async def main():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    trace = aiohttp.TraceConfig()
    async def begin(session, context, given):
        print(given.method, type(given) is aiohttp.tracing.TraceRequestStartParams)
    trace.on_request_start.append(begin)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as response:
            print(response.status, response.content_type)
    await runner.cleanup()

asyncio.run(main())
""")
    assert printed.splitlines() == ["GET True", "404 text/plain"]


def test_other_importers_get_the_real_modules() -> None:
    run("""
import argparse, ast, decimal, email.policy, html, pickle, platform, tempfile, typing_extensions, urllib.request
import idna
assert html.unescape("&auml;") == "ä"
real = (argparse, ast, decimal, email.policy, html, idna, pickle, platform, tempfile, typing_extensions, urllib.request)
assert all(each.__spec__ for each in real)
""")


def test_a_version_of_aiohttp_that_takes_more_gets_it(tmp_path: Path) -> None:
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").touch()
    (tmp_path / "aiohttp" / "web.py").write_text("import tempfile\nfrom html import escape, unescape\n")
    printed = run(
        """
import aiohttp.web, html
print(aiohttp.web.__file__, aiohttp.web.unescape("&lt;"), aiohttp.web.unescape is html.unescape)
""",
        begin=f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + BEGIN,
    )
    assert printed.split() == [str(tmp_path / "aiohttp" / "web.py"), "<", "True"]
