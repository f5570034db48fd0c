"""`climahub cloud serve`: the reference cloud alone on a port."""

import asyncio
import secrets
import uuid
from pathlib import Path

import click

from agent.cli.exit_codes import epilog
from lab.cli.cloud.connection import TOKEN_VARIABLE, find_token, token_option
from lab.cli.signals import on_signals
from lab.refcloud.serve import open_cloud
from lab.refcloud.serve import serve as serve_cloud

TOKEN_RANDOM_BYTES = 18


@click.command(
    epilog=epilog(
        "climahub cloud",
        "climahub cloud --port 9000 --db cloud.sqlite --token-file admin.token",
        exits="0 stopped with Ctrl-C, 73 the port or the file cannot be used, 78 the address is not of this machine",
    )
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0: any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--allow-remote", is_flag=True, help="Allow an address that other machines reach; the traffic is plain.")
@click.option(
    "--db", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep everything in this SQLite file."
)
@token_option
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the faults.")
@click.option("--no-gzip", is_flag=True, help="Refuse packed requests with 415, as a cloud may.")
def serve(
    port: int, host: str, allow_remote: bool, db: Path | None, token_file: Path | None, seed: int, no_gzip: bool
) -> None:
    """Serve the whole device API until Ctrl-C. Without --db all is gone at the end.

    Without a token one is made up and printed: whoever has it may do everything.
    """
    token = find_token(token_file)
    made_token = "" if token else secrets.token_urlsafe(TOKEN_RANDOM_BYTES)
    cloud = open_cloud(
        db=db,
        admin_token=token or made_token,
        new_id=lambda: str(uuid.uuid4()),  # noqa: TID251 - this is where ids come into the process
        seed=seed,
        is_gzip_accepted=not no_gzip,
    )

    def ready(url: str) -> None:
        click.echo(f"listening on {url}")
        if made_token:
            click.echo(f"for the other commands of climahub cloud:\n  export {TOKEN_VARIABLE}={made_token}")

    async def until_stopped() -> None:
        stop = asyncio.Event()
        on_signals(stop.set)
        await serve_cloud(cloud, host=host, port=port, ready=ready, stop=stop, is_remote_allowed=allow_remote)

    asyncio.run(until_stopped())
    click.echo("stopped", err=True)
