"""How many connections there may be, and who makes room."""

import asyncio

from agent.port.http.crowd import ConnectionCount, CountedConnection, Crowd


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def opened(crowd: Crowd, source: str) -> tuple[CountedConnection, asyncio.Protocol, Transport]:
    inner, transport = asyncio.Protocol(), Transport()
    made = crowd.admit(source, lambda: inner)
    assert made is not None
    made.connection_made(transport)
    return made, inner, transport


def test_one_source_cannot_take_all_connections() -> None:
    count = ConnectionCount(40)
    assert [count.admit("a") for _ in range(11)].count(False) == 1
    assert count.admit("b")
    count.release("a")
    assert count.admit("a")
    assert not count.admit("a")


def test_the_number_of_connections_is_limited() -> None:
    count = ConnectionCount(40)
    admitted = [source for source in map(str, range(45)) if count.admit(source)]
    assert (len(admitted), count.total) == (40, 40)
    for source in admitted:
        count.release(source)
    assert (count.total, count._by_source) == (0, {})


def test_who_comes_later_takes_the_place_of_the_oldest_stranger() -> None:
    crowd = Crowd(4)
    held = [opened(crowd, str(number)) for number in range(4)]
    crowd.know(held[0][1])
    assert crowd.admit("new", asyncio.Protocol) is not None
    assert [transport.is_aborted for _, _, transport in held] == [False, True, False, False]
    assert crowd.total == 4


def test_a_source_that_has_its_share_puts_nobody_out() -> None:
    crowd = Crowd(8)
    held = [opened(crowd, source) for source in ("a", "b", "c", "d", "e", "f", "many", "many")]
    assert crowd.admit("many", asyncio.Protocol) is None
    assert not any(transport.is_aborted for _, _, transport in held)
    assert crowd.total == 8


def test_a_crowd_that_has_gone_is_told_once() -> None:
    gone: list[int] = []
    crowd = Crowd(64, lambda: gone.append(crowd.total))
    for _ in range(2):
        held = [opened(crowd, str(number)) for number in range(32)]
        assert gone == []
        for made, _, _ in held:
            made.connection_lost(None)
        assert gone == [4]
        gone.clear()


def test_a_few_connections_are_no_crowd() -> None:
    gone: list[int] = []
    crowd = Crowd(64, lambda: gone.append(crowd.total))
    for made, _, _ in [opened(crowd, str(number)) for number in range(31)]:
        made.connection_lost(None)
    assert gone == []


def test_people_are_never_put_out() -> None:
    crowd = Crowd(4)
    held = [opened(crowd, str(number)) for number in range(4)]
    for _, inner, _ in held:
        crowd.know(inner)
    assert crowd.admit("new", asyncio.Protocol) is None
    assert not any(transport.is_aborted for _, _, transport in held)


def test_a_connection_ends_once() -> None:
    crowd = Crowd(4)
    made, _, transport = opened(crowd, "a")
    made.abort()
    made.connection_lost(None)
    assert transport.is_aborted
    assert (crowd.total, crowd._strangers) == (0, {})


async def test_a_handshake_that_does_not_end_makes_room_too() -> None:
    crowd = Crowd(4)
    slow = [crowd.admit(str(number), asyncio.Protocol) for number in range(4)]
    assert slow[0] is not None
    slow[0].task = asyncio.get_running_loop().create_task(asyncio.Event().wait())  # type: ignore[arg-type] # any task
    task = slow[0].task
    assert crowd.admit("new", asyncio.Protocol) is not None
    await asyncio.wait({task})
    assert task.cancelled()
