"""The payload of an app, unpacked into a tree that nobody uses yet. Takes verified pieces only."""

import hashlib
from collections.abc import Iterator

from agent.foundation.staging_files import StagingFiles
from agent.ota.keys import KeyChanges
from agent.ota.manifest import Manifest
from agent.ota.payload import Payload


def unpack(
    pieces: Iterator[bytes | bytearray], manifest: Manifest, trees: StagingFiles, tree: str
) -> tuple[str, KeyChanges]:
    """Write the files of a payload below ``tree``.

    Args:
        pieces: The payload, verified.
        manifest: Its manifest.
        trees: Where.
        tree: Name of a tree that does not exist yet.

    Returns:
        The digest of the tree, as the launcher takes it, and what the release says of keys.

    Raises:
        BundleUntrusted: The payload is not what the manifest says, or no release.
        StorageFull: No room.
        OSError: The disk failed in another way.
    """
    payload = Payload(pieces, manifest)
    digests: dict[str, str] = {}
    for name, content in payload.files():
        digest = hashlib.sha256()
        trees.write_new(f"{tree}/{name}", _digested(content, digest))
        digests[name] = digest.hexdigest()
    return tree_digest(digests), payload.trust


def tree_digest(digests: dict[str, str]) -> str:
    """Return what `launcher.digest` says of a tree of these files: it walks files first, then directories, by name."""
    total = hashlib.sha256()

    def key(path: str) -> tuple[tuple[int, str], ...]:
        *parents, name = path.split("/")
        return (*((1, parent) for parent in parents), (0, name))

    for path in sorted(digests, key=key):
        total.update(f"{path}\0{digests[path]}\n".encode())
    return total.hexdigest()


def _digested(content: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in content:
        digest.update(piece)
        yield piece
