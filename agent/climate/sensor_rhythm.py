"""Learns how a sensor reports, and how long it may therefore be silent. Pure.

A sensor that reports at an interval is lost once it misses three of its intervals. The longest silence that it has
shown while it worked counts as its interval, so lost reports do not make it lost (`hal.availability` learns that).

A sensor that reports on change says something by its silence: the temperature has not moved by its threshold. In a
well-kept room it may be silent for a night, and nothing in its rhythm tells that night from its death. So time alone
does not reject it: after an unusual silence it is quiet, and `sensor_probe` heats a little more until it must report.

The two differ in what they report. At an interval most reports repeat the value, or the intervals are all alike. On
change each report differs from the one before, and the silences between are of all lengths.

Must never take the time during which the hub was down for a silence.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Protocol

import msgspec

from agent.foundation.median import median_low
from hal import availability
from hal.availability import ReportingRhythm

RECENT_REPORTS_MAX = 12
"""Of this many reports the silences and the changes are kept."""

KNOWN_REPORTS_MIN = 6
"""A sensor with fewer reports is treated as one that reports on change: the more patient assumption."""

ALIKE_SHARE = 0.05
"""Intervals of a clock differ by less. Those of a sensor that reports on change do not, a dozen of them."""

MULTIPLES_S_MIN = 240.0
"""Of a sensor with at least this interval a longer silence that is a multiple of it means lost reports. Silences of a
sensor that looks each minute and reports on change are not all multiples of so much."""

SINGLE_S_MAX = 600.0
SINGLE_SHARE_MIN = 0.5
"""One with a shorter interval may look so often and report on change. A sensor that loses reports still shows at least
this share of silences of one interval."""

CHANGE_SHARE_MIN = 0.9
"""At least this share of the reports of a sensor that reports on change do change its value."""

CHANGE_K_MIN = 0.05
"""Smaller changes are noise."""

INTERVAL_S_MIN = 0.001
"""The resolution of the clock: a file that was damaged may have less."""

INTERVALS_MAX = 2.9
"""Two reports in a row may be lost; a sensor that misses its third one is lost."""

FIRST_INTERVALS_MAX = 6.0
"""Until a day was observed: how often its reports get lost is not known yet."""

SILENCE_S_MIN = 150.0
"""No sensor is lost sooner: a busy hub may read its own sensors late."""

OWN_FACTOR = 1.25
"""A sensor that was silent for longer than `stale_s` before, and worked, may be so again, and a quarter longer."""

QUIET_S_MIN = 1500.0
QUIET_S_MAX = 2100.0
"""A sensor that reports on change is quiet after its usual longest silence within these bounds: the later one leaves
nearly an hour and a half of the two hours in which its death must be noticed."""

COARSE_K = 0.25
COARSE_FACTOR = 3.0
"""A sensor with a larger threshold is quiet so many times later: it says little about the room anyway, and each turn of
`sensor_probe` moves the room by as much as the threshold."""

ON_CHANGE_S_MAX = 48 * 3600.0
"""Weather, sun and people move every room by any threshold within two days. `sensor_probe` tells sooner."""

PROMISED_S_MAX = 7200.0
"""A radio that allows a longer silence tells nothing in time: a dead sensor must be noticed within two hours."""


class SensorRhythm(msgspec.Struct, frozen=True):
    """How a sensor has reported. Kept in `climate.json`.

    Attributes:
        rhythm: Its usual silence.
        silences_s: The recent silences, oldest first, at most `RECENT_REPORTS_MAX`.
        changes_k: The change of the value at the end of each.
        at_ms: The boot time of its last report; `None` in the run of the agent that has just begun.
        value_c: The value of its last report.
    """

    rhythm: ReportingRhythm = ReportingRhythm()
    silences_s: tuple[float, ...] = ()
    changes_k: tuple[float, ...] = ()
    at_ms: int | None = None
    value_c: float = 0.0

    @property
    def reports_on_change(self) -> bool:
        """Whether it reports when its value changes, and possibly at no other time."""
        if len(self.silences_s) < KNOWN_REPORTS_MIN:
            return True
        if _has_interval(self.silences_s):
            return False
        least_k = max(CHANGE_K_MIN, median_low(self.changes_k) / 2.0)
        changed = sum(change_k >= least_k for change_k in self.changes_k)
        return changed >= CHANGE_SHARE_MIN * len(self.changes_k)


def _has_interval(silences_s: Sequence[float]) -> bool:
    """Return whether silences are those of a sensor with an interval, lost reports included."""
    interval_s = max(INTERVAL_S_MIN, min(silences_s))
    intervals = [silence_s / interval_s for silence_s in silences_s]
    if max(intervals) <= 1.0 + ALIKE_SHARE:
        return True
    if interval_s < MULTIPLES_S_MIN or any(abs(each - round(each)) > ALIKE_SHARE for each in intervals):
        return False
    singles = sum(each <= 1.0 + ALIKE_SHARE for each in intervals)
    return interval_s >= SINGLE_S_MAX or singles >= SINGLE_SHARE_MIN * len(intervals)


class SilenceAllowance(msgspec.Struct, frozen=True):
    """How long a sensor may be silent.

    Attributes:
        lost_s: After this it does not count any more.
        quiet_s: After this its silence is unusual, and the zone is heated a little more until it reports; `None` for a
            sensor that would not report because of it.
        usual_s: The longest usual silence; 0 while it is unknown.
    """

    lost_s: float
    quiet_s: float | None = None
    usual_s: float = 0.0


def observe(state: SensorRhythm | None, *, value_c: float, at_ms: int) -> SensorRhythm:
    """Return the rhythm of a sensor with its latest reading; a reading that is not newer changes nothing.

    What is no number is a report without a change: `climate.json` could not be read with it.
    """
    if not isfinite(value_c):
        value_c = 0.0 if state is None else state.value_c
    if state is None:
        return SensorRhythm(at_ms=at_ms, value_c=value_c)
    if state.at_ms is None:
        return msgspec.structs.replace(state, at_ms=at_ms, value_c=value_c)
    if at_ms <= state.at_ms:
        return state
    silence_ms = at_ms - state.at_ms
    return SensorRhythm(
        availability.update_rhythm(state.rhythm, silence_ms, is_sleepy=False),
        (*state.silences_s, silence_ms / 1000)[-RECENT_REPORTS_MAX:],
        (*state.changes_k, round(abs(value_c - state.value_c), 3))[-RECENT_REPORTS_MAX:],
        at_ms,
        value_c,
    )


def resume(state: SensorRhythm) -> SensorRhythm:
    """Return the rhythm at the start of the agent: what the sensor reported meanwhile is unknown."""
    return msgspec.structs.replace(state, at_ms=None)


def allow_silence(state: SensorRhythm, *, promised_s: float | None, stale_s: float) -> SilenceAllowance:
    """Return how long a sensor may be silent.

    Args:
        state: How it has reported.
        promised_s: As its radio has configured it; `None` if it has not. Unused above `PROMISED_S_MAX`.
        stale_s: The longest silence of a sensor that has not shown a longer one.
    """
    longest_s = availability.usual_s(state.rhythm)
    usual_s = longest_s or max(state.silences_s, default=0.0)
    if promised_s is not None and promised_s <= PROMISED_S_MAX:
        return SilenceAllowance(promised_s, usual_s=usual_s)
    if state.reports_on_change:
        is_coarse = len(state.changes_k) > 0 and median_low(state.changes_k) > COARSE_K
        quiet_s = min(QUIET_S_MAX * (COARSE_FACTOR if is_coarse else 1.0), max(QUIET_S_MIN, usual_s))
        return SilenceAllowance(max(ON_CHANGE_S_MAX, stale_s), quiet_s, usual_s)
    lost_s = max(SILENCE_S_MIN, (INTERVALS_MAX if longest_s else FIRST_INTERVALS_MAX) * usual_s)
    if lost_s > stale_s:
        lost_s = max(stale_s, OWN_FACTOR * usual_s)
    return SilenceAllowance(lost_s, usual_s=usual_s)


class _Report(Protocol):
    """The latest reading of a sensor; see `fusion.SensorReading`."""

    @property
    def value_c(self) -> float: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def silence_s_max(self) -> float | None: ...


class SensorRhythms:
    """The rhythms of the sensors of a home, and the allowances that follow from them.

    Attributes:
        states: The rhythm of each sensor, by name.
        allowances: How long each sensor may be silent, by name.
    """

    def __init__(self, saved: Mapping[str, SensorRhythm]) -> None:
        self.states = {name: resume(state) for name, state in saved.items()}
        self.allowances: dict[str, SilenceAllowance] = {}
        self._seen: dict[str, tuple[int, float | None]] = {}

    def update(self, names: Sequence[tuple[str, float]], readings: Mapping[str, _Report], *, stale_s: float) -> None:
        """Learn from the latest readings of the sensors of a zone; only those that have reported since cost time.

        Args:
            names: The names and weights of the sensors.
            readings: The latest reading of each sensor that has any, by name.
            stale_s: Of the zone.
        """
        for name, _ in names:
            reading = readings.get(name)
            if reading is None:
                continue
            seen = reading.at_ms, reading.silence_s_max
            if self._seen.get(name) == seen:
                continue
            self._seen[name] = seen
            state = self.states[name] = observe(self.states.get(name), value_c=reading.value_c, at_ms=reading.at_ms)
            self.allowances[name] = allow_silence(state, promised_s=reading.silence_s_max, stale_s=stale_s)
