from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.fair_share import without_surplus


def owner_of(item: tuple[str, int]) -> str:
    return item[0]


def test_whoever_has_the_most_makes_room() -> None:
    items = [("quiet", 0), *(("loud", number) for number in range(1, 6)), ("quiet", 6)]
    assert without_surplus(items, 7, owner_of) == tuple(items)
    assert without_surplus(items, 4, owner_of) == (("quiet", 0), ("loud", 4), ("loud", 5), ("quiet", 6))
    assert without_surplus(items, 3, owner_of) == (("loud", 4), ("loud", 5), ("quiet", 6))


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 12))
def test_nobody_loses_of_its_share(owners: list[str], items_max: int) -> None:
    items = list(zip(owners, range(40), strict=False))
    kept = without_surplus(items, items_max, owner_of)
    assert len(kept) == min(len(items), items_max)
    assert list(kept) == [item for item in items if item in kept]
    before, after = Counter(owners), Counter(map(owner_of, kept))
    share = items_max // max(1, len(before))
    for owner, count in before.items():
        assert after[owner] >= min(count, share)
        assert [item for item in kept if item[0] == owner] == [item for item in items if item[0] == owner][
            count - after[owner] :
        ]
