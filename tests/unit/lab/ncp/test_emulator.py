"""The whole stick in virtual time, with a small host of its own that speaks ASH and EZSP by the tables of bellows."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("bellows")

import bellows.types as t

from lab.ncp import device_file, memory, zdo
from lab.ncp.ash import ResetCode, stuff, unstuff, whiten
from lab.ncp.coordinator import CALLBACKS_MAX, JoinOutcome
from lab.ncp.emulator import HANDLERS, Emulator
from lab.ncp.ezsp import _TABLES, VERSIONS
from lab.ncp.memory import DevicesMemory, StickMemory

HOUSE = """
seed = 5

[[device]]
name = "bedroom"
model = "climate"

[[device]]
name = "sleepy"
model = "temperature"
latency_s = 7

[[device]]
name = "dead_slow"
model = "temperature"
latency_s = 9
"""
KEY = t.KeyData(bytes(range(16)))


class VirtualHost:
    """Sends commands and collects callbacks; time passes only when it says so."""

    def __init__(
        self, version: int, *, stick: StickMemory | None = None, devices_memory: DevicesMemory | None = None
    ) -> None:
        house = device_file.parse_device_file(HOUSE, "house")
        self.now_s = 0.0
        self.table = _TABLES[version]
        self.name_of = {entry[0]: name for name, entry in self.table.items()}
        self.stick = Emulator(
            version=version,
            stick=stick or device_file.new_stick(5),
            devices=house.devices,
            devices_memory=devices_memory or DevicesMemory(),
            seed=5,
            now_s=0.0,
        )
        self.callbacks: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[bytes] = []
        self._sequence = itertools.cycle(range(256))
        self.reset()
        self.say_legacy_version(version)

    def reset(self) -> None:
        self._number = self._expected = 0
        self.stick.receive(b"\x1a" * 32 + stuff(b"\xc0"), self.now_s)
        self._collect()

    def say_legacy_version(self, version: int) -> None:
        answer = self._exchange(bytes((next(self._sequence), 0, 0, version)))
        assert answer[1:3] == b"\x80\x00"
        assert answer[3] == version

    def ask(self, name: str, *arguments: object, **named: object) -> dict[str, Any]:
        frame_id, sent, received = self.table[name]
        body = t.serialize_dict(arguments, named, sent)
        sequence = next(self._sequence)
        answer = self._exchange(bytes((sequence, 0, 1)) + frame_id.to_bytes(2, "little") + body)
        assert answer[0] == sequence
        found = self.name_of[int.from_bytes(answer[3:5], "little")]
        if found == "invalidCommand":
            return {"refused": answer[5]}
        if not isinstance(received, dict):
            parsed, rest = received.deserialize(answer[5:])
            return {"status": parsed.status, "value": parsed.value}
        fields, rest = t.deserialize_dict(answer[5:], received)
        assert rest == b""
        return fields

    def wait(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while (due_s := self.stick.due_s()) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.stick.advance(self.now_s)
            self._collect()
        self.now_s = until_s
        self.stick.advance(self.now_s)
        self._collect()

    def form(self) -> None:
        bits = t.EmberInitialSecurityBitmask
        state = t.EmberInitialSecurityState(
            bitmask=bits.HAVE_PRECONFIGURED_KEY | bits.HAVE_NETWORK_KEY | bits.TRUST_CENTER_USES_HASHED_LINK_KEY,
            preconfiguredKey=KEY,
            networkKey=KEY,
            networkKeySequenceNumber=0,
            preconfiguredTrustCenterEui64=t.EUI64.convert("00:00:00:00:00:00:00:00"),
        )
        assert ok(self.ask("setInitialSecurityState", state))
        assert ok(self.ask("formNetwork", self.parameters()))

    def parameters(self, power_dbm: int = 8) -> t.EmberNetworkParameters:
        return t.EmberNetworkParameters(
            extendedPanId=t.ExtendedPanId.convert("01:02:03:04:05:06:07:08"),
            panId=0x1A62,
            radioTxPower=power_dbm,
            radioChannel=15,
            joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
            nwkManagerId=0,
            nwkUpdateId=0,
            channels=t.Channels.from_channel_list([15]),
        )

    def join(self, name: str) -> int:
        assert ok(self.ask("permitJoining", 60))
        assert self.stick.press(name, self.now_s) is JoinOutcome.JOINED
        self.wait(0.1)
        return self.stick.radio_medium.node(name).address

    def unicast(self, address: int, cluster: int, payload: bytes, *, endpoint: int = 0, tag: int = 1) -> dict[str, Any]:
        frame = t.EmberApsFrame(
            profileId=0x0104 if endpoint else 0,
            clusterId=cluster,
            sourceEndpoint=endpoint,
            destinationEndpoint=endpoint,
            options=t.EmberApsOption.APS_OPTION_NONE,
            groupId=0,
            sequence=0,
        )
        return self.ask("sendUnicast", t.EmberOutgoingMessageType.OUTGOING_DIRECT, address, frame, tag, payload)

    def heard(self, name: str) -> list[dict[str, Any]]:
        found = [fields for told, fields in self.callbacks if told == name]
        self.callbacks = [entry for entry in self.callbacks if entry[0] != name]
        return found

    def payloads(self) -> list[bytes]:
        heard = self.heard("incomingMessageHandler")
        return [fields["message" if "message" in fields else "messageContents"] for fields in heard]

    def _exchange(self, payload: bytes) -> bytes:
        self.stick.receive(stuff(bytes((self._number << 4 | self._expected,)) + whiten(payload)), self.now_s)
        self._number = (self._number + 1) % 8
        self._collect()
        return self._answer

    def _collect(self) -> None:
        while data := self.stick.take():
            for part in filter(None, data.split(b"\x7e")):
                frame = unstuff(part)
                assert frame is not None
                if frame[0] < 0x80:
                    self._data(frame)

    def _data(self, frame: bytes) -> None:
        payload = whiten(frame[1:])
        self.frames.append(payload)
        self._expected = ((frame[0] >> 4 & 7) + 1) % 8
        if payload[1] & 0x90 == 0x90:
            name = self.name_of[int.from_bytes(payload[3:5], "little")]
            fields, rest = t.deserialize_dict(payload[5:], self.table[name][2])
            assert rest == b""
            self.callbacks.append((name, fields))
        else:
            self._answer = payload
        self.stick.receive(stuff(bytes((0x80 | self._expected,))), self.now_s)


def ok(answer: dict[str, Any]) -> bool:
    return answer["status"] == 0


@pytest.fixture(params=VERSIONS)
def host(request: pytest.FixtureRequest) -> VirtualHost:
    return VirtualHost(request.param)


@pytest.fixture
def formed(host: VirtualHost) -> VirtualHost:
    host.form()
    return host


def statuses(host: VirtualHost) -> list[str]:
    return [t.sl_Status.from_ember_status(fields["status"]).name for fields in host.heard("stackStatusHandler")]


def test_every_command_answers_in_the_layout_of_its_version(host: VirtualHost) -> None:
    needs_content = {"sendUnicast", "sendBroadcast", "sendMulticast", "formNetwork", "tokenFactoryReset"}
    for name in sorted(set(HANDLERS) & set(host.table) - needs_content - {"version"}):
        arguments = {key: zero(kind) for key, kind in host.table[name][1].items()}
        assert "refused" not in host.ask(name, **arguments), name


def zero(kind: Any) -> object:  # noqa: ANN401 - the tables of bellows are not typed
    return kind.deserialize(bytes(80))[0]


def test_commands_that_are_not_emulated_are_refused(host: VirtualHost) -> None:
    assert host.ask("getLibraryStatus", 0) == {"refused": t.EzspStatus.ERROR_INVALID_FRAME_ID}
    assert host._exchange(bytes((9, 0, 1, 0xFE, 0xFE)))[5] == t.EzspStatus.ERROR_INVALID_FRAME_ID
    assert host._exchange(bytes((9, 0, 1, 0x52, 0x00)))[5] == t.EzspStatus.ERROR_COMMAND_TOO_LONG
    assert host._exchange(bytes((9,)))[5] == t.EzspStatus.ERROR_COMMAND_TOO_LONG


def test_network_is_formed_started_again_and_left(formed: VirtualHost) -> None:
    assert statuses(formed) == ["NETWORK_UP"]
    parameters = formed.ask("getNetworkParameters")["parameters"]
    assert (parameters.panId, parameters.radioChannel) == (0x1A62, 15)
    formed.reset()
    assert formed.ask("networkState")["status"] == t.EmberNetworkStatus.NO_NETWORK
    assert ok(formed.ask("networkInit", 0))
    assert statuses(formed) == ["NETWORK_UP"]
    assert not ok(formed.ask("networkInit", 0))
    assert ok(formed.ask("leaveNetwork", *([0] if formed.table["leaveNetwork"][1] else [])))
    assert statuses(formed) == ["NETWORK_DOWN"]
    assert not ok(formed.ask("networkInit", 0))


def test_forming_needs_security_and_a_power_that_exists(host: VirtualHost) -> None:
    assert not ok(host.ask("formNetwork", host.parameters()))
    host.form()
    assert not ok(host.ask("formNetwork", host.parameters()))
    other = VirtualHost(host.stick.coordinator.codec.version)
    other.stick.coordinator.initial_security = host.stick.coordinator.initial_security
    assert not ok(other.ask("formNetwork", other.parameters(power_dbm=30)))


def test_flash_goes_through_a_file_and_the_counter_never_repeats(formed: VirtualHost) -> None:
    address = formed.join("bedroom")
    formed.unicast(address, 0x0002, b"\x07" + address.to_bytes(2, "little"))
    formed.wait(1.0)
    used = formed.stick.coordinator.frame_counter
    stick = memory.decode(memory.encode(formed.stick.stick), StickMemory, "stick")
    devices_memory = memory.decode(memory.encode(formed.stick.devices_memory), DevicesMemory, "room")
    again = VirtualHost(formed.stick.coordinator.codec.version, stick=stick, devices_memory=devices_memory)
    assert ok(again.ask("networkInit", 0))
    assert again.stick.coordinator.next_counter() > used
    again.unicast(address, 0x0002, b"\x08" + address.to_bytes(2, "little"))
    again.wait(1.0)
    assert [payload[:2] for payload in again.payloads()] == [b"\x08\x00"]


def test_stick_with_an_older_frame_counter_is_ignored(formed: VirtualHost) -> None:
    address = formed.join("bedroom")
    for _ in range(3):
        formed.unicast(address, 0x0002, b"\x07" + address.to_bytes(2, "little"))
        formed.wait(1.0)
    formed.stick.coordinator._frame_counter = 0
    formed.heard("messageSentHandler")
    formed.unicast(address, 0x0002, b"\x09" + address.to_bytes(2, "little"))
    formed.wait(5.0)
    assert [ok(fields) for fields in formed.heard("messageSentHandler")] == [False]


def test_joining_needs_an_open_window(formed: VirtualHost) -> None:
    statuses(formed)
    assert formed.stick.press("bedroom", formed.now_s) is JoinOutcome.NO_OPEN_NETWORK
    assert ok(formed.ask("permitJoining", 10))
    formed.wait(9.0)
    assert statuses(formed) == ["ZIGBEE_NETWORK_OPENED"]
    formed.wait(2.0)
    assert statuses(formed) == ["ZIGBEE_NETWORK_CLOSED"]
    assert formed.stick.press("bedroom", formed.now_s) is JoinOutcome.NO_OPEN_NETWORK


def test_sleepy_sensor_answers_late_or_never(formed: VirtualHost) -> None:
    late, lost = formed.join("sleepy"), formed.join("dead_slow")
    formed.callbacks.clear()
    for address in (late, lost):
        assert ok(formed.unicast(address, 0x0002, b"\x07" + address.to_bytes(2, "little")))
    formed.wait(5.0)
    assert formed.callbacks == []
    formed.wait(5.0)
    assert [ok(fields) for fields in formed.heard("messageSentHandler")] == [True, False]
    assert len(formed.payloads()) == 1


def test_answers_overtake_callbacks_which_carry_the_last_answered_number(formed: VirtualHost) -> None:
    formed.join("bedroom")
    formed.frames.clear()
    for _ in range(5):
        formed.stick.coordinator.add_callback("stackStatusHandler", status=t.sl_Status.NETWORK_UP)
    formed.ask("nop")
    kinds = [frame[1] & 0x90 for frame in formed.frames]
    assert kinds == [0x90, 0x80, 0x90, 0x90, 0x90, 0x90]
    answered = next(frame[0] for frame in formed.frames if frame[1] & 0x90 == 0x80)
    assert {frame[0] for frame in formed.frames[-4:]} == {answered}


def test_queue_of_callbacks_is_bounded_and_says_that_it_overflowed(formed: VirtualHost) -> None:
    for _ in range(CALLBACKS_MAX + 50):
        formed.stick.coordinator.add_callback("stackStatusHandler", status=t.sl_Status.NETWORK_UP)
    assert len(formed.stick.coordinator.callbacks) == CALLBACKS_MAX
    formed.wait(0.1)
    assert any(frame[1] & 0x01 for frame in formed.frames[-CALLBACKS_MAX:])


def test_unexpected_restart_is_announced_and_stops_the_network(formed: VirtualHost) -> None:
    formed.stick.restart(ResetCode.WATCHDOG)
    assert formed.stick.take().startswith(b"\xc1\x02\x03")
    assert formed.stick.coordinator.is_up is False


def test_child_table_is_written_and_read(formed: VirtualHost) -> None:
    formed.join("bedroom")
    child = formed.ask("getChildData", 0)["child_data"]
    assert str(child.eui64) == formed.stick.radio_medium.node("bedroom").eui64
    token = formed.ask("getTokenData", t.NV3KeyId.NVM3KEY_STACK_CHILD_TABLE, 0)
    assert t.NV3ChildTableEntry.deserialize(token["value"])[0].flags == 0x80
    assert not ok(formed.ask("getTokenData", t.NV3KeyId.NVM3KEY_STACK_CHILD_TABLE, 1))


@pytest.mark.parametrize(
    ("token", "change", "seen"),
    [
        (t.NV3KeyId.NVM3KEY_STACK_NETWORK_MANAGEMENT, {"update_id": 4}, lambda network: network.update_id == 4),
        (t.NV3KeyId.NVM3KEY_STACK_NODE_DATA, {"radioTxPower": 3}, lambda network: network.tx_power_dbm == 3),
        (
            t.NV3KeyId.NVM3KEY_STACK_TRUST_CENTER,
            {"eui64": t.EUI64.convert("01:02:03:04:05:06:07:08")},
            lambda network: network.trust_centre == "01:02:03:04:05:06:07:08",
        ),
    ],
)
def test_tokens_can_be_read_and_changed_with_effect(
    formed: VirtualHost, token: t.NV3KeyId, change: dict[str, object], seen: Callable[[memory.NetworkMemory], bool]
) -> None:
    kinds = {
        t.NV3KeyId.NVM3KEY_STACK_NETWORK_MANAGEMENT: t.NV3StackNetworkManagementToken,
        t.NV3KeyId.NVM3KEY_STACK_NODE_DATA: t.NV3StackNodeData,
        t.NV3KeyId.NVM3KEY_STACK_TRUST_CENTER: t.NV3StackTrustCenterToken,
    }
    value, rest = kinds[token].deserialize(formed.ask("getTokenData", token, 0)["value"])
    assert rest == b""
    assert ok(formed.ask("setTokenData", token, 0, t.basic.LVBytes32(value.replace(**change).serialize())))
    network = formed.stick.stick.network
    assert network is not None
    assert seen(network)


def test_eui64_can_be_replaced_and_restored(host: VirtualHost) -> None:
    own = str(host.ask("getEui64")["eui64"])
    key = t.NV3KeyId.CREATOR_STACK_RESTORED_EUI64
    for wanted, seen in (("0a:0b:0c:0d:0e:0f:01:02", "0a:0b:0c:0d:0e:0f:01:02"), ("ff:ff:ff:ff:ff:ff:ff:ff", own)):
        data = t.basic.LVBytes32(t.EUI64.convert(wanted).serialize())
        assert ok(host.ask("setTokenData", key, 0, data))
        assert str(host.ask("getEui64")["eui64"]) == seen


def test_link_keys_are_kept_found_and_erased(host: VirtualHost) -> None:
    partner = t.EUI64.convert("01:02:03:04:05:06:07:08")
    assert ok(host.ask("importLinkKey", 3, partner, KEY))
    assert host.ask("findKeyTableEntry", partner, True)["index"] == 3
    assert host.ask("exportLinkKeyByIndex", 3)["plaintext_key"] == KEY
    assert not ok(host.ask("importLinkKey", 200, partner, KEY))
    assert ok(host.ask("eraseKeyTableEntry", 3))
    assert host.ask("findKeyTableEntry", partner, True)["index"] == 0xFF
    assert not ok(host.ask("exportLinkKeyByIndex", 3))


def test_transient_key_expires(formed: VirtualHost) -> None:
    partner = t.EUI64.convert("01:02:03:04:05:06:07:08")
    flags = t.SecurityManagerContextFlags.NONE
    assert ok(formed.ask("importTransientKey", partner, KEY, flags))
    assert ok(formed.ask("exportTransientKeyByEui", partner))
    formed.wait(301.0)
    assert not ok(formed.ask("exportTransientKeyByEui", partner))


def test_sending_is_refused_without_a_network_and_when_too_long(host: VirtualHost) -> None:
    assert not ok(host.unicast(0x1234, 2, b"\x01"))
    host.form()
    assert not ok(host.unicast(0x1234, 2, bytes(83)))
    assert ok(host.unicast(0x1234, 2, b"\x01"))
    host.wait(2.0)
    assert [ok(fields) for fields in host.heard("messageSentHandler")] == [False]


UPDATE = bytes.fromhex("01 00001000 fe 01".replace(" ", ""))
"""Sequence, the mask of channel 20, "change the channel", the number of the update."""


def channel_of(host: VirtualHost) -> tuple[int, int]:
    parameters = host.ask("getNetworkParameters")["parameters"]
    return int(parameters.radioChannel), int(parameters.nwkUpdateId)


def test_channel_changes_after_the_broadcast_has_gone_round(formed: VirtualHost) -> None:
    address = formed.join("bedroom")
    formed.heard("stackStatusHandler")
    formed.payloads()
    assert ok(formed.unicast(0, zdo.ZdoCluster.MGMT_NWK_UPDATE, UPDATE))
    formed.wait(1.0)
    assert formed.payloads() == [bytes.fromhex("01 00 00001000 0000 0000 00".replace(" ", ""))]
    assert channel_of(formed) == (15, 0)
    formed.wait(9.0)
    assert statuses(formed) == ["ZIGBEE_CHANNEL_CHANGED"]
    assert channel_of(formed) == (20, 1)
    assert ok(formed.unicast(address, zdo.ZdoCluster.ACTIVE_ENDPOINTS, b"\x07" + address.to_bytes(2, "little")))
    formed.wait(1.0)
    assert [payload[:2] for payload in formed.payloads()] == [b"\x07\x00"], "its members have followed"


def test_channel_changes_by_a_broadcast_of_the_host(formed: VirtualHost) -> None:
    frame = t.EmberApsFrame(
        profileId=0, clusterId=zdo.ZdoCluster.MGMT_NWK_UPDATE, sourceEndpoint=0, destinationEndpoint=0,
        options=t.EmberApsOption.APS_OPTION_NONE, groupId=0, sequence=0,
    )  # fmt: skip
    arguments = {key: zero(kind) for key, kind in formed.table["sendBroadcast"][1].items()}
    content = "message" if "message" in arguments else "messageContents"
    aps = "aps_frame" if "aps_frame" in arguments else "apsFrame"
    arguments |= {"destination": 0xFFFF, aps: frame, content: UPDATE}
    assert ok(formed.ask("sendBroadcast", **arguments))
    formed.wait(10.0)
    assert channel_of(formed) == (20, 1)


def test_energy_scan_ends(formed: VirtualHost) -> None:
    channels = t.Channels.from_channel_list([11, 15])
    assert ok(formed.ask("startScan", t.EzspNetworkScanType.ENERGY_SCAN, channels, 3))
    formed.wait(0.1)
    assert [fields["channel"] for fields in formed.heard("energyScanResultHandler")] == [11, 15]
    assert len(formed.heard("scanCompleteHandler")) == 1


def test_same_seed_gives_the_same_network() -> None:
    def trace(version: int) -> list[bytes]:
        host = VirtualHost(version)
        host.form()
        address = host.join("bedroom")
        host.unicast(address, 0x0005, b"\x01" + address.to_bytes(2, "little"))
        host.wait(2.0)
        return host.frames

    assert trace(13) == trace(13)


def test_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="13, 14, 18"):
        Emulator(
            version=12, stick=device_file.new_stick(1), devices=(), devices_memory=DevicesMemory(), seed=1, now_s=0.0
        )


def test_file_of_something_else_is_refused() -> None:
    with pytest.raises(memory.MemoryInvalid, match="stick"):
        memory.decode(b"[]", StickMemory, "stick")
