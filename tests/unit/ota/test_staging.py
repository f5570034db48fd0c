"""An image on its way: room for it is asked for before a byte of it is written, and it is copied byte by byte right."""

import io
from pathlib import Path

import pytest

from agent.errors import BundleUntrusted, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.staging_files import StagingFiles
from agent.ota import bundle_builder, bundle_format
from agent.ota.keyring import TrustStore
from agent.ota.launcher import BASE
from agent.ota.manifest import CHUNK_BYTES, HubFacts, PayloadType
from agent.ota.slots import Slots
from agent.ota.staging import BUNDLE_FILE, PART_FILE, Staging, StagingLimits

IMAGE = bytes(range(251)) * 10_000
FACTS = HubFacts("hub", "any", "any", 1, 0, None, payload_types=tuple(PayloadType))
LEFT_ALONE_BYTES = 1000


class SmallDisk(Disk):
    """A disk with so much room."""

    def __init__(self, free_bytes: int) -> None:
        super().__init__()
        self.free = free_bytes

    def free_bytes(self, directory: Path) -> int:
        del directory
        return self.free


def bundle() -> tuple[bytes, bytes]:
    """Return head and image of a release."""
    manifest = bundle_builder.build_image_manifest(io.BytesIO(IMAGE), bundle_builder.BundleTarget("3.0.0", 3, ("hub",)))
    return bundle_format.encode_unsigned(manifest), IMAGE


def staging(directory: Path, free_bytes: int) -> Staging:
    disk = SmallDisk(free_bytes)
    trees = StagingFiles(directory, disk)
    limits = StagingLimits(True, 2**30, LEFT_ALONE_BYTES)
    return Staging(
        trees,
        Slots(trees, disk, running=BASE),
        trust_store=TrustStore(directory, directory / "keys", disk),
        limits=limits,
        facts=lambda: FACTS,
    )


def test_image_needs_room_for_the_bundle_and_its_extracted_copy(tmp_path: Path) -> None:
    head, image = bundle()
    needed = len(head) + 2 * len(image) + LEFT_ALONE_BYTES
    with pytest.raises(StorageFull, match="free some space"):
        staging(tmp_path, needed - 1).open_part(None).write(head + image)
    assert not (tmp_path / PART_FILE).exists()
    part = staging(tmp_path, needed).open_part(None)
    part.write(head + image)
    part.finish()


def test_extracted_image_is_the_payload_behind_the_header(tmp_path: Path) -> None:
    head, image = bundle()
    (tmp_path / BUNDLE_FILE).write_bytes(head + image)
    (tmp_path / "image.part").write_bytes(b"left by a power cut" * 1_000_000)
    made = staging(tmp_path, 2**30)
    assert not made.has_image()
    made.extract_image(None)
    assert made.has_image()
    assert made.image_path.read_bytes() == image
    made.clear()
    assert list(tmp_path.iterdir()) == []


def test_bundle_damaged_before_extraction_is_refused(tmp_path: Path) -> None:
    head, image = bundle()
    data = bytearray(head + image)
    data[len(head) + CHUNK_BYTES + 5] ^= 1
    (tmp_path / BUNDLE_FILE).write_bytes(data)
    made = staging(tmp_path, 2**30)
    with pytest.raises(BundleUntrusted, match="part 2"):
        made.extract_image(None)
    assert not made.has_image()
