"""`climahub update`: the release of the hub on this machine, and the next one."""

from pathlib import Path
from typing import Any

import click

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.format import duration
from agent.cli.hub_client import config_option, run_on_hub, socket_option
from agent.local.updates import UpdateReport

CHECK_TIMEOUT_S = 20.0
"""The hub answers within 8 s, whether or not the cloud has (`room.CHECK_S_MAX`)."""
INSTALL_TIMEOUT_S = 120.0
"""An SD card may take its time to make a release durable."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    epilog=epilog(
        "climahub update status",
        "climahub update check",
        "climahub update install /media/usb/climahub-1.3.0.bundle",
        "climahub update pause",
        exits="0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask",
    )
)
def update() -> None:
    """Show or steer the updates of the hub on this machine (docs/updates.md)."""


@update.command()
@click.option("--json", "as_json", is_flag=True, help="Print the document as the hub gives it.")
@config_option
@socket_option
def status(as_json: bool, config_file: Path | None, socket_path: Path | None) -> int:
    """Show what runs, what comes, and what keeps it from coming."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path, "/v1/update")
        click.echo(hub_client.as_json(body) if as_json else as_text(hub_client.decode(body, UpdateReport)))

    return run_on_hub(ask, config_file, socket_path)


def _order(name: str, what: str, done: str) -> click.Command:
    @config_option
    @socket_option
    def order(config_file: Path | None, socket_path: Path | None) -> int:
        def ask(path: Path) -> None:
            hub_client.fetch(path, f"/v1/update/{name}", method="POST")
            click.echo(done)

        return run_on_hub(ask, config_file, socket_path)

    return update.command(name, help=what)(order)


@update.command()
@config_option
@socket_option
def check(config_file: Path | None, socket_path: Path | None) -> int:
    """Ask the cloud at once, take its offer without waiting for a window, and say what came of it."""

    def ask(path: Path) -> None:
        body = hub_client.fetch(path, "/v1/update/check", method="POST", timeout_s=CHECK_TIMEOUT_S)
        click.echo(hub_client.decode(body, UpdateReport).checked or "asking the cloud")

    return run_on_hub(ask, config_file, socket_path)


_order("pause", "Let no update begin or restart the hub until `resume`.", "updates are paused")
_order("resume", "End a pause.", "updates go on")
_order("rollback", "Give up the release that is on trial; the one before returns.", "going back")


@update.command()
@click.argument("file", type=_FILE)
@config_option
@socket_option
def install(file: Path, config_file: Path | None, socket_path: Path | None) -> int:
    """Install the bundle FILE, from a USB stick for instance; needs no cloud. The signature counts as ever."""

    def ask(path: Path) -> None:
        with file.open("rb") as bundle:
            answer = hub_client.fetch(
                path, "/v1/update/bundle", method="PUT", content=bundle, timeout_s=INSTALL_TIMEOUT_S
            )
        found = hub_client.decode(answer, dict[str, Any])
        click.echo(
            f"taken in: {found['version']}, sequence {found['sequence']}; climahub update status shows how it goes"
        )

    return run_on_hub(ask, config_file, socket_path)


def as_text(report: UpdateReport) -> str:
    """Return the document as lines, what is wrong first."""
    lines = [f"! {text}" for text in (report.warning, report.waiting_for) if text]
    if report.is_paused:
        lines.append("! updates are paused; to continue: climahub update resume")
    lines += ["" for _ in lines[:1]]
    place = "the package" if report.slot == "base" else f"slot {report.slot}"
    system = f", in system {report.system}" if report.system else ""
    lines.append(f"runs       {report.version}, from {place}{system}")
    if report.good != report.slot and report.launcher:
        lines.append(f"known good {'the package' if report.good == 'base' else f'slot {report.good}'}")
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
        lines.append(f"why        {report.error}")
    lines.append(f"floor      sequence {report.floor}")
    lines.append(f"trusts     {', '.join(report.trusted_keys) or 'no key'}")
    if report.revoked_keys:
        lines.append(f"revoked    {', '.join(report.revoked_keys)}")
    lines += [f"not again  {each.version}: {each.reason}" for each in report.refused]
    return "\n".join(lines)


def _trial(report: UpdateReport) -> str:
    left_s, deadline_s = report.trial_left_s or 0, report.trial_deadline_s or 0
    wrong = "something is wrong; " if report.trial_problems else ""
    starts = "" if report.trial_starts_left is None else f"; starts left: {report.trial_starts_left}"
    return f"{wrong}proved in {duration(left_s)} at the earliest, given up in {duration(deadline_s)}{starts}"
