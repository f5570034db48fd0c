"""What an emulated device drives: timers, and a valve that follows its setpoint."""

import struct

import msgspec

from lab.ncp import models
from lab.ncp.memory import NodeMemory
from lab.ncp.models import DeviceModel
from lab.ncp.node import Node
from lab.ncp.zcl import DataType, GeneralCommand, ZclFrame, ZclStatus
from tests.unit.lab.ncp.test_node import MEMBERSHIP, SENSOR, a_node, ask, general, report_always_on_off

ON_TIME = b"\x01\x40"


def timed(tenths: int, *, control: int = 0) -> ZclFrame:
    payload = struct.pack("<BHH", control, tenths, 0)
    return ZclFrame(command=0x42, sequence=1, payload=payload, is_for_cluster=True, wants_default_response=True)


def read(node: Node, attribute: bytes, *, now_s: float = 0.0) -> bytes:
    (answer,) = ask(node, models.ON_OFF, general(GeneralCommand.READ, attribute), now_s=now_s)
    return answer.payload[4:]


def test_plug_goes_off_by_its_own_timer_with_or_without_a_network() -> None:
    for leaves in (False, True):
        plug = a_node("plug")
        report_always_on_off(plug)
        ask(plug, models.ON_OFF, timed(100))
        assert (read(plug, b"\x00\x00"), read(plug, ON_TIME, now_s=4.0)) == (b"\x01", struct.pack("<H", 60))
        if leaves:
            plug.membership = None
        assert plug.due_s() == 10.0
        assert len(plug.advance(10.0)) == (not leaves)
        plug.membership = MEMBERSHIP
        assert (read(plug, b"\x00\x00", now_s=10.0), plug.due_s()) == (b"\x00", 3610.0)


def test_renewed_timer_is_never_shortened_and_off_ends_it() -> None:
    plug = a_node("plug")
    ask(plug, models.ON_OFF, timed(100))
    ask(plug, models.ON_OFF, timed(200), now_s=5.0)
    ask(plug, models.ON_OFF, timed(10), now_s=6.0)
    assert read(plug, ON_TIME, now_s=6.0) == struct.pack("<H", 190)
    ask(plug, models.ON_OFF, ZclFrame(command=0, sequence=1, is_for_cluster=True), now_s=7.0)
    assert (read(plug, ON_TIME, now_s=7.0), plug.due_s()) == (b"\x00\x00", None)
    ask(plug, models.ON_OFF, timed(100, control=1), now_s=8.0)
    assert read(plug, b"\x00\x00", now_s=8.0) == b"\x00"


def test_plug_without_a_timer_refuses_the_command() -> None:
    (answer,) = ask(a_node("router"), models.ON_OFF, timed(100))
    assert answer.payload == bytes((0x42, ZclStatus.UNSUPPORTED_CLUSTER_COMMAND))


def write(node: Node, attribute: int, value: int) -> None:
    record = struct.pack("<HBh", attribute, DataType.INT16, value)
    ask(node, models.THERMOSTAT, general(GeneralCommand.WRITE, record))


def demand(node: Node) -> int:
    (answer,) = ask(node, models.THERMOSTAT, general(GeneralCommand.READ, b"\x08\x00"))
    return answer.payload[4]


def test_valve_follows_its_setpoint() -> None:
    valve = a_node("valve")
    valve.set_values({"room_temperature_c": 20.0}, 0.0)
    assert demand(valve) == 0
    write(valve, 0x0012, 2800)
    assert demand(valve) == 100
    write(valve, 0x0012, 2100)
    assert demand(valve) == 50
    valve.set_values({"room_temperature_c": 21.0}, 0.0)
    assert demand(valve) == 0


def a_stuck(model: DeviceModel) -> Node:
    stuck = msgspec.structs.replace(model, ignores_commands=True)
    node = Node(eui64=SENSOR, model=stuck, memory=NodeMemory(), now_s=0.0)
    node.join(MEMBERSHIP)
    return node


def test_device_that_ignores_commands_accepts_them() -> None:
    plug = a_stuck(models.MODELS["plug"])
    (answer,) = ask(plug, models.ON_OFF, timed(100))
    assert (answer.payload, read(plug, b"\x00\x00")) == (bytes((0x42, ZclStatus.SUCCESS)), b"\x00")
    valve = a_stuck(models.MODELS["valve"])
    write(valve, 0x0012, 2800)
    assert demand(valve) == 0
