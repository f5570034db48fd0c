"""Sets a sensor up once it is interviewed: asks what it really measures, binds that, gives it reporting rules.

Everything here can be done twice without harm, so an interrupted set-up is simply begun again. What is read is no
report: a sensor that has not measured yet answers all the same, and so does a cluster that is never filled.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import zigpy.exceptions
from zigpy.zcl.foundation import GeneralCommand, ReadReportingConfigRecord, ReportingDirection, Status

from hal.interface import SensorKind
from hal.zigbee import clusters, vendor_quirks
from hal.zigbee.attribute_decoder import BASIC, AttributeDecoder, address
from hal.zigbee.battery import Battery, battery_of
from hal.zigbee.clusters import AttributeCandidate

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
"""What zigpy raises where a sensor does not answer, or not sensibly: it looks up what it has never asked for."""

_UNKNOWN_HERE = frozenset(
    {
        Status.UNSUPPORTED_ATTRIBUTE,
        Status.UNSUPPORTED_CLUSTER,
        Status.UNSUP_GENERAL_COMMAND,
        Status.UNSUP_CLUSTER_COMMAND,
        Status.UNSUP_MANUF_GENERAL_COMMAND,
        Status.UNSUP_MANUF_CLUSTER_COMMAND,
    }
)
"""How a device says that it has no such attribute. Any other status: it has, but no value now."""

_FOR_CLUSTER_WITHOUT_RESPONSE = 0x11
"""Frame control: a command of the cluster, to the server, without default response (ZCL 2.4.1.1)."""

_NEVER_S = 0xFFFF
"""As the longest interval of a rule: the attribute is not reported (ZCL 2.5.7.1.6)."""


class ChosenAttribute(msgspec.Struct, frozen=True):
    """A kind that a device measures.

    Attributes:
        candidate: Where it is taken from.
        value: What was read, in the unit of its source; `None` for nothing.
        promised_s: The longest interval of the rule that it has taken; 0 where it took none.
    """

    candidate: AttributeCandidate
    value: float | None = None
    promised_s: float = 0.0


class SetupResult(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        is_complete: Every cluster has answered.
        chosen: What the device measures, as far as its clusters say.
        battery: What it runs on, where its level has to be estimated.
        left_out: For people: what it has besides and is not taken.
        detail: For people: what did not answer.
    """

    is_complete: bool
    chosen: tuple[ChosenAttribute, ...] = ()
    battery: Battery | None = None
    left_out: tuple[str, ...] = ()
    detail: str = ""


class _Answers(msgspec.Struct):
    """What a device has answered to reads: raw values by candidate, and its battery."""

    raw: dict[AttributeCandidate, float | None]
    silent: list[AttributeCandidate]
    size: int | None = None
    quantity: int | None = None


async def set_up_device(device: Any, ears: AttributeDecoder, *, report_s_min: int) -> SetupResult:  # noqa: ANN401 - zigpy is untyped here
    """Ask a zigpy device what it measures; bind and configure that.

    Args:
        device: Interviewed.
        ears: Knows what may be taken of it.
        report_s_min: The least time between two reports of one value.
    """
    found = ears.candidates(device)
    if vendor_quirks.TUYA in _clusters_of(device):
        await _greet(device)
    answers = await _read_all(device, found)
    if ears.note(device):
        # Of such a model nobody knows which clusters are dummies: what has no value is not announced.
        answers.raw = {each: raw for each, raw in answers.raw.items() if raw is not None}
    battery = None
    taken = []
    for candidate in clusters.ranked(found, answers.raw):
        raw = answers.raw[candidate]
        value = None if raw is None else clusters.convert(candidate.measure, raw)
        if candidate.measure.is_voltage:
            battery = battery_of(value or 0.0, size=answers.size, quantity=answers.quantity)
            if battery is None:
                # Nobody knows what such a voltage means: a level that never comes must not be announced.
                continue
        taken.append(ChosenAttribute(candidate, value))
    silent = [each.channel.kind for each in answers.silent]
    if not ears.maker(device).reports_by_itself:
        taken, unruled = await _give_rules(device, taken, report_s_min)
        silent += unruled
    left_out = _left_out(found, answers.raw, taken, ears.dummies(device))
    detail = f"no answer about {', '.join(dict.fromkeys(silent))}" if silent else ""
    return SetupResult(not silent, tuple(taken), battery, left_out, detail)


def _clusters_of(device: Any) -> Mapping[int, Any]:  # noqa: ANN401
    """Return the server clusters of a device, each from its lowest endpoint."""
    found: dict[int, Any] = {}
    for endpoint in device.non_zdo_endpoints:
        for number, cluster in endpoint.in_clusters.items():
            found.setdefault(number, cluster)
    return found


async def _greet(device: Any) -> None:  # noqa: ANN401
    """Do what a gateway of Tuya does when a device joins, and ask for its data points. It need not answer."""
    clusters_of = _clusters_of(device)
    try:
        if (basic := clusters_of.get(BASIC)) is not None:
            await basic.read_attributes_raw(list(vendor_quirks.TUYA_GREETING))
        endpoint, sequence = clusters_of[vendor_quirks.TUYA].endpoint, device.get_sequence()
        query = bytes((_FOR_CLUSTER_WITHOUT_RESPONSE, sequence, vendor_quirks.TUYA_QUERY))
        await endpoint.request(
            vendor_quirks.TUYA, sequence, query, expect_reply=False, command_id=vendor_quirks.TUYA_QUERY
        )
    except NO_ANSWER_ERRORS as error:
        _log.info("%s: no answer to a greeting: %s", address(device.ieee), error)


async def _read_all(device: Any, found: Sequence[AttributeCandidate]) -> _Answers:  # noqa: ANN401
    """Read all candidates, those of one cluster in one frame: a sleeping sensor hears few."""
    answers = _Answers({}, [])
    for place in dict.fromkeys((each.endpoint, each.cluster) for each in found):
        here = [each for each in found if (each.endpoint, each.cluster) == place]
        cluster = device.endpoints[place[0]].in_clusters[place[1]]
        wanted = [each.attribute for each in here]
        if any(each.measure.is_voltage for each in here):
            wanted += [clusters.BATTERY_SIZE, clusters.BATTERY_QUANTITY]
        try:
            read, refused = await cluster.read_attributes(wanted)
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: cluster 0x%04x does not answer: %s", address(device.ieee), place[1], error)
            answers.silent += here
            continue
        for each in here:
            if each.attribute in read:
                answers.raw[each] = _raw(each, read[each.attribute])
            elif refused.get(each.attribute) not in _UNKNOWN_HERE:
                answers.raw[each] = None
        if place[1] == clusters.POWER:
            answers.size = _number(read.get(clusters.BATTERY_SIZE))
            answers.quantity = _number(read.get(clusters.BATTERY_QUANTITY))
    return answers


def _raw(candidate: AttributeCandidate, raw: object) -> float | None:
    """Return a raw value, unless it says that there is none: 0 is what is there before anything was measured."""
    if not isinstance(raw, int | float) or not raw or clusters.convert(candidate.measure, raw) is None:
        return None
    return raw


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None


async def _give_rules(
    device: Any,  # noqa: ANN401
    taken: Sequence[ChosenAttribute],
    report_s_min: int,
) -> tuple[list[ChosenAttribute], list[SensorKind]]:
    """Bind what was chosen and give it rules; return what was agreed, and which kinds did not answer."""
    agreed, silent = [], []
    for each in taken:
        cluster = device.endpoints[each.candidate.endpoint].in_clusters[each.candidate.cluster]
        try:
            await _bind(cluster)
            is_taken = await _give_rule(cluster, each.candidate, report_s_min)
        except NO_ANSWER_ERRORS as error:
            _log.info("%s: cluster 0x%04x: %s", address(device.ieee), each.candidate.cluster, error)
            silent.append(each.candidate.channel.kind)
            continue
        promised_s = each.candidate.measure.report_s_max if is_taken else 0.0
        agreed.append(msgspec.structs.replace(each, promised_s=promised_s))
    return agreed, silent


async def _bind(cluster: Any) -> None:  # noqa: ANN401
    (status, *_) = await cluster.bind()
    if status != Status.SUCCESS:
        raise zigpy.exceptions.InvalidResponse(f"binding was refused: {status!r}")


async def _give_rule(cluster: Any, candidate: AttributeCandidate, report_s_min: int) -> bool:  # noqa: ANN401
    measure = candidate.measure
    answer = await cluster.configure_reporting(
        candidate.attribute, measure.report_s_min or report_s_min, measure.report_s_max, measure.change
    )
    # A sensor that refuses rules reports as its maker has set it; that is no reason to try again.
    return all(status == Status.SUCCESS for status in answer.values())


def _left_out(
    found: Sequence[AttributeCandidate],
    answers: Mapping[AttributeCandidate, float | None],
    taken: Sequence[ChosenAttribute],
    dummies: Sequence[AttributeCandidate],
) -> tuple[str, ...]:
    """Return what people are told of values that a device has and that are not taken."""
    instead = {each.candidate.channel.kind: each.candidate for each in taken}
    said = [
        f"{each.channel.kind} is taken from {instead[each.channel.kind].place}, not from {each.place}"
        for each in found
        if answers.get(each) is not None
        and each.channel.kind in instead
        and each != instead[each.channel.kind]
        and not each.measure.is_voltage
    ]
    said += [f"{each.channel.kind} is taken from the maker's own data, not from {each.place}" for each in dummies]
    return tuple(said)


async def read_reporting(device: Any, found: Sequence[AttributeCandidate]) -> Mapping[SensorKind, float]:  # noqa: ANN401
    """Read reporting rules back; return the longest interval of each in seconds, 0 where there is no rule any more.

    A device that cannot be asked so counts as one without: to give rules again does no harm.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    intervals_s = {}
    for each in found:
        cluster = device.endpoints[each.endpoint].in_clusters[each.cluster]
        maker = cluster.find_attribute(each.attribute).manufacturer_code
        record = ReadReportingConfigRecord(direction=ReportingDirection.SendReports, attrid=each.attribute)
        answer = await cluster.general_command(
            GeneralCommand.Read_Reporting_Configuration,
            [record],
            manufacturer=maker if isinstance(maker, int) else None,
        )
        intervals_s[each.channel.kind] = _longest_s(answer, each.attribute)
    return intervals_s


def _longest_s(answer: Any, attribute: int) -> float:  # noqa: ANN401
    records = answer[0] if isinstance(answer[0], list) else []
    for record in records:
        if record.status == Status.SUCCESS and record.config.attrid == attribute:
            longest_s = int(record.config.max_interval)
            return 0.0 if longest_s == _NEVER_S else float(longest_s)
    return 0.0
