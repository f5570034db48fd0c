import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import StorageFull
from agent.facts.model import FactDraft, FactRefused, FactVersion, Tenant, UnknownFact
from agent.facts.retention import FactLimits
from agent.facts.store import FactQuery, FactStore, time_ordered_id
from agent.facts.tables import FactFilter, SubjectEnd
from agent.foundation.disk import Disk
from tests.unit.facts.fact_bench import ANNA, BERT, DAY_MS, HUB, NOW_MS, add, asked, open_store, texts, texts_of
from tests.unit.power_cut import Cutter, PowerCut


async def test_a_fact_of_one_owner_is_unknown_to_another(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    hers, his = await add(store, ANNA, "her fact"), await add(store, BERT, "his fact")
    assert await texts(store, BERT) == ["his fact"]
    for call in (
        store.chain([BERT.owner], hers),
        store.history([BERT.owner], hers),
        store.expire(BERT.owner, hers, NOW_MS + 5, author="", utc_ms=NOW_MS),
        store.supersede(BERT.owner, hers, his, author="", utc_ms=NOW_MS),
        store.supersede(BERT.owner, his, hers, author="", utc_ms=NOW_MS),
        store.history([BERT.owner], str(uuid.UUID(int=7))),
        store.history([BERT.owner], "no id"),
    ):
        with pytest.raises(UnknownFact, match="there is no such fact"):
            await call
    assert await store.found(FactQuery(FactFilter((BERT,)), 10), "her", utc_ms=NOW_MS + 5) == []


async def test_facts_of_two_tenants_of_one_owner_form_no_chain(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    one, two = await add(store, Tenant("anna", "x"), "one"), await add(store, Tenant("anna", "y"), "two")
    with pytest.raises(FactRefused, match="same tenant"):
        await store.supersede("anna", one, two, author="", utc_ms=NOW_MS)
    assert await texts(store, Tenant("anna", "x")) == ["one"]
    assert await texts(store, ANNA) == []


async def test_a_client_that_may_see_one_zone_sees_facts_of_that_zone_and_of_no_device(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    drafts = [
        FactDraft(zone or "whole", subject=f"{zone or 'sensor'}/heat", zone=zone) for zone in ("living", "bath", "")
    ]
    await store.record(HUB, drafts, utc_ms=NOW_MS)
    assert texts_of(await store.shown(asked(HUB, zones=("bath",)), utc_ms=NOW_MS)) == ["bath"]
    narrow = FactQuery(FactFilter((HUB,), zones=("bath",), shared="hub"), 10)
    drafts = [
        FactDraft("whole", subject="hub/firmware"),
        FactDraft("other", subject="hub2/firmware"),
        FactDraft("none"),
    ]
    await store.record(HUB, drafts, utc_ms=NOW_MS)
    assert texts_of(await store.shown(narrow, utc_ms=NOW_MS)) == ["none", "whole", "bath"]
    assert len(await store.shown(asked(HUB), utc_ms=NOW_MS)) == 6


async def test_a_subject_that_stays_as_it_was_makes_no_new_fact(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    for text in ("on", "on", "off", "off"):
        await store.record(HUB, [FactDraft(text, subject="eco")], utc_ms=NOW_MS)
    assert await texts(store, HUB) == ["off", "on"]
    again = await open_store(tmp_path)
    await again.record(HUB, [FactDraft("off", subject="eco"), SubjectEnd("eco", NOW_MS)], utc_ms=NOW_MS)
    assert await texts(again, HUB) == ["off", "on"]
    await again.record(HUB, [FactDraft("off", subject="eco")], utc_ms=NOW_MS)
    assert await texts(again, HUB) == ["off", "off", "on"]


async def test_a_batch_with_one_bad_fact_is_stored_without_it(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    drafts = [FactDraft("x" * 4097, subject="b"), FactDraft("", subject="a"), FactDraft("good", subject="a")]
    refused = await store.record(HUB, drafts, utc_ms=NOW_MS)
    assert [str(each).split(":")[0] for each in refused] == ["shorten the fact", "give the fact a text"]
    assert await texts(store, HUB) == ["good"]
    again = await open_store(tmp_path)
    assert await again.record(HUB, drafts[2:], utc_ms=NOW_MS) == []
    assert await texts(again, HUB) == ["good"]


async def test_a_clock_that_is_set_back_does_not_turn_the_order_of_what_became_known(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await add(store, ANNA, "first", utc_ms=NOW_MS)
    await add(store, ANNA, "second", utc_ms=NOW_MS - 1_000_000)
    first, second = reversed(await store.shown(asked(ANNA), utc_ms=NOW_MS - 1_000_000))
    assert second.fact.known_from_ms == first.fact.known_from_ms + 1 == NOW_MS + 1


async def test_a_disk_that_is_nearly_full_takes_no_fact(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(disk_free_bytes_min=1 << 60))
    with pytest.raises(StorageFull, match="free some space"):
        await add(store, ANNA, "one too many")
    with pytest.raises(StorageFull, match="free some space"):
        await store.record(HUB, [FactDraft("on", subject="eco")], utc_ms=NOW_MS)


async def test_a_file_that_is_no_database_is_put_aside_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "facts.db").write_bytes(b"no database" * 1000)
    store = await open_store(tmp_path)
    assert await texts(store, ANNA) == []
    assert (tmp_path / "facts.db.corrupt-1").exists()


async def test_what_was_promised_outlives_a_power_cut_before_any_operation(tmp_path: Path) -> None:
    limits = FactLimits(disk_free_bytes_min=0, client_facts_max=6)
    at, is_done = 0, False
    while not is_done:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        promised: list[str] = []
        cutter = Cutter(at)
        with contextlib.suppress(PowerCut):
            await play(await open_store(directory, limits=limits, disk=Disk(cutter)), promised)
            is_done = True
        store = await open_store(directory, limits=limits)
        found = {*await texts(store, ANNA, utc_ms=NOW_MS * 2), *exported(directory)}
        assert found >= set(promised), f"operation {at}"
        assert len(found) <= len(promised) + 1, f"operation {at}: what was not promised is one fact at most"
        # It goes on working, with one head for each chain.
        await play(store, [])
    assert at > 40


async def play(store: FactStore, promised: list[str]) -> None:
    """Store twenty facts, each in the place of the one before; note each that is promised."""
    last = ""
    for number in range(20):
        text = f"fact {number}"
        new = await add(store, ANNA, text, utc_ms=NOW_MS + number * 10)
        promised.append(text)
        if last:
            await store.supersede("anna", last, new, author="", utc_ms=NOW_MS + number * 10 + 5)
            chain = await store.chain(["anna"], new)
            assert [version.fact.id for version in chain if not version.superseded_by] == [new]
        last = new


def exported(directory: Path) -> list[str]:
    lines = [line for path in directory.glob("facts-*.jsonl") for line in path.read_text().splitlines()]
    return [line.split('"text":"')[1].split('"')[0] for line in lines]


def test_ids_are_of_version_7_and_in_the_order_of_time() -> None:
    ids = [time_ordered_id(known_ms, lambda bits: (1 << bits) - 1) for known_ms in (1, 2, NOW_MS)]
    assert ids == sorted(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, uuid.RFC_4122)}
    assert str(ids[0]) == "00000000-0001-7fff-bfff-ffffffffffff"


YEARS_MS = 25 * 366 * DAY_MS


async def facts_of_a_wrong_clock(directory: Path, disk: Disk | None = None) -> FactStore:
    """A store with a fact of now, and changes by a clock that is decades ahead."""
    store = await open_store(directory, disk=disk)
    await store.record(HUB, [FactDraft("heat", subject="mode")], utc_ms=NOW_MS)
    for place, text in enumerate(("off", "cool")):
        await store.record(HUB, [FactDraft(text, subject="mode")], utc_ms=NOW_MS + YEARS_MS + place * DAY_MS)
    fact = await add(store, ANNA, "guests", utc_ms=NOW_MS + YEARS_MS + DAY_MS)
    end_ms = NOW_MS + YEARS_MS + 9 * DAY_MS
    await store.expire(ANNA.owner, fact, end_ms, author="", utc_ms=NOW_MS + YEARS_MS + DAY_MS)
    return store


def order_of(versions: Sequence[FactVersion]) -> list[tuple[str, bool]]:
    return [(each.fact.text, each.valid_to_ms is None) for each in versions]


async def test_what_a_clock_decades_ahead_has_stored_is_of_now_once_the_clock_is_right(tmp_path: Path) -> None:
    store = await facts_of_a_wrong_clock(tmp_path)
    before = order_of(await store.shown(asked(HUB), utc_ms=NOW_MS))
    later_ms = NOW_MS + DAY_MS
    assert await store.maintain(utc_ms=later_ms) > 0
    assert order_of(await store.shown(asked(HUB), utc_ms=later_ms)) == before
    assert store.now_ms(later_ms) == later_ms
    assert await store.maintain(utc_ms=later_ms) == 0
    versions = await store.shown(asked(HUB, ANNA), utc_ms=later_ms)
    assert all(NOW_MS <= each.fact.valid_from_ms <= each.fact.known_from_ms <= later_ms for each in versions)
    known = [each.fact.known_from_ms for each in versions]
    assert known == sorted(set(known), reverse=True)
    assert [each.valid_to_ms for each in versions if each.fact.text == "guests"] == [NOW_MS + YEARS_MS + 9 * DAY_MS]

    fresh = await open_store(tmp_path)
    await fresh.record(HUB, [FactDraft("auto", subject="mode")], utc_ms=later_ms + 5)
    newest, *older = await fresh.shown(asked(HUB), utc_ms=later_ms + 6)
    assert (newest.fact.text, newest.fact.known_from_ms) == ("auto", later_ms + 5)
    assert all(newest.fact.id > each.fact.id for each in older)
    now = FactQuery(FactFilter((HUB,)), 10, as_of_ms=later_ms + 6)
    assert texts_of(await fresh.shown(now, utc_ms=later_ms + 6)) == ["auto"]
    earlier = FactQuery(FactFilter((HUB,)), 10, as_of_ms=NOW_MS + 5)
    assert texts_of(await fresh.shown(earlier, utc_ms=later_ms + 6)) == ["heat"]


async def test_a_clock_that_was_ahead_by_less_than_a_year_moves_nothing(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await add(store, ANNA, "guests", utc_ms=NOW_MS + 300 * DAY_MS)
    assert await store.maintain(utc_ms=NOW_MS) == 0
    assert store.now_ms(NOW_MS) == NOW_MS + 300 * DAY_MS


async def test_moving_what_was_ahead_is_done_or_not_over_a_power_cut(tmp_path: Path) -> None:
    at, is_done, wholes = 0, False, set()
    while not is_done:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        disk = Disk()
        store = await facts_of_a_wrong_clock(directory, disk)
        disk.on_operation = Cutter(at)
        with contextlib.suppress(PowerCut):
            await store.maintain(utc_ms=NOW_MS + DAY_MS)
            is_done = True
        found = await (await open_store(directory)).shown(asked(HUB), utc_ms=NOW_MS + DAY_MS)
        wholes.add(tuple(each.fact.known_from_ms >= NOW_MS + YEARS_MS for each in found))
    assert wholes == {(True, True, False), (False, False, False)}
