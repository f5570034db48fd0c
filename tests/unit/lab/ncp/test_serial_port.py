import pytest

pytest.importorskip("bellows")

from lab.ncp import ash, serial_port
from lab.ncp.serial_port import DAMAGED_MAX, WINDOW_CHUNKS, FaultInvalid, LineFault, LineFaultKind, UnreliableLine


def test_fault_specifications_are_parsed() -> None:
    assert serial_port.parse_all("corrupt=0.05, silence=20@60,reset") == [
        LineFault(LineFaultKind.CORRUPT, 0.05),
        LineFault(LineFaultKind.SILENCE, 20.0, 60.0),
        LineFault(LineFaultKind.RESET),
    ]
    assert serial_port.parse_all("") == []


@pytest.mark.parametrize(
    "words",
    [
        "noise=1",
        "corrupt=x",
        "corrupt=1.5",
        "silence=-1",
        "reset@-1",
        "reset@x",
        "silence=inf",
        "corrupt=nan",
        "gone=1@nan",
        "gone=1@inf",
        "silence=1e9",
    ],
)
def test_invalid_fault_specifications_are_refused(words: str) -> None:
    with pytest.raises(FaultInvalid, match=r"corrupt|choose \w+ from 0"):
        serial_port.parse(words)


def test_line_corrupts_one_byte_of_a_share_of_chunks_by_seed() -> None:
    chunks = [bytes((number % 256,) * 20) for number in range(2000)]

    def carried(seed: int) -> list[bytes]:
        line = UnreliableLine(seed)
        line.corrupted_part = 0.05
        return [line.carry(chunk) for chunk in chunks]

    spoiled = [(a, b) for a, b in zip(chunks, carried(1), strict=True) if a != b]
    assert 60 < len(spoiled) < 140
    assert all(sum(x != y for x, y in zip(a, b, strict=True)) == 1 for a, b in spoiled)
    assert carried(1) == carried(1) != carried(2)
    assert UnreliableLine(1).carry(b"whole") == b"whole"


def test_line_damages_few_chunks_in_a_row_unless_it_damages_most() -> None:
    line = UnreliableLine(1)
    line.corrupted_part = DAMAGED_MAX / WINDOW_CHUNKS
    hits = [line.carry(b"whole") != b"whole" for _ in range(2000)]
    assert max(sum(hits[place : place + WINDOW_CHUNKS]) for place in range(len(hits))) == DAMAGED_MAX
    line.corrupted_part = 1.0
    assert all(line.carry(b"whole") != b"whole" for _ in range(100))


def test_line_makes_no_damage_that_the_crc_misses() -> None:
    """The last byte of a CRC is 0 and becomes XON, which is not counted: the rest would pass, shorter by a byte."""
    whole = next(each for each in (ash.stuff(number.to_bytes(4)) for number in range(100_000)) if each[-2] == 0)
    assert list(ash.whole_frames(whole[:-2] + bytes((ash.XON, ash.FLAG)))) == [whole[:-4]]
    line = UnreliableLine(1)
    line.corrupted_part = 1.0
    assert {frame for _ in range(5000) for frame in ash.whole_frames(line.carry(whole))} == {whole[:-3]}
