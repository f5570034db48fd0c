"""The sheet that stays with a hub: its page, its certificate's fingerprint, the owner's code, its zones.

For paper, in the house: it holds the owner's code, and never the key of the cloud. Its QR code is the address of the
page and no more: a code in an address would stay in the history of every browser that has opened it.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.cli import hub_client
from agent.config import Config
from agent.local.access import NewCode
from agent.local.port import PortReport, sheet_address, sheet_addresses

WIDTH = 14
COLUMNS_MAX = 72
"""Less than a line of A4 or Letter has between margins of half an inch, at 10 characters an inch."""
FINGERPRINT_BYTES = 16
"""Of the certificate's fingerprint, in each line."""
QUIET_MODULES = 4
"""Light modules around a QR code (ISO/IEC 18004)."""
_HALVES = {(0, 0): " ", (1, 0): "\N{UPPER HALF BLOCK}", (0, 1): "\N{LOWER HALF BLOCK}", (1, 1): "\N{FULL BLOCK}"}
"""Two modules, one above the other, as one character; 1 is dark, as ink is on paper."""


def sheet_text(config: Config, port: PortReport, *, hub: str, model: str, code: str) -> str:
    """Return the sheet.

    Args:
        config: The hub's configuration.
        port: Where its page listens.
        hub: Its name in the network.
        model: Of the machine; empty where it is not known.
        code: The owner's code; empty where it was made before.
    """
    rows = [("Hub", hub), ("Machine", model or "-"), ("Cloud", config.cloud.base_url)]
    rows += [("Page", address) for address in sheet_addresses(port.addresses)] or [("Page", "on this machine only")]
    if port.fingerprint:
        pairs = port.fingerprint.split(":")
        parts = [pairs[start : start + FINGERPRINT_BYTES] for start in range(0, len(pairs), FINGERPRINT_BYTES)]
        rows += [
            ("" if index else "Certificate", f"{'' if index else 'SHA-256':7} {':'.join(part)}")
            for index, part in enumerate(parts)
        ]
    rows.append(("Owner's code", code or "made before; sudo climahub port code --new makes another"))
    relays = {relay.name: relay for relay in config.board.linux.relays}
    for zone in config.climate.zones:
        relay = relays.get(zone.id)
        line = (
            ""
            if relay is None
            else f", relay on line {relay.cool_line if relay.heat_line is None else relay.heat_line}"
        )
        rows.append(("Zone", f"{zone.id}: {', '.join(zone.sensors)}{line}"))
    lines = [line for name, text in rows for line in _wrapped(name, text)]
    warning = "Whoever has this sheet can sign in. Keep it in the house."
    address = sheet_address(port.addresses)
    code_lines = ["", f"{address}:", "", *qr_lines(address)] if address else []
    return "\n".join(["climahub", "========", *lines, "", warning, *code_lines, ""])


def _wrapped(name: str, text: str) -> Sequence[str]:
    """Return a row in lines that fit on the paper: a printer cuts off what is longer."""
    parts = textwrap.wrap(text, COLUMNS_MAX - WIDTH, break_on_hyphens=False, drop_whitespace=True)
    return [f"{'' if index else name:{WIDTH}}{part}" for index, part in enumerate(parts)]


def qr_lines(text: str) -> Sequence[str]:
    """Return a text as a QR code in lines of block characters, dark on light, for a font of fixed width."""
    import segno  # noqa: PLC0415 - needed for a sheet only

    matrix = [list(row) for row in segno.make_qr(text, error="m").matrix]
    if len(matrix) % 2:
        matrix.append([0] * len(matrix[0]))
    pairs = zip(matrix[::2], matrix[1::2], strict=True)
    margin = " " * QUIET_MODULES
    return [(margin + "".join(map(_HALVES.__getitem__, zip(*pair, strict=True)))).rstrip() for pair in pairs]


def ask_hub(socket: Path) -> tuple[PortReport, str]:
    """Return where the running hub's page listens, and the owner's code, made now; empty where it was made before.

    Raises:
        NoAnswer: The hub does not answer.
    """
    port = hub_client.decode(hub_client.fetch(socket, "/v1/port"), PortReport)
    try:
        body = hub_client.fetch(
            socket, "/v1/codes/owner", method="POST", content=msgspec.json.encode({"replace": False})
        )
    except hub_client.RequestRefused:
        return port, ""
    return port, hub_client.decode(body, NewCode).code
