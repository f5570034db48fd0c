"""Sets an interviewed sensor up: reads what it measures, binds those clusters, and configures their reporting.

Every step may be repeated without harm, so an interrupted set-up simply starts again. A value read here is no report: a
sensor that has not measured yet answers as well, and so does a cluster that is never filled.

`ReportingRepair` reads the reporting configuration of sensors back whose reports are overdue, and has a lost one
written again.
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
from hal.zigbee import vendor_quirks, zcl
from hal.zigbee.attribute_decoder import BASIC, AttributeDecoder, format_ieee
from hal.zigbee.battery import Battery, battery_of
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

_UNSUPPORTED = frozenset(
    {
        Status.UNSUPPORTED_ATTRIBUTE,
        Status.UNSUPPORTED_CLUSTER,
        Status.UNSUP_GENERAL_COMMAND,
        Status.UNSUP_CLUSTER_COMMAND,
        Status.UNSUP_MANUF_GENERAL_COMMAND,
        Status.UNSUP_MANUF_CLUSTER_COMMAND,
    }
)
"""Status of an attribute that the device does not have. Any other status: it has the attribute, but no value now."""

_FOR_CLUSTER_WITHOUT_RESPONSE = 0x11
"""Frame control: cluster-specific command to the server, without default response (ZCL 2.4.1.1)."""

_NEVER_S = 0xFFFF
"""Maximum reporting interval of an attribute that is not reported (ZCL 2.5.7.1.6)."""


class ChosenAttribute(msgspec.Struct, frozen=True):
    """The attribute chosen for one kind.

    Attributes:
        candidate: The attribute.
        value: The value read, in the unit of its channel; `None` without a value.
        max_interval_s: Maximum reporting interval that the device accepted; 0 if it refused the configuration.
    """

    candidate: AttributeCandidate
    value: float | None = None
    max_interval_s: float = 0.0


class SetupResult(msgspec.Struct, frozen=True):
    """Result of a set-up.

    Attributes:
        is_complete: Every cluster has answered.
        chosen: The chosen attributes, one for each kind.
        battery: The device's battery, if its level is estimated from a voltage.
        unused: For people: channels that are not used, and why.
        detail: For people: kinds that did not answer.
    """

    is_complete: bool
    chosen: tuple[ChosenAttribute, ...] = ()
    battery: Battery | None = None
    unused: tuple[str, ...] = ()
    detail: str = ""


class _Answers(msgspec.Struct):
    """Answers of a device to attribute reads: raw values by candidate, and battery attributes."""

    raw: dict[AttributeCandidate, float | None]
    unanswered: list[AttributeCandidate]
    size: int | None = None
    quantity: int | None = None


async def set_up_device(device: Any, decoder: AttributeDecoder, *, report_s_min: int) -> SetupResult:  # noqa: ANN401 - zigpy is untyped here
    """Read what a zigpy device measures; bind and configure the chosen attributes.

    Args:
        device: Interviewed.
        decoder: Returns its candidates.
        report_s_min: Minimum reporting interval.
    """
    found = decoder.candidates(device)
    if vendor_quirks.TUYA in _clusters_of(device):
        await _query_tuya(device)
    answers = await _read_all(device, found)
    if decoder.model_note(device):
        # Which clusters of an unknown model are dummies is unknown: an attribute without a value is not announced.
        answers.raw = {each: raw for each, raw in answers.raw.items() if raw is not None}
    battery = None
    chosen = []
    for candidate in zcl.choose_candidates(found, answers.raw):
        raw = answers.raw[candidate]
        value = None if raw is None else zcl.convert(candidate.measure, raw)
        if candidate.measure.is_voltage:
            battery = battery_of(value or 0.0, size=answers.size, quantity=answers.quantity)
            if battery is None:
                # The voltage is ambiguous. A level that is never reported must not be announced.
                continue
        chosen.append(ChosenAttribute(candidate, value))
    unanswered = [each.channel.kind for each in answers.unanswered]
    if not decoder.quirk(device).reports_by_itself:
        chosen, unconfigured = await _configure_reporting(device, chosen, report_s_min)
        unanswered += unconfigured
    unused = _describe_unused(found, answers.raw, chosen, decoder.dummies(device))
    detail = f"no answer about {', '.join(dict.fromkeys(unanswered))}" if unanswered else ""
    return SetupResult(not unanswered, tuple(chosen), battery, unused, detail)


def _clusters_of(device: Any) -> Mapping[int, Any]:  # noqa: ANN401
    """Return the server clusters of a device, each from its lowest endpoint."""
    found: dict[int, Any] = {}
    for endpoint in device.non_zdo_endpoints:
        for number, cluster in endpoint.in_clusters.items():
            found.setdefault(number, cluster)
    return found


async def _query_tuya(device: Any) -> None:  # noqa: ANN401
    """Send what a Tuya gateway sends when a device joins, and query its data points. An answer is optional."""
    clusters_of = _clusters_of(device)
    try:
        if (basic := clusters_of.get(BASIC)) is not None:
            await basic.read_attributes_raw(list(vendor_quirks.TUYA_JOIN_ATTRIBUTES))
        endpoint, sequence = clusters_of[vendor_quirks.TUYA].endpoint, device.get_sequence()
        query = bytes((_FOR_CLUSTER_WITHOUT_RESPONSE, sequence, vendor_quirks.TUYA_QUERY))
        await endpoint.request(
            vendor_quirks.TUYA, sequence, query, expect_reply=False, command_id=vendor_quirks.TUYA_QUERY
        )
    except NO_ANSWER_ERRORS as error:
        _log.info("%s: no answer to the Tuya query: %s", format_ieee(device.ieee), error)


async def _read_all(device: Any, found: Sequence[AttributeCandidate]) -> _Answers:  # noqa: ANN401
    """Read all candidates, those of one cluster in one frame: a sleepy sensor receives few frames."""
    answers = _Answers({}, [])
    for place in dict.fromkeys((each.endpoint, each.cluster) for each in found):
        here = [each for each in found if (each.endpoint, each.cluster) == place]
        cluster = device.endpoints[place[0]].in_clusters[place[1]]
        wanted = [each.attribute for each in here]
        if any(each.measure.is_voltage for each in here):
            wanted += [zcl.BATTERY_SIZE, zcl.BATTERY_QUANTITY]
        try:
            read, refused = await cluster.read_attributes(wanted)
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: cluster 0x%04x does not answer: %s", format_ieee(device.ieee), place[1], error)
            answers.unanswered += here
            continue
        for each in here:
            if each.attribute in read:
                answers.raw[each] = _raw(each, read[each.attribute])
            elif refused.get(each.attribute) not in _UNSUPPORTED:
                answers.raw[each] = None
        if place[1] == zcl.POWER:
            answers.size = _number(read.get(zcl.BATTERY_SIZE))
            answers.quantity = _number(read.get(zcl.BATTERY_QUANTITY))
    return answers


def _raw(candidate: AttributeCandidate, raw: object) -> float | None:
    """Return a raw value, or `None` for a marker of no value; 0 is the value before the first measurement."""
    if not isinstance(raw, int | float) or not raw or zcl.convert(candidate.measure, raw) is None:
        return None
    return raw


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None


async def _configure_reporting(
    device: Any,  # noqa: ANN401
    chosen: Sequence[ChosenAttribute],
    report_s_min: int,
) -> tuple[list[ChosenAttribute], list[SensorKind]]:
    """Bind and configure the chosen attributes; return the result, and the kinds that did not answer."""
    configured, unanswered = [], []
    for each in chosen:
        cluster = device.endpoints[each.candidate.endpoint].in_clusters[each.candidate.cluster]
        try:
            await _bind(cluster)
            is_accepted = await _configure(cluster, each.candidate, report_s_min)
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: cluster 0x%04x: %s", format_ieee(device.ieee), each.candidate.cluster, error)
            unanswered.append(each.candidate.channel.kind)
            continue
        max_interval_s = each.candidate.measure.report_s_max if is_accepted else 0.0
        configured.append(msgspec.structs.replace(each, max_interval_s=max_interval_s))
    return configured, unanswered


async def _bind(cluster: Any) -> None:  # noqa: ANN401
    (status, *_) = await cluster.bind()
    if status != Status.SUCCESS:
        raise zigpy.exceptions.InvalidResponse(f"the binding was refused: {status!r}")


async def _configure(cluster: Any, candidate: AttributeCandidate, report_s_min: int) -> bool:  # noqa: ANN401
    measure = candidate.measure
    answer = await cluster.configure_reporting(
        candidate.attribute, measure.report_s_min or report_s_min, measure.report_s_max, measure.reportable_change
    )
    # A sensor that refuses a configuration reports by its factory setting; another attempt would not help.
    return all(status == Status.SUCCESS for status in answer.values())


def _describe_unused(
    found: Sequence[AttributeCandidate],
    answers: Mapping[AttributeCandidate, float | None],
    chosen: Sequence[ChosenAttribute],
    dummies: Sequence[AttributeCandidate],
) -> tuple[str, ...]:
    """Return a sentence for each channel that the device has and the hub does not use."""
    used = {each.candidate.channel.kind: each.candidate for each in chosen}
    sentences = [
        f"{each.channel.kind} is taken from {used[each.channel.kind].place}, not from {each.place}"
        for each in found
        if answers.get(each) is not None
        and each.channel.kind in used
        and each != used[each.channel.kind]
        and not each.measure.is_voltage
    ]
    sentences += [f"{each.channel.kind} is taken from the vendor's own data, not from {each.place}" for each in dummies]
    return tuple(sentences)


async def read_reporting(device: Any, found: Sequence[AttributeCandidate]) -> Mapping[SensorKind, float]:  # noqa: ANN401
    """Read the reporting configuration back; return each maximum interval in seconds, 0 without a configuration.

    A device that does not support the read counts as unconfigured: writing the configuration again does no harm.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    intervals_s = {}
    for each in found:
        cluster = device.endpoints[each.endpoint].in_clusters[each.cluster]
        manufacturer = cluster.find_attribute(each.attribute).manufacturer_code
        record = ReadReportingConfigRecord(direction=ReportingDirection.SendReports, attrid=each.attribute)
        answer = await cluster.general_command(
            GeneralCommand.Read_Reporting_Configuration,
            [record],
            manufacturer=manufacturer if isinstance(manufacturer, int) else None,
        )
        intervals_s[each.channel.kind] = _max_interval_s(answer, each.attribute)
    return intervals_s


def _max_interval_s(answer: Any, attribute: int) -> float:  # noqa: ANN401
    records = answer[0] if isinstance(answer[0], list) else []
    for record in records:
        if record.status == Status.SUCCESS and record.config.attrid == attribute:
            max_interval_s = int(record.config.max_interval)
            return 0.0 if max_interval_s == _NEVER_S else float(max_interval_s)
    return 0.0


_log = logging.getLogger(__name__)


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
                max_intervals_s = await read_reporting(device, self._used_attributes(device, ieee, kinds))
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: its reporting configuration cannot be read: %s", ieee, error)
            if self._registry.is_online(ieee):
                self._set_problem(ieee, kinds, availability.unanswered_text(kinds))
            return
        finally:
            self._running.discard(ieee)
        if lost := [kind for kind, max_interval_s in max_intervals_s.items() if not max_interval_s]:
            self._set_problem(ieee, lost, availability.lost_configuration_text(lost))
            self._set_up_again(device, ieee)
            return
        monitor.set_intervals(ieee, max_intervals_s)
        if late := [kind for kind in monitor.overdue_kinds(ieee) if kind in max_intervals_s]:
            self._set_problem(ieee, late, availability.ignored_configuration_text(late))
            # The sensor ignores its configuration: from now on its own rhythm counts.
            monitor.relax_intervals(ieee, late)

    def _used_attributes(self, device: Any, ieee: str, kinds: Sequence[SensorKind]) -> Sequence[AttributeCandidate]:  # noqa: ANN401
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
