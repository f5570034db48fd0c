import asyncio
import logging
import random

import pytest

from agent.errors import Defect, StorageFull
from agent.foundation.supervisor import (
    CALM_MS,
    FAULTS_MAX,
    INSIDE_MAX,
    RESTART_CAP_S,
    Faults,
    contain_failure,
    describe_error,
    supervise,
)
from lab.simulation.virtual_loop import VirtualLoop


class Rough:
    """Work that fails a number of times, each after some virtual time, and then returns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *lasts_s: float) -> None:
        self._loop = loop
        self._lasts_s = list(lasts_s)
        self.began_s: list[float] = []
        self.ended_s: list[float] = []

    async def __call__(self) -> None:
        self.began_s.append(self._loop.time())
        if not self._lasts_s:
            return
        await asyncio.sleep(self._lasts_s.pop(0))
        self.ended_s.append(self._loop.time())
        raise RuntimeError("the key is cs_dev_secretsecret")

    @property
    def pauses_s(self) -> list[float]:
        return [began - ended for began, ended in zip(self.began_s[1:], self.ended_s, strict=True)]


class Longest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def run(*lasts_s: float) -> tuple[Rough, Faults]:
    loop = VirtualLoop()
    work = Rough(loop, *lasts_s)

    def now_ms() -> int:
        return int(loop.time() * 1000)

    faults = Faults(now_ms)
    loop.run_until_complete(supervise("room", work, faults=faults, now_ms=now_ms, rng=Longest()))
    loop.close()
    return work, faults


def test_returned_work_is_not_restarted(caplog: pytest.LogCaptureFixture) -> None:
    work, faults = run()
    assert work.began_s == [0.0]
    assert faults.total == 0
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_failed_loop_is_logged_counted_and_restarted(caplog: pytest.LogCaptureFixture) -> None:
    work, faults = run(1.0, 1.0)
    assert len(work.began_s) == 3
    (fault,) = faults.entries
    assert (fault.component, fault.count, faults.total) == ("room", 2, 2)
    assert fault.text == "RuntimeError: the key is cs_dev_[redacted]"
    assert fault.last_ms == int(work.ended_s[-1] * 1000)
    assert [entry.levelno for entry in caplog.records] == [logging.ERROR] * 2
    assert caplog.records[0].exc_info


def test_restart_pauses_grow_up_to_a_cap() -> None:
    work, _ = run(*[0.5] * 9)
    assert work.pauses_s == sorted(work.pauses_s)
    assert work.pauses_s[0] < 3.0
    assert work.pauses_s[-1] == pytest.approx(RESTART_CAP_S)


def test_restart_pauses_reset_after_a_long_run() -> None:
    work, _ = run(*[0.5] * 8, CALM_MS / 1000 + 1, 0.5)
    assert work.pauses_s[7] == pytest.approx(RESTART_CAP_S)
    assert work.pauses_s[8] < 3.0


async def test_a_cancellation_is_never_hidden() -> None:
    faults = Faults(lambda: 0)
    task = asyncio.ensure_future(
        supervise("room", asyncio.Event().wait, faults=faults, now_ms=lambda: 0, rng=random.Random(1))  # type: ignore[arg-type]
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert faults.total == 0


def test_a_settled_fault_is_taken_away_whatever_its_length() -> None:
    faults = Faults(lambda: 0)
    for component, text in (("port", "x" * 600), ("port", "y"), ("climate", "x" * 600)):
        faults.add(component, text)
    faults.remove("port", "x" * 600)
    faults.remove("port", "unknown")
    assert [(fault.component, fault.text[:1]) for fault in faults.entries] == [("port", "y"), ("climate", "x")]


def test_a_component_with_many_faults_pushes_out_its_own_only() -> None:
    faults = Faults(lambda: 5)
    faults.add("climate", "the sensor is lost")
    for number in range(FAULTS_MAX + 10):
        faults.add("port", f"alert {number}")
    assert (len(faults.entries), faults.entries[0].component) == (FAULTS_MAX, "climate")
    assert faults.entries[-1].text == f"alert {FAULTS_MAX + 9}"


def test_faults_are_bounded() -> None:
    faults = Faults(lambda: 5)
    for number in range(FAULTS_MAX + 10):
        faults.add("room", f"{number} " + "x" * 1000)
    assert len(faults.entries) == FAULTS_MAX
    assert faults.total == FAULTS_MAX + 10
    assert faults.entries[-1].text.startswith(f"{FAULTS_MAX + 9} ")
    assert len(faults.entries[0].text) == 500


def test_contained_failure_affects_one_task_only(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Defect, match=r"^ValueError: a\\u001b b$"), contain_failure("command 7"):
        raise ValueError("a\x1b\nb")
    with pytest.raises(Defect, match=r"^RecursionError$"), contain_failure("command 7"):
        raise RecursionError
    assert [record.getMessage() for record in caplog.records] == [
        "command 7 failed because of a defect; nothing else is affected"
    ] * 2


@pytest.mark.parametrize("error", [StorageFull("no room"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_errors_of_our_own_and_cancellations_are_not_contained(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, contain_failure("command 7"):
        raise error
    assert caught.value is error


def test_a_fault_is_shown_in_one_harmless_line() -> None:
    faults = Faults(lambda: 0)
    faults.add("room", "ValueError: a\n\x1b[2Jb")
    assert [fault.text for fault in faults.entries] == ["ValueError: a \\u001b[2Jb"]


def test_errors_in_an_exception_group_are_shown() -> None:
    group = ExceptionGroup(
        "unhandled errors in a TaskGroup", [KeyError("x"), KeyError("x"), ExceptionGroup("", [OSError(5, "no")])]
    )
    assert describe_error(group) == "KeyError: 'x'; OSError: [Errno 5] no"
    many = ExceptionGroup("", [ValueError(str(number)) for number in range(INSIDE_MAX + 2)])
    assert describe_error(many).endswith("ValueError: 3; and 2 more")


def test_a_task_group_that_fails_shows_what_failed_in_it() -> None:
    async def work() -> None:
        if not faults.total:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())

    async def fail() -> None:
        raise ZeroDivisionError("division by zero")

    faults = Faults(lambda: 0)
    loop = VirtualLoop()
    loop.run_until_complete(supervise("room", work, faults=faults, now_ms=lambda: 0, rng=Longest()))
    loop.close()
    assert [fault.text for fault in faults.entries] == ["ZeroDivisionError: division by zero"]
