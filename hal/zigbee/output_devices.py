"""The dialogue with paired plugs, relays and radiator valves: commands them, reads them back, hears their reports.

Zigbee Cluster Library, sections 3.8 (on/off; On with timed off: 3.8.2.3.6) and 6.3 (thermostat). A plug is switched; a
valve is opened and closed by its setpoint, so that its own frost protection stays in force. Decides nothing.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import zigpy.exceptions
import zigpy.types as t
from zigpy.zcl.foundation import Attribute, DataTypeId, Status, TypeValue

from hal.line_names import LineName, radio_line
from hal.zigbee import valve_models
from hal.zigbee.output_line import LEASE_S, LineAnswer
from hal.zigbee.valve_models import CENTIDEGREES, ExternalTemperature
from hal.zigbee.zcl import LOCAL_TEMPERATURE, THERMOSTAT

_log = logging.getLogger(__name__)

ON_OFF = 0x0006
STATE, ON_TIME = 0x0000, 0x4001
TENTHS = 10

DEMAND, SETPOINT, SETPOINT_MIN, SETPOINT_MAX, SYSTEM_MODE = 0x0008, 0x0012, 0x0015, 0x0016, 0x001C
MODE_HEAT = 0x04
OPEN_C, CLOSED_C = 30.0, 7.0
"""The setpoints of an open and of a closed valve, within the valve's own limits. A closed one still protects its room
from frost; one that was left open keeps its room below this by its own thermometer."""

SAME_C = 0.5
"""Valves round their setpoints."""

CLEAR_K = 2.0
"""Nearer to its setpoint than this a valve may be open or closed."""

SWITCH_REPORT_S_MAX, VALVE_REPORT_S_MAX, DEMAND_REPORT_S_MIN = 300, 3600, 60
DEMAND_CHANGE_PERCENT = 5

GREEN_POWER_ENDPOINT = 242

OnReport = Callable[[str, LineAnswer], None]
"""Called with the name of the line, and what was reported."""


def lines_of(device: Any, ieee: str) -> tuple[str, ...]:  # noqa: ANN401 - zigpy is untyped here
    """Return the names of the lines of a zigpy device."""
    return tuple(
        radio_line(ieee, kind, endpoint.endpoint_id)
        for endpoint in device.non_zdo_endpoints
        for kind, cluster in (("switch", ON_OFF), ("valve", THERMOSTAT))
        if cluster in endpoint.in_clusters and endpoint.endpoint_id < GREEN_POWER_ENDPOINT
    )


def subscribe(device: Any, ieee: str, wanted: Callable[[str], bool | None], on_report: OnReport) -> None:  # noqa: ANN401
    """Hear what the outputs of a zigpy device report; ``wanted`` returns what is demanded of a line."""
    for endpoint in device.non_zdo_endpoints:
        if (cluster := endpoint.in_clusters.get(ON_OFF)) is not None:
            line = radio_line(ieee, "switch", endpoint.endpoint_id)

            def on_switch(event: Any, line: str = line) -> None:  # noqa: ANN401
                if event.attribute_id == STATE:
                    on_report(line, LineAnswer(is_on=bool(event.value)))

            cluster.on_event("attribute_report", on_switch)
        if (cluster := endpoint.in_clusters.get(THERMOSTAT)) is not None:
            line = radio_line(ieee, "valve", endpoint.endpoint_id)

            def on_valve(event: Any, line: str = line, cluster: Any = cluster) -> None:  # noqa: ANN401
                if event.attribute_id == SETPOINT:
                    on_report(line, _valve_answer(cluster, {SETPOINT: event.value}, wanted(line)))
                elif event.attribute_id == DEMAND:
                    on_report(line, LineAnswer(percent=int(event.value)))

            cluster.on_event("attribute_report", on_valve)


async def set_up(device: Any, line: LineName) -> None:  # noqa: ANN401
    """Have an output report its changes; safe to repeat.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer.
    """
    cluster = _cluster(device, line)
    await cluster.bind()
    if line.chip == "switch":
        await cluster.configure_reporting(STATE, 0, SWITCH_REPORT_S_MAX, 1)
    else:
        await cluster.configure_reporting(SETPOINT, 0, VALVE_REPORT_S_MAX, 10)
        await cluster.configure_reporting(DEMAND, DEMAND_REPORT_S_MIN, VALVE_REPORT_S_MAX, DEMAND_CHANGE_PERCENT)


async def command(device: Any, line: LineName, *, is_on: bool, uses_timer: bool) -> LineAnswer:  # noqa: ANN401
    """Switch an output and read it back.

    Args:
        device: zigpy's.
        line: Its output.
        is_on: On, or open.
        uses_timer: It is switched on by its timer if it may have one; else the answer leaves open whether it has.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer, or has no such output.
    """
    cluster = _cluster(device, line)
    if line.chip == "valve":
        return await _move_valve(cluster, line, is_open=is_on)
    if not is_on:
        return _refused(line, await cluster.off()) or await _read_switch(cluster, is_commanded=True)
    has_no_timer = not valve_models.may_have_timer(device.manufacturer or "")
    is_checked = uses_timer or has_no_timer
    if uses_timer and not has_no_timer:
        response = await cluster.on_with_timed_off(on_off_control=0, on_time=round(LEASE_S * TENTHS), off_wait_time=0)
        has_no_timer = response.status == Status.UNSUP_CLUSTER_COMMAND
        if response.status == Status.SUCCESS:
            answer = await _read_switch(cluster, is_commanded=True)
            if answer.is_on and answer.goes_off_alone:
                return answer
            has_no_timer = answer.has_no_timer
    answer = _refused(line, await cluster.on()) or await _read_switch(cluster, is_commanded=True)
    return LineAnswer(
        answer.is_on,
        answer.is_commanded,
        goes_off_alone=False if is_checked else None,
        has_no_timer=has_no_timer,
        problem=answer.problem,
    )


async def read(device: Any, line: LineName, *, is_wanted: bool) -> LineAnswer:  # noqa: ANN401
    """Read an output back; ``is_wanted`` is what is demanded of it.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer, or has no such output.
    """
    cluster = _cluster(device, line)
    return await _read_valve(cluster, is_wanted=is_wanted) if line.chip == "valve" else await _read_switch(cluster)


async def write_room(device: Any, line: LineName, place: ExternalTemperature, room_c: float) -> str:  # noqa: ANN401
    """Give a valve the temperature of its room; return why it did not take it, empty if it did.

    Raises:
        One of `NO_ANSWER_ERRORS`: The device did not answer, or has no such cluster.
    """
    cluster = device.endpoints[line.number].in_clusters[place.cluster]
    value = TypeValue(DataTypeId.int16, t.int16s(round(room_c * CENTIDEGREES)))  # type: ignore[no-untyped-call]
    records = [Attribute(place.attribute, value)]
    if place.switch is not None:
        records.append(Attribute(place.switch, TypeValue(DataTypeId.uint8, t.uint8_t(1))))  # type: ignore[no-untyped-call]
    (statuses, *_) = await cluster.write_attributes_raw(records, manufacturer_code=place.manufacturer)
    return _write_problem(statuses)


def _cluster(device: Any, line: LineName) -> Any:  # noqa: ANN401
    return device.endpoints[line.number].in_clusters[THERMOSTAT if line.chip == "valve" else ON_OFF]


def _refused(line: LineName, response: Any) -> LineAnswer | None:  # noqa: ANN401
    if response.status == Status.SUCCESS:
        return None
    return LineAnswer(problem=f"choose another output than {line}: it refuses to be switched ({response.status.name})")


async def _read_switch(cluster: Any, *, is_commanded: bool = False) -> LineAnswer:  # noqa: ANN401
    found, missing = await cluster.read_attributes([STATE, ON_TIME])
    is_on = bool(found[STATE]) if STATE in found else None
    left = int(found.get(ON_TIME, 0))
    # Only a timer that runs is known to be one.
    return LineAnswer(
        is_on,
        is_commanded,
        goes_off_alone=0 < left <= LEASE_S * TENTHS if is_on and is_commanded else None,
        has_no_timer=missing.get(ON_TIME) == Status.UNSUPPORTED_ATTRIBUTE,
    )


async def _move_valve(cluster: Any, line: LineName, *, is_open: bool) -> LineAnswer:  # noqa: ANN401
    if cluster.get(SETPOINT_MAX) is None:
        await cluster.read_attributes([SETPOINT_MIN, SETPOINT_MAX, SYSTEM_MODE])
    wanted = {SETPOINT: _setpoint(cluster, is_open=is_open)}
    if cluster.get(SYSTEM_MODE) not in {None, MODE_HEAT}:
        # In its other modes it is off, or follows a schedule of its own.
        wanted[SYSTEM_MODE] = MODE_HEAT
    (statuses, *_) = await cluster.write_attributes(wanted)
    if problem := _write_problem(statuses):
        return LineAnswer(problem=f"choose another output than {line}: it refuses its setpoint ({problem})")
    answer = await _read_valve(cluster, is_wanted=is_open)
    return LineAnswer(
        answer.is_on,
        True,
        goes_off_alone=False,
        has_no_timer=True,
        percent=answer.percent,
        expects_open=answer.expects_open,
    )


async def _read_valve(cluster: Any, *, is_wanted: bool) -> LineAnswer:  # noqa: ANN401
    found, _ = await cluster.read_attributes([SETPOINT, DEMAND, LOCAL_TEMPERATURE, SYSTEM_MODE])
    return _valve_answer(cluster, found, is_wanted)


def _valve_answer(cluster: Any, found: Mapping[int, Any], wanted: bool | None) -> LineAnswer:  # noqa: ANN401
    """Return whether a valve is open by its setpoint; one that a person has set does not do what is demanded."""
    if SETPOINT not in found:
        raise zigpy.exceptions.InvalidResponse("it has no setpoint")
    setpoint = int(found[SETPOINT])
    is_open = setpoint > (OPEN_C + CLOSED_C) / 2 * CENTIDEGREES
    if wanted is not None:
        is_same = abs(setpoint - _setpoint(cluster, is_open=wanted)) <= SAME_C * CENTIDEGREES
        is_open = wanted if is_same and found.get(SYSTEM_MODE, MODE_HEAT) == MODE_HEAT else not wanted
    local = found.get(LOCAL_TEMPERATURE)
    missing_k = None if local is None else (setpoint - int(local)) / CENTIDEGREES
    is_clear = missing_k is not None and abs(missing_k) > CLEAR_K
    percent = found.get(DEMAND)
    return LineAnswer(
        is_open,
        percent=None if percent is None else int(percent),
        expects_open=missing_k > 0 if missing_k is not None and is_clear else None,
    )


def _setpoint(cluster: Any, *, is_open: bool) -> int:  # noqa: ANN401
    """Return the setpoint of an open or a closed valve, in hundredths of a degree."""
    if is_open:
        return min(round(OPEN_C * CENTIDEGREES), int(cluster.get(SETPOINT_MAX) or OPEN_C * CENTIDEGREES))
    return max(round(CLOSED_C * CENTIDEGREES), int(cluster.get(SETPOINT_MIN) or 0))


def _write_problem(statuses: Any) -> str:  # noqa: ANN401
    # A device without the command sends a default response in place of the records.
    records = statuses if isinstance(statuses, list) else []
    bad = [record.status.name for record in records if record.status != Status.SUCCESS]
    return bad[0] if bad else "" if records else "no answer to the write"
