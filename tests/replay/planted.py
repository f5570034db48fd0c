"""Bugs for the campaign to find: what it does not find, it does not guard against."""

import contextlib
import dataclasses
import os
import stat
from collections.abc import Callable, Iterator
from unittest import mock

import msgspec

from agent.foundation.staging_files import StagingFiles
from agent.ota import payload
from agent.ota.bundle_format import BundleHeader
from agent.ota.keys import KeyChanges
from agent.ota.manifest import Manifest
from agent.ota.slots import InstalledRelease, Slots

from .workload import Bugs

TRUSTING: Bugs = (('if __name__ == "__main__":', 'find_slot_problem = lambda *_: ""\nif __name__ == "__main__":'),)
"""The launcher believes every slot. Without this, it stands between each of the others and the hub."""
_LAUNCHER_UNSYNCED: Bugs = (("os.fsync(", "id("),)

Planted = Callable[[], contextlib.AbstractContextManager[None]]


class Bug(msgspec.Struct, frozen=True):
    """A bug.

    Attributes:
        plant: In the agent.
        launcher: In the launcher.
        kinds: What has to be found.
    """

    plant: Planted
    launcher: Bugs
    kinds: frozenset[str]


@contextlib.contextmanager
def _slot_unsynced() -> Iterator[None]:
    # Reading back from the medium begins with asking the system to write what it still has, which is half a sync.
    with mock.patch.object(StagingFiles, "sync"), mock.patch.object(StagingFiles, "forget_cached"):
        yield


@contextlib.contextmanager
def _nothing_synced() -> Iterator[None]:
    with mock.patch("os.fsync"), _slot_unsynced():
        yield


@contextlib.contextmanager
def _download_unsynced() -> Iterator[None]:
    with mock.patch.object(StagingFiles, "sync_file"):
        yield


@contextlib.contextmanager
def _names_unsynced() -> Iterator[None]:
    sync = os.fsync

    def files_only(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            sync(descriptor)

    with mock.patch("os.fsync", files_only):
        yield


@contextlib.contextmanager
def _pointer_first() -> Iterator[None]:
    place, fill = Slots.install, payload.unpack

    def placed(
        self: Slots, bundle: str, check: Callable[[bytes], BundleHeader], check_trust: Callable[[KeyChanges, str], None]
    ) -> InstalledRelease:
        def named(
            pieces: Iterator[bytes], manifest: Manifest, files: StagingFiles, tree: str
        ) -> tuple[str, KeyChanges]:
            self._store(
                dataclasses.replace(
                    self.read_state(),
                    trial=self.idle_slot(),
                    trial_version=manifest.version,
                    trial_sequence=manifest.sequence,
                    tries_left=2,
                )
            )
            return fill(pieces, manifest, files, tree)

        with mock.patch.object(payload, "unpack", named):
            return place(self, bundle, check, check_trust)

    with mock.patch.object(Slots, "install", placed):
        yield


BUGS = {
    "nothing is synced": Bug(_nothing_synced, _LAUNCHER_UNSYNCED, frozenset({"damaged", "forgotten"})),
    "nothing is synced, and the launcher trusts": Bug(
        _nothing_synced, (*_LAUNCHER_UNSYNCED, *TRUSTING), frozenset({"unbootable"})
    ),
    "the slot is not synced": Bug(_slot_unsynced, (), frozenset({"damaged"})),
    "the slot is not synced, and the launcher trusts": Bug(_slot_unsynced, TRUSTING, frozenset({"unbootable"})),
    "the slot is named first": Bug(_pointer_first, (), frozenset({"damaged", "stuck"})),
    "the slot is named first, and the launcher trusts": Bug(_pointer_first, TRUSTING, frozenset({"unbootable"})),
    "the download is not synced": Bug(_download_unsynced, (), frozenset({"stuck"})),
    "new names are not synced": Bug(_names_unsynced, (), frozenset({"forgotten"})),
}
