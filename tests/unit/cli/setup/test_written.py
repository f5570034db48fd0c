"""Copies of what setup replaces, and what it shows of the difference."""

import os
from pathlib import Path

import pytest

from agent.cli.setup.written import COPIES_MAX, DIFFERENCE_LINES_MAX, difference, keep_copy, read_text
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk


def test_difference_is_short_and_holds_no_credentials() -> None:
    shown = difference('a = 1\nproxy = "http://me:secret@proxy:1"\n', "a = 2\n", "config.toml")
    assert "-a = 1" in shown
    assert "+a = 2" in shown
    assert "secret" not in shown
    assert difference("a\n", "a\n", "config.toml") == ""
    long = "\n".join(map(str, range(200)))
    assert len(difference("", long, "config.toml").splitlines()) == DIFFERENCE_LINES_MAX + 1


def test_oldest_copy_makes_room(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for number in range(COPIES_MAX):
        path.write_text(str(number))
        os.utime(keep_copy(path, Disk()), (number, number))
    path.write_text("new")
    assert keep_copy(path, Disk()).name == "config.toml.before-setup-1"
    copies = {each.read_text() for each in tmp_path.glob("config.toml.before-setup-*")}
    assert copies == {"new", *map(str, range(1, COPIES_MAX))}


def test_what_is_no_text_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_text(path, Disk()) == ""
    path.write_bytes(b"\xff\x00")
    with pytest.raises(ConfigInvalid, match="move"):
        read_text(path, Disk())
