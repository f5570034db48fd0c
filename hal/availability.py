"""Decides whether a sensor is online, and whether it reports each of its kinds as often as configured. Pure.

A sensor may be silent for a multiple of its usual silence. The usual silence is the maximum interval of its reporting
configuration, however often the sensor has exceeded it. Without a configuration it is learned from observation: the
longest silence, halved every few days, so that a quiet night is remembered through a busy day. One longer silence is a
failure; a second one becomes the new usual silence. A dead sensor is never shown as online for longer than that, nor
for longer than `SILENCE_S_MAX`. Time in which the radio did not listen counts against no sensor.

Reporting is watched kind by kind, because one kind may stop while the others continue. A sensor can lose its reporting
configuration without notice (in a brown-out, say). A kind that is overdue while its sensor is heard is therefore a
reason to read the configuration back.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from hal.interface import SensorKind

SILENCE_FACTOR = 3.0
"""Two consecutive reports may be lost on the air."""

SLACK_S = 60.0
SILENCE_S_MIN = 300.0
SILENCE_S_MAX = 25 * 3600.0
"""Sleepy sensors send a frame at least once a day; the additional hour covers inaccurate clocks."""

UNKNOWN_MAINS_S = 2 * 3600.0
"""For a mains-powered sensor with unknown rhythm; a sleepy one gets `SILENCE_S_MAX`."""

OBSERVED_S_MIN = 24 * 3600.0
"""Observed silences count as the usual ones once they include a night."""

HALF_LIFE_MS = 3 * 24 * 3600 * 1000

SLOWER_FACTOR = 4.0
"""A kind with an interval this many times longer is the slower kind: several reports of the faster one lie between."""

SLOWER_REPORTS_MAX = 2
"""Reports of a slower kind without any of the faster one: the faster one is overdue."""

RELAXED_S_MAX = 6 * 3600.0
"""The slowest rhythm accepted from a sensor that ignores its configuration."""

READ_AFTER_MS = 960_000
"""A temperature that was not reported for this long is read: a report is due each 900 s (`hal.zigbee.zcl`)."""

READ_RETRY_MS = 300_000
"""A sensor that did not answer is asked again, several times before it counts as lost."""

CHECK_INTERVAL_MS = 3_600_000
"""The reporting configuration of a sensor is read back at most this often."""


class ReportingRhythm(msgspec.Struct, frozen=True):
    """The usual silence of a sensor.

    Attributes:
        max_interval_s: Shortest maximum interval of its reporting configuration; 0 without one.
        observed_s: Observation time so far, up to `OBSERVED_S_MIN`.
        longest_silence_s: The longest observed silence when it was last set.
        aged_ms: Time since then; `longest_silence_s` halves every `HALF_LIFE_MS`.
        outlier_s: The last silence longer than usual; a second one makes it usual.
    """

    max_interval_s: float = msgspec.field(default=0.0, name="promised_s")
    observed_s: float = 0.0
    longest_silence_s: float = msgspec.field(default=0.0, name="longest_s")
    aged_ms: int = 0
    outlier_s: float = msgspec.field(default=0.0, name="doubted_s")


def usual_s(rhythm: ReportingRhythm) -> float:
    """Return the usual longest silence in seconds; 0 while unknown."""
    if rhythm.max_interval_s:
        return rhythm.max_interval_s
    return _decayed_s(rhythm) if rhythm.observed_s >= OBSERVED_S_MIN else 0.0


def allowed_s(rhythm: ReportingRhythm, *, is_sleepy: bool) -> float:
    """Return how long a sensor may be silent and still count as online, in seconds."""
    usual = usual_s(rhythm)
    if not usual:
        return SILENCE_S_MAX if is_sleepy else UNKNOWN_MAINS_S
    return min(SILENCE_S_MAX, max(SILENCE_S_MIN, SILENCE_FACTOR * usual + SLACK_S))


def allowed_by_interval_s(max_interval_s: float) -> float | None:
    """Return how long a kind with a reporting configuration may be silent; `None` for 0, without one."""
    return allowed_s(ReportingRhythm(max_interval_s), is_sleepy=False) if max_interval_s else None


def update_rhythm(rhythm: ReportingRhythm, silence_ms: int, *, is_sleepy: bool) -> ReportingRhythm:
    """Return the rhythm after a silence through which the radio was listening."""
    silence_s = silence_ms / 1000
    aged = msgspec.structs.replace(
        rhythm, aged_ms=rhythm.aged_ms + silence_ms, observed_s=min(OBSERVED_S_MIN, rhythm.observed_s + silence_s)
    )
    if silence_s <= allowed_s(rhythm, is_sleepy=is_sleepy):
        learned_s = silence_s
    elif not rhythm.outlier_s:
        return msgspec.structs.replace(aged, outlier_s=silence_s)
    else:
        learned_s = min(silence_s, rhythm.outlier_s)
        aged = msgspec.structs.replace(aged, outlier_s=0.0)
    if learned_s < _decayed_s(aged):
        return aged
    return msgspec.structs.replace(aged, longest_silence_s=learned_s, aged_ms=0)


def is_online(
    rhythm: ReportingRhythm,
    *,
    is_sleepy: bool,
    last_seen_ms: int | None,
    listening_since_ms: int | None,
    was_offline: bool,
    now_ms: int,
) -> bool | None:
    """Decide whether a sensor is online.

    Args:
        rhythm: Its usual silence.
        is_sleepy: Whether it sleeps between reports.
        last_seen_ms: When its last frame was received, on the clock of ``now_ms``; `None` for not since that clock
            began.
        listening_since_ms: Start of the radio's uninterrupted listening; `None` while it does not listen.
        was_offline: The previous decision was offline; only a received frame ends that.
        now_ms: On the boot's monotonic clock.

    Returns:
        `None` while unknown: the radio has not listened for long enough.
    """
    allowed_ms = allowed_s(rhythm, is_sleepy=is_sleepy) * 1000
    if was_offline:
        return False
    if last_seen_ms is not None and now_ms - last_seen_ms <= allowed_ms:
        return True
    if listening_since_ms is not None and now_ms - max(listening_since_ms, last_seen_ms or 0) > allowed_ms:
        return False
    return None


def _decayed_s(rhythm: ReportingRhythm) -> float:
    return rhythm.longest_silence_s * math.exp2(-max(0, rhythm.aged_ms) / HALF_LIFE_MS)


def allowed_ms(max_interval_s: float) -> int:
    """Return how long a kind may go unreported: three reports may be missing."""
    return int((SILENCE_FACTOR * max_interval_s + SLACK_S) * 1000)


def find_overdue(
    max_intervals_s: Mapping[SensorKind, float],
    *,
    reported_ms: Mapping[SensorKind, int],
    slower_reports: Mapping[SensorKind, int],
    since_ms: int,
    now_ms: int,
) -> Sequence[SensorKind]:
    """Return the kinds whose report is overdue.

    Args:
        max_intervals_s: Maximum reporting interval of each kind; 0 without a configuration.
        reported_ms: Time of the last report of each kind.
        slower_reports: Number of reports of much slower kinds since then.
        since_ms: Since when the radio listens and the sensor has its configuration; earlier silence does not count.
        now_ms: On the same clock as the other arguments.
    """
    return [
        kind
        for kind, max_interval_s in max_intervals_s.items()
        if max_interval_s
        and (
            now_ms - max(since_ms, reported_ms.get(kind, since_ms)) > allowed_ms(max_interval_s)
            or slower_reports.get(kind, 0) >= SLOWER_REPORTS_MAX
        )
    ]


def is_read_due(*, known_ms: int, asked_ms: int | None, now_ms: int) -> bool:
    """Return whether a value is to be read because its report is late.

    Args:
        known_ms: When it was last reported or read, or the radio began to listen.
        asked_ms: When the last read began; `None` for never.
        now_ms: On the same clock as the other arguments.
    """
    is_late = now_ms - known_ms >= READ_AFTER_MS
    return is_late and (asked_ms is None or now_ms - asked_ms >= READ_RETRY_MS)


def is_slower(kind: SensorKind, than: SensorKind, max_intervals_s: Mapping[SensorKind, float]) -> bool:
    """Return whether a kind is reported much less often than another one."""
    return bool(max_intervals_s.get(than)) and max_intervals_s.get(kind, 0.0) >= SLOWER_FACTOR * max_intervals_s[than]


def lost_configuration_text(kinds: Sequence[SensorKind]) -> str:
    """Return the problem of a sensor that has lost its reporting configuration."""
    return (
        f"reports no {_listed(kinds)}: it lost its reporting configuration, and the hub has written it again; if this"
        " continues, change its battery and press its button while a join window is open"
    )


def ignored_configuration_text(kinds: Sequence[SensorKind]) -> str:
    """Return the problem of a sensor that does not follow its reporting configuration."""
    return (
        f"take its battery out and insert it again, or replace it: it reports no {_listed(kinds)}, although its"
        " reporting configuration is complete"
    )


def unanswered_text(kinds: Sequence[SensorKind]) -> str:
    """Return the problem of a sensor whose reporting configuration could not be read."""
    return f"press its button once: it reports no {_listed(kinds)} and does not answer"


def _listed(kinds: Sequence[SensorKind]) -> str:
    return " and no ".join(kinds)
