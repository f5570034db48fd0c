"""The service as setup steers it: systemctl, and the status of the hub that it starts."""

import time
from collections.abc import Callable, Collection
from pathlib import Path

from agent.cli import hub_client
from agent.cli.setup.first_reading import Progress, progress
from agent.cli.setup.key_store import CommandFailed, run
from agent.foundation.clock import monotonic_s
from agent.local.status import HubStatus

UNIT = "climahub.service"
POLL_S = 0.25
HURRY_S = 2.0
"""Between two requests to send what there is: the quota of readings is 60 a minute."""

RUN_DIR = Path("/run/climahub")
"""Of the installed service (RuntimeDirectory=)."""

BOOTED = Path("/run/systemd/system")
"""There under systemd only (sd_booted(3))."""


def is_under_systemd() -> bool:
    """Return whether systemd runs this machine."""
    return BOOTED.is_dir()


def start(*, is_changed: bool) -> None:
    """Start the service, and have it start at each boot; restart it where its configuration or key has changed.

    Raises:
        CommandFailed: systemd does not; the message is its own.
    """
    run(("systemctl", "daemon-reload"))
    run(("systemctl", "enable", "--quiet", UNIT))
    run(("systemctl", "restart" if is_changed else "start", UNIT))


def restart() -> None:
    """Have the service read its credentials anew, if it runs; a drop-in counts from now on.

    Raises:
        CommandFailed: systemd does not; the message is its own.
    """
    run(("systemctl", "daemon-reload"))
    run(("systemctl", "try-restart", UNIT))


def wait_for_reading(socket: Path, *, limit_s: float, say: Callable[[str], None]) -> Progress:
    """Wait until the cloud has accepted a reading, and tell what the hub waits for whenever that changes.

    Args:
        socket: Of the hub.
        limit_s: How long to wait; the last progress is returned then.
        say: Receives a line.
    """
    end_s, hurry_s = monotonic_s() + limit_s, 0.0
    now = Progress(text="the hub starts")
    while not now.is_accepted and monotonic_s() < end_s:
        try:
            found = progress(hub_client.decode(hub_client.fetch(socket), HubStatus))
        except (hub_client.NoAnswer, hub_client.RequestRefused):
            found = now
        if found.text != now.text and not found.is_accepted:
            say(found.text)
        now = found
        if now.can_hurry and monotonic_s() >= hurry_s:
            hurry_s = monotonic_s() + HURRY_S
            _hurry(socket)
        if not now.is_accepted:
            time.sleep(POLL_S)
    return now


def _hurry(socket: Path) -> None:
    """Have the hub send what it has: a batch fills for two minutes, and a person waits."""
    for repair in ("flush-outbox", "retry-cloud"):
        try:
            hub_client.fetch(socket, f"/v1/repairs/{repair}", method="POST")
        except (hub_client.NoAnswer, hub_client.RequestRefused):
            return


def group_names() -> Collection[str]:
    """Return the groups of this machine."""
    import grp  # noqa: PLC0415 - other commands do without

    return {group.gr_name for group in grp.getgrall()}


def failure_text(error: CommandFailed) -> str:
    """Return what to do where systemd did not start the service."""
    return f"look why: journalctl -u climahub -n 50; systemd did not start the service ({error})"
