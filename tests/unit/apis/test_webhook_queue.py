"""The durable queue: order, limits, and a power cut before every durable operation."""

import asyncio
from pathlib import Path

import pytest

from agent.apis.webhooks.queue import (
    BODY_BYTES_MAX,
    DEAD_BYTES_MAX,
    DEAD_MAX,
    FULL,
    OFFERED_MAX,
    PENDING_BYTES_MAX,
    PENDING_MAX,
    Delivery,
    WebhookQueue,
    open_queue,
)
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.unit.power_cut import Cutter, PowerCut

pytestmark = pytest.mark.usefixtures("closed_connections")


def delivery(number: int, endpoint: str = "a", body: bytes = b"{}") -> Delivery:
    return Delivery(0, f"msg_{number}", endpoint, "push.completed", body, number)


async def opened(path: Path, disk: Disk | None = None) -> WebhookQueue:
    queue, aside = await open_queue(path / "webhooks.db", worker=InlineWorker(), disk=disk or Disk())
    assert aside is None
    return queue


async def drained(queue: WebhookQueue) -> list[tuple[str, str]]:
    """Take everything that waits, each endpoint in its order."""
    found = []
    while heads := await queue.heads():
        for head in heads:
            found.append((head.endpoint, head.id))
            await queue.settle(head.number)
    return found


async def test_each_endpoint_has_its_own_order(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(1), delivery(1, "b"), delivery(2), delivery(3)])
    heads = await queue.heads()
    assert [(each.endpoint, each.id) for each in heads] == [("a", "msg_1"), ("b", "msg_1")]
    await queue.fail(heads[0].number, "it answered 500", is_dead=False)
    await queue.settle(heads[1].number)
    (head,) = await queue.heads()
    assert (head.id, head.attempts, head.reason) == ("msg_1", 1, "it answered 500")
    assert await drained(queue) == [("a", "msg_1"), ("a", "msg_2"), ("a", "msg_3")]


async def test_an_event_that_is_offered_again_is_queued_once(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(1)])
    await queue.add([delivery(1), delivery(1, "b")])
    assert (await queue.counts()).pending == {"a": 1, "b": 1}


async def test_an_event_that_is_offered_again_after_it_has_arrived_is_left_out(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(1), delivery(2)], ["msg_1"])
    assert len(await drained(queue)) == 2
    await queue.add([delivery(1), delivery(2)], ["msg_1"])
    assert await drained(queue) == [("a", "msg_2")]
    await queue.close()
    queue = await opened(tmp_path)
    await queue.add([delivery(1)], ["msg_1"])
    assert await drained(queue) == []


async def test_the_keys_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([], [f"msg_{number}" for number in range(OFFERED_MAX + 1)])
    await queue.add([delivery(0), delivery(1)], ["msg_0", "msg_1"])
    assert await drained(queue) == [("a", "msg_0")]


async def test_a_dead_letter_lets_the_next_delivery_go_and_can_be_revived(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(1), delivery(2)])
    (head,) = await queue.heads()
    await queue.fail(head.number, "x" * 999, is_dead=True)
    assert [each.id for each in await queue.heads()] == ["msg_2"]
    (dead,) = await queue.dead_letters()
    assert (dead.id, len(dead.reason)) == ("msg_1", 200)
    assert await queue.revive("b") == 0
    assert await queue.revive("a") == 1
    assert await drained(queue) == [("a", "msg_1"), ("a", "msg_2")]


async def test_a_full_queue_makes_its_oldest_a_dead_letter(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(0, "b"), *(delivery(number) for number in range(PENDING_MAX + 3))])
    counts = await queue.counts()
    assert counts.pending == {"a": PENDING_MAX, "b": 1}
    assert [(each.id, each.reason) for each in await queue.dead_letters()] == [(f"msg_{n}", FULL) for n in (2, 1, 0)]


async def test_the_queue_is_bounded_by_bytes(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    count = PENDING_BYTES_MAX // BODY_BYTES_MAX
    await queue.add([delivery(number, body=b"x" * BODY_BYTES_MAX) for number in range(count)])
    assert (await queue.counts()).dead == 0
    await queue.add([delivery(count)])
    assert (await queue.counts()).dead == 1


@pytest.mark.parametrize(("count", "size_bytes"), [(DEAD_MAX, 1), (DEAD_BYTES_MAX // 8192, 8192)])
async def test_dead_letters_are_bounded_and_the_lost_ones_counted(tmp_path: Path, count: int, size_bytes: int) -> None:
    queue = await opened(tmp_path)
    for number in range(count + 2):
        await queue.add([delivery(number, body=b"x" * size_bytes)])
        await queue.fail((await queue.heads())[0].number, "no", is_dead=True)
    counts = await queue.counts()
    assert (counts.dead, counts.lost) == (count, 2)
    assert (await queue.dead_letters())[0].id == f"msg_{count + 1}"


async def test_an_endpoint_that_is_removed_takes_its_deliveries_along(tmp_path: Path) -> None:
    queue = await opened(tmp_path)
    await queue.add([delivery(1), delivery(1, "b")])
    await queue.remove_endpoint("a")
    assert (await queue.counts()).pending == {"b": 1}


async def history(directory: Path, disk: Disk, settled: list[str], promised: list[str]) -> None:
    queue = await opened(directory, disk)
    for number in (1, 2, 3):
        await queue.add([delivery(number)])
        promised.append(f"msg_{number}")
    for head_number in range(3):
        (head,) = await queue.heads()
        if head_number == 1:
            await queue.fail(head.number, "it answered 500", is_dead=False)
        settled.append(head.id)  # the endpoint has it; only the hub may not know
        await queue.settle(head.number)
    await queue.close()


async def test_a_power_cut_before_any_operation_loses_nothing_and_repeats_at_most_one(tmp_path: Path) -> None:
    cuts = 0
    for number in range(1, 30):
        directory = tmp_path / str(number)
        directory.mkdir()
        received: list[str] = []
        promised: list[str] = []
        try:
            await history(directory, Disk(Cutter(number)), received, promised)
        except PowerCut:
            cuts += 1
        else:
            break
        await asyncio.sleep(0)
        queue = await opened(directory)
        received += [each for _, each in await drained(queue)]
        await queue.close()
        assert set(promised) <= set(received), number
        assert received == sorted(received), number
        assert len(received) <= len(set(received)) + 1, number
    assert cuts == 8  # the file's making, three additions, a failure, three settlements
