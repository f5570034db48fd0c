"""The log of the hub: its document, its query, and `climahub logs`."""

import json
import logging
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from agent.cli import exit_codes, hub_client, root
from agent.foundation.log_ring import LogRing
from agent.local import query
from agent.local.log import build_log, follow, handlers
from agent.local.queries import LIMIT_MAX, TEXT_CHARACTERS_MAX, LogQuery
from agent.local.routes import Caller, LocalRequest, RequestRefused, Role

UTC_MS = 1_767_225_600_000


@pytest.fixture
def now_ms() -> list[int]:
    return [40_000]


@pytest.fixture
def log(now_ms: list[int]) -> logging.Logger:
    made = logging.Logger("agent.test")  # noqa: LOG001 - of its own
    made.addHandler(LogRing(lambda: now_ms[0]))
    return made


def ring_of(log: logging.Logger) -> LogRing:
    (ring,) = log.handlers
    assert isinstance(ring, LogRing)
    return ring


def test_an_entry_has_the_time_at_which_it_was_written(log: logging.Logger, now_ms: list[int]) -> None:
    """By the records' own clock: after a simulated reboot the hub's began anew, and records came from the future."""
    log.info("started")
    now_ms[0] = 100_000
    (entry,) = build_log(ring_of(log), LogQuery(), UTC_MS).entries
    assert (entry.utc, entry.age_s) == ("2025-12-31T23:59:00Z", 60)
    (entry,) = build_log(ring_of(log), LogQuery(), None).entries
    assert (entry.utc, entry.age_s) == (None, 60)


def test_ids_name_the_newest_and_the_oldest(log: logging.Logger) -> None:
    assert build_log(ring_of(log), LogQuery(), UTC_MS).newest_id == 0
    for number in range(1200):
        log.info("line %d", number)
    report = build_log(ring_of(log), LogQuery(limit=2, text="LINE"), UTC_MS)
    assert [entry.text for entry in report.entries] == ["line 1199", "line 1198"]
    assert (report.newest_id, report.oldest_id) == (1200, 201)
    assert build_log(ring_of(log), LogQuery(before=203, level="info"), UTC_MS).entries[-1].id == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "loud"},
        {"limit": "0"},
        {"limit": str(LIMIT_MAX + 1)},
        {"limit": "ten"},
        {"limit": "1" * 5000},
        {"limit": "\u0661"},
        {"before": "-1"},
        {"before": "0"},
        {"after": "1.5"},
        {"text": "x" * (TEXT_CHARACTERS_MAX + 1)},
    ],
)
def test_a_wrong_query_is_refused_with_what_is_allowed(wrong: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match=f"correct {next(iter(wrong))}: found "):
        query.read(wrong, LogQuery)


async def test_handler_returns_a_page_of_the_log(log: logging.Logger) -> None:
    log.error("failed")
    log.info("went on")
    request = LocalRequest({}, Caller("", Role.VIEWER, "socket"), query={"level": "error"})
    report = await handlers(ring_of(log), lambda: UTC_MS)["get_log"](request)
    assert report == build_log(ring_of(log), LogQuery(level="error"), UTC_MS)
    assert handlers(None, lambda: UTC_MS) == {}


def test_the_log_is_followed_from_the_first_call_on(log: logging.Logger) -> None:
    added = follow(ring_of(log), lambda: UTC_MS)
    log.info("before")
    assert added() == ()
    assert added() == ()
    log.info("first")
    log.info("second")
    assert [entry.text for entry in added()] == ["first", "second"]
    for number in range(1200):
        log.info("line %d", number)
    assert [added()[0].text, *added()] == ["line 200"]
    assert follow(None, lambda: UTC_MS)() == ()


class Hub:
    """What the command asks, answered from a ring that begins anew when the agent restarts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: logging.Logger) -> None:
        self.log = log
        self.pauses: list[object] = []
        monkeypatch.setattr(hub_client, "fetch", self.fetch)
        monkeypatch.setattr("agent.cli.logs.time.sleep", self.sleep)

    def fetch(self, path: Path, route: str) -> bytes:
        asked = query.read(dict(parse_qsl(urlsplit(route).query)), LogQuery)
        return msgspec.json.encode(build_log(ring_of(self.log), asked, UTC_MS))

    def sleep(self, _: float) -> None:
        if not self.pauses:
            raise KeyboardInterrupt
        action = self.pauses.pop(0)
        if isinstance(action, Exception):
            raise action
        assert callable(action)
        action()


def test_the_command_shows_the_newest_last(
    monkeypatch: pytest.MonkeyPatch, log: logging.Logger, now_ms: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    Hub(monkeypatch, log)
    log.info("one")
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("two")
    now_ms[0] = 100_000
    assert root.run(["logs"]) == exit_codes.OK
    first, second, *traceback = capsys.readouterr().out.splitlines()
    assert first == "2025-12-31T23:59:00Z  info     agent.test: one"
    assert second.endswith("error    agent.test: two")
    assert traceback[-1].strip() == "ValueError: boom"
    assert root.run(["logs", "--level", "error", "--json"]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["text"] == "two"


def test_following_shows_each_record_once_over_a_restart(
    monkeypatch: pytest.MonkeyPatch, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(monkeypatch, log)
    log.info("one")
    log.info("two")

    def restart() -> None:
        log.handlers[:] = [LogRing(lambda: 40_000)]
        log.info("four")

    hub.pauses += [lambda: log.info("three"), lambda: None, restart]
    assert root.run(["logs", "--follow"]) == exit_codes.OK
    texts = [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["one", "two", "three", "four"]


def test_following_goes_on_while_the_hub_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(monkeypatch, log)
    down = [False]

    def fetch(path: Path, route: str) -> bytes:
        if down[0]:
            down[0] = False
            raise hub_client.NoAnswer("it restarts")
        return hub.fetch(path, route)

    monkeypatch.setattr(hub_client, "fetch", fetch)

    def stop() -> None:
        down[0] = True
        log.info("after")

    hub.pauses += [stop, lambda: None]
    assert root.run(["logs", "--follow"]) == exit_codes.OK
    assert "after" in capsys.readouterr().out
