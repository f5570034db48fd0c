"""Recordings as people have them: text columns, WAV, numpy's files, MATLAB's; channel, rate and speed in them."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Rejected
from lab.vibration import recording as reader
from lab.vibration.recording import read_recording
from tests.unit.lab.vibration.mat_writer import mat_file

SAMPLES = np.round(np.sin(np.arange(400) / 5) * 0.9, 4)
OTHER = SAMPLES[::-1].copy()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def wav(
    body: bytes, *, kind: int = 1, bits: int = 16, channels: int = 1, rate: int = 12_000, extra: bytes = b""
) -> bytes:
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + extra
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def as_24_bits(samples: np.ndarray) -> bytes:
    return b"".join(round(each * 2**23).to_bytes(3, "little", signed=True) for each in samples)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (wav(((SAMPLES * 128 + 128).round()).astype(np.uint8).tobytes(), bits=8), 1 / 128),
        (wav((SAMPLES * 2**15).round().astype("<i2").tobytes()), 2**-15),
        (wav(as_24_bits(SAMPLES), bits=24), 2**-23),
        (wav((SAMPLES * 2**31).round().astype("<i4").tobytes(), bits=32), 2**-31),
        (wav(SAMPLES.astype("<f4").tobytes(), kind=3, bits=32), 1e-7),
        (wav(SAMPLES.astype("<f8").tobytes(), kind=3, bits=64), 0),
        (
            wav(
                (SAMPLES * 2**15).round().astype("<i2").tobytes(),
                kind=0xFFFE,
                extra=struct.pack("<HHIH", 22, 16, 0, 1) + b"\0" * 14,
            ),
            2**-15,
        ),
    ],
    ids=["8 bits", "16 bits", "24 bits", "32 bits", "float", "double", "extensible"],
)
def test_wav_files_of_each_kind(file: Path, content: bytes, tolerance: float) -> None:
    file.write_bytes(content)
    recording = read_recording(file)
    assert recording.rate_hz == 12_000
    assert np.abs(recording.samples - SAMPLES).max() <= tolerance


def test_channels_of_a_wav_file_are_told_apart(file: Path) -> None:
    frames = (np.stack([SAMPLES, OTHER], axis=1) * 2**15).round().astype("<i2")
    file.write_bytes(wav(frames.tobytes(), channels=2))
    assert np.abs(read_recording(file, channel="2").samples - OTHER).max() < 1e-4
    assert read_recording(file).channels == ("1", "2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(b"\0" * 800)[:30], "cut short"),
        (wav(b"\0" * 800, kind=2), "PCM or float"),
        (wav(b"\0" * 800, channels=0), "contradicts itself"),
    ],
)
def test_wav_files_that_cannot_be_read(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(Rejected, match=message):
        read_recording(file)


def test_columns_of_numpy_files(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.stack([SAMPLES, OTHER]))
    recording = read_recording(file, rate_hz=20_000, channel="signal[2]")
    assert np.array_equal(recording.samples, OTHER)
    with file.open("wb") as stream:
        np.savez(stream, DE=SAMPLES, FE=OTHER, rpm=np.array(1797.0), fs=np.array(12_000))
    recording = read_recording(file, channel="FE")
    assert np.array_equal(recording.samples, OTHER)
    assert (recording.rate_hz, recording.shaft_hz) == (12_000, pytest.approx(29.95))


def test_pickled_objects_are_never_loaded(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array([{"a": 1}] * 300, dtype=object), allow_pickle=True)
    with pytest.raises(Rejected, match="without objects"):
        read_recording(file, rate_hz=1.0)


def test_cwru_s_layout_gives_drive_end_and_speed(file: Path) -> None:
    file.write_bytes(
        mat_file({"X105_FE_time": OTHER[:, None], "X105_DE_time": SAMPLES[:, None], "X105RPM": np.array([[1797.0]])})
    )
    recording = read_recording(file, rate_hz=12_000)
    assert recording.channel == "X105_DE_time"
    assert np.array_equal(recording.samples, SAMPLES)
    assert recording.shaft_hz == pytest.approx(29.95)
    assert np.array_equal(read_recording(file, rate_hz=12_000, channel="fe").samples, OTHER)


def test_mfpt_s_layout_gives_rate_and_speed(file: Path) -> None:
    values = {
        "sr": np.array([[97656.0]]),
        "gs": SAMPLES[:, None],
        "load": np.array([[270.0]]),
        "rate": np.array([[25.0]]),
    }
    file.write_bytes(mat_file({"bearing": values}, is_compressed=True))
    recording = read_recording(file)
    assert (recording.channel, recording.rate_hz, recording.shaft_hz) == ("bearing.gs", 97656.0, 25.0)


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("time [s],acc\n", "{0:.6f},{1:.4f}\n"),
        ("", "{0:.6f} {1:.4f}\n"),
        ("recorder 7\nt_ms;acc\n", "{2};{3}\n"),
        ("", "{0:.6f}\t{1:.4f}\t\n"),
    ],
    ids=["comma", "spaces", "decimal comma and milliseconds", "tabs"],
)
def test_text_with_a_column_of_times_tells_the_rate(file: Path, heading: str, row: str) -> None:
    lines = [
        row.format(index / 8_000, each, f"{index / 8:.3f}".replace(".", ","), f"{each:.4f}".replace(".", ","))
        for index, each in enumerate(SAMPLES)
    ]
    file.write_text(heading + "".join(lines))
    recording = read_recording(file)
    assert recording.rate_hz == pytest.approx(8_000, rel=1e-3)
    assert np.array_equal(recording.samples, SAMPLES)
    assert len(recording.channels) == 1


def test_a_running_number_is_no_column_of_times(file: Path) -> None:
    file.write_text("".join(f"{index},{each}\n" for index, each in enumerate(SAMPLES)))
    with pytest.raises(Rejected, match="add --sampling-rate"):
        read_recording(file)


def test_a_given_rate_wins(file: Path) -> None:
    file.write_bytes(wav((SAMPLES * 2**15).astype("<i2").tobytes()))
    assert read_recording(file, rate_hz=48_000).rate_hz == 48_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line of numbers"),
        (b"only words\n" * 100, "no line of numbers"),
        (b"1\n2\n" * 200 + b"three\n", "repair line 401"),
        (b"1\n2\n" * 20, "no column of at least 256"),
        (b"0.5\n" * 400, "never changes"),
        (b"0.5\nnan\n" * 200, "without a number"),
        (b"1,2\n" * 400, "never changes"),
        (b"1 " * 65 + b"\n", "no channels"),
        (b"\x00\x01binary" * 100, "this is none of them"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "v7.3"),
        (b"PK\x03\x04 no zip", "numpy.save"),
        (b"\x93NUMPY\x01\x00", "numpy.save"),
    ],
)
def test_what_is_no_recording_is_refused(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(Rejected, match=message):
        read_recording(file, rate_hz=1000)


@pytest.mark.parametrize(("wanted", "message"), [("time", "several of them"), ("BA", "none of them"), ("3", "none")])
def test_an_unclear_channel_is_answered_with_the_list(file: Path, wanted: str, message: str) -> None:
    file.write_bytes(mat_file({"A_time": SAMPLES, "B_time": OTHER}))
    with pytest.raises(Rejected, match=f"choose --channel from A_time, B_time: {wanted} is {message}"):
        read_recording(file, rate_hz=1000, channel=wanted)


def test_sizes_have_limits(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(wav((SAMPLES * 2**15).astype("<i2").tobytes()))
    monkeypatch.setattr(reader, "SAMPLES_MAX", 399)
    with pytest.raises(Rejected, match="400 samples are more than 399"):
        read_recording(file)
    monkeypatch.setattr(reader, "FILE_BYTES_MAX", 100)
    with pytest.raises(Rejected, match="more than 100 bytes"):
        read_recording(file)


@given(st.sampled_from([b"RIFF", b"\x93NUMPY", b"PK\x03\x04", b""]), st.binary(max_size=150))
def test_noise_raises_nothing_else(start: bytes, noise: bytes) -> None:
    with contextlib.suppress(Rejected):
        reader.parse(start + noise)


def test_a_compressed_archive_of_numpy_is_read(file: Path) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, DE=SAMPLES)
    file.write_bytes(stream.getvalue())
    assert np.array_equal(read_recording(file, rate_hz=12_000).samples, SAMPLES)
