"""`climahub maintenance analyse`: analyses a recording of an accelerometer, offline."""

from pathlib import Path

import click

from agent.cli import exit_codes
from agent.cli.exit_codes import epilog
from agent.cli.numbers import FiniteRange
from lab.cli.options import json_option, show

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_POSITIVE = FiniteRange(min=0, min_open=True)


@click.command(
    epilog=epilog(
        "climahub maintenance analyse pump.wav --rpm 2840 --bearing 6205-2RS --unit g",
        "climahub maintenance analyse fan.csv --shaft-hz 24.2 --bearing 8,6.75,28.5 --svg fan.svg",
        "climahub maintenance analyse 105.mat --sampling-rate 12000 --bearing 6205-2RS --channel DE --json",
        exits="0 analysed, 1 the recording or the bearing cannot be used, 69 climahub-lab[vibration] is not installed,"
        " 73 a file cannot be used",
    )
)
@click.argument("file", type=_FILE)
@click.option("--sampling-rate", type=_POSITIVE, metavar="HZ", help="Samples a second. [default: what the file says]")
@click.option("--shaft-hz", type=_POSITIVE, metavar="HZ", help="Speed of the shaft, in revolutions a second.")
@click.option("--rpm", type=_POSITIVE, metavar="RPM", help="The same, a minute. [default: what the file says]")
@click.option(
    "--bearing",
    metavar="TYPE|BALLS,BALL,PITCH[,ANGLE]",
    help="A known type such as 6205-2RS, or its geometry: number of balls, ball and pitch diameter, contact angle.",
)
@click.option("--channel", metavar="NAME|N", help="Its name, a part of it, or its number. [default: the first]")
@click.option("--unit", type=click.Choice(("g", "m/s2")), help="Of the samples, for the velocity.")
@click.option(
    "--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw the spectrum."
)
@json_option
def analyse(
    file: Path,
    sampling_rate: float | None,
    shaft_hz: float | None,
    rpm: float | None,
    bearing: str | None,
    channel: str | None,
    unit: str | None,
    svg_file: Path | None,
    as_json: bool,
) -> int:
    """Analyse a recording of an accelerometer: how strong, and which part of the bearing is damaged.

    FILE is text with columns, WAV, .npy, .npz or a MATLAB level 5 .mat. A part is named only from 10,000 Hz sampling on
    and only where its defect frequency stands out; otherwise it cannot be told (docs/maintenance.md).
    """
    if shaft_hz is not None and rpm is not None:
        raise click.UsageError("leave --rpm or --shaft-hz out: both are the speed of the shaft")
    try:
        from lab.vibration import report as reports  # noqa: PLC0415 - numpy is an optional package
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        click.echo("climahub: analysing recordings needs numpy: pip install 'climahub-lab[vibration]'", err=True)
        return exit_codes.UNAVAILABLE
    given = shaft_hz if shaft_hz is not None else None if rpm is None else rpm / 60
    report, svg = reports.analyse(
        file, rate_hz=sampling_rate, shaft_hz=given, bearing=bearing, channel=channel, unit=unit
    )
    if svg_file is not None:
        _draw(svg_file, svg)
    show(report, reports.as_text(report), as_json=as_json)
    return exit_codes.OK


def _draw(svg_file: Path, svg: str | None) -> None:
    if svg is None:
        click.echo("climahub: nothing is drawn: the spectrum needs the speed of the shaft and the bearing", err=True)
        return
    svg_file.write_text(svg, "utf-8")
