"""Analyses a file, and reports: text for a technician, a document for scripts, a drawing."""

import html
import textwrap
from pathlib import Path

import msgspec
import numpy as np

from lab.vibration.analysis import ZONE_A_MAX_MM_S, ZONE_B_MAX_MM_S, Level, Verdict, judge, level, zone
from lab.vibration.bearings import Bearing, Part, find_bearing
from lab.vibration.envelope import EXCESS_MAX_DB, HARMONICS, Band, Floats
from lab.vibration.recording import read_recording

TEXT_WIDTH = 100
OTHER_CHANNELS_SHOWN = 6
WIDTH, HEIGHT, MARGIN = 960, 400, 56
COLOURS = {Part.OUTER_RACE: "#2a6fb0", Part.INNER_RACE: "#b03a5b", Part.ROLLING_ELEMENT: "#3b9c5a"}
SYMBOLS = {Part.OUTER_RACE: "BPFO", Part.INNER_RACE: "BPFI", Part.ROLLING_ELEMENT: "2xBSF"}

ISO_REMARK = (
    f"ISO 10816-1 class I (informative, up to 15 kW): A up to {ZONE_A_MAX_MM_S:g}, B up to {ZONE_B_MAX_MM_S:g} mm/s."
    " ISO 20816-3 begins at 15 kW and does not cover a home's fan, pump or burner: compare with the machine's own past"
)


class Report(msgspec.Struct, frozen=True):
    """The analysis of one recording.

    Attributes:
        file: Its name.
        channel: The channel that was analysed.
        channels: All channels of the file.
        rate_hz: Sampling rate.
        duration_s: Length.
        shaft_hz: Speed of the shaft; `None`: unknown.
        shaft_source: Where the speed is from.
        bearing: The bearing; `None`: unknown.
        unit: Of the samples; `None`: unknown.
        level: How strong the vibration is.
        verdict: What can be told of the bearing.
    """

    file: str
    channel: str
    channels: tuple[str, ...]
    rate_hz: float
    duration_s: float
    shaft_hz: float | None
    shaft_source: str
    bearing: Bearing | None
    unit: str | None
    level: Level
    verdict: Verdict


def analyse(
    path: Path,
    *,
    rate_hz: float | None = None,
    shaft_hz: float | None = None,
    bearing: str | None = None,
    channel: str | None = None,
    unit: str | None = None,
) -> tuple[Report, str | None]:
    """Analyse a file, and return the report and the drawing; `None` where there is no spectrum to draw.

    Args:
        path: The recording; see `lab.vibration.recording.read_recording`, also for ``rate_hz`` and ``channel``.
        rate_hz: Sampling rate; `None`: the file's.
        shaft_hz: Speed of the shaft; `None`: the file's, if it has one.
        bearing: See `lab.vibration.bearings.find_bearing`; `None`: unknown.
        channel: Its name or number; `None`: the first.
        unit: "g", "m/s2", or `None`: unknown.

    Raises:
        Rejected: The bearing or the recording cannot be used.
        OSError: The file cannot be read.
    """
    geometry = None if bearing is None else find_bearing(bearing)
    recording = read_recording(path, rate_hz=rate_hz, channel=channel)
    source = "given" if shaft_hz is not None else "from the file" if recording.shaft_hz is not None else ""
    shaft_hz = shaft_hz if shaft_hz is not None else recording.shaft_hz
    verdict, bands = judge(recording, shaft_hz, geometry)
    report = Report(
        file=path.name,
        channel=recording.channel,
        channels=recording.channels,
        rate_hz=recording.rate_hz,
        duration_s=len(recording.samples) / recording.rate_hz,
        shaft_hz=shaft_hz,
        shaft_source=source,
        bearing=geometry,
        unit=unit,
        level=level(recording.samples, recording.rate_hz, unit),
        verdict=verdict,
    )
    return report, as_svg(report, bands) if bands else None


def as_text(report: Report) -> str:
    """Return the verdict first, then what to do, then the figures."""
    verdict = report.verdict
    if verdict.part is not None:
        best = verdict.evidence[0]
        lines = [f"The bearing's {verdict.part} is damaged."]
        lines += _wrapped(
            f"It is struck {best.found_hz:.1f} times a second ({best.expected_hz:.1f} expected of a defect there), and"
            f" {best.harmonics} of the first {HARMONICS} harmonics stand out of the vibration between"
            f" {best.low_hz:,.0f} and {best.high_hz:,.0f} Hz."
        )
        lines += _wrapped(
            "Do: listen at the bearing, record again in a week at the same speed, and plan its replacement; replace it"
            " now if it is loud, hot or has play."
        )
    else:
        lines = ["Which part is damaged, or whether one is, cannot be told."]
        for reason in verdict.reasons:
            lines += _wrapped(f"Because {reason}.")
    for note in verdict.notes:
        lines += _wrapped(f"Note: {note}.")
    return "\n".join([*lines, "", *_recording(report), *_level(report), *_table(report)])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH)


def _recording(report: Report) -> list[str]:
    others = [name for name in report.channels if name != report.channel]
    shown = ", ".join(others[:OTHER_CHANNELS_SHOWN]) + (", ..." if len(others) > OTHER_CHANNELS_SHOWN else "")
    lines = [f"recording   {report.file}, channel {report.channel}"]
    if others:
        lines.append(f"            (others by --channel: {shown})")
    lines.append(f"sampling    {report.rate_hz:,.0f} Hz, {report.duration_s:.1f} s")
    if report.shaft_hz is not None:
        lines.append(f"shaft       {report.shaft_hz:.2f} Hz, {report.shaft_hz * 60:,.0f} rpm ({report.shaft_source})")
    if report.bearing is not None:
        source = f" ({report.bearing.source})" if report.bearing.source else ""
        lines.append(f"bearing     {report.bearing.name}{source}")
    return lines


def _level(report: Report) -> list[str]:
    strength, unit = report.level, report.unit or "of the file's unit"
    figures = (
        f"RMS {strength.rms:.4g} {unit}, peak {strength.peak:.4g}, crest factor {strength.crest_factor:.1f},"
        f" kurtosis {strength.kurtosis:.1f}"
    )
    lines = [f"vibration   {figures}"]
    if strength.velocity_mm_s is None:
        return [*lines, f"velocity    not worked out: {strength.velocity_reason}"]
    lines.append(
        f"velocity    RMS {strength.velocity_mm_s:.2f} mm/s from 10 to 1,000 Hz: zone {zone(strength.velocity_mm_s)}"
    )
    return [*lines, *textwrap.wrap(ISO_REMARK, TEXT_WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 12)]


def _table(report: Report) -> list[str]:
    if not report.verdict.evidence:
        return []
    rows = [
        (
            str(each.part),
            f"{each.expected_hz:.1f} Hz",
            f"{each.found_hz:.1f} Hz",
            f"{each.harmonics} of {HARMONICS}",
            f"{each.above_others_db:+.1f} dB",
            f"{each.low_hz:,.0f} to {each.high_hz:,.0f} Hz",
        )
        for each in report.verdict.evidence
    ]
    rows = [("part", "expected", "found", "harmonics", "above others", "in the band"), *rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)]


class _Chart:
    """A drawing of an envelope spectrum, from 0 to ``last_hz`` and from 0 to ``top_db``."""

    def __init__(self, last_hz: float, top_db: float) -> None:
        self._last_hz = last_hz
        self._top_db = top_db
        self._parts: list[str] = []

    def _across(self, value_hz: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * value_hz / self._last_hz

    def _up(self, value_db: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2.5 * MARGIN) * value_db / self._top_db

    def line(self, value_hz: float, colour: str, *, width: float = 1.0, is_dashed: bool = False) -> None:
        """Draw a line at a frequency, from bottom to top."""
        dashes = ' stroke-dasharray="4 3"' if is_dashed else ""
        self._parts.append(
            f'<path d="M{self._across(value_hz):.1f} {self._up(0):.1f}V{self._up(self._top_db):.1f}"'
            f' stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
        )

    def curve(self, hz: Floats, values_db: Floats) -> None:
        """Draw the spectrum."""
        points = " ".join(f"{self._across(x):.1f},{self._up(y):.1f}" for x, y in zip(hz, values_db, strict=True))
        self._parts.append(f'<polyline points="{points}" fill="none" stroke="#222222"/>')

    def axes(self) -> None:
        """Draw both axes with their figures."""
        self._parts.append(f'<path d="M{MARGIN} {self._up(0):.1f}H{WIDTH - MARGIN}" stroke="#888888"/>')
        for value_db in range(0, int(self._top_db) + 1, 5):
            self.text(MARGIN - 8, self._up(value_db) + 4, f"{value_db} dB", anchor="end")
        for quarter in range(5):
            value_hz = self._last_hz * quarter / 4
            self.text(self._across(value_hz), HEIGHT - 38, f"{value_hz:.0f} Hz", anchor="middle")

    def text(
        self, x: float, y: float, words: str, *, colour: str = "#222222", size: int = 12, anchor: str = "start"
    ) -> None:
        """Write words at a place."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">'
            f"{html.escape(words)}</text>"
        )

    def svg(self, title: str) -> str:
        """Return the document."""
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        head = f'{size} viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {head}>',
                f"<title>{html.escape(title)}</title>",
                f'<rect {size} fill="#ffffff"/>',
                *self._parts,
                "</svg>",
                "",
            ]
        )


def as_svg(report: Report, bands: list[Band]) -> str:
    """Return the envelope spectrum in which the strongest part stands out most, with the defect frequencies marked.

    Args:
        report: The analysis; it has a speed and evidence.
        bands: The spectra that `lab.vibration.analysis.judge` returned with it.
    """
    evidence, shaft_hz = report.verdict.evidence, report.shaft_hz or 1.0
    band = bands[evidence[0].band]
    last_hz = min((HARMONICS + 0.5) * max(each.found_hz for each in evidence), float(band.orders[-1]) * shaft_hz)
    shown = band.orders * shaft_hz <= last_hz
    excess_db = np.maximum(band.excess_db[shown], 0)
    chart = _Chart(last_hz, EXCESS_MAX_DB)
    for order in range(1, int(last_hz / shaft_hz) + 1):
        chart.line(order * shaft_hz, "#dddddd")
    for place, each in enumerate(evidence):
        is_named = each.part is report.verdict.part
        for harmonic in range(1, min(HARMONICS, int(last_hz / each.found_hz)) + 1):
            chart.line(harmonic * each.found_hz, COLOURS[each.part], width=2 if is_named else 1, is_dashed=not is_named)
        chart.text(
            MARGIN + 210 * place,
            HEIGHT - 12,
            f"{each.part}, {SYMBOLS[each.part]}: {each.found_hz:.1f} Hz",
            colour=COLOURS[each.part],
        )
    chart.text(MARGIN + 210 * len(evidence), HEIGHT - 12, f"shaft: {shaft_hz:.2f} Hz", colour="#888888")
    chart.curve(band.orders[shown] * shaft_hz, excess_db)
    chart.axes()
    verdict = f"{report.verdict.part} damaged" if report.verdict.part else "a defective part cannot be told"
    title = f"{report.file}, channel {report.channel}: {verdict}"
    chart.text(MARGIN, 24, title, size=16)
    low, high = f"{band.low_hz:,.0f}", f"{band.high_hz:,.0f}"
    chart.text(
        MARGIN, 44, f"Squared envelope spectrum of {low} to {high} Hz, power over the local median", colour="#555555"
    )
    return chart.svg(title)
