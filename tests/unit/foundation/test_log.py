import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agent.foundation import log

KEY = "cs_dev_0123456789abcdefghijABCDEFGHIJ01"


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Now:
    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


def test_text_format(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("info", "text", now_ms=lambda: 0)
    logging.getLogger("room").info("key %s", KEY)
    logging.getLogger("room").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO    room: key cs_dev_[redacted]")


def test_json_format_is_one_object_per_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("debug", "json", now_ms=lambda: 0)
    logging.getLogger("room").debug('Grüße "%s"', KEY)
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("room").exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first == {"level": "debug", "component": "room", "text": 'Grüße "cs_dev_[redacted]"'}
    assert second["level"] == "error"
    assert "Traceback" in second["traceback"]
    assert "ValueError: cs_dev_[redacted]" in second["traceback"]


def test_journal_lines_have_a_priority_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("debug", "journal", now_ms=lambda: 0)
    room = logging.getLogger("room")
    room.warning("one\ntwo")
    try:
        raise ValueError("five\n<0>six")
    except ValueError:
        room.exception("four")
    room.error("three")
    room.log(25, "seven")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "File" not in line and "raise" not in line] == [
        "<4>room: one two",
        "<3>room: four",
        "<3>  Traceback (most recent call last):",
        "<3>  ValueError: five",
        "<3>  <0>six",
        "<3>room: three",
        "<6>room: seven",
    ]


@pytest.mark.parametrize("form", ["text", "json", "journal"])
def test_untrusted_text_cannot_start_a_line_or_move_the_cursor(form: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401
    made_up = "quota\x1b]0;title\x07\n1999-11-28 00:00:00,000 ERROR   agent.daemon: made up\r\u202e\x9b2J\u2028x\ud83c"
    log.set_up("info", form, now_ms=lambda: 0)
    logging.getLogger("room").warning("the cloud says %s", made_up)
    try:
        raise ValueError(made_up)
    except ValueError:
        logging.getLogger("room").exception("failed")
    said = capsys.readouterr().err
    assert not set(said) & set("\x1b\x07\r\u202e\x9b\u2028\ud83c")
    assert not [line for line in said.split("\n") if line.startswith("1999")]


def test_repeated_setup_does_not_duplicate_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        log.set_up("info", "text", now_ms=lambda: 0)
    logging.getLogger("room").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_lines_per_minute_are_bounded_and_drops_counted(capsys: pytest.CaptureFixture[str]) -> None:
    now = Now()
    log.set_up("info", "journal", now_ms=now)
    room = logging.getLogger("room")
    for number in range(log.LINES_PER_MINUTE_MAX + 7):
        room.info("line %d", number)
    assert len(capsys.readouterr().err.splitlines()) == log.LINES_PER_MINUTE_MAX
    now.ms += 60_000
    room.info("key %s", KEY)
    room.info("next")
    assert capsys.readouterr().err.splitlines() == [
        "<6>room: (7 lines dropped in the minute before) key cs_dev_[redacted]",
        "<6>room: next",
    ]
    now.ms += 60_000
    room.info("quiet")
    assert capsys.readouterr().err.splitlines() == ["<6>room: quiet"]


class Held(logging.Handler):
    """A terminal whose output somebody holds."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.released = threading.Event(), threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.begun.set()
        self.released.wait(10)
        self.lines.append(record.getMessage())


def test_blocked_log_output_blocks_no_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LINES_WAITING_MAX", 2)
    root, held = logging.getLogger(), Held()
    root.handlers[:] = [held]
    root.setLevel("INFO")
    log.write_in_background()
    root.info("first")
    assert held.begun.wait(60)
    for number in range(5):
        root.info("line %d", number)
    log.drain(0.0)
    assert held.lines == []
    held.released.set()
    log.drain(10)
    root.info("last")
    log.drain(10)
    assert held.lines == ["first", "line 0", "line 1", "(3 lines were dropped: the log was not read) last"]


def test_filters_run_before_a_line_is_queued(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("info", "text", now_ms=lambda: 0)
    log.write_in_background()
    logging.getLogger("room").info("key %s", KEY)
    log.drain(10)
    assert "key cs_dev_[redacted]" in capsys.readouterr().err
