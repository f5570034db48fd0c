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
from hal.zigbee import clusters, makers
from hal.zigbee.battery import Battery, battery_of
from hal.zigbee.clusters import Candidate
from hal.zigbee.ears import BASIC, Ears, address

_log = logging.getLogger(__name__)

UNANSWERED = (
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


class Chosen(msgspec.Struct, frozen=True):
    """A kind that a device measures.

    Attributes:
        candidate: Where it is taken from.
        value: What was read, in the unit of its source; `None` for nothing.
        promised_s: The longest interval of the rule that it has taken; 0 where it took none.
    """

    candidate: Candidate
    value: float | None = None
    promised_s: float = 0.0


class SetUp(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        is_complete: Every cluster has answered.
        chosen: What the device measures, as far as its clusters say.
        battery: What it runs on, where its level has to be estimated.
        left_out: For people: what it has besides and is not taken.
        detail: For people: what did not answer.
    """

    is_complete: bool
    chosen: tuple[Chosen, ...] = ()
    battery: Battery | None = None
    left_out: tuple[str, ...] = ()
    detail: str = ""


class _Answers(msgspec.Struct):
    """What a device has answered to reads: raw values by candidate, and its battery."""

    raw: dict[Candidate, float | None]
    silent: list[Candidate]
    size: int | None = None
    quantity: int | None = None


async def set_up(device: Any, ears: Ears, *, report_s_min: int) -> SetUp:  # noqa: ANN401 - zigpy is untyped here
    """Ask a zigpy device what it measures; bind and configure that.

    Args:
        device: Interviewed.
        ears: Knows what may be taken of it.
        report_s_min: The least time between two reports of one value.
    """
    found = ears.candidates(device)
    if makers.TUYA in _clusters_of(device):
        await _greet(device)
    answers = await _read_all(device, found)
    if ears.note(device):
        # Of such a model nobody knows which clusters are dummies: what has no value is not announced.
        answers.raw = {each: raw for each, raw in answers.raw.items() if raw is not None}
    battery = None
    taken = []
    for candidate in clusters.ranked(found, answers.raw):
        raw = answers.raw[candidate]
        value = None if raw is None else clusters.value_of(candidate.measure, raw)
        if candidate.measure.is_voltage:
            battery = battery_of(value or 0.0, size=answers.size, quantity=answers.quantity)
            if battery is None:
                # Nobody knows what such a voltage means: a level that never comes must not be announced.
                continue
        taken.append(Chosen(candidate, value))
    silent = [each.source.kind for each in answers.silent]
    if not ears.maker(device).reports_by_itself:
        taken, unruled = await _give_rules(device, taken, report_s_min)
        silent += unruled
    left_out = _left_out(found, answers.raw, taken, ears.dummies(device))
    detail = f"no answer about {', '.join(dict.fromkeys(silent))}" if silent else ""
    return SetUp(not silent, tuple(taken), battery, left_out, detail)


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
            await basic.read_attributes_raw(list(makers.TUYA_GREETING))
        endpoint, sequence = clusters_of[makers.TUYA].endpoint, device.get_sequence()
        query = bytes((_FOR_CLUSTER_WITHOUT_RESPONSE, sequence, makers.TUYA_QUERY))
        await endpoint.request(makers.TUYA, sequence, query, expect_reply=False, command_id=makers.TUYA_QUERY)
    except UNANSWERED as error:
        _log.info("%s: no answer to a greeting: %s", address(device.ieee), error)


async def _read_all(device: Any, found: Sequence[Candidate]) -> _Answers:  # noqa: ANN401
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
        except UNANSWERED as error:
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


def _raw(candidate: Candidate, raw: object) -> float | None:
    """Return a raw value, unless it says that there is none: 0 is what is there before anything was measured."""
    if not isinstance(raw, int | float) or not raw or clusters.value_of(candidate.measure, raw) is None:
        return None
    return raw


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None


async def _give_rules(
    device: Any,  # noqa: ANN401
    taken: Sequence[Chosen],
    report_s_min: int,
) -> tuple[list[Chosen], list[SensorKind]]:
    """Bind what was chosen and give it rules; return what was agreed, and which kinds did not answer."""
    agreed, silent = [], []
    for each in taken:
        cluster = device.endpoints[each.candidate.endpoint].in_clusters[each.candidate.cluster]
        try:
            await _bind(cluster)
            is_taken = await _give_rule(cluster, each.candidate, report_s_min)
        except UNANSWERED as error:
            _log.info("%s: cluster 0x%04x: %s", address(device.ieee), each.candidate.cluster, error)
            silent.append(each.candidate.source.kind)
            continue
        promised_s = each.candidate.measure.report_s_max if is_taken else 0.0
        agreed.append(msgspec.structs.replace(each, promised_s=promised_s))
    return agreed, silent


async def _bind(cluster: Any) -> None:  # noqa: ANN401
    (status, *_) = await cluster.bind()
    if status != Status.SUCCESS:
        raise zigpy.exceptions.InvalidResponse(f"binding was refused: {status!r}")


async def _give_rule(cluster: Any, candidate: Candidate, report_s_min: int) -> bool:  # noqa: ANN401
    measure = candidate.measure
    answer = await cluster.configure_reporting(
        candidate.attribute, measure.report_s_min or report_s_min, measure.report_s_max, measure.change
    )
    # A sensor that refuses rules reports as its maker has set it; that is no reason to try again.
    return all(status == Status.SUCCESS for status in answer.values())


def _left_out(
    found: Sequence[Candidate],
    answers: Mapping[Candidate, float | None],
    taken: Sequence[Chosen],
    dummies: Sequence[Candidate],
) -> tuple[str, ...]:
    """Return what people are told of values that a device has and that are not taken."""
    instead = {each.candidate.source.kind: each.candidate for each in taken}
    said = [
        f"{each.source.kind} is taken from {instead[each.source.kind].place}, not from {each.place}"
        for each in found
        if answers.get(each) is not None
        and each.source.kind in instead
        and each != instead[each.source.kind]
        and not each.measure.is_voltage
    ]
    said += [f"{each.source.kind} is taken from the maker's own data, not from {each.place}" for each in dummies]
    return tuple(said)


async def read_rules(device: Any, found: Sequence[Candidate]) -> Mapping[SensorKind, float]:  # noqa: ANN401
    """Read reporting rules back; return the longest interval of each in seconds, 0 where there is no rule any more.

    A device that cannot be asked so counts as one without: to give rules again does no harm.

    Raises:
        One of `UNANSWERED`: The device did not answer.
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
        intervals_s[each.source.kind] = _longest_s(answer, each.attribute)
    return intervals_s


def _longest_s(answer: Any, attribute: int) -> float:  # noqa: ANN401
    records = answer[0] if isinstance(answer[0], list) else []
    for record in records:
        if record.status == Status.SUCCESS and record.config.attrid == attribute:
            longest_s = int(record.config.max_interval)
            return 0.0 if longest_s == _NEVER_S else float(longest_s)
    return 0.0
