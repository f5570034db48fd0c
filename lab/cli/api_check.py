"""`climahub api check`: checks a server of one of the local APIs against its contract, line by line."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from agent.cli.exit_codes import epilog
from lab.cli.options import read_secret
from lab.conformance.amps import AMPS
from lab.conformance.aqara import AQARA
from lab.conformance.aurra_facts import AURRA_FACTS
from lab.conformance.aurra_home import AURRA_HOME
from lab.conformance.lines import Outcome, as_text, count
from lab.conformance.runner import check_server
from lab.conformance.server import Access

CONTRACTS = {contract.name: contract for contract in (AURRA_HOME, AMPS, AQARA, AURRA_FACTS)}

SECRET_VARIABLE = "CLIMAHUB_API_SECRET"  # noqa: S105 - a name, not a secret


@click.command(
    epilog=epilog(
        "climahub api check http://127.0.0.1:8480/amps --api amps --secret-file key.txt",
        f"{SECRET_VARIABLE}=sk_live_... climahub api check https://hub.local:8480/aurra-home/v1 --api aurra_home"
        " --client-id acc_... --device living --change",
        exits="0 every line that was tried is kept or only assumed, 1 one is broken, 69 there is no server",
    )
)
@click.argument("url")
@click.option("--api", "api_name", type=click.Choice(tuple(CONTRACTS)), required=True, help="The contract.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"The key or client secret, alone in a file; without it that of {SECRET_VARIABLE}.",
)
@click.option("--client-id", default="", help="Of AURRA Home.")
@click.option("--device", default="", help="The device to look at; by default the first that the API lists.")
@click.option("--change", is_flag=True, help="Check also what changes something: setpoints, schedules, spaces, facts.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def api_check(
    url: str, api_name: str, secret_file: Path | None, client_id: str, device: str, change: bool, as_json: bool
) -> int:
    """Check the server at URL, the base address of the API, against its contract.

    Without a secret only what strangers see is checked. Nothing is changed without --change; with it, changes are
    taken back as far as the API has calls for that, and what stays is listed.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise click.BadParameter("give an address such as http://127.0.0.1:8480/amps", param_hint="URL")
    secret = read_secret(secret_file, SECRET_VARIABLE)
    contract = CONTRACTS[api_name]
    access = Access(secret, client_id=client_id, device=device, may_change=change)
    left: list[str] = []
    results = asyncio.run(check_server(contract, url, access, on_left=left.append))
    click.echo(msgspec.json.format(msgspec.json.encode(results)) if as_json else as_text(contract, results))
    if left:
        click.echo("these changes stay on the server:\n" + "\n".join(f"  {text}" for text in left), err=True)
    return 1 if count(results)[Outcome.BROKEN] else 0
