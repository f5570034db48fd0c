"""Contacts and motion sensors: enrols them, has their occupancy reported, and hears what they say.

Zigbee Cluster Library, sections 4.8 (occupancy sensing) and 8.2 (IAS zone, with trip-to-pair enrolment). What they say
stays in the hub: it is no kind of the cloud's contract.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import zigpy.exceptions
from zigpy.zcl.foundation import Status

from hal.radio import BinaryKind
from hal.zigbee.reporting import NO_ANSWER_ERRORS

_log = logging.getLogger(__name__)

OCCUPANCY = 0x0406
IAS_ZONE = 0x0500

_OCCUPIED = 0x0000
"""Attribute of the occupancy cluster; bit 0 is set while the room is occupied (4.8.2.2.1)."""

_ZONE_TYPE, _ZONE_STATUS, _CIE_ADDRESS = 0x0001, 0x0002, 0x0010
_STATUS_CHANGED, _ENROLL_REQUEST = 0x00, 0x01

_ALARMS = 0x0003
"""Alarm 1 (opened, presence) and alarm 2 of the zone status (8.2.2.2.1.3)."""

_ZONE_TYPES: Mapping[int, BinaryKind] = MappingProxyType(
    {0x000D: BinaryKind.OCCUPANCY, 0x0015: BinaryKind.CONTACT, 0x0016: BinaryKind.CONTACT}
)
"""Motion sensor, contact switch, and door or window handle (8.2.2.2.1.2). Other zones are no concern of heating."""

ZONE_ID = 0
"""The hub tells devices apart by their address."""

REPORT_S_MAX = 3600
"""An occupancy is reported on each change, and this often: its sensor is known to work."""

OnState = Callable[[str, BinaryKind, bool], None]
"""Called with IEEE address, kind, and whether it is open or occupied."""

Enroll = Callable[[str, Any], None]
"""Called with IEEE address and IAS cluster of a device that asks for its enrolment."""


def _clusters(device: Any, number: int) -> Iterator[Any]:  # noqa: ANN401 - zigpy is untyped here
    for endpoint in device.non_zdo_endpoints:
        if number in endpoint.in_clusters:
            yield endpoint.in_clusters[number]


def _zone_kind(cluster: Any) -> BinaryKind | None:  # noqa: ANN401
    """Return what an IAS zone detects; `None` for another zone, and while its type is not known."""
    zone_type = cluster.get(_ZONE_TYPE)
    return None if zone_type is None else _ZONE_TYPES.get(int(zone_type))


def subscribe(device: Any, ieee: str, on_state: OnState, enroll: Enroll) -> None:  # noqa: ANN401
    """Hear the contacts and motion sensors of a zigpy device."""
    for cluster in _clusters(device, OCCUPANCY):

        def on_event(event: Any) -> None:  # noqa: ANN401
            if event.attribute_id == _OCCUPIED:
                on_state(ieee, BinaryKind.OCCUPANCY, bool(int(event.value) & 1))

        cluster.on_event("attribute_report", on_event)
    for cluster in _clusters(device, IAS_ZONE):
        cluster.add_listener(_ZoneListener(cluster, ieee, on_state, enroll))


class _ZoneListener:
    """A zigpy listener on an IAS zone."""

    def __init__(self, cluster: Any, ieee: str, on_state: OnState, enroll: Enroll) -> None:  # noqa: ANN401
        self._cluster = cluster
        self._ieee = ieee
        self._on_state = on_state
        self._enroll = enroll

    def cluster_command(self, _tsn: int, command: int, arguments: Any) -> None:  # noqa: ANN401
        """Handle a command of the zone."""
        if command == _ENROLL_REQUEST:
            self._enroll(self._ieee, self._cluster)
        elif command == _STATUS_CHANGED and (kind := _zone_kind(self._cluster)) is not None:
            self._on_state(self._ieee, kind, bool(int(arguments.zone_status) & _ALARMS))


async def answer_enrolment(cluster: Any) -> None:  # noqa: ANN401
    """Admit an IAS zone; one that misses the answer asks again."""
    try:
        await cluster.enroll_response(enroll_response_code=0, zone_id=ZONE_ID)
    except NO_ANSWER_ERRORS as error:
        _log.info("an enrolment was not answered: %s", error)


async def set_up(device: Any, own_ieee: Any) -> Mapping[BinaryKind, bool]:  # noqa: ANN401
    """Enrol the zones of a device and have its occupancy reported; return what each says now.

    Args:
        device: Interviewed.
        own_ieee: The address of the coordinator, to which zones send their changes.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    states: dict[BinaryKind, bool] = {}
    for cluster in _clusters(device, OCCUPANCY):
        await cluster.bind()
        await cluster.configure_reporting(_OCCUPIED, 0, REPORT_S_MAX, 1)
        read, _ = await cluster.read_attributes([_OCCUPIED])
        if _OCCUPIED in read:
            states[BinaryKind.OCCUPANCY] = bool(int(read[_OCCUPIED]) & 1)
    for cluster in _clusters(device, IAS_ZONE):
        read, _ = await cluster.read_attributes([_ZONE_TYPE, _ZONE_STATUS])
        kind = _zone_kind(cluster)
        if kind is None:
            continue
        await cluster.bind()
        (written, *_) = await cluster.write_attributes({_CIE_ADDRESS: own_ieee})
        if any(each.status != Status.SUCCESS for each in written):
            raise zigpy.exceptions.InvalidResponse("the enrolment was refused")
        # A zone that asked before it was known, and one that never asks (auto-enroll-response, 8.2.2.2.3).
        await cluster.enroll_response(enroll_response_code=0, zone_id=ZONE_ID)
        states[kind] = states.get(kind, False) or bool(int(read.get(_ZONE_STATUS, 0)) & _ALARMS)
    return states
