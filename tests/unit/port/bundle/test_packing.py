"""A bundle is bounded, its manifest is right, and a member that fails costs itself only."""

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator

import msgspec
import pytest

from agent.port.bundle import packing
from agent.port.bundle.packing import BUNDLE_BYTES_MAX, MANIFEST, Manifest, Member, contents, stream


def files_of(*members: Member) -> list[tuple[str, bytes]]:
    return list(contents(members, made="2026-11-28T18:00:00Z", versions={"climahub": "1.0.0"}, made_by="hub"))


def unpack(data: bytes, *, is_zstd: bool) -> dict[str, bytes]:
    if not is_zstd:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}
    tar = subprocess.run(["zstd", "-d", "-c"], input=data, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {found.name: opened.extractfile(found).read() for found in opened.getmembers()}  # type: ignore[union-attr]


@pytest.mark.parametrize("is_zstd", [False, pytest.param(True, marks=pytest.mark.skipif(
    not packing.has_zstd(), reason="zstd is not installed"))])  # fmt: skip
def test_what_is_packed_is_unpacked_and_the_manifest_is_right(is_zstd: bool) -> None:
    noise = os.urandom(300_000)
    files = files_of(Member("a.json", lambda: b"{}", 10), Member("b.txt", lambda: noise, 10**6))
    found = unpack(b"".join(stream(files, is_zstd=is_zstd, at_s=1_774_785_600)), is_zstd=is_zstd)
    assert list(found) == ["a.json", "b.txt", MANIFEST]
    manifest = msgspec.json.decode(found[MANIFEST], type=Manifest)
    assert (manifest.made, manifest.made_by, manifest.versions) == (
        "2026-11-28T18:00:00Z", "hub", {"climahub": "1.0.0"},
    )  # fmt: skip
    assert [(each.name, each.size_bytes, each.sha256) for each in manifest.members] == [
        (name, len(found[name]), hashlib.sha256(found[name]).hexdigest()) for name in ("a.json", "b.txt")
    ]


def notes(files: list[tuple[str, bytes]]) -> dict[str, str]:
    return {each.name: each.note for each in msgspec.json.decode(dict(files)[MANIFEST], type=Manifest).members}


def test_a_member_that_fails_costs_itself_and_its_message_stays_here() -> None:
    def fail() -> bytes:
        raise OSError("cs_dev_secret was not accepted")

    files = files_of(Member("bad.json", fail, 10), Member("good.json", lambda: b"{}", 10))
    assert [name for name, _ in files] == ["good.json", MANIFEST]
    assert notes(files) == {"bad.json": "could not be made (OSError)", "good.json": ""}


def test_of_a_long_text_the_end_is_kept_and_a_long_document_is_left_out() -> None:
    text = b"".join(b"line %d\n" % number for number in range(100))
    files = files_of(Member("log.txt", lambda: text, 50, is_text=True), Member("long.json", lambda: b"x" * 51, 50))
    assert dict(files)["log.txt"] == text[-50:].partition(b"\n")[2]
    assert "long.json" not in dict(files)
    assert notes(files) == {
        "log.txt": f"the first {len(text) - 50} bytes are cut",
        "long.json": "left out: 51 bytes, 50 are allowed",
    }


@pytest.mark.parametrize("is_zstd", [False, pytest.param(True, marks=pytest.mark.skipif(
    not packing.has_zstd(), reason="zstd is not installed"))])  # fmt: skip
def test_bundle_is_limited_to_twenty_megabytes(is_zstd: bool) -> None:
    """Of noise, which no program compresses."""
    noise = os.urandom(6 * 1024 * 1024)
    members = [Member(f"{number}.txt", lambda: noise, 10**9, is_text=True) for number in range(5)]
    size = sum(map(len, stream(contents(members, made=None, versions={}, made_by="hub"), is_zstd=is_zstd, at_s=0)))
    assert 0.9 * BUNDLE_BYTES_MAX < size <= BUNDLE_BYTES_MAX


def test_aborted_download_leaves_no_files() -> None:
    if not packing.has_zstd():
        pytest.skip("zstd is not installed")
    archive = stream([(f"{number}", os.urandom(10**6)) for number in range(8)], is_zstd=True, at_s=0)
    assert next(archive)
    archive.close()  # type: ignore[attr-defined] # it is a generator
    assert next(archive, None) is None


def test_a_zstd_that_fails_is_no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "ZSTD", ("false",))
    with pytest.raises(OSError, match="zstd failed"):
        list(stream([("a", b"b")], is_zstd=True, at_s=0))


def test_a_source_that_fails_is_no_bundle() -> None:
    if not packing.has_zstd():
        pytest.skip("zstd is not installed")

    def failing() -> Iterator[tuple[str, bytes]]:
        yield "a", b"b"
        raise ZeroDivisionError

    with pytest.raises(OSError, match="ZeroDivisionError"):
        list(stream(failing(), is_zstd=True, at_s=0))


@pytest.mark.parametrize("is_zstd", [False, pytest.param(True, marks=pytest.mark.skipif(
    not packing.has_zstd(), reason="zstd is not installed"))])  # fmt: skip
def test_a_bundle_can_be_taken_apart(is_zstd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(stream([("a", b"1"), ("b", b"2" * 5000)], is_zstd=is_zstd, at_s=1_774_785_600))
    assert packing.unpack(data) == {"a": b"1", "b": b"2" * 5000}
    monkeypatch.setattr(packing, "BUNDLE_BYTES_MAX", 4999)
    assert packing.unpack(data) == {"a": b"1"}


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04 cut off", b"anything"])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no support bundle"):
        packing.unpack(data)


def test_the_name_of_a_bundle_says_how_it_is_packed() -> None:
    assert packing.file_extension(is_zstd=True) == "tar.zst"
    assert packing.file_extension(is_zstd=False) == "zip"
