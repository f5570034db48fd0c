"""What `make races` makes late comes all the same."""

import asyncio
import random
import selectors
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests import races


def test_every_event_comes_and_some_come_late() -> None:
    keys = [selectors.SelectorKey(fd, fd, 1, None) for fd in range(10)]
    select = races.late_events(random.Random(1), lambda *_: [(key, 1) for key in keys])
    selector = SimpleNamespace()
    first = {key.fd for key, _ in select(selector)}
    assert 0 < len(first) < len(keys)
    seen = set(first)
    while len(seen) < len(keys):
        seen |= {key.fd for key, _ in select(selector)}


async def test_threads_answer_what_their_functions_return_or_raise() -> None:
    submit = races.late_threads(random.Random(1), ThreadPoolExecutor.submit)
    with ThreadPoolExecutor(1) as executor:
        assert [submit(executor, divmod, number, 2).result() for number in range(4)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        with pytest.raises(ZeroDivisionError):
            submit(executor, divmod, 1, 0).result()


async def test_only_short_pauses_of_tests_are_left_out() -> None:
    slept: list[float] = []

    async def note(delay: float, _: object = None) -> None:
        slept.append(delay)

    sleep = races.without_pauses(note)
    for delay in (0.005, 0.02, 0.021, 1.0):
        await sleep(delay)
    assert slept == [0, 0, 0.021, 1.0]
    await asyncio.sleep(0)
