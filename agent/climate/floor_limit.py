"""The limit of a floor's temperature: heating of the zone stops above it, so that wood and tiles stay whole. Pure.

Only a zone with a floor probe has this limit. Frost protection goes on at a low duty where the probe says that the
floor is hot: whichever of the two sensors is wrong, that does the least harm. The limit makes no zone request more.
"""

import msgspec

from agent.climate import fusion
from agent.climate.fusion import SensorReading
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneRequest
from hal.interface import HvacAction

PROBE_C_MIN = -15.0
PROBE_C_MAX = 80.0
"""The range of a floor: a probe that is cut or shorted lies outside."""

RELEASE_K = 0.5
"""Heating is possible again this far below the limit."""


def known_floor_c(reading: SensorReading | None, *, now_ms: int, stale_s: float) -> float | None:
    """Return the temperature of a floor; `None` without a good, plausible and recent reading.

    Args:
        reading: The latest of the probe; `None` for none.
        now_ms: Boot time.
        stale_s: Older readings do not count, unless the probe may be silent for longer.
    """
    return fusion.known_c(reading, now_ms=now_ms, age_s_max=stale_s, lowest_c=PROBE_C_MIN, highest_c=PROBE_C_MAX)


def is_hot(floor_c: float | None, settings: ZoneSettings, *, was_hot: bool) -> bool:
    """Return whether the floor is at its limit. A probe that is lost proves nothing."""
    return floor_c is not None and floor_c >= settings.floor_c_max - (RELEASE_K if was_hot else 0.0)


def duty_max(floor_c: float | None, settings: ZoneSettings, *, is_hot: bool, is_frost: bool) -> float:
    """Return the highest duty of heating that spares the floor.

    Args:
        floor_c: Its temperature; `None` if it is not known.
        settings: Of the zone.
        is_hot: The floor is at its limit.
        is_frost: The zone is protected against frost.
    """
    if is_hot:
        return settings.fallback_duty_max if is_frost else 0.0
    is_lost = bool(settings.floor_sensor) and floor_c is None
    return settings.fallback_duty_max if is_lost and not is_frost else 1.0


def explain(
    wanted: ZoneRequest, floor_c: float | None, settings: ZoneSettings, *, action: HvacAction, duty: float
) -> ZoneRequest:
    """Return the request of a zone whose duty is limited for its floor.

    Args:
        wanted: Without the limit.
        floor_c: The temperature of the floor; `None` if it is not known.
        settings: Of the zone.
        action: What the limited duty gives now.
        duty: The limited duty.
    """
    if floor_c is None:
        text = f"check the floor probe {settings.floor_sensor}: it is silent, so the zone is heated little"
    else:
        text = f"the floor has {floor_c:.1f} °C, the limit is {settings.floor_c_max:.1f}"
    is_off = action is HvacAction.OFF
    return msgspec.structs.replace(
        wanted, action=action, duty=duty, reason=f"{'off' if is_off else 'heating'}: {text}", is_at_limit=is_off
    )
