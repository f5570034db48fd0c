"""Readings of devices that the cloud has not registered."""

from agent.telemetry.outbox.protocol import GapCause, Lane, Outbox
from hal.interface import HUB
from tests.contract.outbox.bench import ZERO_UTC_MS, Bench, claim_all, expected, keys, series


async def test_readings_of_an_unregistered_device_wait_for_its_registration(bench: Bench, outbox: Outbox) -> None:
    mixed = [r for pair in zip(series(5), series(5, device="T1"), series(5, device="T2"), strict=True) for r in pair]
    await bench.append(outbox, mixed)
    assert (outbox.stats().unregistered, outbox.stats().pending) == (10, 15)
    assert keys(await claim_all(outbox, Lane.FRESH)) == expected(series(5))
    after = await bench.crash()
    assert after.stats().unregistered == 10
    assert {item.device for item in await claim_all(after)} == {HUB}
    await after.mark_registered("T1")
    assert after.stats().unregistered == 5
    assert keys(await claim_all(after)) == expected(series(5, device="T1"))
    assert keys(await claim_all(await bench.crash())) == expected([*series(5), *series(5, device="T1")])


async def test_registered_readings_are_found_behind_those_already_sent(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(5, device="T1")])
    await bench.append(outbox, series(5, from_ms=10**8))
    await outbox.close_fresh_lane()
    assert len(await claim_all(outbox)) == 10
    await outbox.mark_registered("T1")
    assert keys(await claim_all(outbox)) == expected(series(5, device="T1"))


async def test_registering_a_device_without_readings_changes_nothing(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    await outbox.mark_registered("T9")
    await outbox.mark_registered(HUB)
    assert len(await outbox.claim(Lane.FRESH, 100)) == 5


async def test_unregistered_readings_of_a_removed_device_become_a_gap(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1"), *series(4, device="T2")])
    await outbox.drop_unregistered("T1")
    await outbox.drop_unregistered("T1")
    await outbox.drop_unregistered("T9")
    await outbox.drop_unregistered(HUB)
    for found in (outbox, await bench.crash()):
        stats = found.stats()
        assert (stats.pending, stats.unregistered, stats.dropped) == (9, 4, 3)
        (gap,) = await found.gaps()
        assert (gap.device, gap.lost, gap.cause) == ("T1", 3, GapCause.DROPPED)


async def test_readings_of_a_registered_device_do_not_wait(bench: Bench, outbox: Outbox) -> None:
    bench.known.add("T1")
    await bench.append(outbox, series(5, device="T1"))
    assert outbox.stats().unregistered == 0
    assert keys(await outbox.claim(Lane.FRESH, 100)) == expected(series(5, device="T1"))


async def test_unregistered_readings_of_an_unanchored_boot_need_both(bench: Bench) -> None:
    outbox = await bench.open()
    await bench.append(outbox, series(3, device="T1"))
    await outbox.mark_registered("T1")
    assert await claim_all(outbox) == []
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    assert keys(await claim_all(outbox)) == expected(series(3, device="T1"))
