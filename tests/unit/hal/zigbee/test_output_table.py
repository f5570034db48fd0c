"""Outputs between the two threads: the newest demand counts, and what is missing is a fault with its remedy."""

from hal.line_names import parse_line_name
from hal.radio import RadioState, RadioStatus, SensorLink
from hal.zigbee.output_line import LineAnswer
from hal.zigbee.output_table import LineUse, OutputTable

DEVICE = "0x00124b0012345678"
LINE = "zigbee-00124b0012345678/valve/1"
UP = RadioStatus(RadioState.UP)
LINKS = {DEVICE: SensorLink(DEVICE, outputs=(LINE,))}


class Clock:
    now_ms = 0


def a_table(clock: Clock) -> OutputTable:
    return OutputTable([LineUse(parse_line_name(LINE), "z")], lambda: clock.now_ms)


def test_newest_demand_counts_and_an_answer_to_an_older_one_is_no_failure() -> None:
    table = a_table(clock := Clock())
    assert table.wanted(LINE) is None
    table.demand({LINE: True}, {LINE: 20.5})
    assert (table.wanted(LINE), table.room_c(LINE)) == (True, 20.5)
    clock.now_ms = 5000
    table.demand({LINE: False}, {})
    table.answered(LINE, LineAnswer(is_on=True, is_commanded=True), to=True)
    state = table.state(LINE)
    assert (state.wanted, state.wanted_ms, state.is_on, state.failures) == (False, 5000, True, 0)
    table.answered(LINE, LineAnswer(problem="gone"), to=False)
    assert table.state(LINE).failures == 1


def test_demand_that_is_not_repeated_ends() -> None:
    table = a_table(clock := Clock())
    table.demand({LINE: True}, {LINE: 20.0})
    clock.now_ms = 60_001
    assert (table.wanted(LINE), table.room_c(LINE)) == (False, None)
    table.demand({LINE: True}, {})
    assert (table.wanted(LINE), table.state(LINE).wanted_ms) == (True, 0)


def test_report_of_another_line_is_ignored() -> None:
    table = a_table(Clock())
    table.reported("zigbee-00124b0000000000/switch/1", LineAnswer(is_on=True))
    table.reported(LINE, LineAnswer(is_on=True))
    assert table.state(LINE).is_on is True


def problem(table: OutputTable, radio: RadioStatus = UP, links: dict[str, SensorLink] = LINKS) -> str:
    (output,) = table.report(radio, links)
    return output.problem


def test_missing_device_output_or_radio_is_a_fault_that_begins_with_the_remedy() -> None:
    table = a_table(clock := Clock())
    assert problem(table, links={}).startswith(f"pair the device of {LINE}")
    bare = {DEVICE: SensorLink(DEVICE)}
    assert problem(table, links=bare) == f"name another device than that of {LINE}: it has nothing to switch"
    plug = {DEVICE: SensorLink(DEVICE, outputs=("zigbee-00124b0012345678/switch/1",))}
    assert problem(table, links=plug).startswith("name zigbee-00124b0012345678/switch/1 in place of")
    # Whether a device without an interview has the output is not known yet.
    assert problem(table, links={DEVICE: SensorLink(DEVICE, is_interviewed=False)}) == ""
    lost = RadioStatus(RadioState.LOST, "plug in the stick")
    assert problem(table, lost) == ""
    clock.now_ms = 20_001
    assert problem(table, lost) == "plug in the stick"
    assert problem(table, RadioStatus(RadioState.STARTING)).startswith("see `climahub zigbee status`")


async def test_device_that_is_silent_because_the_radio_is_gone_is_not_blamed() -> None:
    plug = LINE.replace("valve", "switch")
    links = {DEVICE: SensorLink(DEVICE, outputs=(plug,))}
    lost = RadioStatus(RadioState.LOST, "plug in the stick")
    clock = Clock()
    table = OutputTable([LineUse(parse_line_name(plug), "z")], lambda: clock.now_ms)
    table.begin()
    table.demand({plug: True}, {})
    table.answered(plug, LineAnswer(is_on=True, is_commanded=True), to=True)
    assert problem(table, links=links) == ""
    clock.now_ms = 100_000
    table.demand({plug: True}, {})
    assert problem(table, links=links).startswith("check the supply of")
    table.end()
    clock.now_ms = 120_001
    assert problem(table, lost, links) == "plug in the stick"


def test_first_demand_is_counted_from_the_start_of_the_hub() -> None:
    plug = LINE.replace("valve", "switch")
    clock = Clock()
    table = OutputTable([LineUse(parse_line_name(plug), "z", 180.0)], lambda: clock.now_ms)
    clock.now_ms = 2000
    table.demand({plug: False}, {})
    clock.now_ms = 9000
    table.answered(plug, LineAnswer(is_on=False, is_commanded=True), to=False)
    state = table.state(plug)
    assert (state.wanted_ms, state.off_ms, state.late_s) == (2000, 9000, 9.0)
