"""MATLAB's level 5 files: what a recording is made of is read, damage is reported, nothing else is raised."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Rejected
from lab.vibration import mat_file as reader
from lab.vibration.mat_file import read_mat
from tests.unit.lab.vibration.mat_writer import element, mat_file, matrix

SAMPLES = np.arange(300, dtype=np.float64) / 7


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_arrays_come_back_in_shape(order: str, is_compressed: bool) -> None:
    table = np.arange(6, dtype=np.float64).reshape(2, 3)
    content = mat_file({"X105_DE_time": SAMPLES[:, None], "t": table}, order=order, is_compressed=is_compressed)
    found = read_mat(content)
    assert found.keys() == {"X105_DE_time", "t"}
    assert found["X105_DE_time"].shape == (300, 1)
    assert np.array_equal(found["X105_DE_time"][:, 0], SAMPLES)
    assert np.array_equal(found["t"], table)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_numbers_are_stored_in_any_of_their_types(kind: str) -> None:
    # MATLAB stores doubles that are whole numbers in the smallest type that holds them.
    found = read_mat(mat_file({"rpm": np.array([[97]], dtype=kind)}))
    assert found["rpm"].tolist() == [[97.0]]


def test_fields_of_structures_are_named_after_both() -> None:
    found = read_mat(
        mat_file({"bearing": {"gs": SAMPLES, "sr": np.array([[97656.0]]), "more": {"n": np.array([3.0])}}})
    )
    assert found.keys() == {"bearing.gs", "bearing.sr", "bearing.more.n"}
    assert found["bearing.sr"].item() == 97656.0


def test_structures_are_followed_only_so_deep() -> None:
    value: dict[str, object] = {"n": np.array([1.0])}
    for _ in range(50):
        value = {"s": value}
    assert read_mat(mat_file({"s": value})) == {}  # type: ignore[dict-item]


def test_complex_arrays_and_texts_are_left_out() -> None:
    head = mat_file({})
    text = element(
        14, matrix("t", np.array([[72.0, 105.0]]))[8:].replace(b"\x06\x00\x00\x00\x00", b"\x04\x00\x00\x00\x00", 1)
    )
    assert read_mat(head + matrix("z", SAMPLES, flags=0x08)) == {}
    assert "t" not in read_mat(head + text)


def test_a_file_that_is_cut_short_is_reported_at_each_length() -> None:
    content = mat_file({"a": np.arange(5.0)}) + mat_file({"b": np.arange(5.0)}, is_compressed=True)[128:]
    whole = read_mat(content)
    assert whole.keys() == {"a", "b"}
    for length in range(len(content)):
        try:
            found = read_mat(content[:length])
        except Rejected:
            continue
        # Cut exactly between two variables, or within the padding.
        assert found.keys() < whole.keys(), length


@given(st.binary(max_size=200))
def test_nothing_but_rejected_is_raised(noise: bytes) -> None:
    head = mat_file({})
    for content in (noise, head + noise, head + element(14, noise, may_be_small=False)):
        with contextlib.suppress(Rejected):
            read_mat(content)


@given(st.integers(128, 400), st.integers(0, 255))
def test_nor_by_a_byte_that_has_changed(place: int, value: int) -> None:
    content = bytearray(mat_file({"s": {"gs": SAMPLES[:20], "sr": np.array([1.0])}}))
    content[min(place, len(content) - 1)] = value
    with contextlib.suppress(Rejected):
        read_mat(bytes(content))


def test_a_variable_that_unpacks_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ARRAY_BYTES_MAX", 1000)
    with pytest.raises(Rejected, match="more than 1000 bytes"):
        read_mat(mat_file({"zeros": np.zeros(10_000)}, is_compressed=True))
