"""`--watch` shows a view until the person has seen enough."""

import pytest

from agent.cli import watch


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "\x1b[2J\x1b[Hview 1\n"), (False, "view 1\n\n")])
def test_a_view_is_shown_again_and_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool, shown: str
) -> None:
    views = iter(("view 1", "view 2"))
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("agent.cli.watch.time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch.show(lambda: next(views), is_watched=True, is_terminal=is_terminal)
    assert capsys.readouterr().out == shown + shown.replace("view 1", "view 2")
    assert waits == [watch.WATCH_INTERVAL_S] * 2


def test_view_without_watch_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    watch.show(lambda: "view", is_watched=False)
    assert capsys.readouterr().out == "view\n"
