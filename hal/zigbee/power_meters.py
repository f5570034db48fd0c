"""Plugs that measure what they switch: has their power reported, hears it, and asks those that are silent.

Zigbee Cluster Library, sections 4.9 (electrical measurement) and 10.4 (metering). What they draw stays in the hub: it
is no kind of the cloud's contract.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from hal.zigbee.reporting import NO_ANSWER_ERRORS

_log = logging.getLogger(__name__)

ELECTRICAL_MEASUREMENT, METERING = 0x0B04, 0x0702

REPORT_S_MIN, REPORT_S_MAX = 5, 120
CHANGE_W = 5.0
"""A change of so much is reported at once. Some plugs accept this and report nothing: those are asked."""

OnPower = Callable[[str, float], None]
"""Called with IEEE address and watts."""


class _Meter(msgspec.Struct, frozen=True):
    """Where a cluster has its power, and how it is scaled.

    Attributes:
        cluster: The cluster.
        power: The attribute.
        multiplier: Attribute with the factor of it; 1 where a device has none.
        divisor: Attribute with its divisor; likewise.
        unit_w: Of the scaled value.
        invalid: The raw value that means "no value".
    """

    cluster: int
    power: int
    multiplier: int
    divisor: int
    unit_w: float
    invalid: int


_METERS = (
    _Meter(ELECTRICAL_MEASUREMENT, 0x050B, 0x0604, 0x0605, 1.0, -0x8000),
    _Meter(METERING, 0x0400, 0x0301, 0x0302, 1000.0, -0x80_0000),
)
"""In order of preference: active power (4.9.2.2.4.9), and instantaneous demand (10.4.2.2.5.1) in kW."""

_UNIT, _KILOWATTS = 0x0300, (0x00, 0x80)
"""Unit of measure of the metering cluster, in binary or BCD (10.4.2.2.4.1); gas and water have others."""


def _meter_of(device: Any) -> tuple[_Meter, Any] | None:  # noqa: ANN401 - zigpy is untyped here
    """Return the meter of a zigpy device and its cluster, from its lowest endpoint; `None` without one."""
    for meter in _METERS:
        for endpoint in device.non_zdo_endpoints:
            if meter.cluster in endpoint.in_clusters:
                return meter, endpoint.in_clusters[meter.cluster]
    return None


def _scale_w(meter: _Meter, cluster: Any) -> float | None:  # noqa: ANN401
    """Return the watts of one step; `None` for what is not measured in watts, and while that is not known."""
    if meter.cluster == METERING and (cluster.get(_UNIT) not in _KILOWATTS or cluster.get(meter.divisor) is None):
        return None
    return meter.unit_w * float(cluster.get(meter.multiplier) or 1) / float(cluster.get(meter.divisor) or 1)


def _watts(meter: _Meter, cluster: Any, raw: Any) -> float | None:  # noqa: ANN401
    scale_w = _scale_w(meter, cluster)
    return None if raw is None or int(raw) == meter.invalid or scale_w is None else int(raw) * scale_w


def has_meter(device: Any) -> bool:  # noqa: ANN401
    """Return whether a zigpy device measures power."""
    return _meter_of(device) is not None


def subscribe(device: Any, ieee: str, on_power: OnPower) -> None:  # noqa: ANN401
    """Hear the power of a zigpy device."""
    if (found := _meter_of(device)) is None:
        return
    meter, cluster = found

    def on_event(event: Any) -> None:  # noqa: ANN401
        if event.attribute_id == meter.power and (watts := _watts(meter, cluster, event.value)) is not None:
            on_power(ieee, watts)

    cluster.on_event("attribute_report", on_event)


async def set_up(device: Any) -> float | None:  # noqa: ANN401
    """Have the power of a device reported; return what it draws now, `None` for a device without a meter.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    if (found := _meter_of(device)) is None:
        return None
    meter, cluster = found
    watts = await read(device)
    if watts is not None and (scale_w := _scale_w(meter, cluster)):
        await cluster.bind()
        change = max(1, round(CHANGE_W / scale_w))
        await cluster.configure_reporting(meter.power, REPORT_S_MIN, REPORT_S_MAX, change)
    return watts


async def read(device: Any) -> float | None:  # noqa: ANN401
    """Return what a device draws now; `None` for one without a meter, or without a value.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    if (found := _meter_of(device)) is None:
        return None
    meter, cluster = found
    scaling = [meter.multiplier, meter.divisor, *([_UNIT] if meter.cluster == METERING else [])]
    known, _ = await cluster.read_attributes([meter.power, *scaling])
    return _watts(meter, cluster, known.get(meter.power))


async def ask(device: Any, ieee: str, on_power: OnPower) -> None:  # noqa: ANN401
    """Ask a device that is silent; one that does not answer says nothing."""
    try:
        watts = await read(device)
    except NO_ANSWER_ERRORS as error:
        _log.info("%s: what it draws cannot be read: %s", ieee, error)
        return
    if watts is not None:
        on_power(ieee, watts)
