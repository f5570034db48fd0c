"""What the room knows, on the disk: one file, replaced whole, so that a key goes with the write that names its sensor.

Owns the file `relayed.json`, which is a secret while it holds keys. Must never show what it could not keep, where that
would be asked for again.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import CHECKSUM_BYTES, DurableFile
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.worker import Worker
from agent.pairing.lifecycle import JoinWindow, PairingRecord, PairingStage, PairingState

_log = logging.getLogger(__name__)

FILE_NAME = "relayed.json"
WRITTEN_BYTES_MAX = 1024 * 1024
"""What is written: releases up to 0.1 read no more than this."""
FILE_BYTES_MAX = 4 * WRITTEN_BYTES_MAX
VERSION = 2

Change = Callable[[PairingState], PairingState]


class _StateFile(msgspec.Struct, frozen=True, omit_defaults=True):
    version: int
    sensors: dict[str, PairingRecord]
    window: JoinWindow | None = None


class _IdentityV1(msgspec.Struct, frozen=True):
    """What version 1 kept of a sensor."""

    sensor_id: str
    serial_number: str = ""


class PairingStore:
    """The room's memory.

    Attributes:
        state: What is known now.
        file_problem: Why an unreadable file was put aside; empty where none was.
        problem: Why the last change is not on the disk yet; empty where it is.
    """

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        """Read what is known already. Blocks.

        Args:
            directory: Where `relayed.json` lies.
            disk: Writes the file.
            worker: Where writing blocks.
        """
        self._lost: list[str] = []
        self._file = DurableFile(
            directory / FILE_NAME,
            disk=disk,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=WRITTEN_BYTES_MAX,
            decode=lambda data: _decode(data, self._lost),
            loss="sensors register again, and those whose key was given by hand need it once more",
            is_secret=True,
        )
        self._worker = worker
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.problem = ""
        self.state = self._file.read() or PairingState()
        self.file_problem = self._file.problem
        if self._lost and not self.file_problem:
            self.file_problem = f"{FILE_NAME}: left out, since it makes no sense: {'; '.join(self._lost)}"
            _log.error("%s", self.file_problem)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each change."""
        self._listeners.append(listener)

    async def commit(self, change: Change) -> PairingState:
        """Make a change that something else waits for: it is on the disk when this returns, or it has not happened.

        Raises:
            StorageFull: It has not happened.
        """
        async with self._lock:
            state = change(self.state)
            if state == self.state and not self.problem:
                return state
            await self._write(state)
            self.state = state
            self.problem = ""
        self._notify()
        return state

    async def apply(self, change: Change) -> PairingState:
        """Take note of what has happened already; a disk without room does not undo it, and is tried again later."""
        async with self._lock:
            before = self.state
            self.state = state = change(before)
            if state == before and not self.problem:
                return state
            try:
                await self._write(state)
            except StorageFull as error:
                if not self.problem:
                    _log.warning("what is known of relayed sensors is not kept over a restart: %s", error)
                self.problem = str(error)
            else:
                self.problem = ""
        if state != before:
            self._notify()
        return state

    async def apply_in_memory(self, change: Change) -> PairingState:
        """Take over what can be learnt again after a restart: in memory only, until something else is written."""
        async with self._lock:
            before = self.state
            self.state = change(before)
        if self.state != before:
            self._notify()
        return self.state

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    async def _write(self, state: PairingState) -> None:
        data = _encode(state)
        if len(data) > WRITTEN_BYTES_MAX - CHECKSUM_BYTES:
            data = _encode(_without_relearnable(state))
        try:
            await self._worker.run(lambda: self._file.write(data))
        except OSError as error:
            raise StorageFull(f"the disk refused to write {self._file.path} ({error.strerror})") from error

    async def retry_read(self) -> None:
        """Go on asking for a file that the disk did not give; return at once where it was read."""
        await self._file.settle(self._worker, self._merge_read)

    def _merge_read(self, found: PairingState) -> None:
        """Know what the disk has given at last, beside what has happened since: an identity is never replaced."""
        met = {device: record for device, record in self.state.sensors.items() if device not in found.sensors}
        self.state = PairingState({**found.sensors, **met}, self.state.window or found.window)
        self.file_problem = ""
        self._notify()


def _encode(state: PairingState) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_StateFile(VERSION, dict(state.sensors), state.window)))


def _without_relearnable(state: PairingState) -> PairingState:
    """Return what must not be forgotten: what a sensor says of itself, and what troubles it, is learnt again."""
    return PairingState(
        {
            device: msgspec.structs.replace(record, about="", problem="", serial_number="")
            for device, record in state.sensors.items()
        },
        state.window,
    )


def _decode(data: bytes, lost: list[str]) -> PairingState:
    """Return what the file holds; what in it makes no sense is added to ``lost``, and costs no other sensor."""
    try:
        file, more = decode_leniently(data, _StateFile)
    except msgspec.ValidationError:
        # Before there was pairing, the file held identities only.
        known = msgspec.json.decode(data, type=dict[str, _IdentityV1])
        return PairingState({device: _from_v1(device, identity) for device, identity in known.items()})
    # How far a sensor has come is not to be guessed: it may have been removed.
    unknown = {device for device in file.sensors if any(text.startswith(f"sensors.{device}.stage ") for text in more)}
    if unknown and not file.sensors.keys() - unknown:
        raise msgspec.ValidationError("; ".join(more))
    lost += more
    return PairingState({device: each for device, each in file.sensors.items() if device not in unknown}, file.window)


def _from_v1(device: str, identity: _IdentityV1) -> PairingRecord:
    return PairingRecord(
        device, PairingStage.REGISTERED, sensor_id=identity.sensor_id, serial_number=identity.serial_number
    )
