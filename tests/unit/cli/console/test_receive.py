"""`climahub receive` itself; the transfer: test_transfer.py, with a line: tests/integration."""

import sys
from pathlib import Path

import pytest

from agent.cli import exit_codes, root


def test_without_pyserial_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    assert root.run(["receive", "/dev/null", "--output", str(tmp_path)]) == exit_codes.UNAVAILABLE
    assert "apt install python3-serial" in capsys.readouterr().err
