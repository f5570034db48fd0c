import pytest

from agent.foundation.format import duration, measured, plural, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_as_text(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (2048, "2 KiB"), (5 * 2**20, "5 MiB"), (3 * 2**30, "3.0 GiB")],
)
def test_sizes_as_text(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def test_counts_as_text() -> None:
    assert plural(1, "reading") == "1 reading"
    assert plural(2500, "reading") == "2,500 readings"
    assert plural(0, "battery", "batteries") == "0 batteries"


def test_measured_values_as_text() -> None:
    assert measured(None, "°C") == "-"
    assert measured(19.0, "°C") == "19.0 °C"
    assert measured(-58.4, "dBm") == "-58 dBm"
    assert measured(1.0, "") == "1"
