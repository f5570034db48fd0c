from pathlib import Path

import pytest

from agent.foundation.clock_sources import read_rtc_utc_ms

NOW_S = 1_800_000_000


@pytest.mark.parametrize(
    ("since_epoch", "hctosys", "wall_off_s", "third_line", "is_believed"),
    [
        (str(NOW_S), "1", 400 * 86_400, "UTC", True),
        (str(NOW_S), "0", 1, "UTC", True),
        (str(NOW_S), "0", 1, None, True),
        (str(NOW_S), "0", 60, "UTC", False),
        (str(NOW_S), "1", 0, "LOCAL", False),
        ("946684800", "1", 0, "UTC", False),
        ("4", "1", 0, "UTC", False),
        ("-1", "1", 0, "UTC", False),
        ("9" * 30, "1", 0, "UTC", False),
        ("", "1", 0, "UTC", False),
        (None, "1", 0, "UTC", False),
    ],
)
def test_hardware_clock_is_used_only_where_it_is_trustworthy(
    tmp_path: Path,
    since_epoch: str | None,
    hctosys: str,
    wall_off_s: int,
    third_line: str | None,
    *,
    is_believed: bool,
) -> None:
    rtc = tmp_path / "class" / "rtc0"
    rtc.mkdir(parents=True)
    (rtc / "hctosys").write_text(f"{hctosys}\n")
    if since_epoch is None:
        (rtc / "since_epoch").mkdir()  # cannot be read: the driver knows that the clock has stopped
    else:
        (rtc / "since_epoch").write_text(f"{since_epoch}\n")
    adjtime = tmp_path / "adjtime"
    if third_line is not None:
        adjtime.write_text(f"0.0 0 0.0\n0\n{third_line}\n")
    found = read_rtc_utc_ms((NOW_S + wall_off_s) * 1000, rtc_class=tmp_path / "class", adjtime=adjtime)
    assert (found == NOW_S * 1000) is is_believed


def test_machine_without_a_hardware_clock(tmp_path: Path) -> None:
    assert read_rtc_utc_ms(NOW_S * 1000, rtc_class=tmp_path / "none", adjtime=tmp_path / "none") is None
