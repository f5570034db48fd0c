"""`climahub update`: shows and steers the updates of the hub on this machine."""

from pathlib import Path
from typing import Any

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.foundation.format import duration
from agent.local.updates import UpdateReport

CHECK_TIMEOUT_S = 20.0
"""The hub answers within 8 s, whether or not the cloud has (`agent.ota.service.CHECK_S_MAX`)."""
INSTALL_TIMEOUT_S = 120.0
"""An SD card may take its time to make a release durable."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"


@click.group(
    epilog=epilog(
        "climahub update status",
        "climahub update check",
        "climahub update install /media/usb/climahub-1.3.0.bundle",
        "climahub update pause",
        exits=_EXITS,
    )
)
def update() -> None:
    """Show or steer the updates of the hub on this machine (docs/updates.md)."""


@update.command(epilog=epilog("climahub update status", "climahub update status --json", exits=_EXITS))
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@config_option
@socket_option
def status(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show the running release, the next one, and what delays it."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path, "/v1/update")
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, UpdateReport)))

    return run_on_hub(ask, config_file, socket_path)


def _action(name: str, help_text: str, done: str) -> click.Command:
    @config_option
    @socket_option
    def action(config_file: Path | None, socket_path: Path | None) -> int:
        def ask(path: Path) -> None:
            hub_client.fetch(path, f"/v1/update/{name}", method="POST")
            click.echo(done)

        return run_on_hub(ask, config_file, socket_path)

    return update.command(name, help=help_text, epilog=epilog(f"climahub update {name}", exits=_EXITS))(action)


@update.command(epilog=epilog("climahub update check", exits=_EXITS))
@config_option
@socket_option
def check(config_file: Path | None, socket_path: Path | None) -> int:
    """Ask the cloud for a release now, accept it outside the maintenance window too, and print the result."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path, "/v1/update/check", method="POST", timeout_s=CHECK_TIMEOUT_S)
        click.echo(hub_client.decode(body, UpdateReport).checked or "asking the cloud")

    return run_on_hub(ask, config_file, socket_path)


_action("pause", "Pause updates: none begins or restarts the hub until `resume`.", "updates are paused")
_action("resume", "Resume updates.", "updates are resumed")
_action("rollback", "Give up the release on trial and return to the one before.", "rolling back")


@update.command(epilog=epilog("climahub update install /media/usb/climahub-1.3.0.bundle", exits=_EXITS))
@click.argument("file", type=_FILE)
@config_option
@socket_option
def install(file: Path, config_file: Path | None, socket_path: Path | None) -> int:
    """Install the bundle FILE, for example from a USB stick, without the cloud. The signature is checked as always."""

    def ask(path: Path) -> None:
        with file.open("rb") as bundle:
            answer = hub_client.fetch(
                path, "/v1/update/bundle", method="PUT", content=bundle, timeout_s=INSTALL_TIMEOUT_S
            )
        found = hub_client.decode(answer, dict[str, Any])
        click.echo(
            f"accepted: {found['version']}, sequence {found['sequence']}; climahub update status shows the progress"
        )

    return run_on_hub(ask, config_file, socket_path)


def as_text(report: UpdateReport) -> str:
    """Return the document as lines, problems first."""
    lines = [f"! {text}" for text in (report.warning, report.waiting_for) if text]
    if report.is_paused:
        lines.append("! updates are paused; to continue: climahub update resume")
    lines += ["" for _ in lines[:1]]
    place = "the package" if report.slot == "base" else f"slot {report.slot}"
    system = f", in system {report.system}" if report.system else ""
    lines.append(f"runs       {report.version}, from {place}{system}")
    if report.slot_reason:
        lines.append(f"           {report.slot_reason}")
    if report.good != report.slot and report.launcher:
        lines.append(f"confirmed  {'the package' if report.good == 'base' else f'slot {report.good}'}")
    if report.target:
        is_image = report.kind == "rauc"
        shows_percent = report.state == "downloading" or (is_image and report.state == "applying")
        percent = f", {report.percent} %" if shows_percent else ""
        kind = ", the whole system" if is_image else ""
        signer = f", signed by {report.signed_by}" if report.signed_by else ""
        lines.append(f"update     {report.target}: {report.state}{percent}{kind}{signer}")
    else:
        lines.append("update     none yet")
    if report.trial_left_s is not None and report.trial_deadline_s is not None:
        lines.append(f"trial      {_trial(report)}")
        lines += [f"           {name}: {text}" for name, text in sorted(report.trial_problems.items())]
    if report.checked:
        lines.append(f"cloud      {report.checked}")
    if report.error:
        lines.append(f"reason     {report.error}")
    lines.append(f"floor      sequence {report.floor}")
    lines.append(f"trusts     {', '.join(report.trusted_keys) or 'no key'}")
    if report.revoked_keys:
        lines.append(f"revoked    {', '.join(report.revoked_keys)}")
    lines += [f"refused    {each.version}: {each.reason}" for each in report.refused]
    return "\n".join(lines)


def _trial(report: UpdateReport) -> str:
    left_s, deadline_s = report.trial_left_s or 0, report.trial_deadline_s or 0
    failing = "a check fails; " if report.trial_problems else ""
    starts = "" if report.trial_starts_left is None else f"; starts left: {report.trial_starts_left}"
    return f"{failing}committed in {duration(left_s)} at the earliest, rolled back in {duration(deadline_s)}{starts}"
