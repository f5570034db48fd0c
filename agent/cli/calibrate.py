"""`climahub sensors calibrate`: what one sensor shows against the truth."""

from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import json_option, on_hub
from agent.cli.numbers import FiniteRange
from agent.local.calibration import CalibrationReport
from agent.local.routes import CalibrationRequest
from hal.interface import UNITS, SensorKind

ROUTE = "/v1/sensors/calibration"
_EXITS = "0 done, 1 the hub refuses, 3 it does not answer, 77 this user may not ask"


@click.command(
    epilog=epilog(
        "climahub sensors calibrate attic --reads 21.4          a good thermometer beside it shows 21.4",
        "climahub sensors calibrate attic --kind humidity --offset -2.5",
        "climahub sensors calibrate attic --from 0x00158d0001a2b3c4   it has replaced that one",
        "climahub sensors calibrate attic --clear",
        exits=_EXITS,
    )
)
@click.argument("sensor", metavar="NAME")
@click.option("--reads", type=FiniteRange(), help="The true value now; the hub works out the offset.")
@click.option("--offset", type=FiniteRange(), help="What is added to each value.")
@click.option("--from", "take_from", default="", metavar="SENSOR", help="Take over the offset of a sensor.")
@click.option("--clear", is_flag=True, help="Add nothing any more, and forget what was learned of the hub's warmth.")
@click.option("--kind", type=click.Choice(["temperature", "humidity", "pressure"]), help="By default the temperature.")
@json_option
@on_hub
def calibrate(path: Path, sensor: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - of click
    """Correct what the sensor NAME shows: by the true value now, or by an offset.

    A sensor in the hub's own case (sensors.in_case) learns from the true value how much the hub warms it. A sensor that
    replaces another one starts without an offset; --from takes one over.
    """
    if (given["reads"] is not None) + (given["offset"] is not None) + bool(given["take_from"]) + given["clear"] != 1:
        raise click.UsageError("give one of --reads, --offset, --from and --clear")
    wanted = CalibrationRequest(
        sensor, given["kind"] or "", given["reads"], given["offset"], given["take_from"], given["clear"]
    )
    body = hub_client.fetch(path, ROUTE, method="POST", content=msgspec.json.encode(wanted))
    if as_json:
        click.echo(hub_client.as_json(body))
        return
    click.echo(as_text(sensor, hub_client.decode(body, CalibrationReport)))


def as_text(sensor: str, done: CalibrationReport) -> str:
    """Return what has been done, for a person."""
    if done.is_learned:
        return f"{sensor} has learned from it how much the hub warms it; enter it again at another load of the hub"
    if not done.offset:
        return f"{sensor} shows its {done.kind} as it is measured"
    return f"{sensor}: {done.offset:+.4g} {UNITS[SensorKind(done.kind)]} is added to its {done.kind}"
