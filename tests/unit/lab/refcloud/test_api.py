# ruff: noqa: ANN401 (bodies here are JSON of any shape)
"""The nine endpoints over HTTP, on both stores."""

import gzip
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from lab.refcloud import contract
from lab.refcloud.admin import Admin, NewCommand, NewDevice
from lab.refcloud.contract import Refusal
from lab.refcloud.records import CloudCredential, CommandState, DeviceKind, ReadingTally, ReadingVerdict

NOON_MS = 1_774_785_600_000
NOON = "2026-03-29T12:00:00Z"
WRITES = [
    ("POST", "/v1/telemetry"),
    ("PUT", "/v1/settings"),
    ("POST", "/v1/commands/ack"),
    ("POST", "/v1/ota/status"),
    ("POST", "/v1/zigbee/register"),
]
READS = [
    ("GET", "/v1/settings"),
    ("GET", "/v1/commands/pending"),
    ("GET", "/v1/ota/check?current_version=1"),
    ("GET", "/v1/ota/download/1"),
]

World = Any
Make = Callable[..., Any]


class TestAnyEndpoint:
    @pytest.mark.parametrize(("method", "path"), READS + WRITES)
    @pytest.mark.parametrize("authorization", ["", "Bearer cs_dev_unknown", "Basic abc", "Bearer let-me-in"])
    async def test_unknown_key_gets_the_published_message(
        self, world: World, method: str, path: str, authorization: str
    ) -> None:
        reply = await world.call(method, path, headers={"Authorization": authorization})
        assert (reply.status, reply.content_type) == (401, "application/json")
        assert reply.json == {"error": "unauthorized", "message": "Invalid or missing API key"}
        assert world.seen[-1][0] == ""

    async def test_key_is_stored_as_a_hash_only(self, world: World) -> None:
        (credential,) = world.store.shelf(CloudCredential, world.hub.device.device_id)
        assert credential.key_sha256 == hashlib.sha256(world.hub.api_key.encode()).hexdigest()
        assert world.hub.api_key not in repr(credential)

    @pytest.mark.parametrize(("method", "path"), WRITES)
    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (b"", 400, "bad_request"),
            (b"{", 400, "bad_request"),
            (b"NaN", 400, "bad_request"),
            (b"\xff\xfe{", 400, "bad_request"),
            (b"[]", 422, "validation_error"),
            (b'{"surprise": 1}', 422, "validation_error"),
        ],
    )
    async def test_a_bad_body_is_refused(
        self, world: World, method: str, path: str, body: bytes, status: int, error: str
    ) -> None:
        reply = await world.call(method, path, body)
        assert (reply.status, reply.json["error"]) == (status, error)
        assert set(reply.json) == {"error", "message"}

    @pytest.mark.parametrize(("method", "path"), WRITES)
    async def test_other_content_types_are_refused(self, world: World, method: str, path: str) -> None:
        reply = await world.call(method, path, b"{}", headers={"Content-Type": "text/plain"})
        assert (reply.status, reply.json["error"]) == (415, "unsupported_media_type")

    async def test_unknown_paths_and_methods_are_refused(self, world: World) -> None:
        reply = await world.call("GET", "/v1/nothing")
        assert (reply.status, reply.json["error"]) == (404, "not_found")
        reply = await world.call("DELETE", "/v1/telemetry")
        assert (reply.status, reply.json["error"]) == (405, "method_not_allowed")
        assert reply.headers["Allow"] == "POST"

    async def test_date_header_is_the_servers_clock(self, world: World) -> None:
        for path in ("/v1/settings", "/", "/nowhere"):
            assert (await world.call("GET", path)).headers["Date"] == "Sun, 29 Mar 2026 12:00:00 GMT"

    @pytest.mark.parametrize(("method", "path"), READS + WRITES)
    async def test_request_over_the_quota_is_429(self, world: World, method: str, path: str) -> None:
        endpoint = next(e for e, (m, p) in contract.ROUTES.items() if m == method and p.split("{")[0] in path)
        quota = contract.QUOTAS[endpoint]
        for _ in range(quota.limit):
            assert (await world.call(method, path)).status != 429
            world.advance(0.5)
        reply = await world.call(method, path)
        assert (reply.status, reply.json["error"]) == (429, "rate_limited")
        assert int(reply.headers["Retry-After"]) == quota.window_s - quota.limit // 2
        usage = world.cloud.statistics().requests[world.hub.device.device_id][endpoint.value]
        assert (usage.requests, usage.over_quota) == (quota.limit + 1, 1)
        world.advance(int(reply.headers["Retry-After"]))
        assert (await world.call(method, path)).status != 429


class TestTelemetry:
    async def test_telemetry_is_accepted_and_stored(self, world: World, reading: Make) -> None:
        reply = await world.send(reading(), reading(50, sensor_type="humidity"))
        assert (reply.status, reply.json) == (200, {"accepted": 2, "timestamp": NOON})
        kept = world.admin.readings().readings
        assert [(r.sensor_type, r.at_ms, r.value) for r in kept] == [
            ("humidity", NOON_MS, 50.0),
            ("temperature", NOON_MS, 21.5),
        ]
        assert {r.device_id for r in kept} == {world.hub.device.device_id}

    async def test_duplicate_is_accepted_and_a_contradiction_keeps_the_first_value(
        self, world: World, reading: Make
    ) -> None:
        await world.send(reading(21.5))
        reply = await world.send(reading(21.5, "2026-03-29T14:00:00.000+02:00"), reading(22.0), reading(1))
        assert reply.json["accepted"] == 3
        assert [r.value for r in world.admin.readings().readings] == [21.5]
        tally = world.admin.tallies()[world.hub.device.device_id]
        assert (tally.accepted, tally.stored, tally.duplicates, tally.conflicting) == (4, 1, 1, 2)
        assert [[r.verdict for r in batch] for _, batch in world.batches] == [
            [ReadingVerdict.STORED],
            [ReadingVerdict.DUPLICATE, ReadingVerdict.CONFLICTING, ReadingVerdict.CONFLICTING],
        ]

    async def test_duplicate_within_one_batch_is_stored_once(self, world: World, reading: Make) -> None:
        reply = await world.send(reading(), reading())
        assert reply.json["accepted"] == 2
        assert world.admin.tallies()[world.hub.device.device_id].duplicates == 1

    async def test_values_are_stored_exactly(self, world: World, reading: Make) -> None:
        values = [0.1, 1 / 3, -40.0, 5e-324, 1.7976931348623157e308]
        await world.send(*[reading(value, f"2026-03-29T12:00:0{i}Z") for i, value in enumerate(values)])
        assert [r.value for r in world.admin.readings().readings] == values

    @pytest.mark.parametrize("count", [0, 101])
    async def test_batch_has_1_to_100_readings(self, world: World, reading: Make, count: int) -> None:
        reply = await world.send(*[reading()] * count)
        assert (reply.status, reply.json["error"]) == (422, "validation_error")
        assert (await world.send(*[reading()] * 100)).json["accepted"] == 100

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"sensor_type": "co2"}, "$.readings[0].sensor_type"),
            ({"value": "21"}, "$.readings[0].value"),
            ({"value": None}, "$.readings[0].value"),
            ({"value": True}, "$.readings[0].value"),
            ({"timestamp": 5}, "$.readings[0].timestamp"),
            ({"timestamp": "2026-03-29T12:00:00"}, "$.readings[0].timestamp"),
            ({"device_id": None}, "$.readings[0].device_id"),
            ({"unit": "C"}, "$.readings[0]"),
        ],
    )
    async def test_a_bad_field_is_named(self, world: World, reading: Make, change: Any, where: str) -> None:
        reply = await world.send(reading(**change))
        assert reply.status == 422
        assert f"`{where}`" in reply.json["message"]
        assert not world.admin.readings().readings

    async def test_a_number_beyond_a_double_is_refused(self, world: World) -> None:
        body = b'{"readings":[{"sensor_type":"pressure","value":1e999,"timestamp":"2026-03-29T12:00:00Z"}]}'
        assert (await world.call("POST", "/v1/telemetry", body)).status == 422

    async def test_position_is_stored(self, world: World, reading: Make) -> None:
        body = {"readings": [reading()], "latitude": 37.5, "longitude": -122.25}
        assert (await world.call("POST", "/v1/telemetry", body)).status == 200
        (device,) = world.admin.devices()
        assert (device.latitude, device.longitude) == (37.5, -122.25)
        for bad in ({"latitude": 91, "longitude": 0}, {"latitude": 0, "longitude": -180.5}, {"latitude": 0}):
            assert (await world.call("POST", "/v1/telemetry", {"readings": [reading()]} | bad)).status == 422

    async def test_sensor_of_another_hub_refuses_the_batch(self, world: World, reading: Make) -> None:
        sensor = world.provision("kitchen", DeviceKind.SENSOR)
        relayed = reading(device_id=sensor.device.device_id)
        reply = await world.send(reading(), relayed)
        assert (reply.status, reply.json["error"]) == (403, "forbidden")
        assert not world.admin.readings().readings
        await world.call("POST", "/v1/zigbee/register", {"sensor_api_key": sensor.api_key})
        assert (await world.send(reading(), relayed)).json["accepted"] == 2
        other = world.provision("cellar")
        assert (await world.send(relayed, key=other.api_key)).status == 403

    async def test_gzip_body_is_accepted(self, world: World, reading: Make) -> None:
        body = gzip.compress(json.dumps({"readings": [reading()]}).encode())
        reply = await world.call("POST", "/v1/telemetry", body, headers={"Content-Encoding": "gzip"})
        assert (reply.status, reply.json["accepted"]) == (200, 1)

    async def test_gzip_can_be_refused(self, make_world: Make) -> None:
        world = await make_world(is_gzip_accepted=False)
        reply = await world.call("POST", "/v1/telemetry", gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
        assert (reply.status, reply.headers["Accept-Encoding"]) == (415, "identity")

    async def test_other_content_encodings_are_refused(self, world: World) -> None:
        reply = await world.call("POST", "/v1/telemetry", b"{}", headers={"Content-Encoding": "compress"})
        assert (reply.status, reply.headers["Accept-Encoding"]) == (415, "gzip, identity")

    async def test_corrupt_gzip_body_is_refused(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        packed = gzip.compress(b"{}" * 100)
        for broken in (b"not gzip at all", packed[:12] + b"\0\0\0" + packed[15:]):
            reply = await world.call("POST", "/v1/telemetry", broken, headers={"Content-Encoding": "gzip"})
            assert (reply.status, reply.json["error"]) == (400, "bad_request")
        assert not [record for record in caplog.records if record.levelno > logging.INFO]

    async def test_body_size_is_limited_before_and_after_inflation(self, world: World) -> None:
        large = b" " * (contract.DEVICE_BODY_BYTES_MAX + 1)
        reply = await world.call("POST", "/v1/telemetry", large)
        assert (reply.status, reply.json["error"]) == (413, "payload_too_large")
        bomb = gzip.compress(b" " * 50_000_000)
        assert len(bomb) < contract.DEVICE_BODY_BYTES_MAX
        reply = await world.call("POST", "/v1/telemetry", bomb, headers={"Content-Encoding": "gzip"})
        assert reply.status == 413


class TestSettings:
    async def test_settings_have_all_fields_from_the_start(self, world: World) -> None:
        reply = await world.call("GET", "/v1/settings")
        assert reply.json == {
            "reporting_interval_seconds": 60,
            "enabled_sensors": list(contract.SENSOR_TYPES),
            "location": {},
            "timezone": "UTC",
        }

    async def test_settings_update_changes_sent_fields_only(self, world: World) -> None:
        await world.call("PUT", "/v1/settings", {"location": {"latitude": 1.5, "name": "attic"}})
        reply = await world.call("PUT", "/v1/settings", {"timezone": "America/Los_Angeles", "enabled_sensors": ["iaq"]})
        expected = {
            "reporting_interval_seconds": 60,
            "enabled_sensors": ["iaq"],
            "location": {"latitude": 1.5, "name": "attic"},
            "timezone": "America/Los_Angeles",
        }
        assert (reply.status, reply.json) == (200, expected)
        assert (await world.call("GET", "/v1/settings")).json == expected
        await world.call("PUT", "/v1/settings", {"location": {"longitude": 2}})
        assert (await world.call("GET", "/v1/settings")).json["location"] == {"longitude": 2.0}

    @pytest.mark.parametrize("interval_s", [60, 3600])
    async def test_settings_at_their_bounds_are_accepted(self, world: World, interval_s: int) -> None:
        reply = await world.call("PUT", "/v1/settings", {"reporting_interval_seconds": interval_s})
        assert reply.json["reporting_interval_seconds"] == interval_s

    @pytest.mark.parametrize(
        "update",
        [
            {},
            {"reporting_interval_seconds": 59},
            {"reporting_interval_seconds": 3601},
            {"reporting_interval_seconds": 60.5},
            {"reporting_interval_seconds": None},
            {"enabled_sensors": ["co2"]},
            {"enabled_sensors": ["iaq", "iaq"]},
            {"location": {"latitude": 90.5}},
            {"location": {"altitude": 5}},
            {"location": None},
            {"timezone": "Mars/Olympus_Mons"},
            {"timezone": "America"},
            {"timezone": "../../etc/passwd"},
            {"timezone": ""},
            {"volume": 11},
        ],
    )
    async def test_refused_settings_update_changes_nothing(self, world: World, update: Any) -> None:
        before = world.admin.settings(world.hub.device.device_id)
        reply = await world.call("PUT", "/v1/settings", update)
        assert (reply.status, reply.json["error"]) == (422, "validation_error")
        assert world.admin.settings(world.hub.device.device_id) == before


class TestCommands:
    async def test_commands_are_listed_oldest_first_until_acknowledged(self, world: World) -> None:
        hub_id = world.hub.device.device_id
        world.admin.queue_command(hub_id, NewCommand("reboot", {"delay_seconds": 5}, command_id="cmd-001"))
        world.admin.queue_command(hub_id, NewCommand("diagnostics", command_id="cmd-000"))
        tomorrow = "2026-03-30T12:00:00Z"
        listed = [
            {
                "command_id": "cmd-001",
                "type": "reboot",
                "expires_at": tomorrow,
                "payload": {"delay_seconds": 5},
            },
            {"command_id": "cmd-000", "type": "diagnostics", "expires_at": tomorrow},
        ]
        for _ in range(2):
            assert (await world.call("GET", "/v1/commands/pending")).json == {"commands": listed}
        reply = await world.call("POST", "/v1/commands/ack", {"command_id": "cmd-001", "status": "acked"})
        assert (reply.status, reply.json) == (200, {"acknowledged": True, "timestamp": NOON})
        assert (await world.call("GET", "/v1/commands/pending")).json == {"commands": listed[1:]}
        again = await world.call("POST", "/v1/commands/ack", {"command_id": "cmd-001", "status": "acked"})
        assert (again.status, again.json["error"]) == (409, "conflict")

    async def test_command_outcome_is_stored(self, world: World) -> None:
        hub_id = world.hub.device.device_id
        command = world.admin.queue_command(hub_id, NewCommand("diagnostics"))
        ack = {
            "command_id": command.command_id,
            "status": "failed",
            "error_message": "no disk",
            "result": {"a": [1]},
        }
        await world.call("POST", "/v1/commands/ack", ack)
        (closed,) = world.admin.commands(hub_id)
        assert (closed.state, closed.error_message, closed.result) == (CommandState.FAILED, "no disk", {"a": [1]})
        assert closed.closed_ms == NOON_MS

    @pytest.mark.parametrize("is_polled", [True, False])
    async def test_command_expires_after_a_day(self, world: World, is_polled: bool) -> None:
        hub_id = world.hub.device.device_id
        command = world.admin.queue_command(hub_id, NewCommand("reboot"))
        world.advance(24 * 3600 - 1)
        assert len((await world.call("GET", "/v1/commands/pending")).json["commands"]) == 1
        world.advance(1)
        if is_polled:
            assert (await world.call("GET", "/v1/commands/pending")).json == {"commands": []}
            assert world.admin.commands(hub_id)[0].state is CommandState.EXPIRED
        reply = await world.call("POST", "/v1/commands/ack", {"command_id": command.command_id, "status": "acked"})
        assert (reply.status, reply.json["error"]) == (404, "not_found")

    async def test_command_is_visible_to_its_hub_only(self, world: World) -> None:
        other = world.provision("cellar")
        command = world.admin.queue_command(other.device.device_id, NewCommand("reboot"))
        assert (await world.call("GET", "/v1/commands/pending")).json == {"commands": []}
        for unknown in (command.command_id, "cmd-404"):
            reply = await world.call("POST", "/v1/commands/ack", {"command_id": unknown, "status": "acked"})
            assert reply.status == 404

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "done"},
            {"command_id": ""},
            {"command_id": "x" * 129},
            {"error_message": "x" * 1025},
            {"result": []},
            {"result": {"log": "x" * contract.RESULT_BYTES_MAX}},
        ],
    )
    async def test_invalid_acks_leave_the_command_pending(self, world: World, change: Any) -> None:
        hub_id = world.hub.device.device_id
        command = world.admin.queue_command(hub_id, NewCommand("diagnostics"))
        body = {"command_id": command.command_id, "status": "acked"} | change
        assert (await world.call("POST", "/v1/commands/ack", body)).status == 422
        assert world.admin.commands(hub_id)[0].state is CommandState.PENDING

    def test_number_of_pending_commands_is_limited(self, store: Any) -> None:
        now_ms = NOON_MS
        admin = Admin(store, utc_ms=lambda: now_ms, new_id=iter(map(str, range(999))).__next__, new_key=lambda: "key")
        hub_id = admin.provision(NewDevice(name="attic")).device.device_id
        for _ in range(contract.COMMANDS_PENDING_MAX):
            admin.queue_command(hub_id, NewCommand("reboot"))
        with pytest.raises(Refusal, match="are pending"):
            admin.queue_command(hub_id, NewCommand("reboot"))
        now_ms += contract.COMMAND_LIFETIME_MS
        admin.queue_command(hub_id, NewCommand("reboot"))


class TestOta:
    IMAGE = bytes(range(256)) * 40

    async def offered(self, world: World) -> Any:
        return (await world.call("GET", "/v1/ota/check?current_version=1.2.3")).json

    async def test_release_is_offered_by_batch(self, world: World) -> None:
        assert await self.offered(world) == {"update_available": False}
        world.admin.publish("1.3.0", self.IMAGE, batches=["canary"], release_notes="Fewer bugs.")
        assert await self.offered(world) == {"update_available": False}
        assert (await world.call("GET", "/v1/ota/download/1.3.0")).status == 404
        world.advance(60)
        world.admin.offer("1.3.0", ["canary", "stable"])
        assert await self.offered(world) == {
            "update_available": True,
            "version": "1.3.0",
            "checksum": "sha256:" + hashlib.sha256(self.IMAGE).hexdigest(),
            "size_bytes": len(self.IMAGE),
            "release_notes": "Fewer bugs.",
        }
        same = await world.call("GET", "/v1/ota/check?current_version=1.3.0")
        assert same.json == {"update_available": False}

    async def test_latest_offer_applies(self, world: World) -> None:
        for version in ("2", "1"):
            world.admin.publish(version, self.IMAGE, batches=["stable"])
            world.advance(1)
        assert (await self.offered(world))["version"] == "1"
        world.admin.offer("2", ["stable"])
        assert (await self.offered(world))["version"] == "2"

    @pytest.mark.parametrize("query", ["", "?current_version=", "?current_version=" + "1" * 65])
    async def test_update_check_requires_the_version(self, world: World, query: str) -> None:
        reply = await world.call("GET", "/v1/ota/check" + query)
        assert (reply.status, reply.json["error"]) == (400, "bad_request")

    async def test_firmware_download_whole_and_by_range(self, world: World) -> None:
        world.admin.publish("1.3.0+a b", self.IMAGE, batches=["stable"])
        path = "/v1/ota/download/1.3.0+a b"
        whole = await world.call("GET", path)
        assert (whole.status, whole.content_type, whole.body) == (200, "application/octet-stream", self.IMAGE)
        tag = whole.headers["ETag"]
        rest = await world.call("GET", path, headers={"Range": "bytes=1000-", "If-Range": tag})
        assert (rest.status, rest.body) == (206, self.IMAGE[1000:])
        assert rest.headers["Content-Range"] == f"bytes 1000-{len(self.IMAGE) - 1}/{len(self.IMAGE)}"
        changed = await world.call("GET", path, headers={"Range": "bytes=1000-", "If-Range": '"other"'})
        assert (changed.status, changed.body) == (200, self.IMAGE)
        beyond = await world.call("GET", path, headers={"Range": f"bytes={len(self.IMAGE)}-"})
        assert (beyond.status, beyond.json["error"]) == (416, "range_not_satisfiable")
        assert beyond.headers["Content-Range"] == f"bytes */{len(self.IMAGE)}"

    async def test_large_firmware_image(self, world: World) -> None:
        image = bytes(3_000_000)
        world.admin.publish("2", image, batches=["stable"])
        assert (await world.call("GET", "/v1/ota/download/2")).body == image

    async def test_unknown_firmware_versions_are_404(self, world: World) -> None:
        reply = await world.call("GET", "/v1/ota/download/9.9.9")
        assert (reply.status, reply.json["error"]) == (404, "not_found")

    async def test_update_history_flags_impossible_transitions(self, world: World) -> None:
        for status in ("downloading", "downloading", "downloaded", "applying"):
            reply = await world.call("POST", "/v1/ota/status", {"version": "2", "status": status})
            assert (reply.status, reply.json) == (200, {"recorded": True, "timestamp": NOON})
        failed = {"version": "2", "status": "failed", "error_message": "bad", "progress_percent": 7}
        await world.call("POST", "/v1/ota/status", failed)
        history = world.admin.ota_history(world.hub.device.device_id)
        assert [post.is_legal for post in history.posts] == [True, True, True, False, True]
        assert (history.posts_total, history.illegal_total) == (5, 1)
        last = history.posts[-1]
        assert (last.at_ms, last.progress_percent, last.error_message) == (NOON_MS, 7, "bad")

    @pytest.mark.parametrize("change", [{"status": "idle"}, {"progress_percent": 101}, {"version": ""}])
    async def test_invalid_update_status_is_refused(self, world: World, change: Any) -> None:
        reply = await world.call("POST", "/v1/ota/status", {"version": "2", "status": "downloading"} | change)
        assert reply.status == 422
        assert not world.admin.ota_history(world.hub.device.device_id).posts


class TestRegister:
    async def register(self, world: World, sensor_key: str, hub_key: str | None = None, **fields: str) -> Any:
        body = {"sensor_api_key": sensor_key} | fields
        return await world.call("POST", "/v1/zigbee/register", body, key=hub_key)

    async def test_registration_returns_the_same_id_again(self, world: World) -> None:
        sensor = world.provision("kitchen", DeviceKind.SENSOR)
        expected = {"registered": True, "sensor_id": sensor.device.device_id, "serial_number": "kitchen"}
        first = await self.register(world, sensor.api_key, ieee_address="0x00124B001CCE5A7D")
        again = await self.register(world, sensor.api_key)
        assert (first.status, first.json, again.json) == (200, expected, expected)
        bound = world.admin.devices()[1]
        assert (bound.hub_id, bound.ieee_address) == (world.hub.device.device_id, "0x00124b001cce5a7d")

    async def test_invalid_registrations_are_refused(self, world: World) -> None:
        sensor, other_hub = world.provision("kitchen", DeviceKind.SENSOR), world.provision("cellar")
        await self.register(world, sensor.api_key)
        elsewhere = await self.register(world, sensor.api_key, other_hub.api_key)
        assert (elsewhere.status, elsewhere.json["error"]) == (409, "conflict")
        not_a_hub = await self.register(world, sensor.api_key, sensor.api_key)
        assert (not_a_hub.status, not_a_hub.json["error"]) == (403, "forbidden")
        for key in ("sk_sensor_abc123", other_hub.api_key):
            unknown = await self.register(world, key)
            assert (unknown.status, unknown.json["error"]) == (404, "not_found")
        assert (await self.register(world, sensor.api_key, ieee_address="00124b001cce5a7d")).status == 422

    async def test_a_revoked_sensor_key_is_unknown(self, world: World) -> None:
        sensor = world.provision("kitchen", DeviceKind.SENSOR)
        renewed = world.admin.replace_key(sensor.device.device_id)
        assert (await self.register(world, sensor.api_key)).status == 404
        assert (await self.register(world, renewed.api_key)).status == 200


async def test_counts_belong_to_the_sending_device(world: World, reading: Make) -> None:
    sensor = world.provision("kitchen", DeviceKind.SENSOR)
    await world.call("POST", "/v1/zigbee/register", {"sensor_api_key": sensor.api_key})
    await world.send(reading(device_id=sensor.device.device_id))
    assert world.admin.tallies() == {
        world.hub.device.device_id: ReadingTally(world.hub.device.device_id, batches=1, stored=1)
    }
