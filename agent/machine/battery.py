"""What the hub knows of its own battery: whether the mains is off, how long the charge lasts, when to power off. Pure.

A power cut costs a hub ten seconds of readings; a machine that is powered off by mistake costs a warm home. So every
doubt keeps it running: it is powered off only where a signal of the mains says that the mains is off, and the charge
has been seen to fall to the limit, and nothing contradicts either. A gauge alone never suffices.
"""

import itertools

import msgspec

LOW_MS_MIN = 60_000
"""The mains must be off and the charge at the limit or below for this long, without interruption."""

FALL_PERCENT_MIN = 2.0
"""The charge must have fallen by this since the mains went off. A gauge that is stuck at 0 % never falls."""

RISE_PERCENT_MAX = 2.0
"""A larger rise while the mains signal says off means that the battery is being charged: the signal is wrong."""

JUMP_PERCENT = 10.0
"""More than this between two looks is the gauge's mistake, not the hub's consumption: no HAT empties in minutes."""

CELL_V_MAX = 3.8
"""A lithium cell above this holds more than a third of its charge, whatever its gauge says (discharge curves of common
18650 cells at a tenth of their capacity an hour)."""

CELL_V_FULL = 4.35
"""No lithium cell is charged higher, so a higher voltage is that of several in series."""

EMPTY_PERCENT = 30.0
"""The highest limit that the configuration takes."""

POINT_INTERVAL_MS = 60_000
POINTS_MAX = 30
"""The charge of the last half hour gives the rate."""

RATE_MS_MIN = 5 * 60_000
RATE_PERCENT_MIN = 1.0
"""Less time or fall says nothing about the minutes left."""

MINUTES_MAX = 24 * 60


class SupplyReading(msgspec.Struct, frozen=True):
    """What one look at the supply shows; `None` where nothing tells, or it cannot be read now.

    Attributes:
        at_ms: Boot time.
        is_mains_on: By a signal of the mains: a driver of the kernel or a line.
        percent: The charge.
        voltage_v: Of the whole battery.
    """

    at_ms: int
    is_mains_on: bool | None = None
    percent: float | None = None
    voltage_v: float | None = None


class BatteryState(msgspec.Struct, frozen=True):
    """What is remembered from look to look.

    Attributes:
        last: The last reading.
        off_since_ms: Since when the mains has been off without interruption.
        low_since_ms: Since when the charge has been at the limit or below.
        high_percent: The highest charge since the mains went off, or since the gauge's last jump.
        low_percent: The lowest since then.
        is_contradicted: The charge rose while the signal said that the mains is off; until it has said on once.
        points: Boot time and charge, oldest first, since the mains went off or the gauge's last jump.
    """

    last: SupplyReading | None = None
    off_since_ms: int | None = None
    low_since_ms: int | None = None
    high_percent: float | None = None
    low_percent: float | None = None
    is_contradicted: bool = False
    points: tuple[tuple[int, float], ...] = ()


def cell_v(voltage_v: float) -> float:
    """Return the voltage of one cell of a battery of equal cells in series.

    Where the number of cells is not clear, the smallest possible one is taken: the cell seems fuller.
    """
    cells = max(1, -int(-voltage_v // CELL_V_FULL))
    return voltage_v / cells


_CELL_CURVE = (
    (3.0, 0.0),
    (3.3, 3.0),
    (3.4, 6.0),
    (3.5, 11.0),
    (3.6, 22.0),
    (3.7, 40.0),
    (3.8, 57.0),
    (3.9, 70.0),
    (4.0, 82.0),
    (4.2, 100.0),
)
"""Volts and charge of a common lithium cell at a light load, from memory: right to about ten per cent of the charge."""


def cell_percent(voltage_v: float) -> float:
    """Return the charge of one lithium cell, estimated from its voltage at a light load."""
    if voltage_v <= _CELL_CURVE[0][0]:
        return 0.0
    for (low_v, low), (high_v, high) in itertools.pairwise(_CELL_CURVE):
        if voltage_v <= high_v:
            return low + (high - low) * (voltage_v - low_v) / (high_v - low_v)
    return 100.0


def advance(state: BatteryState, reading: SupplyReading, *, limit_percent: float) -> BatteryState:
    """Return the next state.

    Args:
        state: After the reading before.
        reading: The present one.
        limit_percent: At this charge the machine is to be powered off; 0 for never.
    """
    if reading.is_mains_on:
        return BatteryState(last=reading)
    if reading.is_mains_on is None:
        # What is known of this outage stays for the next look, and nothing is decided on what is not known.
        return msgspec.structs.replace(state, last=reading, off_since_ms=None, low_since_ms=None)
    off_since_ms = reading.at_ms if state.off_since_ms is None else state.off_since_ms
    percent, last = reading.percent, state.last.percent if state.last else None
    if percent is None:
        return msgspec.structs.replace(state, last=reading, off_since_ms=off_since_ms, low_since_ms=None)
    is_jump = last is not None and abs(percent - last) > JUMP_PERCENT
    if is_jump or state.high_percent is None or state.low_percent is None:
        high, low, points = percent, percent, _with_point((), reading.at_ms, percent)
    else:
        high, low = max(state.high_percent, percent), min(state.low_percent, percent)
        points = _with_point(state.points, reading.at_ms, percent)
    is_low = percent <= limit_percent and not is_jump
    low_since_ms = (reading.at_ms if state.low_since_ms is None else state.low_since_ms) if is_low else None
    return BatteryState(
        last=reading,
        off_since_ms=off_since_ms,
        low_since_ms=low_since_ms,
        high_percent=high,
        low_percent=low,
        is_contradicted=state.is_contradicted or (not is_jump and percent - low > RISE_PERCENT_MAX),
        points=points,
    )


def _with_point(points: tuple[tuple[int, float], ...], at_ms: int, percent: float) -> tuple[tuple[int, float], ...]:
    if points and at_ms - points[-1][0] < POINT_INTERVAL_MS:
        return points
    return (*points, (at_ms, percent))[-POINTS_MAX:]


def is_on_battery(state: BatteryState) -> bool:
    """Return whether the mains is off, by its signal."""
    return state.off_since_ms is not None


def must_power_off(state: BatteryState, *, limit_percent: float) -> bool:
    """Return whether the machine is to be powered off now, before the battery is empty.

    Args:
        state: After the last reading.
        limit_percent: At this charge; 0 for never.
    """
    reading = state.last
    if limit_percent <= 0 or reading is None or state.off_since_ms is None or state.low_since_ms is None:
        return False
    if state.is_contradicted or state.high_percent is None or reading.percent is None:
        return False
    return (
        reading.at_ms - state.low_since_ms >= LOW_MS_MIN
        and state.high_percent - reading.percent >= FALL_PERCENT_MIN
        and not is_gauge_wrong(reading)
    )


def is_gauge_wrong(reading: SupplyReading) -> bool:
    """Return whether the voltage shows that the battery holds much more than the gauge says."""
    if reading.percent is None or reading.voltage_v is None:
        return False
    return reading.percent < EMPTY_PERCENT and cell_v(reading.voltage_v) > CELL_V_MAX


def minutes_left(state: BatteryState, *, limit_percent: float) -> int | None:
    """Return the minutes until the limit, or until the battery is empty where there is none, at the present rate.

    `None` while the mains is not known to be off, and before the charge has fallen measurably.
    """
    if state.off_since_ms is None or len(state.points) < 2:  # noqa: PLR2004 - a line has two points
        return None
    (first_ms, first), (last_ms, last) = state.points[0], state.points[-1]
    if last_ms - first_ms < RATE_MS_MIN or first - last < RATE_PERCENT_MIN:
        return None
    minutes_per_percent = (last_ms - first_ms) / 60_000 / (first - last)
    return min(MINUTES_MAX, int(max(0.0, last - limit_percent) * minutes_per_percent))


WRONG_SIGNAL = "check the mains signal of the UPS (docs/hardware.md): it says off while the battery is being charged"
WRONG_GAUGE = "replace or restart the UPS's gauge: it says nearly empty while the voltage is that of a charged battery"


def doubt(state: BatteryState) -> str:
    """Return why the supply is not believed, remedy first; empty where nothing speaks against it."""
    if state.is_contradicted:
        return WRONG_SIGNAL
    return WRONG_GAUGE if state.last is not None and is_gauge_wrong(state.last) else ""
