"""Bundles that are properly signed and broken all the same: refused with what is wrong, and nothing is left behind."""

import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BundleUntrusted, InstallFailed, StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.staging_files import StagingFiles
from agent.ota import bundle_builder, bundle_format, launcher
from agent.ota.bundle_format import BundleHeader
from agent.ota.keyring import TrustStore
from agent.ota.payload import EXTENDED_BYTES_MAX, Payload, find_version
from agent.ota.slots import Slots

from .conftest import TREE, TRUSTED, Made, make

Members = list[tuple[tarfile.TarInfo, bytes]]


def member(name: str, data: bytes = b"x", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in changes.items():
        setattr(info, field, value)
    return info, data


def bundle(members: Members, **changes: Any) -> Made:  # noqa: ANN401 - any field of the manifest
    """Return a signed bundle of an archive that says truly how much it holds."""
    packed = io.BytesIO()
    with (
        lzma.open(packed, "wb") as compressed,
        tarfile.open(fileobj=compressed, mode="w|", encoding="utf-8", errors="surrogateescape") as tar,
    ):
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    sizes = {"files": max(1, len(members)), "unpacked_bytes": max(1, sum(len(data) for _, data in members))}
    return make(payload=packed.getvalue(), **(sizes | changes))


MAIN = member("__main__.py", b"print()")

BROKEN: dict[str, tuple[Members, str]] = {
    "a name that is no UTF-8": ([MAIN, member("lib/\udcff.py")], "no UTF-8"),
    "a name of 300 characters": ([MAIN, member("n" * 300)], "too long"),
    "a name of 200 characters that takes 400 bytes": ([MAIN, member("ä" * 200)], "too long"),
    "a path of 2,000 characters": ([MAIN, member("d/" * 1000 + "f")], "too long"),
    "no file at all": ([], "holds 0 files"),
    "nothing that can be started": ([member("lib/a.py")], "no __main__.py"),
    "nothing that can be started, in a directory": ([member("climahub/__main__.py")], "no __main__.py"),
    "a file that is a directory as well": ([MAIN, member("a"), member("a/b")], "twice"),
    "a directory that is a file as well": ([MAIN, member("a/b"), member("a")], "twice"),
    "one file twice": ([MAIN, MAIN], "twice"),
    "a line break in a name": ([MAIN, member("a\nb")], "control characters"),
    "the way out": ([MAIN, member("../escape")], "no path within"),
    "an absolute path": ([MAIN, member("/etc/x")], "no path within"),
    "a dot in the path": ([MAIN, member("./a")], "no path within"),
    "an empty name": ([MAIN, member("")], "no p"),
    "a link": ([MAIN, member("a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "no plain file"),
    "a device": ([MAIN, member("a", b"", type=tarfile.CHRTYPE)], "no plain file"),
    "a directory": ([MAIN, member("a", b"", type=tarfile.DIRTYPE)], "no p"),
    "another version": (
        [MAIN, member("climahub-1.0.0.dist-info/METADATA", b"Name: climahub\nVersion: 1.0.0\n\nVersion: 2.0.0\n")],
        "holds climahub '1.0.0'",
    ),
    "another version by its package": ([MAIN, member("agent/__init__.py", b'x = 1\n__version__ = "0.1.0"\n')], "0.1.0"),
    "a list of keys that is none": ([MAIN, member("trust.json", b"{")], "trust.json"),
    "a huge list of keys": ([MAIN, member("trust.json", bytes(300_000))], "trust.json"),
}  # fmt: skip


def hub(directory: Path, disk: Disk | None = None) -> Slots:
    return Slots(StagingFiles(directory, disk or Disk()), disk or Disk(), running="base")


def install(directory: Path, made: Made, disk: Disk | None = None) -> object:
    """Let a hub install a bundle that lies there."""
    (directory / "bundle").write_bytes(made.data)
    check: Callable[[bytes], BundleHeader] = lambda signed: bundle_format.check(signed, TRUSTED, allow_unsigned=False)  # noqa: E731
    return hub(directory, disk).install("bundle", check, TrustStore(directory, directory, Disk()).check_changes)


@pytest.mark.parametrize("name", BROKEN)
def test_a_signed_but_broken_bundle_is_refused_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    members, match = BROKEN[name]
    made = bundle(members)
    with pytest.raises(BundleUntrusted, match=match):
        install(tmp_path, made)
    assert list((tmp_path / "slots").iterdir()) == []
    with pytest.raises(BundleUntrusted, match=match):
        bundle_builder.examine(
            io.BytesIO(made.data), lambda signed: bundle_format.check(signed, TRUSTED, allow_unsigned=False)
        )


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (b"not xz", "cannot be unpacked"),
        (lzma.compress(b""), "cannot be unpacked|holds 0 files"),
        (lzma.compress(b"x" * 5000), "cannot be unpacked"),
        (lzma.compress(b"\0" * 10240), "holds 0 files"),
        (lzma.compress(bytes(2_000_000)), "holds more|holds 0 files"),
        (bundle_builder.pack(TREE)[:-120], "too early"),
    ],
    ids=["no xz", "empty", "no tar", "an empty tar", "zeros", "cut"],
)
def test_signed_payload_that_is_no_archive_is_refused(tmp_path: Path, payload: bytes, match: str) -> None:
    with pytest.raises(BundleUntrusted, match=match):
        install(tmp_path, make(payload=payload))
    assert list((tmp_path / "slots").iterdir()) == []


def test_oversized_archive_header_is_refused(tmp_path: Path) -> None:
    huge = member("a", pax_headers={"comment": "x" * (EXTENDED_BYTES_MAX + 1)})
    with pytest.raises(BundleUntrusted, match="a name of"):
        install(tmp_path, bundle([MAIN, huge], unpacked_bytes=1_000_000))


def test_version_in_any_spelling_is_installed(tmp_path: Path) -> None:
    metadata = member("climahub-2.0.dist-info/METADATA", b"Version: 2.0\n")
    assert install(tmp_path, bundle([MAIN, metadata, member("other-9.0.dist-info/METADATA", b"Version: 9.0\n")]))
    assert (tmp_path / "slots" / "a" / "__main__.py").read_bytes() == b"print()"


def test_version_of_a_tree_is_found_in_its_source() -> None:
    assert find_version({}) == ""
    assert find_version({"agent/__init__.py": b"__version__: str = '3.1'\n"}) == "3.1"
    assert find_version({"agent/__init__.py": b"# __version__ = '3.1'\n"}) == ""


@pytest.mark.parametrize("error", [5, 30, 28])
def test_disk_error_is_no_fault_of_the_release_and_leaves_nothing(tmp_path: Path, error: int) -> None:
    def fail(operation: Operation, name: str) -> None:
        if operation is Operation.WRITE and "lib" in name:
            raise OSError(error, "failed", name)

    with pytest.raises((OSError, StorageFull)) as caught:
        install(tmp_path, make(), Disk(fail))
    assert not isinstance(caught.value, BundleUntrusted)
    assert list((tmp_path / "slots").iterdir()) == []


def test_card_that_loses_written_data_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "digest", lambda _: "another")
    with pytest.raises(InstallFailed, match="worn out"):
        install(tmp_path, make())
    assert list((tmp_path / "slots").iterdir()) == []


@given(st.binary(max_size=2000), st.integers(0, 1500), st.sampled_from(["archive", "compressed"]))
def test_any_signed_payload_raises_known_errors_only(noise: bytes, at: int, where: str) -> None:
    manifest = msgspec.structs.replace(make().manifest, files=3)
    archive = lzma.decompress(bundle_builder.pack(TREE))
    broken = archive[:at] + noise + archive[at + len(noise) :]
    payload = lzma.compress(broken, preset=0) if where == "archive" else bundle_builder.pack(TREE)[: at % 300] + noise
    try:
        for _, content in Payload(iter([payload]), manifest).files():
            for _ in content:
                pass
    except BundleUntrusted:
        pass
