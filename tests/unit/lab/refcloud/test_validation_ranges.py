import pytest

from lab.refcloud.validation import RangeUnsatisfiable, entity_tag, parse_range

TAG = entity_tag("ab" * 32)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=40-", (40, 100)),
        ("bytes=40-40", (40, 41)),
        ("bytes=40-49", (40, 50)),
        (" bytes=99-1000 ", (99, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        # Not one plain byte range: ignored, as RFC 9110 allows.
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=9-1", None),
        ("bytes=0-1,5-6", None),
        ("pages=0-1", None),
        ("bytes=a-b", None),
        ("bytes=9999999999999999999-", None),
    ],
)
def test_byte_ranges_are_parsed(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert parse_range(header, None, tag=TAG, size=100) == wanted


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_unsatisfiable_range_is_refused(header: str) -> None:
    with pytest.raises(RangeUnsatisfiable):
        parse_range(header, None, tag=TAG, size=100)


def test_if_range_of_another_entity_returns_the_whole() -> None:
    assert parse_range("bytes=40-", TAG, tag=TAG, size=100) == (40, 100)
    for other in ('"other"', f"W/{TAG}", "Sun, 29 Mar 2026 12:00:00 GMT"):
        assert parse_range("bytes=40-", other, tag=TAG, size=100) is None
    assert parse_range("bytes=400-", '"other"', tag=TAG, size=100) is None
