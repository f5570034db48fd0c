"""Writes archives that a Linux kernel unpacks as its first file system (cpio, "newc": initramfs buffer format).

Everything in them belongs to root, so that nobody needs to be root to make one. Several may stand one after the other
in one file: what a later one holds comes over what an earlier one held.
"""

import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

ALIGN = 4
BLOCK = 512
DIRECTORY_MODE = stat.S_IFDIR | 0o755
LINK_MODE = stat.S_IFLNK | 0o777


class Archive:
    """One archive, written to a file front to back."""

    def __init__(self, out: BinaryIO) -> None:
        """Begin."""
        self._out = out
        self._made: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._entry("TRAILER!!!", 0, b"", 0)
        self._out.write(b"\0" * (-self._out.tell() % BLOCK))

    def tree(self, root: Path, where: str = "") -> None:
        """Add a directory with all that is in it."""
        for path in sorted(root.rglob("*")):
            name = f"{where}/{path.relative_to(root)}".strip("/")
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self.link(name, str(path.readlink()))
            elif stat.S_ISDIR(status.st_mode):
                self._directories(f"{name}/")
            elif stat.S_ISREG(status.st_mode):
                self.file(name, path.read_bytes(), status.st_mode & 0o7777, int(status.st_mtime))

    def file(self, name: str, data: bytes, mode: int = 0o644, modified_s: int = 0) -> None:
        """Add a file, and the directories above it."""
        self._directories(name)
        self._entry(name, stat.S_IFREG | mode, data, modified_s)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link, and the directories above it."""
        self._directories(name)
        self._entry(name, LINK_MODE, target.encode(), 0)

    def _directories(self, name: str) -> None:
        for place in [place for place, letter in enumerate(name) if letter == "/"]:
            if name[:place] not in self._made:
                self._made.add(name[:place])
                self._entry(name[:place], DIRECTORY_MODE, b"", 0)

    def _entry(self, name: str, mode: int, data: bytes, modified_s: int) -> None:
        path = name.encode() + b"\0"
        # inode, mode, owner, group, links, time, size, device (two), device of a node (two), length of the name, sum
        numbers = (0, mode, 0, 0, 1, modified_s, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + "".join(f"{number:08x}" for number in numbers).encode() + path
        self._out.write(head + b"\0" * (-len(head) % ALIGN))
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % ALIGN))
