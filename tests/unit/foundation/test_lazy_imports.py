"""What aiohttp is imported without. That TLS verifies with authorities found one by one:
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

lazy_imports.import_aiohttp()
"""

ROOT = Path(__file__).parents[3]


def service_environment() -> dict[str, str]:
    """Return what the unit adds to the environment."""
    unit = (ROOT / "systemd" / "climahub.service").read_text()
    assigned = (line.removeprefix("Environment=") for line in unit.splitlines() if line.startswith("Environment="))
    return {name: value for name, _, value in (each.partition("=") for each in assigned)}


def run(program: str, begin: str = BEGIN) -> str:
    """Run a program in an interpreter that has imported aiohttp as the daemon does; return what it printed."""
    done = subprocess.run([sys.executable, "-c", begin + program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_daemon_imports_neither_what_aiohttp_takes_for_others_nor_what_that_brings() -> None:
    loaded = {*run("import agent.daemon; print(*sys.modules)").split()}
    assert "aiohttp.web" in loaded
    assert not loaded & {*lazy_imports.PUT_OFF, "bz2", "html.entities", "http.client", "lzma", "shutil"}


def test_the_service_loads_no_table_of_how_python_was_built_and_nothing_of_page_and_labels() -> None:
    environ = service_environment()
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + "import agent.daemon; print(*sys.modules)"],
        check=True, capture_output=True, text=True, env=environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    loaded = {*done.stdout.split()}
    assert {"zoneinfo", "agent.port.page_files", "agent.pairing.actions"} <= loaded
    assert not [name for name in loaded if name.startswith("_sysconfigdata")]
    assert not loaded & {"agent.pairing.labels", "agent.port.page_minifier"}


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
""")
    assert printed.splitlines() == ["&lt;a&amp;b&gt;", "http://proxy.example:3128", "0 b'more than eight'", "there"]


def test_other_importers_get_the_real_modules() -> None:
    run("""
import argparse, html, tempfile, urllib.request
assert html.unescape("&auml;") == "ä"
assert all(each.__spec__ for each in (argparse, html, tempfile, urllib.request))
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
