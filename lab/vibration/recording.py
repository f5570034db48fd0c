"""Reads a recording of an accelerometer from a file: text columns, WAV, numpy's .npy and .npz, MATLAB's .mat (level 5).

The content says which kind it is, not the name. One channel is chosen; what the file itself says of sampling rate and
speed comes along. Nothing in a file is ever run (numpy's pickles are refused).
"""

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.errors import Rejected
from lab.vibration.mat_file import read_mat
from lab.vibration.text_columns import read_columns

Floats = NDArray[np.float64]

FILE_BYTES_MAX = 512 * 1024 * 1024
SAMPLES_MAX = 20_000_000
"""Half an hour at 10 kHz: the analysis holds some ten copies of it in memory."""
SAMPLES_MIN = 256
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SPEED_NAME = re.compile(r"(?i)rpm$")
_DRIVE_END = re.compile(r"(?i)(^|_)DE(_|$)")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class Recording(msgspec.Struct, frozen=True):
    """One channel of a recording.

    Attributes:
        samples: Acceleration in the unit of the file, shape (n,).
        rate_hz: Sampling rate.
        channel: Its name.
        channels: All channels of the file, by name.
        shaft_hz: Speed of the shaft, where the file holds it; otherwise `None`.
    """

    samples: Floats
    rate_hz: float
    channel: str
    channels: tuple[str, ...]
    shaft_hz: float | None


class Content(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        channels: By name, each of shape (n,).
        rate_hz: Sampling rate; `None`: it does not say.
        shaft_hz: Speed of the shaft; `None`: it does not say.
    """

    channels: Mapping[str, Floats]
    rate_hz: float | None = None
    shaft_hz: float | None = None


def read_recording(path: Path, *, rate_hz: float | None = None, channel: str | None = None) -> Recording:
    """Return one channel of a recording.

    Args:
        path: The file.
        rate_hz: Sampling rate; `None`: that which the file holds. It wins over the file's.
        channel: Its name, a part of it, or its number from 1; `None`: the drive end's ("DE"), or the first.

    Raises:
        Rejected: The file is no recording, is too large, lacks the channel, or its sampling rate is not known.
        OSError: The file cannot be read.
    """
    if path.stat().st_size > FILE_BYTES_MAX:
        raise Rejected(f"cut {path} into pieces: it has more than {FILE_BYTES_MAX} bytes")
    content = parse(path.read_bytes())
    names = tuple(content.channels)
    if not names:
        raise Rejected(f"{path} holds no column of at least {SAMPLES_MIN} numbers: is it a recording?")
    name = _chosen(names, channel)
    samples = content.channels[name]
    if len(samples) > SAMPLES_MAX:
        raise Rejected(f"cut {path} into pieces: {len(samples)} samples are more than {SAMPLES_MAX}")
    if not np.isfinite(samples).all():
        raise Rejected(f"channel {name} of {path} has places without a number: record anew, or cut them out")
    if np.ptp(samples) == 0:
        raise Rejected(f"channel {name} of {path} never changes: is the accelerometer connected?")
    rate_hz = rate_hz or content.rate_hz
    if rate_hz is None:
        raise Rejected(f"add --sampling-rate: {path} does not say how many samples a second it has")
    return Recording(samples, rate_hz, name, names, content.shaft_hz)


def parse(content: bytes) -> Content:
    """Return what a file holds.

    Raises:
        Rejected: It is no recording.
    """
    if content.startswith(b"RIFF"):
        return _wav(content)
    if content.startswith((b"\x93NUMPY", b"PK")):
        return _numpy(content)
    if content.startswith(_HDF5) or _HDF5 in content[:1024]:
        raise Rejected("save the recording with MATLAB's save -v7: files of -v7.3 are HDF5, which is not read here")
    if content[126:128] in (b"IM", b"MI"):
        return _from_arrays(read_mat(content))
    if b"\0" in content[:4096]:
        raise Rejected("give a text file with columns, a WAV, .npy, .npz or MATLAB level 5 .mat: this is none of them")
    columns = read_columns(content)
    return Content({name: samples for name, samples in columns.values.items() if _is_channel(samples)}, columns.rate_hz)


def _is_channel(samples: Floats) -> bool:
    return len(samples) >= SAMPLES_MIN


def _from_arrays(arrays: Mapping[str, Floats]) -> Content:
    """Return the channels among named arrays, and the scalars that say rate and speed.

    CWRU's files hold X105_DE_time and X105RPM; MFPT's hold bearing.gs, bearing.sr (samples a second) and bearing.rate
    (revolutions a second).
    """
    channels: dict[str, Floats] = {}
    rate_hz = shaft_hz = None
    for name, array in arrays.items():
        if array.size == 1:
            number = float(array.reshape(-1)[0])
            if not math.isfinite(number) or number <= 0:
                continue
            field = name.rpartition(".")[2].lower()
            if field in ("sr", "fs", "sampling_rate", "samplingrate"):
                rate_hz = number
            elif field == "rate" and "." in name:
                shaft_hz = number
            elif _SPEED_NAME.search(name):
                shaft_hz = number / 60
        else:
            channels |= _channels_of(name, array)
    return Content(channels, rate_hz, shaft_hz)


def _channels_of(name: str, array: Floats) -> dict[str, Floats]:
    if array.ndim > 2 or array.size < SAMPLES_MIN:
        return {}
    if array.ndim == 1 or min(array.shape) == 1:
        return {name: array.reshape(-1)}
    columns = array if array.shape[0] >= array.shape[1] else array.T
    if len(columns) < SAMPLES_MIN:
        return {}
    return {f"{name}[{index}]": np.ascontiguousarray(columns[:, index - 1]) for index in range(1, columns.shape[1] + 1)}


def _numpy(content: bytes) -> Content:
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        found = {"signal": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise Rejected(f"save the recording anew with numpy.save, without objects: {error}") from error
    return _from_arrays({name: array.astype(np.float64) for name, array in found.items() if array.dtype.kind in "iuf"})


def _wav(content: bytes) -> Content:
    """Return the channels of a WAV file: PCM of 8 to 32 bits (1.0 is full scale) or floats.

    Source of the format: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), and
    Microsoft's WAVEFORMATEXTENSIBLE.
    """
    layout, at = None, 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            layout = struct.unpack_from("<HHIIHH", body)
            if layout[0] == _EXTENSIBLE and len(body) >= 26:
                layout = (struct.unpack_from("<H", body, 24)[0], *layout[1:])
        elif name == b"data" and layout is not None:
            return _wav_samples(layout, body)
        at += 8 + size + size % 2
    raise Rejected("record anew: the WAV file is cut short before its samples")


def _wav_samples(layout: tuple[int, ...], body: bytes) -> Content:
    kind, count, rate_hz, _, frame_bytes, bits = layout
    if kind not in (_PCM, _FLOAT) or bits not in ((8, 16, 24, 32) if kind == _PCM else (32, 64)):
        raise Rejected(f"save the WAV file as PCM or float: its kind {kind} with {bits} bits is not read here")
    if not count or not rate_hz or frame_bytes != count * bits // 8:
        raise Rejected("record anew: the WAV file contradicts itself about its channels")
    body = body[: len(body) // frame_bytes * frame_bytes]
    if kind == _FLOAT:
        numbers = np.frombuffer(body, f"<f{bits // 8}").astype(np.float64)
    elif bits == 8:
        numbers = (np.frombuffer(body, np.uint8).astype(np.float64) - 128) / 128
    elif bits == 24:
        bytes_ = np.frombuffer(body, np.uint8).reshape(-1, 3)
        padded = np.concatenate([np.zeros((len(bytes_), 1), np.uint8), bytes_], axis=1)
        numbers = padded.reshape(-1).view("<i4").astype(np.float64) / 2**31
    else:
        numbers = np.frombuffer(body, f"<i{bits // 8}").astype(np.float64) / 2 ** (bits - 1)
    frames = numbers.reshape(-1, count)
    channels = {str(index + 1): np.ascontiguousarray(frames[:, index]) for index in range(count)}
    return Content({name: samples for name, samples in channels.items() if _is_channel(samples)}, float(rate_hz))


def _chosen(names: tuple[str, ...], wanted: str | None) -> str:
    if wanted is None:
        return next((name for name in names if _DRIVE_END.search(name)), names[0])
    if wanted in names:
        return wanted
    near = [name for name in names if wanted.lower() in name.lower()]
    if wanted.isdigit() and not near and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    if len(near) == 1:
        return near[0]
    raise Rejected(f"choose --channel from {', '.join(names)}: {wanted} is {'several' if near else 'none'} of them")
