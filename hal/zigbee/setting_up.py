"""Sets a sensor up once it is interviewed: binds its clusters, gives it reporting rules, reads what it measures now.

Everything here can be done twice without harm, so an interrupted set-up is simply begun again.
"""

import logging
from typing import Any

import msgspec
import zigpy.exceptions
from zigpy.zcl.foundation import Status

from hal.zigbee import clusters
from hal.zigbee.clusters import Measure
from hal.zigbee.ears import Ears, address, places_of

_log = logging.getLogger(__name__)

UNANSWERED = (zigpy.exceptions.DeliveryError, TimeoutError, zigpy.exceptions.InvalidResponse)
"""What zigpy raises where a sensor does not answer, or not sensibly."""


class SetUp(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        is_complete: Every cluster has answered.
        promised_s: The longest interval of the rules that the sensor has taken; 0 where it took none.
        detail: For people: what did not answer.
    """

    is_complete: bool
    promised_s: float = 0.0
    detail: str = ""


async def set_up(device: Any, ears: Ears, *, report_s_min: int) -> SetUp:  # noqa: ANN401 - zigpy is untyped here
    """Bind and configure a zigpy device, and pass on what it measures now.

    Args:
        device: Interviewed.
        ears: Where values go.
        report_s_min: The least time between two reports of one value.
    """
    maker = ears.maker(device)
    promised_s = []
    silent = []
    for (number, cluster_id, attribute), measure in places_of(device).items():
        cluster = device.endpoints[number].in_clusters[cluster_id]
        try:
            if not maker.reports_by_itself:
                await _bind(cluster)
                if await _give_rule(cluster, attribute, measure, report_s_min):
                    promised_s.append(measure.report_s_max)
            await _read_now(device, ears, cluster, attribute, measure)
        except UNANSWERED as error:
            _log.info("%s: cluster 0x%04x does not answer: %s", address(device.ieee), cluster_id, error)
            silent.append(str(measure.kind))
    if silent:
        return SetUp(is_complete=False, detail=f"no answer about {', '.join(silent)}; it is tried again")
    return SetUp(is_complete=True, promised_s=min(promised_s, default=0.0))


async def _bind(cluster: Any) -> None:  # noqa: ANN401
    (status, *_) = await cluster.bind()
    if status != Status.SUCCESS:
        raise zigpy.exceptions.InvalidResponse(f"binding was refused: {status!r}")


async def _give_rule(cluster: Any, attribute: int, measure: Measure, report_s_min: int) -> bool:  # noqa: ANN401
    answer = await cluster.configure_reporting(
        attribute, measure.report_s_min or report_s_min, measure.report_s_max, measure.change
    )
    # A sensor that refuses rules reports as its maker has set it; that is no reason to try again.
    return all(status == Status.SUCCESS for status in answer.values())


async def _read_now(device: Any, ears: Ears, cluster: Any, attribute: int, measure: Measure) -> None:  # noqa: ANN401
    read, _ = await cluster.read_attributes([attribute])
    for raw in read.values():
        value = clusters.value_of(measure, raw)
        if value is not None:
            source = f"{cluster.endpoint.endpoint_id}/{measure.kind}"
            ears.value(device, address(device.ieee), source, measure.kind, value)
