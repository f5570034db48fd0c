"""The reporting configuration of sensors: reads it back, has a lost one written again, and reads a late kind itself.

A value that is read is no report: it keeps control informed, and the configuration is checked all the same.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec
import zigpy.exceptions
from zigpy.zcl.foundation import GeneralCommand, ReadReportingConfigRecord, ReportingDirection, Status

from hal import availability
from hal.interface import SensorKind
from hal.zigbee import zcl
from hal.zigbee.attribute_decoder import AttributeDecoder
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.join_window import eui64
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.zcl import AttributeCandidate

_log = logging.getLogger(__name__)

NO_ANSWER_ERRORS = (
    zigpy.exceptions.DeliveryError,
    TimeoutError,
    zigpy.exceptions.InvalidResponse,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)
"""Raised by zigpy for a missing or malformed answer, including lookups of requests that it never sent."""

CHANGE_FACTOR = 2.0
"""A device that rounds its smallest change up to this many times the configured one still serves control: 0.2 K."""

_NEVER_S = 0xFFFF
"""Maximum reporting interval of an attribute that is not reported (ZCL 2.5.7.1.6)."""


class ReportingConfiguration(msgspec.Struct, frozen=True):
    """The reporting configuration of an attribute, as its device tells it.

    Attributes:
        max_interval_s: The maximum interval; 0 without a configuration.
        change: The smallest change of the raw value that is reported; `None` if the device does not tell it.
        is_known: The device can tell it.
    """

    max_interval_s: float = 0.0
    change: float | None = None
    is_known: bool = True

    def shortcoming(self, candidate: AttributeCandidate) -> str:
        """Return in which way it reports less than was configured, for people; empty if it does not."""
        kind, measure = candidate.channel.kind, candidate.measure
        if not self.max_interval_s:
            return f"{kind}: it accepted its reporting configuration and does not have it; its own rhythm counts"
        is_rare = self.max_interval_s > measure.report_s_max
        if not is_rare and (self.change is None or self.change <= CHANGE_FACTOR * measure.reportable_change):
            return ""
        change = "" if self.change is None else f" or on a change of {zcl.convert(measure, self.change)}"
        return f"{kind}: it reports every {self.max_interval_s / 60:.0f} min{change}, which is not what was configured"


async def read_reporting(
    device: Any,  # noqa: ANN401
    found: Sequence[AttributeCandidate],
) -> Mapping[SensorKind, ReportingConfiguration]:
    """Read the reporting configuration of attributes back.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    configurations = {}
    for each in found:
        cluster = device.endpoints[each.endpoint].in_clusters[each.cluster]
        manufacturer = cluster.find_attribute(each.attribute).manufacturer_code
        record = ReadReportingConfigRecord(direction=ReportingDirection.SendReports, attrid=each.attribute)
        answer = await cluster.general_command(
            GeneralCommand.Read_Reporting_Configuration,
            [record],
            manufacturer=manufacturer if isinstance(manufacturer, int) else None,
        )
        configurations[each.channel.kind] = _configuration(answer, each.attribute)
    return configurations


def _configuration(answer: Any, attribute: int) -> ReportingConfiguration:  # noqa: ANN401
    # A device without this command sends a default response in its place.
    records = answer[0] if isinstance(answer[0], list) else []
    for record in records:
        if record.status == Status.SUCCESS and record.config.attrid == attribute:
            max_interval_s, change = int(record.config.max_interval), record.config.reportable_change
            if max_interval_s == _NEVER_S:
                return ReportingConfiguration()
            return ReportingConfiguration(
                float(max_interval_s), float(change) if isinstance(change, int | float) else None
            )
    return ReportingConfiguration(is_known=bool(records))


class ReportingRepair:
    """Checks and repairs the reporting configuration during one run of the radio.

    Attributes:
        app: zigpy's application; `None` before it is loaded.
    """

    def __init__(
        self,
        decoder: AttributeDecoder,
        registry: DeviceRegistry,
        events: RadioEvents,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        concurrency: asyncio.Semaphore,
        set_up_again: Callable[[Any, str], None],
    ) -> None:
        """Store the collaborators.

        Args:
            decoder: Returns the candidates of a device.
            registry: The devices and their reporting intervals.
            events: Receives the log of steps.
            spawn: Starts a background task.
            concurrency: Limits how many devices are in dialogue at once.
            set_up_again: Starts the set-up of a device.
        """
        self._decoder = decoder
        self._registry = registry
        self._events = events
        self._spawn = spawn
        self._concurrency = concurrency
        self._set_up_again = set_up_again
        self._running: set[str] = set()
        self.app: Any = None

    def check(self, ieee: str) -> None:
        """Start to read a device's reporting configuration back; at most once an hour."""
        device = self.app.devices.get(eui64(ieee)) if self.app is not None else None
        if device is None or ieee in self._running or not self._registry.reporting.begin_check(ieee):
            return
        self._running.add(ieee)
        self._spawn(self._check(device, ieee), f"reporting of {ieee}")

    async def _check(self, device: Any, ieee: str) -> None:  # noqa: ANN401 - zigpy is untyped here
        monitor = self._registry.reporting
        kinds = monitor.overdue_kinds(ieee)
        try:
            async with self._concurrency:
                found = await read_reporting(device, self.used_attributes(device, ieee, kinds))
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: its reporting configuration cannot be read: %s", ieee, error)
            if self._registry.is_online(ieee):
                self._set_problem(ieee, kinds, availability.unanswered_text(kinds))
            return
        finally:
            self._running.discard(ieee)
        # A device that cannot tell counts as unconfigured: writing the configuration again does no harm.
        max_intervals_s = {kind: each.max_interval_s for kind, each in found.items()}
        if lost := [kind for kind, max_interval_s in max_intervals_s.items() if not max_interval_s]:
            self._set_problem(ieee, lost, availability.lost_configuration_text(lost))
            self._set_up_again(device, ieee)
            return
        monitor.set_intervals(ieee, max_intervals_s)
        if late := [kind for kind in monitor.overdue_kinds(ieee) if kind in max_intervals_s]:
            self._set_problem(ieee, late, availability.ignored_configuration_text(late))
            # The sensor ignores its configuration: from now on its own rhythm counts.
            monitor.relax_intervals(ieee, late)

    def used_attributes(self, device: Any, ieee: str, kinds: Sequence[SensorKind]) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return the attributes from which some kinds of a device are taken."""
        record = self._registry.get(ieee)
        ranks = record.ranks if record is not None else {}
        return [
            each
            for each in self._decoder.candidates(device)
            if each.channel.kind in kinds and ranks.get(each.channel.kind) == each.channel.rank
        ]

    def _set_problem(self, ieee: str, kinds: Sequence[SensorKind], text: str) -> None:
        self._registry.reporting.set_problems(ieee, dict.fromkeys(kinds, text))
        self._events.log_step(f"{ieee}: {text}")
