"""Threads of buses: one each as long as there are enough, given back by buses that are gone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hal.linux.bus_threads import BUS_THREADS_MAX, MACHINE, BusThreads


@pytest.fixture
def threads() -> Iterator[BusThreads]:
    threads = BusThreads()
    yield threads
    threads.close()


def buses(count: int) -> list[str]:
    return [f"i2c-{number}" for number in range(count)]


def test_further_buses_share_the_last_thread(threads: BusThreads) -> None:
    executors = [threads.executor(bus) for bus in buses(BUS_THREADS_MAX + 3)]
    assert len(set(executors)) == BUS_THREADS_MAX
    assert executors[-1] is executors[BUS_THREADS_MAX - 1]
    assert threads.executor("i2c-0") is executors[0]


def test_a_bus_that_is_gone_gives_its_thread_to_one_that_shares(threads: BusThreads) -> None:
    names = buses(BUS_THREADS_MAX + 1)
    executors = {bus: threads.executor(bus) for bus in names}
    threads.follow([bus for bus in names if bus != "i2c-3"])
    left = {bus: threads.executor(bus) for bus in names if bus != "i2c-3"}
    assert len(set(left.values())) == BUS_THREADS_MAX
    assert left[names[-2]] is executors[names[-2]]
    assert left[names[-1]] is not executors[names[-1]]
    with pytest.raises(RuntimeError, match="shutdown"):
        executors["i2c-3"].submit(list)


def test_who_still_reads_a_bus_that_is_gone_takes_no_other_buses_thread(threads: BusThreads) -> None:
    threads.follow(["new"])
    machine = threads.executor(MACHINE)
    for bus in buses(BUS_THREADS_MAX + 1):
        threads.submit(bus, list).result()
    others = {threads.executor(bus) for bus in buses(BUS_THREADS_MAX + 1)}
    assert threads.executor("new") not in others
    assert threads.executor(MACHINE) is machine


def test_a_thread_that_has_work_keeps_its_bus(threads: BusThreads) -> None:
    """A bus is never used by two threads at once; one that hangs is counted until it ends."""
    release = threading.Event()
    try:
        names = buses(BUS_THREADS_MAX + 1)
        hanging, shared = names[0], names[-1]
        works = [threads.submit(bus, release.wait) for bus in names]
        executors = {bus: threads.executor(bus) for bus in names}
        queued = threads.submit(hanging, threading.Event)
        threads.abandon(hanging, "a read", works[0])
        threads.abandon(hanging, "another read", queued)
        assert queued.cancelled()
        threads.follow([shared])
        assert {bus: threads.executor(bus) for bus in names} == executors
        assert threads.hanging(hanging) == "a read"
    finally:
        release.set()
    for work in works:
        work.result()
    threads.follow([shared])
    assert distinct(threads, [hanging, shared]) == 2
    assert threads.hanging(hanging) == ""


def distinct(threads: BusThreads, names: list[str]) -> int:
    executors: set[ThreadPoolExecutor] = {threads.executor(bus) for bus in names}
    return len(executors)
