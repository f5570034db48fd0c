"""Operator's commands that look: what was accepted, and what was counted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from agent.cli.exit_codes import epilog
from agent.cli.format import plural
from lab.cli.cloud.connection import admin_options, ask, device_id_of, show
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.cloud import CloudStatistics


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
    """Show what was counted: requests, readings and faults."""

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
    for fault, count in found.faults.items():
        yield f"fault  {fault}: {plural(count, 'time')}"
