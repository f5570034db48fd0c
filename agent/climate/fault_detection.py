"""Notices equipment that does not do what it is told: heat that does not come, heat that does not end. Pure.

A notice is for people; it never stops the control law, since a wrong notice must not cost anybody a warm house. Cold
that does not come is another matter: where the rest of the home is cool, see `zone`, it is the sensor that is wrong.
"""

import msgspec

RISE_K = 0.3
"""A rise that no sensor's noise makes."""

BEHIND_K = 1.0
"""A zone that is nearer to its setpoint than this is not said to fail."""

STUCK_AFTER_S = 3600.0
"""So long after it went off, what is in the radiators has been given to the room."""

STUCK_UNTIL_S = 12 * 3600.0
"""A relay sticks as it is switched off: what gets warm much later is the weather."""

STUCK_ABOVE_K = 2.0
STUCK_RISES = ((3600.0, 1.0), (3 * 3600.0, 2.0))
"""In so long so much warmer: radiators are fast, floors and large rooms are slow."""

STUCK_FALL_K = 1.0
"""A room that falls by so much is not heated any more."""


class ObservationPeriod(msgspec.Struct, frozen=True):
    """A stretch of being off: the temperature at its beginning, `None` before it, and how old it is."""

    from_c: float | None = None
    s: float = 0.0


_BEGUN = tuple(ObservationPeriod() for _ in STUCK_RISES)


class HeatingMonitor(msgspec.Struct, frozen=True):
    """What is being watched of one zone.

    Attributes:
        from_c: The temperature from which a rise is expected; `None` where none is.
        on_s: How long it has been heated since.
        off_s: How long it has been off.
        windows: One for each of `STUCK_RISES`.
        peak_c: How warm it has been since it is stuck.
        is_failing: It is heated and does not get warmer.
        is_stuck: It gets warmer and is not heated.
    """

    from_c: float | None = None
    on_s: float = 0.0
    off_s: float = 0.0
    windows: tuple[ObservationPeriod, ...] = _BEGUN
    peak_c: float = 0.0
    is_failing: bool = False
    is_stuck: bool = False

    @property
    def problem(self) -> str:
        """What is the matter, in words; empty where nothing is."""
        if self.is_failing:
            return "it is heated and does not get warmer: check boiler or heat pump, pump and valve"
        if self.is_stuck:
            return "it gets warmer with the heating off: check the relay, it may be stuck (strong sun looks alike)"
        return ""


def step(
    watch: HeatingMonitor, *, value_c: float, setpoint_c: float, is_heated: bool, dt_s: float, failure_s: float
) -> HeatingMonitor:
    """Return what is known after another stretch of time.

    Args:
        watch: Before.
        value_c: The room now.
        setpoint_c: To which it is heated.
        is_heated: Whether its output was on.
        dt_s: How long.
        failure_s: So much heating without a rise is a failure.
    """
    if is_heated:
        return _heated(watch, value_c, setpoint_c, dt_s, failure_s)
    off_s = watch.off_s + dt_s
    if off_s < STUCK_AFTER_S:
        return msgspec.structs.replace(watch, off_s=off_s)
    if watch.is_stuck:
        # It may be as warm as it gets: only a fall says that the heat has ended.
        peak_c = max(watch.peak_c, value_c)
        return msgspec.structs.replace(watch, off_s=off_s, peak_c=peak_c, is_stuck=value_c > peak_c - STUCK_FALL_K)
    rises = []
    windows = []
    for window, (length_s, rise_k) in zip(watch.windows, STUCK_RISES, strict=True):
        if window.from_c is None or value_c < window.from_c:
            windows.append(ObservationPeriod(value_c))
        elif window.s + dt_s >= length_s:
            rises.append(value_c - window.from_c >= rise_k)
            windows.append(ObservationPeriod(value_c))
        else:
            windows.append(ObservationPeriod(window.from_c, window.s + dt_s))
    is_stuck = any(rises) and value_c >= setpoint_c + STUCK_ABOVE_K and off_s < STUCK_UNTIL_S
    return msgspec.structs.replace(watch, off_s=off_s, windows=tuple(windows), peak_c=value_c, is_stuck=is_stuck)


class CoolingMonitor(msgspec.Struct, frozen=True):
    """What is being watched of a zone that is cooled.

    Attributes:
        from_c: The temperature from which a fall is expected; `None` where none is.
        s: How long it has been cooled since.
        is_futile: It does not get cooler.
    """

    from_c: float | None = None
    s: float = 0.0
    is_futile: bool = False

    @property
    def problem(self) -> str:
        """What is the matter, in words; empty where nothing is."""
        return "it is cooled and does not get cooler: check the sensor, then the equipment" if self.is_futile else ""


def cooled(
    seen: CoolingMonitor, *, value_c: float, setpoint_c: float, is_cooled: bool, dt_s: float, failure_s: float
) -> CoolingMonitor:
    """Return what is known of a zone's cooling after another stretch of time.

    Args:
        seen: Before.
        value_c: The room now.
        setpoint_c: To which it is cooled.
        is_cooled: Whether its output was on.
        dt_s: How long.
        failure_s: So much cooling without a fall is futile, until it falls or is near its setpoint.
    """
    if value_c < setpoint_c + BEHIND_K:
        return CoolingMonitor()
    if seen.from_c is None or value_c <= seen.from_c - RISE_K:
        return CoolingMonitor(value_c)
    s = seen.s + (dt_s if is_cooled else 0.0)
    return CoolingMonitor(seen.from_c, s, seen.is_futile or s >= failure_s)


def not_meant(watch: HeatingMonitor) -> HeatingMonitor:
    """Return what is known of a zone that is not to be heated: nothing of heat that does not come."""
    return msgspec.structs.replace(watch, from_c=None, on_s=0.0, is_failing=False)


def _heated(watch: HeatingMonitor, value_c: float, setpoint_c: float, dt_s: float, failure_s: float) -> HeatingMonitor:
    is_near = setpoint_c - value_c < BEHIND_K
    if watch.from_c is None or is_near or value_c >= watch.from_c + RISE_K:
        return HeatingMonitor(from_c=None if is_near else value_c)
    on_s = watch.on_s + dt_s
    return msgspec.structs.replace(
        watch, on_s=on_s, off_s=0.0, windows=_BEGUN, is_stuck=False, is_failing=watch.is_failing or on_s >= failure_s
    )
