"""Durations, sizes and measured values as text. Pure."""

from agent.foundation.text import plural

__all__ = ["duration", "measured", "plural", "size", "traffic"]

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
_KIB = 1024
TRAFFIC_MB_MIN = 100_000
"""Less is shown in kilobytes."""
_WITH_TENTHS = {"°C", "%", "hPa"}


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: "3 h 12 min"."""
    whole_s = round(seconds)
    if whole_s < MINUTE_S:
        return f"{whole_s} s"
    if whole_s < HOUR_S:
        return _two(whole_s, MINUTE_S, "min", 1, "s")
    if whole_s < DAY_S:
        return _two(whole_s, HOUR_S, "h", MINUTE_S, "min")
    return _two(whole_s, DAY_S, "d", HOUR_S, "h")


def _two(whole_s: int, large_s: int, large: str, small_s: int, small: str) -> str:
    rest = whole_s % large_s // small_s
    return f"{whole_s // large_s} {large}" + (f" {rest} {small}" if rest else "")


def size(size_bytes: int) -> str:
    """Return a size of storage: "14 KiB"."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if amount < _KIB:
            return f"{amount:.0f} {unit}"
        amount /= _KIB
    return f"{amount:.1f} GiB"


def traffic(traffic_bytes: float) -> str:
    """Return an amount of traffic as contracts of metered links count it: a megabyte is a million bytes."""
    if traffic_bytes < TRAFFIC_MB_MIN:
        return f"{traffic_bytes / 1000:.0f} kB"
    return f"{traffic_bytes / 1_000_000:,.1f} MB"


def measured(value: float | None, unit: str) -> str:
    """Return a measured value with its unit; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.{1 if unit in _WITH_TENTHS else 0}f} {unit}".rstrip()
