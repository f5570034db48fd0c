"""The sheet that stays with a hub: its page, its certificate's fingerprint, the owner's code, its zones.

For paper, in the house: it holds the owner's code, and never the key of the cloud.
"""

from pathlib import Path

import msgspec

from agent.cli import hub_client
from agent.config import Config
from agent.local.access import NewCode
from agent.local.port import PortReport

WIDTH = 14


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
    rows += [("Page", address) for address in port.addresses] or [("Page", "on this machine only")]
    if port.fingerprint:
        rows.append(("Certificate", f"SHA-256 {port.fingerprint}"))
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
    lines = [f"{name:{WIDTH}}{text}" for name, text in rows]
    return "\n".join(
        ["climahub", "========", *lines, "", "Whoever has this sheet can sign in. Keep it in the house.", ""]
    )


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
