import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from agent.foundation.shutdown import DaemonThreadExecutor, StopDeadline

WAIT_S = 60.0


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Something that never comes, as far as the test is concerned."""
    event = threading.Event()
    yield event
    event.set()


def test_loop_ends_while_an_executor_thread_hangs(released: threading.Event) -> None:
    begun = threading.Event()

    def resolve() -> None:
        begun.set()
        released.wait(WAIT_S)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonThreadExecutor())
        _hanging = loop.run_in_executor(None, resolve)
        assert begun.wait(WAIT_S)

    asyncio.run(main())
    assert not released.is_set()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "executor")


async def test_executor_returns_results_and_errors() -> None:
    executor, loop = DaemonThreadExecutor(), asyncio.get_running_loop()

    def fail() -> None:
        raise OSError(5, "no")

    assert await loop.run_in_executor(executor, lambda: 7) == 7
    with pytest.raises(OSError, match="no"):
        await loop.run_in_executor(executor, fail)


def test_work_waits_for_a_free_thread(released: threading.Event) -> None:
    executor = DaemonThreadExecutor(threads_max=2)
    hanging = [executor.submit(released.wait, WAIT_S) for _ in range(2)]
    waiting, given_up = executor.submit(lambda: 7), executor.submit(lambda: 8)
    assert given_up.cancel()
    assert not waiting.running()
    released.set()
    assert waiting.result(WAIT_S) == 7
    assert all(future.result(WAIT_S) for future in hanging)
    assert given_up.cancelled()


def test_shutdown_drops_work_that_has_not_begun(released: threading.Event) -> None:
    executor = DaemonThreadExecutor(threads_max=1)
    hanging, waiting = executor.submit(released.wait, WAIT_S), executor.submit(lambda: 7)
    executor.shutdown()
    released.set()
    assert hanging.result(WAIT_S)
    assert not waiting.done()


def test_process_exits_at_the_deadline_while_threads_hang(caplog: pytest.LogCaptureFixture) -> None:
    done, calls = threading.Event(), list[str]()

    def leave(code: int) -> None:
        calls.append(f"leave {code}")
        done.set()

    deadline = StopDeadline(hurry=lambda: calls.append("hurry"), leave=leave, hurry_s=0.0, stop_s_max=0.0)
    deadline.start()
    deadline.start()
    assert done.wait(WAIT_S)
    assert calls == ["hurry", "leave 0"]
    assert "stopped without waiting" in caplog.text


def test_process_exits_at_the_deadline_while_the_log_hangs(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(logging.Logger, "warning", lambda *_: released.wait(WAIT_S))
    StopDeadline(hurry=lambda: None, leave=lambda _: done.set(), hurry_s=0.0, stop_s_max=0.0).start()
    assert done.wait(WAIT_S)
