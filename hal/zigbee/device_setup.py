"""Sets an interviewed sensor up: reads what it measures, binds those clusters, and configures their reporting.

Every step may be repeated without harm, so an interrupted set-up simply starts again. A value read here is no report: a
sensor that has not measured yet answers as well, and so does a cluster that is never filled.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import zigpy.exceptions
from zigpy.zcl.foundation import Status

from hal.interface import SensorKind
from hal.zigbee import vendor_quirks, zcl
from hal.zigbee.attribute_decoder import BASIC, AttributeDecoder, format_ieee
from hal.zigbee.battery import Battery, battery_of
from hal.zigbee.reporting import NO_ANSWER_ERRORS, read_reporting
from hal.zigbee.zcl import AttributeCandidate

_log = logging.getLogger(__name__)

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


class ChosenAttribute(msgspec.Struct, frozen=True):
    """The attribute chosen for one kind.

    Attributes:
        candidate: The attribute.
        value: The value read, in the unit of its channel; `None` without a value.
        max_interval_s: Maximum reporting interval that the device accepted; 0 if it refused the configuration.
        note: How its configuration differs from what control needs, for people; empty if it does not.
    """

    candidate: AttributeCandidate
    value: float | None = None
    max_interval_s: float = 0.0
    note: str = ""


class SetupResult(msgspec.Struct, frozen=True):
    """Result of a set-up.

    Attributes:
        is_complete: Every cluster has answered.
        chosen: The chosen attributes, one for each kind.
        battery: The device's battery, if its level is estimated from a voltage.
        unused: For people: channels that are not used, and why; and reporting that is not as configured.
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
    unused += tuple(each.note for each in chosen if each.note)
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
        accepted = msgspec.structs.replace(each, max_interval_s=max_interval_s)
        if is_accepted and each.candidate.channel.kind is SensorKind.TEMPERATURE:
            accepted = await _verify_reporting(device, accepted)
        configured.append(accepted)
    return configured, unanswered


async def _verify_reporting(device: Any, accepted: ChosenAttribute) -> ChosenAttribute:  # noqa: ANN401
    """Return an attribute with the reporting that the device really has: control relies on it.

    A device that cannot tell, or does not answer, is believed.
    """
    candidate, kind = accepted.candidate, accepted.candidate.channel.kind
    try:
        found = (await read_reporting(device, [candidate]))[kind]
    except NO_ANSWER_ERRORS as error:
        _log.info("%s: its reporting configuration cannot be read back: %s", format_ieee(device.ieee), error)
        return accepted
    if not found.is_known:
        return accepted
    note = found.shortcoming(candidate)
    if note:
        _log.info("%s: %s", format_ieee(device.ieee), note)
    return msgspec.structs.replace(accepted, max_interval_s=found.max_interval_s, note=note)


async def read_value(device: Any, candidate: AttributeCandidate) -> float | None:  # noqa: ANN401
    """Return the present value of an attribute in the unit of its channel; `None` without a value or an answer."""
    raw = (await _read_all(device, [candidate])).raw.get(candidate)
    return None if raw is None else zcl.convert(candidate.measure, raw)


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
