"""`climahub cloud`: runs the reference cloud, and operates a running one through its admin API.

The operator's commands about devices and firmware are in `cloud_devices`.
"""

import asyncio
import secrets
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO

import click
import msgspec

from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from agent.errors import Rejected
from agent.foundation.format import plural
from lab.cli import cloud_devices
from lab.cli.options import (
    TOKEN_VARIABLE,
    admin_options,
    ask,
    device_id_of,
    find_token,
    on_signals,
    show,
    token_option,
)
from lab.refcloud import faults as fault
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.cloud import CloudStatistics, open_cloud
from lab.refcloud.cloud import serve as serve_cloud
from lab.refcloud.contract import Endpoint

TOKEN_RANDOM_BYTES = 18


@click.command(
    epilog=epilog(
        "climahub cloud",
        "climahub cloud --port 9000 --db cloud.sqlite --token-file admin.token",
        exits="0 stopped with Ctrl-C, 73 the port or the file cannot be used, 78 the address is not of this machine",
    )
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="The port; 0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--allow-remote", is_flag=True, help="Allow an address that other machines reach; the traffic is plain.")
@click.option(
    "--db", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep everything in this SQLite file."
)
@token_option
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the faults.")
@click.option("--no-gzip", is_flag=True, help="Refuse compressed requests with 415, as a cloud may.")
def serve(
    port: int, host: str, allow_remote: bool, db: Path | None, token_file: Path | None, seed: int, no_gzip: bool
) -> None:
    """Serve the whole device API until Ctrl-C. Without --db the data is lost at the end.

    Without --token-file a token is generated and printed. The token permits every operation.
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


@click.command(
    epilog=epilog("climahub cloud readings | tail", "climahub cloud readings --device hub-1 --json > a.jsonl")
)
@click.option("--device", help="Only those of this device, by name or id.")
@admin_options
def readings(device: str | None, url: str, token_file: Path | None, as_json: bool) -> None:
    """List every reading that the cloud has, by device, sensor type and instant; with --json one object a line."""

    async def work(admin: AdminClient) -> None:
        wanted = None if device is None else await device_id_of(admin, device)
        names = {known.device_id: known.name for known in await admin.devices()}
        async for reading in admin.readings():
            if wanted not in {None, reading.device_id}:
                continue
            at = datetime.fromtimestamp(reading.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
            name = names.get(reading.device_id, reading.device_id)
            show(reading, f"{name}  {reading.sensor_type}  {at}  {reading.value!r}", as_json=as_json)

    ask(url, token_file, work)


@click.command()
@admin_options
def statistics(url: str, token_file: Path | None, as_json: bool) -> None:
    """Show the counts of requests, readings and faults."""

    async def work(admin: AdminClient) -> tuple[CloudStatistics, dict[str, str]]:
        return await admin.statistics(), {device.device_id: device.name for device in await admin.devices()}

    found, names = ask(url, token_file, work)
    show(found, "\n".join(_lines(found, names)), as_json=as_json)


def _lines(found: CloudStatistics, names: dict[str, str]) -> Iterator[str]:
    yield f"listening  {'yes' if found.is_listening else 'no'}"
    for device_id, tally in found.readings.items():
        yield (
            f"{names.get(device_id, device_id)}  {plural(tally.accepted, 'reading')} accepted"
            f" in {plural(tally.batches, 'batch', 'batches')}:"
            f" {tally.stored} stored, {plural(tally.duplicates, 'duplicate')}, {tally.conflicting} conflicting"
        )
    for device_id, endpoints in found.requests.items():
        for endpoint, usage in endpoints.items():
            counts = ", ".join(f"{count} {name}" for name, count in msgspec.to_builtins(usage).items())
            yield f"{names.get(device_id, device_id)}  {endpoint}: {counts}"
    for name, count in found.faults.items():
        yield f"fault  {name}: {plural(count, 'time')}"


READY_MADE: Mapping[str, fault.Fault] = MappingProxyType(
    {
        "refused": fault.ConnectionRefused(),
        "slow": fault.LatencyDown(1.0, 5.0),
        "cut-before": fault.CutBefore(),
        "cut-after": fault.CutAfter(),
        "busy": fault.ErrorStatus(503, retry_after_s=30),
        "error": fault.ErrorStatus(500),
        "proxy-error": fault.ErrorStatus(502, is_json=False),
        "throttled": fault.ErrorStatus(429, retry_after_s=60),
        "key-refused": fault.ErrorStatus(401),
        "broken-json": fault.BrokenJson(),
        "wrong-type": fault.WrongContentType(),
        "unknown-fields": fault.ExtraFields(),
        "accepts-less": fault.AcceptedLower(),
    }
)
"""Faults by a word; `climahub cloud faults set` takes any other from a file."""

RULES_BYTES_MAX = 256 * 1024


@click.group(
    epilog=epilog(
        "climahub cloud faults on busy --probability 0.5 --endpoint telemetry",
        "climahub cloud faults set rules.json",
        "climahub cloud faults off",
    )
)
def faults() -> None:
    """Make the cloud fail on purpose, and end the failures."""


@faults.command("show")
@admin_options
def show_rules(url: str, token_file: Path | None, as_json: bool) -> None:
    """Show the rules in force."""
    rules = ask(url, token_file, lambda admin: admin.fault_rules())
    show(rules, "\n".join(map(_line, rules)) or "no faults", as_json=as_json)


def _line(rule: fault.FaultRule) -> str:
    left = "" if rule.next_n is None else f", the next {plural(rule.next_n, 'time')}"
    where = rule.endpoint.value if rule.endpoint else "everywhere"
    given = msgspec.structs.asdict(rule.fault).items()
    values = "".join(f" {name}={value}" for name, value in given if value is not None)
    return f"{fault.name_of(rule.fault)}{values}  {where}, in {rule.probability:.0%} of requests{left}"


@faults.command("on", help=f"Add one fault to those in force. FAULT is one of: {', '.join(READY_MADE)}.")
@click.argument("what", metavar="FAULT", type=click.Choice(list(READY_MADE)))
@click.option("--endpoint", type=click.Choice([endpoint.value for endpoint in Endpoint]), help="Only at this endpoint.")
@click.option("--probability", type=FiniteRange(0, 1), default=1.0, show_default=True, help="For each request.")
@click.option("--times", type=click.IntRange(min=1), help="Use the fault this many times.")
@admin_options
def on(
    what: str,
    endpoint: str | None,
    probability: float,
    times: int | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Add one fault to those in force."""
    place = None if endpoint is None else Endpoint(endpoint)
    rule = fault.FaultRule(READY_MADE[what], endpoint=place, probability=probability, next_n=times)

    async def work(admin: AdminClient) -> list[fault.FaultRule]:
        rules = [*await admin.fault_rules(), rule]
        await admin.set_faults(rules)
        return rules

    show(ask(url, token_file, work), _line(rule), as_json=as_json)


@faults.command("set")
@click.argument("file", type=click.File("rb"))
@click.option("--seed", type=int, help="With the same seed, the same requests meet the same faults.")
@admin_options
def set_rules(file: IO[bytes], seed: int | None, url: str, token_file: Path | None, as_json: bool) -> None:
    """Replace the rules in force by those of FILE (a JSON list; - is standard input)."""
    try:
        rules = msgspec.json.decode(file.read(RULES_BYTES_MAX), type=list[fault.FaultRule])
    except msgspec.DecodeError as error:
        raise Rejected(f"write a JSON list of rules into {file.name}: {error}") from error
    ask(url, token_file, lambda admin: admin.set_faults(rules, seed=seed))
    show(rules, "\n".join(map(_line, rules)) or "no faults", as_json=as_json)


@faults.command("off")
@admin_options
def off(url: str, token_file: Path | None, as_json: bool) -> None:
    """Remove all faults."""
    ask(url, token_file, lambda admin: admin.set_faults([]))
    show([], "no faults", as_json=as_json)


@click.command(epilog=epilog("climahub cloud listening off; sleep 60; climahub cloud listening on"))
@click.argument("switch", type=click.Choice(["on", "off"]))
@admin_options
def listening(switch: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Serve device requests, or abort each one at once; the admin API stays available."""
    ask(url, token_file, lambda admin: admin.set_listening(is_listening=switch == "on"))
    show({"listening": switch == "on"}, f"listening {switch}", as_json=as_json)


_OWN_OPTIONS = {"-h", "--help"}


class ServesByDefault(click.Group):
    """`climahub cloud` and `climahub cloud --port 8080` mean `climahub cloud serve ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default in front of options that are not the group's own."""
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=ServesByDefault,
    epilog=epilog(
        "export CLIMAHUB_ADMIN_TOKEN=$(head -c 18 /dev/urandom | base64)",
        "climahub cloud --port 8080 &",
        "climahub cloud provision hub-1 --key-file hub.key",
        "climahub cloud readings | tail",
        "climahub cloud faults on busy --probability 0.5",
    ),
)
def cloud() -> None:
    """Run a reference ClimaSense cloud on this machine, or operate a running one.

    Without a command it serves (see: climahub cloud serve --help). The other commands talk to the admin API of a
    cloud that runs already. A real ClimaSense cloud has no such API.
    """


for _command in (
    serve,
    cloud_devices.provision,
    cloud_devices.new_key,
    cloud_devices.list_devices,
    cloud_devices.settings,
    cloud_devices.queue_command,
    cloud_devices.list_commands,
    cloud_devices.publish,
    cloud_devices.offer,
    cloud_devices.list_firmware,
    cloud_devices.updates,
    readings,
    statistics,
    faults,
    listening,
):
    cloud.add_command(_command)
