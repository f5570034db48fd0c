"""How the service manager would start the daemon: what the measurements of its memory share."""

from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "climahub.service"


def environment() -> dict[str, str]:
    """Return the environment that the unit gives, and nothing of the caller's."""
    assigned = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith("Environment=")]
    return {name: value for name, _, value in (each.partition("=") for each in assigned)}
