"""The files of bundles in the state directory: the partial file, the complete bundle, and the extracted system image.

Must never write unverified bytes. A download may end anywhere, and a power cut may damage what was written: so the
partial file is verified again before it grows, and cut at the first wrong byte. No progress is stored, so none can be
wrong. All methods block: call them through a `Worker`.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.errors import BundleUntrusted, StorageFull
from agent.foundation.staging_files import StagingFiles
from agent.ota import bundle_format
from agent.ota.bundle_format import BundleHeader, BundleStream
from agent.ota.keyring import TrustStore
from agent.ota.manifest import CHUNK_BYTES, HubFacts, Offer, check_compatible
from agent.ota.slots import InstalledRelease, Slots

PART_FILE = "update.part"
BUNDLE_FILE = "update.bundle"
IMAGE_PART_FILE = "image.part"
IMAGE_FILE = "image.raucb"


class StagingLimits(msgspec.Struct, frozen=True):
    """The configured limits of bundles.

    Attributes:
        allow_unsigned: Accept unsigned bundles.
        size_bytes_max: Of the whole file.
        disk_free_bytes_min: Free space that an update leaves.
    """

    allow_unsigned: bool
    size_bytes_max: int
    disk_free_bytes_min: int


class Staging:
    """The bundle files of one hub."""

    def __init__(
        self,
        trees: StagingFiles,
        slots: Slots,
        *,
        trust_store: TrustStore,
        limits: StagingLimits,
        facts: Callable[[], HubFacts],
    ) -> None:
        """Prepare; nothing is read.

        Args:
            trees: Writes below the state directory.
            slots: Of this hub.
            trust_store: Has the trusted keys.
            limits: As configured.
            facts: Returns the properties of this hub, except those in the launcher's state.
        """
        self._trees = trees
        self._slots = slots
        self._trust_store = trust_store
        self._limits = limits
        self._facts = facts

    def open_part(self, offer: Offer | None) -> "PartialBundle":
        """Return the partial file, which may exist already.

        Raises:
            BundleUntrusted: It would be too large for this hub.
            StorageFull: There is no room for it.
        """
        size = offer.size_bytes if offer else 0
        if size > self._limits.size_bytes_max:
            raise BundleUntrusted(
                f"the release has {size} bytes, more than this hub accepts ({self._limits.size_bytes_max})"
            )
        self._need(size - self._trees.size(PART_FILE))
        check = self._checking(offer)
        return PartialBundle(self._trees, lambda: BundleStream(check, offer=offer, is_summed=False))

    def verify(self, offer: Offer | None) -> BundleHeader:
        """Verify every byte of the complete bundle; return its header.

        Raises:
            BundleUntrusted: This hub must not install it.
            BundleDamaged: It is damaged.
        """
        stream = BundleStream(self._checking(offer), offer=offer)
        with self._trees.path(BUNDLE_FILE).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                for _ in stream.feed(data):
                    pass
        return stream.finish()

    def install_app(self, offer: Offer | None) -> InstalledRelease:
        """Install the complete bundle into the idle slot (`Slots.install`)."""
        return self._slots.install(BUNDLE_FILE, self._checking(offer), self._trust_store.check_changes)

    @property
    def image_path(self) -> Path:
        """The file of the system image, once it is extracted."""
        return self._trees.path(IMAGE_FILE)

    def has_image(self) -> bool:
        """Tell whether the system image is extracted. RAUC may have made it unreadable for this user."""
        return self.image_path.exists()

    def extract_image(self, offer: Offer | None) -> None:
        """Copy the system image out of the bundle, durably, and verify every byte again.

        Raises:
            BundleUntrusted: This hub must not install it.
            BundleDamaged: The bundle is damaged.
            StorageFull: No room.
        """
        stream = BundleStream(self._checking(offer), offer=offer)
        self._trees.remove(IMAGE_PART_FILE)
        at = 0
        with self._trees.path(BUNDLE_FILE).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                for piece in stream.feed(data):
                    if stream.header is not None and stream.verified_bytes > stream.header.header_bytes:
                        self._trees.append(IMAGE_PART_FILE, piece, at=at)
                        at += len(piece)
        stream.finish()
        self._trees.sync_file(IMAGE_PART_FILE)
        self._trees.rename(IMAGE_PART_FILE, IMAGE_FILE)

    def has_bundle(self) -> bool:
        """Tell whether there is a complete bundle."""
        return self._trees.path(BUNDLE_FILE).exists()

    def clear(self, *, keep_part: bool = False) -> None:
        """Remove what was downloaded; with ``but_part``, all but what a download may go on with."""
        for name in (
            (BUNDLE_FILE, IMAGE_PART_FILE, IMAGE_FILE)
            if keep_part
            else (PART_FILE, BUNDLE_FILE, IMAGE_PART_FILE, IMAGE_FILE)
        ):
            self._trees.remove(name)

    def _checking(self, offer: Offer | None) -> Callable[[bytes], BundleHeader]:
        def check(signed: bytes) -> BundleHeader:
            found = bundle_format.check(
                signed, self._trust_store.trusted_keys(), allow_unsigned=self._limits.allow_unsigned
            )
            state = self._slots.read_state()
            facts = msgspec.structs.replace(
                self._facts(),
                floor=max(state.floor, self._trust_store.keyring.floor),
                failed_version="" if state.failed.is_damaged else state.failed.version,
                failed_sequence=state.failed.sequence,
            )
            check_compatible(found.manifest, facts, offer=offer, header_bytes=found.header_bytes)
            size = found.header_bytes + found.manifest.payload_bytes
            if size > self._limits.size_bytes_max:
                raise BundleUntrusted(
                    f"the release has {size} bytes, more than this hub accepts ({self._limits.size_bytes_max})"
                )
            present = max(self._trees.size(PART_FILE), self._trees.size(BUNDLE_FILE))
            self._need(size - present + found.manifest.installed_bytes)
            return found

        return check

    def _need(self, size_bytes: int) -> None:
        free = self._trees.free_bytes() - self._limits.disk_free_bytes_min
        if size_bytes > free:
            raise StorageFull(
                f"free some space: the update needs {size_bytes} bytes more, and {max(free, 0)} are free besides the"
                f" {self._limits.disk_free_bytes_min} that must stay free"
            )


class PartialBundle:
    """The partial file of one bundle."""

    def __init__(self, trees: StagingFiles, new_stream: Callable[[], BundleStream]) -> None:
        self._trees = trees
        self._new_stream = new_stream
        self._stream = new_stream()
        self._kept_bytes = 0
        self._kept_head = b""

    @property
    def verified_bytes(self) -> int:
        """Size of the verified part on the disk."""
        return max(self._kept_bytes, self._stream.verified_bytes)

    @property
    def total_bytes(self) -> int:
        """Size of the bundle; 0 before its header is verified."""
        return self._stream.size_bytes

    @property
    def unverified(self) -> tuple[int, bytes]:
        """The offset of the bytes that are not verified yet, and these bytes."""
        return self._stream.verified_bytes, self._stream.unverified

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self._stream.header is not None and self._stream.verified_bytes == self._stream.size_bytes

    def verify_existing(self) -> int:
        """Verify the existing file; return the size of its correct part."""
        path = self._trees.path(PART_FILE)
        if path.exists():
            # Unreadable bytes, those damaged by a power cut, and those of another bundle are cut off.
            with contextlib.suppress(BundleUntrusted, OSError), path.open("rb") as file:
                while data := file.read(CHUNK_BYTES):
                    for _ in self._stream.feed(data):
                        pass
            self._stream.discard_unverified()
        return self.verified_bytes

    def restart_from_zero(self) -> None:
        """Take the next bytes as the beginning of the file.

        The verified bytes on the disk stay, and are not written again, unless a valid header of another bundle follows.
        """
        self._kept_bytes = self._stream.verified_bytes
        if self._kept_bytes and self._stream.header is not None:
            with self._trees.path(PART_FILE).open("rb") as file:
                self._kept_head = file.read(self._stream.header.header_bytes)
        self._stream = self._new_stream()

    def write(self, data: bytes) -> None:
        """Write the next bytes, once they are verified; `Staging.verify` checks the checksum of the whole.

        Raises:
            BundleUntrusted: This hub must not install the bundle.
            BundleDamaged: They are damaged, and were not written.
            StorageFull: No room.
        """
        for piece in self._stream.feed(data):
            at = self._stream.verified_bytes - len(piece)
            if at == 0 and piece != self._kept_head:
                self._kept_bytes = 0
            if at + len(piece) > self._kept_bytes:
                self._trees.append(PART_FILE, piece, at=at)

    def finish(self) -> BundleHeader:
        """Make the complete file durable under its final name.

        Raises:
            BundleDamaged: Something is missing.
        """
        header_found = self._stream.finish()
        self._trees.sync_file(PART_FILE)
        self._trees.rename(PART_FILE, BUNDLE_FILE)
        return header_found
