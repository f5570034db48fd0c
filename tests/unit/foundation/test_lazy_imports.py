"""Where authorities are found one by one. That TLS verifies with them: tests/integration/test_hub_tls.py."""

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
