"""The sheet for the house."""

from pathlib import Path

from agent.cli.setup.sheet import sheet_text
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
    port = PortReport(["https://192.168.1.7:8480"], [], fingerprint="AB:CD")
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
