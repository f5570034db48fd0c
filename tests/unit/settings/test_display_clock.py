"""The clock on the displays of sensors is set at once and again at each interval."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from agent.settings import sync
from agent.settings.sync import show_time
from hal.radio import ShowsTime


class Displays:
    def __init__(self) -> None:
        self.shown: list[datetime | None] = []
        self.is_enough = asyncio.Event()

    def show_time(self, now: datetime | None) -> None:
        self.shown.append(now)
        if len(self.shown) == 3:
            self.is_enough.set()


async def test_displays_get_the_time_at_once_and_when_it_becomes_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "SHOW_TIME_S", 0.0)
    displays, now = Displays(), datetime(2026, 7, 1, tzinfo=UTC)
    times: list[datetime | None] = [None, now]
    showing = asyncio.create_task(show_time(cast("ShowsTime", displays), lambda: times.pop(0) if times else now))
    await displays.is_enough.wait()
    showing.cancel()
    assert displays.shown[:3] == [None, now, now]
