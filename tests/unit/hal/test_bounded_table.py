from hypothesis import given
from hypothesis import strategies as st

from hal.bounded_table import BoundedTable


def test_the_entry_that_was_used_longest_ago_makes_room() -> None:
    table = BoundedTable[str, int](2)
    table.put("a", 1)
    table.put("b", 2)
    assert table.get("a") == 1
    table.put("c", 3)
    assert table.entries == {"a": 1, "c": 3}
    table.put("a", 4)
    table.put("d", 5)
    assert table.entries == {"a": 4, "d": 5}


def test_entries_keep_their_order_and_their_object() -> None:
    table = BoundedTable[str, int](3)
    entries = table.entries
    for name in ("a", "b", "c", "a"):
        table.put(name, 1)
    table.get("b")
    assert list(entries) == ["a", "b", "c"]
    table.remove("b")
    table.remove("unknown")
    table.put("d", 2)
    assert entries == {"a": 1, "c": 1, "d": 2}
    assert table.get("b") is None


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 9))), st.integers(1, 5))
def test_it_is_never_larger_and_what_was_just_set_is_in_it(steps: list[tuple[str, int]], entries_max: int) -> None:
    table = BoundedTable[int, int](entries_max)
    for number, (what, key) in enumerate(steps):
        if what == "put":
            table.put(key, number)
            assert table.get(key) == number
        elif what == "get":
            assert table.get(key) == table.entries.get(key)
        else:
            table.remove(key)
            assert key not in table.entries
        assert len(table.entries) <= entries_max
        assert table._by_use.keys() == table.entries.keys()
