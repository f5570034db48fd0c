import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.facts.model import FactDraft, Tenant
from agent.facts.retention import EXPORTS_MAX, FactLimits, FactsFull, list_exports
from agent.facts.store import FactQuery, FactStore
from agent.facts.tables import FactFilter
from tests.unit.facts.fact_bench import ANNA, BERT, DAY_MS, HUB, NOW_MS, add, asked, open_store, texts

LATER_MS = NOW_MS + 1000 * DAY_MS
LONG = "x" * 4000


def lines(directory: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for path in list_exports(directory) for line in path.read_bytes().splitlines()]


async def replace_often(store: FactStore, tenant_text: str, count: int) -> None:
    for number in range(count):
        draft = FactDraft(f"{tenant_text} {number} {LONG}", subject=tenant_text)
        await store.record(HUB, [draft], utc_ms=NOW_MS + number * 1000)


async def test_closed_facts_that_are_too_old_are_exported_and_removed(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    first, second = await add(store, ANNA, "first"), await add(store, ANNA, "second")
    await store.supersede("anna", first, second, author="anna", utc_ms=NOW_MS)
    await store.maintain(utc_ms=NOW_MS + 729 * DAY_MS)
    assert await texts(store, ANNA) == ["second", "first"]
    await store.maintain(utc_ms=NOW_MS + 731 * DAY_MS)
    assert await texts(store, ANNA) == ["second"], "what still holds stays, however old"
    (line,) = lines(tmp_path)
    assert (line["id"], line["text"], line["owner"]) == (first, "first", "anna")
    (ending,) = line["endings"]
    assert (ending["superseded_by"], ending["author"]) == (second, "anna")
    assert [version.fact.id for version in await store.chain(["anna"], second)] == [second]


async def test_a_chain_goes_from_its_oldest_end_whatever_the_order_of_its_endings(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    a, b, c = [await add(store, ANNA, text) for text in "abc"]
    await store.supersede("anna", b, c, author="", utc_ms=NOW_MS)
    await store.supersede("anna", a, b, author="", utc_ms=NOW_MS + 400 * DAY_MS)
    await store.maintain(utc_ms=NOW_MS + 800 * DAY_MS)
    assert await texts(store, ANNA) == ["c", "b", "a"], "b may not go before a"
    await store.maintain(utc_ms=NOW_MS + 1200 * DAY_MS)
    assert await texts(store, ANNA) == ["c"]


async def test_a_fact_whose_end_lies_ahead_is_not_closed(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    fact = await add(store, ANNA, "until later")
    await store.expire("anna", fact, LATER_MS + DAY_MS, author="", utc_ms=NOW_MS)
    await store.maintain(utc_ms=LATER_MS)
    assert await texts(store, ANNA) == ["until later"]


async def test_the_file_stays_below_its_bytes_and_nothing_is_lost(tmp_path: Path) -> None:
    limits = FactLimits(bytes_max=256 * 1024, disk_free_bytes_min=0)
    store = await open_store(tmp_path, limits=limits)
    await replace_often(store, "living", 150)
    usage = await store.usage("hub", utc_ms=NOW_MS)
    assert usage.used_bytes <= limits.bytes_max + 16 * 1024
    present = await texts(store, HUB, utc_ms=LATER_MS)
    gone = [str(line["text"]) for line in lines(tmp_path)]
    assert len(present) + len(gone) == 150
    assert len({*present, *gone}) == 150
    again = await open_store(tmp_path, limits=limits)
    assert await texts(again, HUB, utc_ms=LATER_MS) == present


async def test_who_writes_much_loses_its_own_facts_first(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(bytes_max=256 * 1024, disk_free_bytes_min=0))
    await store.record(HUB, [FactDraft("19", subject="heat")], utc_ms=NOW_MS)
    await store.record(HUB, [FactDraft("20", subject="heat")], utc_ms=NOW_MS + 1)
    for number in range(100):
        now_ms = NOW_MS + 1000 + number * 10
        fact = await add(store, ANNA, f"{number} {LONG}", utc_ms=now_ms)
        await store.expire("anna", fact, now_ms + 5, author="", utc_ms=now_ms + 6)
    assert await texts(store, HUB, utc_ms=LATER_MS) == ["20", "19"]
    assert {line["owner"] for line in lines(tmp_path)} == {"anna"}


async def fill(store: FactStore, tenant: Tenant, most: int = 1000) -> None:
    with contextlib.suppress(FactsFull):
        for number in range(most):
            await add(store, tenant, f"{number} {LONG}")


async def test_a_store_full_of_facts_that_hold_refuses_clients_and_leaves_the_rest_to_the_hub(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(bytes_max=256 * 1024, disk_free_bytes_min=0))
    for number in range(8):
        await fill(store, Tenant(f"client {number}"))
    assert (await store.usage("bert", utc_ms=NOW_MS)).is_full
    with pytest.raises(FactsFull, match="end some facts"):
        await add(store, BERT, "one")
    await replace_often(store, "living", 3)
    assert len(await texts(store, HUB, utc_ms=LATER_MS)) == 3


@pytest.mark.parametrize("ends", [False, True])
async def test_one_client_costs_nobody_else_a_fact_nor_an_export(tmp_path: Path, ends: bool) -> None:
    store = await open_store(tmp_path, limits=FactLimits(bytes_max=512 * 1024, disk_free_bytes_min=0))
    await replace_often(store, "living", 20)
    for number in range(5):
        now_ms = NOW_MS + 100_000 + number * 10
        fact = await add(store, BERT, f"{number} {LONG}", utc_ms=now_ms)
        await store.expire("bert", fact, now_ms + 5, author="", utc_ms=now_ms + 6)
    (tmp_path / "facts-1234567890123.jsonl").touch()
    before = await texts(store, HUB, BERT, utc_ms=LATER_MS)
    await fill(store, ANNA)
    assert (await store.usage("anna", utc_ms=NOW_MS)).is_full
    assert 5 < len(await texts(store, ANNA)) < 20
    for number in range((EXPORTS_MAX + 3) * ends):
        now_ms = LATER_MS + number * 100
        fact = (await store.shown(asked(ANNA), utc_ms=now_ms))[0].fact.id
        await store.expire("anna", fact, now_ms, author="", utc_ms=now_ms)
        await add(store, ANNA, f"again {number} {LONG}", utc_ms=now_ms + 10)
    with pytest.raises(FactsFull, match="none of yours"):
        await add(store, ANNA, LONG, utc_ms=LATER_MS + DAY_MS)
    assert await texts(store, HUB, BERT, utc_ms=LATER_MS + DAY_MS) == before
    assert (tmp_path / "facts-1234567890123.jsonl").exists()
    assert len(list_exports(tmp_path)) <= EXPORTS_MAX + 1
    await add(store, BERT, "there is room for others")


async def test_the_history_of_the_hub_does_not_keep_clients_out(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(bytes_max=256 * 1024, disk_free_bytes_min=0))
    await replace_often(store, "living", 42)
    usage = await store.usage("anna", utc_ms=LATER_MS)
    assert usage.used_bytes > usage.bytes_max
    await add(store, ANNA, "one", utc_ms=LATER_MS)


async def test_a_client_has_its_number_of_facts_and_the_closed_ones_make_room(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(client_facts_max=3, disk_free_bytes_min=0))
    facts = [await add(store, ANNA, text) for text in "abc"]
    with pytest.raises(FactsFull, match="end some facts"):
        await add(store, ANNA, "d")
    usage = await store.usage("anna", utc_ms=NOW_MS)
    assert (usage.facts, usage.facts_max, usage.is_full) == (3, 3, True)
    await add(store, BERT, "his")
    await store.expire("anna", facts[1], NOW_MS + 10, author="", utc_ms=NOW_MS)
    await add(store, ANNA, "d", utc_ms=NOW_MS + 20)
    assert await texts(store, ANNA, utc_ms=LATER_MS) == ["d", "c", "a"]


async def test_the_oldest_export_makes_room(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(client_facts_max=1, disk_free_bytes_min=0))
    for number in range(EXPORTS_MAX + 3):
        now_ms = NOW_MS + number * 100
        fact = await add(store, ANNA, f"fact {number}", utc_ms=now_ms)
        await store.expire("anna", fact, now_ms + 10, author="", utc_ms=now_ms + 20)
    exported = lines(tmp_path)
    assert len(list_exports(tmp_path)) == EXPORTS_MAX
    assert exported[-1]["text"] == f"fact {EXPORTS_MAX + 1}"


async def test_the_exports_of_a_client_push_out_none_of_another(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(client_facts_max=1, disk_free_bytes_min=0))
    (tmp_path / "facts-clients-1234567890123.jsonl").touch()
    for number in range(EXPORTS_MAX + 3):
        tenant, name = (BERT, "bert") if number < 2 else (ANNA, "anna")
        now_ms = NOW_MS + number * 100
        fact = await add(store, tenant, f"{number}", utc_ms=now_ms)
        await store.expire(name, fact, now_ms + 10, author="", utc_ms=now_ms + 20)
    names = [path.name for path in list_exports(tmp_path)]
    assert len(names) == EXPORTS_MAX
    assert names[:2] == ["facts-clients-1234567890123.jsonl", f"facts-clients-{NOW_MS}-bert.jsonl"]
    assert all(name.endswith("-anna.jsonl") for name in names[2:])


async def test_search_does_not_find_what_was_removed(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=FactLimits(client_facts_max=1, disk_free_bytes_min=0))
    fact = await add(store, ANNA, "the boiler was noisy")
    await store.expire("anna", fact, NOW_MS + 10, author="", utc_ms=NOW_MS + 20)
    await add(store, ANNA, "the boiler is quiet", utc_ms=NOW_MS + 30)
    query = FactQuery(FactFilter((ANNA,)), 10, has_superseded=True)
    found = await store.found(query, "boiler", utc_ms=NOW_MS + 40)
    assert [each.version.fact.text for each in found] == ["the boiler is quiet"]
