"""Where the body of an answer belongs, for each habit of servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CloudUnavailable
from agent.ota.ranges import PART_HEAD_BYTES_MAX, ByteRange, RangeBody, UnusableResponse, parse_range

WHOLE = 1000


def of_range(text: str, **more: str) -> ByteRange | None:
    return parse_range(206, {"Content-Range": text, **more}, requested=400, total=WHOLE)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes 400-999/1000", ByteRange(400, 1000)),
        ("bytes 400-999/*", ByteRange(400, 1000)),
        ("bytes 400-499/1000", ByteRange(400, 500)),  # nginx with slices, a CDN with its own limit
        ("bytes 256-511/1000", ByteRange(256, 512)),  # a CDN that begins at a block of its own
        ("bytes 0-999/1000", ByteRange(0, 1000)),
        ("Bytes=400-999/1000", ByteRange(400, 1000)),
        (" bytes  400 - 999 / 1000 ", ByteRange(400, 1000)),
    ],
)
def test_partial_response_is_placed_by_its_content_range(text: str, span: ByteRange) -> None:
    assert of_range(text) == span


@pytest.mark.parametrize(
    "text",
    ["", "bytes", "bytes 500-999/1000", "bytes 0-399/1000", "bytes 999-400/1000", "bytes 400-999/2000", "bytes */1000",
     "items 400-999/1000", "bytes 400-999", "bytes -1-5/6", "bytes 4٤-999/1000", "bytes 400-999/1000, 0-1/1000"],
)  # fmt: skip
def test_unusable_partial_response_is_refused(text: str) -> None:
    with pytest.raises(UnusableResponse):
        of_range(text)


def test_compressed_partial_response_is_refused() -> None:
    with pytest.raises(UnusableResponse, match="compressed"):
        of_range("bytes 400-999/1000", **{"Content-Encoding": "gzip"})
    assert of_range("bytes 400-999/1000", **{"Content-Encoding": "Identity"}) == ByteRange(400, 1000)


def test_unsatisfiable_range_is_refused() -> None:
    with pytest.raises(UnusableResponse, match="ends before byte 400"):
        parse_range(416, {"Content-Range": "bytes */300"}, requested=400, total=WHOLE)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Length": "1000"},
        {"Content-Length": "300", "Content-Encoding": "gzip"},
        {"Content-Length": "nonsense"},
        {"Content-Type": "application/octet-stream"},
    ],
)
def test_full_response_starts_at_zero(headers: dict[str, str]) -> None:
    assert parse_range(200, headers, requested=400, total=WHOLE) == ByteRange(0)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "application/json"}, {"Content-Length": "999"}],
)
def test_full_response_of_another_type_or_size_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(UnusableResponse):
        parse_range(200, headers, requested=0, total=WHOLE)


def through(body: RangeBody, data: bytes, size: int) -> bytes:
    return b"".join(body.feed(data[at : at + size]) for at in range(0, len(data), size))


FILE = bytes(range(250)) * 4


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_bytes_already_present_are_skipped(size: int) -> None:
    assert through(RangeBody(ByteRange(400, 1000), wanted=400, total=WHOLE), FILE[400:], size) == FILE[400:]
    assert (
        through(RangeBody(ByteRange(256, 512), wanted=400, total=WHOLE), FILE[256:512] + b"more", size) == FILE[400:512]
    )
    assert through(RangeBody(ByteRange(0), wanted=0, total=WHOLE), FILE, size) == FILE


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_single_part_is_read_from_multipart(size: int) -> None:
    headers = {"Content-Type": "multipart/byteranges; boundary=THIS"}
    span = parse_range(206, headers, requested=400, total=WHOLE)
    head = b"\r\n--THIS\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 300-999/1000\r\n\r\n"
    multipart = head + FILE[300:] + b"\r\n--THIS--\r\n"
    assert through(RangeBody(span, wanted=400, total=WHOLE), multipart, size) == FILE[400:]


@pytest.mark.parametrize(
    "data", [b"--B\r\nContent-Range: bytes 500-999/1000\r\n\r\nx", b"--B\r\n\r\nx", b"x" * (PART_HEAD_BYTES_MAX + 1)]
)
def test_other_multipart_bodies_are_refused(data: bytes) -> None:
    with pytest.raises(UnusableResponse):
        RangeBody(None, wanted=400, total=WHOLE).feed(data)


_HEADER = st.text(max_size=60)


@given(
    st.sampled_from([200, 206, 416]),
    st.dictionaries(st.sampled_from(["Content-Type", "Content-Range", "Content-Encoding", "Content-Length"]), _HEADER),
    st.binary(max_size=500),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
)
def test_any_response_is_read_or_refused(
    status: int, headers: dict[str, str], data: bytes, asked: int, whole: int
) -> None:
    try:
        span = parse_range(status, headers, requested=asked, total=whole)
        body = RangeBody(span, wanted=0 if status == 200 else asked, total=whole)
        assert len(body.feed(data)) <= len(data)
    except CloudUnavailable:
        pass
