import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from agent.foundation.worker import InlineWorker, ThreadWorker, Worker


@pytest.fixture(params=["inline", "thread"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    made: Worker = InlineWorker() if request.param == "inline" else ThreadWorker("test")
    yield made
    made.close()


async def test_returns_and_raises_what_the_function_does(worker: Worker) -> None:
    assert await worker.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: 8) == 8


async def test_one_piece_at_a_time_and_in_order(worker: Worker) -> None:
    running: list[int] = []
    done: list[int] = []

    def piece(number: int) -> None:
        running.append(number)
        assert len(running) == 1
        running.remove(number)
        done.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(worker.run(lambda number=number: piece(number)))  # type: ignore[misc]
    assert done == list(range(50))


async def test_event_loop_runs_while_the_worker_blocks() -> None:
    worker, go = ThreadWorker("test"), threading.Event()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.run(go.wait))
        await asyncio.sleep(0)
        go.set()
    assert waiting.result()
    worker.close()


async def test_close_finishes_begun_work() -> None:
    worker, done = ThreadWorker("test"), threading.Event()
    begun = asyncio.ensure_future(worker.run(done.set))
    await asyncio.sleep(0)
    worker.close()
    assert done.is_set()
    await begun


async def test_cancelled_call_completes_before_its_caller_is_cancelled() -> None:
    worker = ThreadWorker("test")
    may_go, began = threading.Event(), threading.Event()
    learnt: list[str] = []

    def work() -> str:
        began.set()
        may_go.wait(5)
        return "stored"

    async def caller() -> None:
        learnt.append(await worker.run(work))
        await asyncio.sleep(60)
        learnt.append("never")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(caller())
        while not began.is_set():  # noqa: ASYNC110 - an event of the other thread
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert learnt == ["stored"]
    worker.close()


async def test_caller_that_is_cancelled_again_and_again_waits_for_its_call() -> None:
    worker = ThreadWorker("test")
    may_go = threading.Event()
    done: list[str] = []

    async def caller() -> None:
        done.append(await worker.run(lambda: "stored" if may_go.wait(5) else "gave up"))
        await asyncio.sleep(60)

    task = asyncio.ensure_future(caller())
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert done == ["stored"]
    worker.close()


async def test_others_have_their_turn_however_fast_the_function_is(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = ThreadWorker("test")
    done: Future[int] = Future()
    done.set_result(7)
    turns: list[str] = []

    async def caller() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(worker._executor, "submit", lambda _: done)
            assert await worker.run(lambda: 7) == 7
        turns.append("caller")

    async def other() -> None:
        turns.append("other")

    async with asyncio.TaskGroup() as group:
        group.create_task(caller())
        group.create_task(other())
    assert turns == ["other", "caller"]
    worker.close()


def test_function_that_outlives_its_loop_ends_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    worker, may_go = ThreadWorker("test"), threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(worker.run(lambda: may_go.wait(5)))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own complaint, which is not meant here
    loop.close()
    may_go.set()
    worker.close()
    assert caplog.records == []


async def test_a_worker_beside_another_is_held_up_by_nothing_of_it(worker: Worker) -> None:
    other = worker.beside("other")
    released = threading.Event()
    assert type(other) is type(worker)
    if isinstance(worker, InlineWorker):
        assert await other.run(lambda: 7) == 7
        return
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.run(lambda: released.wait(10)))
        await other.run(released.set)
        assert await waiting, "the other one released it"
    other.close()
    with pytest.raises(RuntimeError):
        await other.run(lambda: 7)
    assert await worker.run(lambda: 8) == 8
