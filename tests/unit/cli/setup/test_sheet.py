"""The sheet for the house."""

from collections.abc import Sequence
from pathlib import Path

from agent.cli.setup.sheet import COLUMNS_MAX, QUIET_MODULES, qr_lines, sheet_text
from agent.config import resolve_text
from agent.local.port import PortReport

TEXT = """
[cloud]
base_url = "https://a.example"
[board]
name = "linux"
[board.linux]
relays = [{ name = "bath", heat_line = 17 }]
[climate]
zones = [{ id = "bath", sensors = ["w1-28-0a/temperature"] }]
"""


def test_sheet_has_what_a_technician_needs_years_later() -> None:
    config = resolve_text(TEXT, file="", directory=Path(), environ={}).config
    port = PortReport(["http://127.0.0.1:8480", "https://192.168.1.7:8480"], [], fingerprint="AB:CD")
    text = sheet_text(config, port, hub="hub-1", model="Raspberry Pi 4", code="ABCD-EFGH-JKMN-PQRS")
    assert text.splitlines()[2:9] == [
        "Hub           hub-1",
        "Machine       Raspberry Pi 4",
        "Cloud         https://a.example",
        "Page          https://192.168.1.7:8480",
        "Certificate   SHA-256 AB:CD",
        "Owner's code  ABCD-EFGH-JKMN-PQRS",
        "Zone          bath: w1-28-0a/temperature, relay on line 17",
    ]
    assert "port code --new" in sheet_text(config, PortReport([], []), hub="h", model="", code="")


LINES_MAX = 60
"""On a page of A4 or Letter, 6 lines an inch."""


def test_sheet_of_a_large_house_fits_on_one_page_of_paper() -> None:
    zones = ", ".join(
        f'{{ id = "bedroom-{number}", sensors = ["0x00124b0024c0ffe{number}", "w1-28-0316a2794{number}f/humidity"] }}'
        for number in range(8)
    )
    text = f'[cloud]\nbase_url = "https://api.a-long-name.example.org/eu"\n[climate]\nzones = [{zones}]\n'
    config = resolve_text(text, file="", directory=Path(), environ={}).config
    fingerprint = ":".join(f"{byte:02X}" for byte in range(32))
    addresses = ["https://192.168.100.107:8480", "https://[fd00:1234:5678:9abc:def0:1234:5678:9abc]:8480"]
    lines = sheet_text(
        config, PortReport(addresses, [], fingerprint=fingerprint), hub="hub-1", model="Raspberry Pi 4 Model B", code=""
    ).splitlines()
    assert max(map(len, lines)) <= COLUMNS_MAX
    assert len(lines) <= LINES_MAX
    assert "Certificate   SHA-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F" in lines
    assert "                      10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F" in lines


FINDER = ["#######", "#     #", "# ### #", "# ### #", "# ### #", "#     #", "#######"]
"""The mark in three corners of every QR code (ISO/IEC 18004, 6.3.3)."""


def modules(lines: Sequence[str]) -> Sequence[str]:
    """Return the rows of a QR code that is drawn in half blocks, without its margin."""
    width = max(map(len, lines))
    rows = []
    for line in lines:
        drawn = line.ljust(width)[QUIET_MODULES:]
        rows += ["".join("#" if each in dark else " " for each in drawn) for dark in ("▀█", "▄█")]
    return rows[: width - QUIET_MODULES]


def test_qr_code_is_dark_on_light_with_its_marks_in_three_corners() -> None:
    rows = modules(qr_lines("https://192.168.1.7:8480"))
    size = len(rows)
    assert (size - 17) % 4 == 0, "a symbol has 21, 25, 29, ... modules a side"
    assert [row[:7] for row in rows[:7]] == FINDER
    assert [row[-7:] for row in rows[:7]] == FINDER
    assert [row[:7] for row in rows[-7:]] == FINDER
    assert rows[6][8 : size - 8] == ("# " * size)[: size - 16], "the timing pattern"
    assert rows != modules(qr_lines("https://192.168.1.8:8480"))


def test_sheet_shows_the_first_address_that_a_telephone_reaches_as_a_qr_code() -> None:
    config = resolve_text(TEXT, file="", directory=Path(), environ={}).config
    addresses = ["http://127.0.0.1:8480", "https://192.168.1.7:8480", "https://192.168.2.7:8480"]
    text = sheet_text(config, PortReport(addresses, []), hub="h", model="", code="ABCD-EFGH-JKMN-PQRS")
    drawn = "\n".join(qr_lines("https://192.168.1.7:8480"))
    assert drawn in text
    assert "█" not in sheet_text(config, PortReport(addresses[:1], []), hub="h", model="", code="")
