"""One sensor alone: what it answers, and when it speaks."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.ncp import models, zcl, zdo
from lab.ncp.memory import Membership, NodeMemory
from lab.ncp.node import Node
from lab.ncp.zcl import ApsMessage, DataType, GeneralCommand, ZclFrame, ZclStatus, eui64_bytes, eui64_text

STICK = "04:cd:15:00:00:00:00:01"
SENSOR = "00:0d:6f:00:00:00:00:02"
MEMBERSHIP = Membership(
    extended_pan_id="01:02:03:04:05:06:07:08",
    pan_id=1,
    network_key=bytes(16),
    trust_centre=STICK,
    address=0x1234,
    parent="",
)


def a_node(model: str = "climate") -> Node:
    node = Node(eui64=SENSOR, model=models.MODELS[model], memory=NodeMemory(), now_s=0.0)
    node.join(MEMBERSHIP)
    return node


def ask_zdo(node: Node, cluster: int, body: bytes, *, is_broadcast: bool = False) -> bytes | None:
    message = ApsMessage(
        profile=0,
        cluster=cluster,
        source_endpoint=0,
        destination_endpoint=0,
        payload=b"\x05" + body,
        is_broadcast=is_broadcast,
    )
    answers = node.receive(message, 0.0)
    if not answers:
        return None
    assert answers[0].cluster == cluster | 0x8000
    assert answers[0].payload[:1] == b"\x05"
    return answers[0].payload[1:]


def ask(node: Node, cluster: int, frame: ZclFrame, *, endpoint: int = 1, now_s: float = 0.0) -> list[ZclFrame]:
    return frames(node.receive(to(cluster, zcl.write_frame(frame), endpoint), now_s))


def to(cluster: int, payload: bytes, endpoint: int = 1) -> ApsMessage:
    return ApsMessage(
        profile=0x0104, cluster=cluster, source_endpoint=1, destination_endpoint=endpoint, payload=payload
    )


def frames(messages: Sequence[ApsMessage]) -> list[ZclFrame]:
    return [zcl.read_frame(message.payload) for message in messages]


def general(command: int, payload: bytes, *, manufacturer: int | None = None) -> ZclFrame:
    return ZclFrame(
        command=command, sequence=9, payload=payload, manufacturer=manufacturer, wants_default_response=True
    )


def bind(node: Node, cluster: int, destination: str = STICK, *, request: int = zdo.ZdoCluster.BIND) -> int:
    body = node.ieee + struct.pack("<BHB", 1, cluster, 3) + eui64_bytes(destination) + b"\x01"
    answer = ask_zdo(node, request, body)
    assert answer is not None
    return answer[0]


def report_always(node: Node, cluster: int, kind: DataType, *, attribute: int = 0) -> None:
    assert bind(node, cluster) == zdo.ZdoStatus.SUCCESS
    record = struct.pack("<BHBHH", 0, attribute, kind, 0, 3600) + zcl.encode(kind, 1)
    (answer,) = ask(node, cluster, general(GeneralCommand.CONFIGURE_REPORTING, record))
    assert answer.payload == b"\x00"


@given(st.sampled_from(sorted(set(DataType) - {DataType.TEXT, DataType.SINGLE})), st.integers())
def test_numbers_are_read_as_they_were_written(kind: DataType, number: int) -> None:
    try:
        data = zcl.encode(kind, number)
    except struct.error:
        return
    assert zcl.decode(kind, data + b"rest") == (number, b"rest")


@given(st.text(max_size=60))
def test_text_is_read_as_it_was_written(text: str) -> None:
    assert zcl.decode(DataType.TEXT, zcl.encode(DataType.TEXT, text)) == (text, b"")


@given(
    st.builds(
        ZclFrame,
        command=st.integers(0, 255),
        sequence=st.integers(0, 255),
        payload=st.binary(max_size=50),
        is_for_cluster=st.booleans(),
        is_from_server=st.booleans(),
        manufacturer=st.none() | st.integers(0, 0xFFFF),
        wants_default_response=st.booleans(),
    )
)
def test_frames_are_read_as_they_were_written(frame: ZclFrame) -> None:
    assert zcl.read_frame(zcl.write_frame(frame)) == frame


@given(st.sampled_from(sorted(models.MODELS)), st.integers(0, 0xFFFF), st.binary(max_size=40), st.booleans())
def test_any_message_is_handled(model: str, cluster: int, payload: bytes, is_zdo: bool) -> None:
    node = a_node(model)
    for known in (cluster, *(c.id for c in node.model.endpoints[0].servers), *range(0x40)):
        message = to(known, payload, endpoint=0 if is_zdo else 1)
        node.receive(message, 0.0)
        if is_zdo:
            ask_zdo(node, known, payload)


def test_address_requests_in_both_directions() -> None:
    assert eui64_bytes(SENSOR) == bytes.fromhex("02000000006f0d00")
    assert eui64_text(eui64_bytes(SENSOR)) == SENSOR


def test_descriptors_are_returned() -> None:
    node = a_node()
    assert ask_zdo(node, zdo.ZdoCluster.NODE_DESCRIPTOR, b"\x34\x12") == bytes.fromhex(
        "00341202408034125252 00002c52 0000".replace(" ", "")
    )
    assert ask_zdo(node, zdo.ZdoCluster.ACTIVE_ENDPOINTS, b"\x34\x12") == bytes.fromhex("0034120101")
    simple = ask_zdo(node, zdo.ZdoCluster.SIMPLE_DESCRIPTOR, b"\x34\x12\x01")
    assert simple == bytes.fromhex("00341214 01 0401 0203 01 05 0000 0100 0300 0204 0504 01 1900".replace(" ", ""))
    assert ask_zdo(node, zdo.ZdoCluster.POWER_DESCRIPTOR, b"\x34\x12") == bytes.fromhex("00341240c4")
    assert ask_zdo(a_node("router"), zdo.ZdoCluster.POWER_DESCRIPTOR, b"\x34\x12") == bytes.fromhex("00341210c1")


@pytest.mark.parametrize(
    ("cluster", "body", "status"),
    [
        (zdo.ZdoCluster.NODE_DESCRIPTOR, b"\x99\x99", zdo.ZdoStatus.DEVICE_NOT_FOUND),
        (zdo.ZdoCluster.ACTIVE_ENDPOINTS, b"\x99\x99", zdo.ZdoStatus.DEVICE_NOT_FOUND),
        (zdo.ZdoCluster.SIMPLE_DESCRIPTOR, b"\x34\x12\x07", zdo.ZdoStatus.INVALID_ENDPOINT),
        (zdo.ZdoCluster.SIMPLE_DESCRIPTOR, b"\x34", zdo.ZdoStatus.INVALID_REQUEST_TYPE),
        (zdo.ZdoCluster.IEEE_ADDRESS, b"\x99\x99\x00\x00", zdo.ZdoStatus.DEVICE_NOT_FOUND),
        (zdo.ZdoCluster.IEEE_ADDRESS, b"\x34\x12\x00\x00", zdo.ZdoStatus.SUCCESS),
        (zdo.ZdoCluster.NWK_ADDRESS, eui64_bytes(SENSOR) + b"\x00\x00", zdo.ZdoStatus.SUCCESS),
        (0x0040, b"", zdo.ZdoStatus.NOT_SUPPORTED),
        (zdo.ZdoCluster.MGMT_ROUTES, b"\x00", zdo.ZdoStatus.SUCCESS),
        (zdo.ZdoCluster.MGMT_LEAVE, bytes(9), zdo.ZdoStatus.SUCCESS),
    ],
)
def test_requests_are_answered_with_the_right_status(cluster: int, body: bytes, status: int) -> None:
    answer = ask_zdo(a_node(), cluster, body)
    assert answer is not None
    assert answer[0] == status


def update_answer(node: Node, body: str) -> bytes | None:
    return ask_zdo(node, zdo.ZdoCluster.MGMT_NWK_UPDATE, bytes.fromhex(body))


def test_network_update_request_is_answered() -> None:
    """Mgmt_NWK_Update_notify: status, channels, transmissions, failures, and an energy for each channel scanned."""
    router = a_node("router")
    assert update_answer(router, "00000200 fe 01") == bytes.fromhex("00 00000200 0000 0000 00")
    assert update_answer(router, "00180000 03 01") == bytes.fromhex("00 00180000 0000 0000 02 2020")
    assert update_answer(router, "00180000 fe 01") == bytes.fromhex("80 00180000 0000 0000 00")
    assert update_answer(router, "00000200 fd") == bytes.fromhex("80 00000200 0000 0000 00")
    assert ask_zdo(router, zdo.ZdoCluster.MGMT_NWK_UPDATE, bytes.fromhex("00000200fe01"), is_broadcast=True) is None


def test_broadcasts_for_other_devices_are_ignored() -> None:
    node = a_node()
    assert ask_zdo(node, zdo.ZdoCluster.NWK_ADDRESS, bytes(10), is_broadcast=True) is None
    assert ask_zdo(node, 0x0040, b"", is_broadcast=True) is None
    assert ask_zdo(node, zdo.ZdoCluster.MGMT_PERMIT_JOINING, b"\x3c\x00", is_broadcast=True) is None
    assert node.permit_until_s == 60.0
    nobody = struct.pack("<HHBHB", 0xFFFD, 0x0104, 1, 0x0101, 0)
    assert ask_zdo(node, zdo.ZdoCluster.MATCH_DESCRIPTOR, nobody, is_broadcast=True) is None
    somebody = struct.pack("<HHBHB", 0xFFFD, 0x0104, 1, models.TEMPERATURE, 0)
    assert ask_zdo(node, zdo.ZdoCluster.MATCH_DESCRIPTOR, somebody, is_broadcast=True) == bytes.fromhex("0034120101")


def test_bindings_can_be_added_listed_and_removed() -> None:
    node = a_node()
    assert [bind(node, models.TEMPERATURE), bind(node, models.TEMPERATURE)] == [zdo.ZdoStatus.SUCCESS] * 2
    assert bind(node, models.TUYA) == zdo.ZdoStatus.INVALID_ENDPOINT
    table = ask_zdo(node, zdo.ZdoCluster.MGMT_BINDINGS, b"\x00")
    assert table is not None
    assert table[:4] == b"\x00\x01\x00\x01"
    group = node.ieee + struct.pack("<BHBH", 1, models.TEMPERATURE, 1, 0x0B)
    assert ask_zdo(node, zdo.ZdoCluster.BIND, group) == bytes((zdo.ZdoStatus.NOT_SUPPORTED,))
    assert bind(node, models.TEMPERATURE, request=zdo.ZdoCluster.UNBIND) == zdo.ZdoStatus.SUCCESS
    assert bind(node, models.TEMPERATURE, request=zdo.ZdoCluster.UNBIND) == zdo.ZdoStatus.NO_ENTRY


def test_attributes_are_read_and_written() -> None:
    node = a_node("trv")
    wanted = struct.pack("<HH", 0x0012, 0x7777)
    (answer,) = ask(node, models.THERMOSTAT, general(GeneralCommand.READ, wanted))
    assert answer.payload == bytes.fromhex("12000029d007 777786".replace(" ", ""))
    assert (answer.command, answer.sequence, answer.is_from_server) == (GeneralCommand.READ_RESPONSE, 9, True)
    write = struct.pack("<HBh", 0x0012, DataType.INT16, 2250) + struct.pack("<HBh", 0x0000, DataType.INT16, 1)
    (answer,) = ask(node, models.THERMOSTAT, general(GeneralCommand.WRITE_UNDIVIDED, write))
    assert answer.payload == bytes((ZclStatus.READ_ONLY, 0, 0))
    (answer,) = ask(node, models.THERMOSTAT, general(GeneralCommand.READ, b"\x12\x00"))
    assert answer.payload[4:] == struct.pack("<h", 2000)
    ask(node, models.THERMOSTAT, general(GeneralCommand.WRITE, write))
    (answer,) = ask(node, models.THERMOSTAT, general(GeneralCommand.READ, b"\x12\x00"))
    assert answer.payload[4:] == struct.pack("<h", 2250)
    assert ask(node, models.THERMOSTAT, general(GeneralCommand.WRITE_NO_RESPONSE, write[:5])) == []


@pytest.mark.parametrize(
    ("command", "payload", "status"),
    [
        (GeneralCommand.WRITE, struct.pack("<HBB", 0x0012, DataType.UINT8, 1), ZclStatus.INVALID_DATA_TYPE),
        (GeneralCommand.WRITE, struct.pack("<HBB", 0x7777, DataType.UINT8, 1), ZclStatus.UNSUPPORTED_ATTRIBUTE),
        (
            GeneralCommand.CONFIGURE_REPORTING,
            struct.pack("<BHBHHh", 0, 0x7777, 0x29, 0, 9, 1),
            ZclStatus.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            GeneralCommand.CONFIGURE_REPORTING,
            struct.pack("<BHBHH", 0, 0x001B, 0x30, 0, 9),
            ZclStatus.UNREPORTABLE_ATTRIBUTE,
        ),
        (
            GeneralCommand.CONFIGURE_REPORTING,
            struct.pack("<BHBHHB", 0, 0x0012, 0x20, 0, 9, 1),
            ZclStatus.INVALID_DATA_TYPE,
        ),
        (GeneralCommand.CONFIGURE_REPORTING, struct.pack("<BHH", 1, 0x0012, 9), ZclStatus.UNREPORTABLE_ATTRIBUTE),
        (GeneralCommand.READ_REPORTING, struct.pack("<BH", 0, 0x0012), ZclStatus.NOT_FOUND),
    ],
)
def test_impossible_requests_return_their_status(command: int, payload: bytes, status: ZclStatus) -> None:
    (answer,) = ask(a_node("trv"), models.THERMOSTAT, general(command, payload))
    assert answer.payload[0] == status


@pytest.mark.parametrize(
    ("command", "payload", "status"),
    [
        (GeneralCommand.READ, b"\x00", ZclStatus.MALFORMED_COMMAND),
        (GeneralCommand.WRITE, b"\x00\x00\x99\x01", ZclStatus.MALFORMED_COMMAND),
        (0x55, b"", ZclStatus.UNSUPPORTED_GENERAL_COMMAND),
    ],
)
def test_invalid_commands_get_a_default_response(command: int, payload: bytes, status: ZclStatus) -> None:
    (answer,) = ask(a_node(), models.TEMPERATURE, general(command, payload))
    assert (answer.command, answer.payload) == (GeneralCommand.DEFAULT_RESPONSE, bytes((command, status)))


def test_manufacturer_attributes_need_the_manufacturer_code() -> None:
    node = a_node("air")
    (answer,) = ask(node, models.IKEA_VOC, general(GeneralCommand.READ, b"\x00\x00"))
    assert answer.payload[2] == ZclStatus.UNSUPPORTED_ATTRIBUTE
    (answer,) = ask(node, models.IKEA_VOC, general(GeneralCommand.READ, b"\x00\x00", manufacturer=0x117C))
    assert (answer.payload[2], answer.manufacturer) == (ZclStatus.SUCCESS, 0x117C)


def test_attributes_are_discovered_in_parts() -> None:
    (answer,) = ask(a_node(), models.TEMPERATURE, general(GeneralCommand.DISCOVER, struct.pack("<HB", 0, 2)))
    assert answer.payload == bytes.fromhex("00 000029 010029".replace(" ", ""))
    (answer,) = ask(a_node(), models.TEMPERATURE, general(GeneralCommand.DISCOVER, struct.pack("<HB", 2, 9)))
    assert answer.payload == bytes.fromhex("01 020029".replace(" ", ""))


def test_reports_need_a_rule_and_a_binding_to_this_network() -> None:
    node = a_node()
    assert node.set_values({"temperature_c": 20}, 1.0) == []
    report_always(node, models.TEMPERATURE, DataType.INT16)
    (message,) = node.set_values({"temperature_c": 21.55}, 2.0)
    assert zcl.read_frame(message.payload).payload == bytes.fromhex("0000296b08")
    bind(node, models.TEMPERATURE, request=zdo.ZdoCluster.UNBIND)
    bind(node, models.TEMPERATURE, "aa:aa:aa:aa:aa:aa:aa:aa")
    assert node.set_values({"temperature_c": 25}, 3.0) == []


def test_reporting_configuration_is_readable_and_stored() -> None:
    node = a_node()
    report_always(node, models.TEMPERATURE, DataType.INT16)
    (answer,) = ask(node, models.TEMPERATURE, general(GeneralCommand.READ_REPORTING, b"\x00\x00\x00"))
    assert answer.payload == bytes.fromhex("00 00 0000 29 0000 100e 0100".replace(" ", ""))
    again = Node(eui64=SENSOR, model=node.model, memory=node.memory, now_s=50.0)
    assert again.memory == node.memory
    assert again.due_s() == 3650.0
    assert len(again.advance(3650.0)) == 1
    again.is_powered = False
    assert again.due_s() is None


@pytest.mark.parametrize(
    ("model", "quantity", "cluster", "kind", "raw"),
    [
        ("climate", "temperature_c", models.TEMPERATURE, DataType.INT16, "0080"),
        ("climate", "humidity_percent", models.HUMIDITY, DataType.UINT16, "ffff"),
        ("weather", "pressure_hpa", models.PRESSURE, DataType.INT16, "0080"),
        ("air", "carbon_dioxide_ppm", models.CARBON_DIOXIDE, DataType.SINGLE, "0000c07f"),
    ],
)
def test_invalid_value_is_reported_with_its_marker(
    model: str, quantity: str, cluster: int, kind: DataType, raw: str
) -> None:
    node = a_node(model)
    report_always(node, cluster, kind)
    (report,) = frames(node.set_values({quantity: None}, 1.0))
    assert report.payload == bytes((0, 0, kind)) + bytes.fromhex(raw)
    again = Node(eui64=SENSOR, model=node.model, memory=node.memory, now_s=2.0)
    (answer,) = ask(again, cluster, general(GeneralCommand.READ, b"\x00\x00"))
    assert answer.payload[4:] == bytes.fromhex(raw)


@pytest.mark.parametrize(("lux", "raw"), [(0.0, 0), (1.0, 1), (100.0, 20001)])
def test_illuminance_is_logarithmic(lux: float, raw: int) -> None:
    assert models.QUANTITIES["illuminance_lux"].to_wire(lux) == raw


def test_unknown_quantity_is_refused() -> None:
    with pytest.raises(KeyError):
        a_node().set_values({"pressure_hpa": 1000}, 0.0)
    with pytest.raises(KeyError):
        a_node("tuya_climate").set_values({"pressure_hpa": 1000}, 0.0)
    with pytest.raises(ValueError, match="the sensor cannot report"):
        a_node().set_values({"temperature_c": 1e6}, 0.0)


def test_valve_and_plug_execute_commands() -> None:
    trv = a_node("trv")
    raise_by_2 = ZclFrame(command=0, sequence=1, payload=b"\x00\x14", is_for_cluster=True)
    assert ask(trv, models.THERMOSTAT, raise_by_2) == []
    (answer,) = ask(trv, models.THERMOSTAT, general(GeneralCommand.READ, b"\x12\x00"))
    assert answer.payload[4:] == struct.pack("<h", 2200)
    plug = a_node("router")
    report_always_on_off(plug)
    for command, state in ((1, 1), (2, 0), (2, 1), (0, 0)):
        said = ask(plug, models.ON_OFF, ZclFrame(command=command, sequence=1, is_for_cluster=True))
        assert [frame.payload[-1] for frame in said] == [state]
    unknown = ZclFrame(command=0x44, sequence=1, is_for_cluster=True)
    (answer,) = ask(plug, models.ON_OFF, unknown)
    assert answer.payload == bytes((0x44, ZclStatus.UNSUPPORTED_CLUSTER_COMMAND))


def report_always_on_off(node: Node) -> None:
    bind(node, models.ON_OFF)
    ask(
        node,
        models.ON_OFF,
        general(GeneralCommand.CONFIGURE_REPORTING, struct.pack("<BHBHH", 0, 0, DataType.BOOL, 0, 3600)),
    )


def test_contact_opens_by_a_decimal_number() -> None:
    """An order on the control socket, and a file of the sensors' flash, hold every number as a float."""
    node = a_node("contact")
    cie = struct.pack("<HB", 0x0010, DataType.EUI64) + eui64_bytes(STICK)
    ask(node, models.IAS_ZONE, general(GeneralCommand.WRITE, cie))
    ask(node, models.IAS_ZONE, ZclFrame(command=0, sequence=2, payload=b"\x00\x07", is_for_cluster=True))
    (told,) = frames(node.set_values({"contact": 1.0}, 1.0))
    assert told.payload == struct.pack("<HBBH", 1, 0, 7, 0)
    again = Node(eui64=SENSOR, model=node.model, memory=NodeMemory(values={"1/0500/0002": 1.0}), now_s=0.0)
    again.join(MEMBERSHIP)
    ask(again, models.IAS_ZONE, general(GeneralCommand.WRITE, cie))
    ask(again, models.IAS_ZONE, ZclFrame(command=0, sequence=2, payload=b"\x00\x07", is_for_cluster=True))
    (closed,) = frames(again.set_values({"contact": 0.0}, 1.0))
    assert closed.payload == struct.pack("<HBBH", 0, 0, 7, 0)


def test_plug_that_was_switched_by_hand_toggles() -> None:
    plug = a_node("router")
    plug.set_values({"on_off": 1.0}, 0.0)
    ask(plug, models.ON_OFF, ZclFrame(command=2, sequence=1, is_for_cluster=True))
    (answer,) = ask(plug, models.ON_OFF, general(GeneralCommand.READ, b"\x00\x00"))
    assert answer.payload[4:] == b"\x00"


@pytest.mark.parametrize(
    ("model", "quantity", "value"),
    [("contact", "contact", 0.5), ("router", "on_off", 2.0), ("climate", "temperature_c", float("nan")),
     ("air", "voc_index", float("inf"))],
)  # fmt: skip
def test_invalid_states_are_refused(model: str, quantity: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"the sensor cannot report {quantity} = {value}"):
        a_node(model).set_values({quantity: value}, 0.0)


def identify(node: Node, command: int, payload: bytes = b"", *, now_s: float = 0.0) -> list[ZclFrame]:
    frame = ZclFrame(command=command, sequence=1, payload=payload, is_for_cluster=True, wants_default_response=True)
    return ask(node, models.IDENTIFY, frame, now_s=now_s)


@pytest.mark.parametrize("model", ["climate", "contact", "router", "air"])
def test_a_device_identifies_itself_for_a_time(model: str) -> None:
    node = a_node(model)
    (done,) = identify(node, 0x00, struct.pack("<H", 10))
    assert (done.command, done.payload) == (GeneralCommand.DEFAULT_RESPONSE, bytes((0x00, ZclStatus.SUCCESS)))
    (query,) = identify(node, 0x01, now_s=4.0)
    assert (query.command, query.is_for_cluster, query.payload) == (0x00, True, struct.pack("<H", 6))
    (left,) = ask(node, models.IDENTIFY, general(GeneralCommand.READ, b"\x00\x00"), now_s=9.5)
    assert left.payload[4:] == struct.pack("<H", 1)
    (over,) = identify(node, 0x01, now_s=10.0)
    assert over.payload == bytes((0x01, ZclStatus.SUCCESS))
    (effect,) = identify(node, 0x40, b"\x00\x00")
    assert effect.payload == bytes((0x40, ZclStatus.SUCCESS))


def test_identify_is_unknown_where_the_cluster_is_missing() -> None:
    (refused,) = identify(a_node("aqara_weather"), 0x00, b"\x05\x00")
    assert refused.payload == bytes((0x00, ZclStatus.UNSUPPORTED_CLUSTER_COMMAND))


def test_contact_enrolls_once_and_then_reports() -> None:
    node = a_node("contact")
    assert node.set_values({"contact": 1}, 0.0) == []
    cie = struct.pack("<HB", 0x0010, DataType.EUI64) + eui64_bytes(STICK)
    written, enroll = ask(node, models.IAS_ZONE, general(GeneralCommand.WRITE, cie))
    assert written.payload == b"\x00"
    assert (enroll.command, enroll.payload) == (1, struct.pack("<HH", 0x0015, 0x1234))
    ask(node, models.IAS_ZONE, ZclFrame(command=0, sequence=2, payload=b"\x00\x07", is_for_cluster=True))
    (told,) = frames(node.set_values({"contact": 0}, 1.0))
    assert (told.command, told.payload) == (0, struct.pack("<HBBH", 0, 0, 7, 0))
    assert node.set_values({"contact": 0}, 2.0) == []
    assert len(ask(node, models.IAS_ZONE, general(GeneralCommand.WRITE, cie))) == 1
    node.join(MEMBERSHIP)
    assert node.set_values({"contact": 1}, 3.0) == []


def test_aqara_sensor_reports_its_struct_and_accepts_no_configuration() -> None:
    node = a_node("aqara_weather")
    node.set_values({"temperature_c": 21.5, "humidity_percent": 40, "pressure_hpa": 990}, 0.0)
    record = struct.pack("<BHBHHh", 0, 0, DataType.INT16, 0, 9, 1)
    (answer,) = ask(node, models.TEMPERATURE, general(GeneralCommand.CONFIGURE_REPORTING, record))
    assert answer.payload[0] == ZclStatus.UNREPORTABLE_ATTRIBUTE
    *plain, told = frames(node.report_all(1.0))
    assert {frame.payload for frame in plain} == {
        struct.pack("<HBh", 0, DataType.INT16, 2150),
        struct.pack("<HBH", 0, DataType.UINT16, 4000),
        struct.pack("<HBh", 0, DataType.INT16, 990),
    }
    assert told.manufacturer == 0x115F
    assert told.payload == bytes.fromhex("01ff42 15 0121bd0b 032815 64296608 6521a00f 662bb8820100".replace(" ", ""))


def test_aqara_sensor_reports_changes_without_configuration_or_binding() -> None:
    node = a_node("aqara_weather")
    (told,) = node.set_values({"temperature_c": 19.5, "humidity_percent": 45}, 0.0)
    assert told.cluster == models.TEMPERATURE
    assert zcl.read_frame(told.payload).payload == struct.pack("<HBh", 0, DataType.INT16, 1950)
    assert node.set_values({"temperature_c": 19.5}, 0.0) == []


def test_tuya_sensor_reports_data_points() -> None:
    node = a_node("tuya_climate")
    assert node.report_all(0.0) == []
    (message,) = node.set_values({"temperature_c": 21.5, "humidity_percent": None}, 0.0)
    told = zcl.read_frame(message.payload)
    assert (message.cluster, told.command, told.payload) == (
        0xEF00,
        2,
        bytes.fromhex("0001 01 02 0004 000000d7".replace(" ", "")),
    )
    assert node.set_values({"temperature_c": 21.5}, 0.0) == []
    (queried,) = ask(node, models.TUYA, ZclFrame(command=3, sequence=1, is_for_cluster=True))
    assert queried.payload == bytes.fromhex("0002 01 02 0004 000000d7".replace(" ", ""))
    assert ask(node, models.TUYA, ZclFrame(command=0x10, sequence=1, is_for_cluster=True)) == []


def test_ota_client_cluster_returns_its_firmware_version() -> None:
    node = a_node()
    read = ZclFrame(command=GeneralCommand.READ, sequence=3, payload=b"\x02\x00\x99\x99", is_from_server=True)
    (answer,) = ask(node, models.OTA, read)
    assert (answer.is_from_server, answer.payload) == (False, bytes.fromhex("020000230000000199 9986".replace(" ", "")))
    notify = ZclFrame(command=0, sequence=4, is_for_cluster=True, is_from_server=True, wants_default_response=True)
    default, query = ask(node, models.OTA, notify)
    assert (default.command, query.command, query.is_from_server) == (GeneralCommand.DEFAULT_RESPONSE, 1, False)


def test_messages_for_unknown_endpoints_are_dropped() -> None:
    node = a_node()
    assert node.receive(to(models.BASIC, b"\x00\x01\x00\x00\x00", endpoint=9), 0.0) == []
    assert node.receive(to(models.BASIC, b"\x00"), 0.0) == []
    assert node.receive(to(zdo.ZdoCluster.NODE_DESCRIPTOR, b"\x01\x34\x12", endpoint=0), 0.0) == []
    assert ask(node, models.BASIC, general(GeneralCommand.DEFAULT_RESPONSE, b"\x00\x00")) == []


def test_replayed_frames_are_ignored() -> None:
    node = a_node()
    assert [node.accepts_counter(counter) for counter in (5, 5, 4, 6)] == [True, False, False, True]
    node.forget()
    assert not node.accepts_counter(7)
