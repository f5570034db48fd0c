"""The stored state of pairing: one file, replaced whole, so that one write saves an identity and deletes its key.

Owns the file `relayed.json`, which is a secret while it holds keys.
"""

from pathlib import Path

import msgspec

from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.worker import Worker
from agent.pairing.lifecycle import JoinWindow, PairingRecord, PairingStage, PairingState

FILE_NAME = "relayed.json"
WRITTEN_BYTES_MAX = 1024 * 1024
"""The largest file that is written: releases up to 0.1 read no more than this."""
FILE_BYTES_MAX = 4 * WRITTEN_BYTES_MAX
VERSION = 2


class _StateFile(msgspec.Struct, frozen=True, omit_defaults=True):
    version: int
    sensors: dict[str, PairingRecord]
    window: JoinWindow | None = None


class _IdentityV1(msgspec.Struct, frozen=True):
    """A sensor in a file of version 1."""

    sensor_id: str
    serial_number: str = ""


class PairingStore(JsonStore[PairingState]):
    """The state of pairing, and its file."""

    def __init__(self, directory: Path, *, disk: Disk, worker: Worker) -> None:
        """Read the file. Blocks.

        Args:
            directory: Where `relayed.json` is.
            disk: Reads and writes the file.
            worker: Runs what blocks.
        """
        super().__init__(
            directory / FILE_NAME,
            PairingState(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=WRITTEN_BYTES_MAX,
            loss="sensors register again, and those whose key was given by hand need it once more",
            decode=_decode,
            encode=_encode,
            shrink=_without_relearnable,
            is_secret=True,
        )
        self.load()

    @property
    def state(self) -> PairingState:
        """The state in force."""
        return self.value

    @property
    def file_problem(self) -> str:
        """What is wrong with the file: why the last change is not saved, or why it could not be read; else empty."""
        return self.save_problem or self.problem

    async def read_again(self) -> None:
        """Read a file that the disk did not give at the start, as often as the disk needs."""
        await self.retry_read(_merge)


def _merge(current: PairingState, found: PairingState) -> PairingState:
    """Return the state of the file with what has happened since: an identity in the file is never replaced."""
    added = {device: record for device, record in current.sensors.items() if device not in found.sensors}
    return PairingState({**found.sensors, **added}, current.window or found.window)


def _encode(state: PairingState) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_StateFile(VERSION, dict(state.sensors), state.window)))


def _without_relearnable(state: PairingState) -> PairingState:
    """Return the part of the state that must not be lost: the rest is reported again by sensors and cloud."""
    return PairingState(
        {
            device: msgspec.structs.replace(record, about="", problem="", serial_number="")
            for device, record in state.sensors.items()
        },
        state.window,
    )


def _decode(data: bytes, left_out: list[str]) -> PairingState:
    """Return the state of a file; what cannot be read of one sensor is added to ``left_out`` and affects no other."""
    try:
        file, more = decode_leniently(data, _StateFile)
    except msgspec.ValidationError:
        # Version 1, before there was pairing, held identities only.
        known = msgspec.json.decode(data, type=dict[str, _IdentityV1])
        return PairingState({device: _from_v1(device, identity) for device, identity in known.items()})
    # An unreadable stage is not guessed: the sensor may have been removed.
    unknown = {device for device in file.sensors if any(text.startswith(f"sensors.{device}.stage ") for text in more)}
    if unknown and not file.sensors.keys() - unknown:
        raise msgspec.ValidationError("; ".join(more))
    left_out += more
    return PairingState({device: each for device, each in file.sensors.items() if device not in unknown}, file.window)


def _from_v1(device: str, identity: _IdentityV1) -> PairingRecord:
    return PairingRecord(
        device, PairingStage.REGISTERED, sensor_id=identity.sensor_id, serial_number=identity.serial_number
    )
