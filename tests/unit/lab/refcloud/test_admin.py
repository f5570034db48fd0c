"""The admin API through its own client, and the cloud alone on a port."""

import asyncio
import random
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.errors import CloudUnavailable, ConfigInvalid, Corrupt, Rejected, Unauthorized
from lab.refcloud import admin_client, contract
from lab.refcloud.admin import NewCommand, NewDevice, random_key
from lab.refcloud.admin_client import AdminClient
from lab.refcloud.cloud import ReferenceCloud, open_cloud, serve
from lab.refcloud.contract import Endpoint, Refusal
from lab.refcloud.faults import ConnectionRefused, ErrorStatus, FaultRule
from lab.refcloud.middleware import QuotaUsage
from lab.refcloud.models import Location, SettingsUpdate
from lab.refcloud.records import CommandState, DeviceKind

World = Any
Make = Callable[..., Any]
ADMIN_TOKEN = "let-me-in"
ADMIN_PATHS = ["/devices", "/firmware", "/readings", "/statistics", "/faults"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(world: World, session: aiohttp.ClientSession) -> AdminClient:
    return AdminClient(session, str(world.client.make_url("/")), ADMIN_TOKEN)


class TestAccess:
    @pytest.mark.parametrize("path", ADMIN_PATHS)
    async def test_device_key_gives_no_access_to_the_admin_api(self, world: World, path: str) -> None:
        reply = await world.call("GET", "/admin" + path)
        assert (reply.status, reply.json["error"]) == (401, "unauthorized")
        for authorization in ("", "let-me-in", "Bearer let-me-i", "Bearer let-me-in ü"):
            reply = await world.call("GET", "/admin" + path, headers={"Authorization": authorization})
            assert reply.status == 401

    async def test_without_a_token_there_is_no_admin_api(self) -> None:
        cloud = ReferenceCloud(utc_ms=int, monotonic_s=float, rng=random.Random(1), new_id=str)
        async with TestServer(cloud.application()) as server, aiohttp.ClientSession() as session:
            for path in ADMIN_PATHS:
                async with session.get(
                    server.make_url("/admin" + path), headers={"Authorization": "Bearer "}
                ) as response:
                    assert response.status == 404

    async def test_wrong_token_is_refused(self, world: World, session: aiohttp.ClientSession) -> None:
        with pytest.raises(Unauthorized, match="admin token"):
            await AdminClient(session, str(world.client.make_url("/")), "wrong").devices()

    async def test_unknown_admin_paths_are_404(self, world: World) -> None:
        reply = await world.call("GET", "/admin/nothing", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        assert (reply.status, reply.json["error"]) == (404, "not_found")


class TestDevices:
    async def test_a_key_is_shown_once(self, world: World, client: AdminClient) -> None:
        made = await client.provision(NewDevice("cellar", serial_number="sn-7", batch="canary"))
        assert re.fullmatch(r"cs_dev_[A-Za-z0-9]{32}", made.api_key)
        assert (made.device.kind, made.device.serial_number) == (DeviceKind.HUB, "sn-7")
        assert list(await client.devices()) == [world.hub.device, made.device]
        assert (await world.call("GET", "/v1/settings", key=made.api_key)).status == 200

    async def test_replaced_key_is_refused(self, world: World, client: AdminClient) -> None:
        renewed = await client.replace_key(world.hub.device.device_id)
        assert (await world.call("GET", "/v1/settings")).status == 401
        assert (await world.call("GET", "/v1/settings", key=renewed.api_key)).status == 200

    async def test_names_and_keys_are_unique(self, world: World, client: AdminClient) -> None:
        await client.provision(NewDevice("kitchen", kind=DeviceKind.SENSOR, api_key="sk_sensor_abc123"))
        with pytest.raises(Rejected, match="named 'kitchen'"):
            await client.provision(NewDevice("kitchen"))
        with pytest.raises(Rejected, match="choose another key"):
            await client.provision(NewDevice("bath", api_key="sk_sensor_abc123"))
        assert [device.name for device in world.admin.devices()] == ["attic", "kitchen"]

    async def test_unknown_device_is_404(self, client: AdminClient) -> None:
        for call in (
            client.replace_key("no/body"),
            client.settings("nobody"),
            client.queue_command("nobody", NewCommand("reboot")),
            client.commands("nobody"),
            client.ota_history("nobody"),
        ):
            with pytest.raises(Rejected, match="no such device"):
                await call

    async def test_settings_can_be_read_and_changed(self, world: World, client: AdminClient) -> None:
        hub_id = world.hub.device.device_id
        changed = await client.change_settings(hub_id, SettingsUpdate(location=Location(name="attic")))
        assert await client.settings(hub_id) == changed
        assert (await world.call("GET", "/v1/settings")).json["location"] == {"name": "attic"}
        with pytest.raises(Rejected, match="no IANA time zone"):
            await client.change_settings(hub_id, SettingsUpdate(timezone="Mars/Olympus_Mons"))

    async def test_commands_can_be_queued_and_listed(self, world: World, client: AdminClient) -> None:
        hub_id = world.hub.device.device_id
        queued = await client.queue_command(hub_id, NewCommand("dance", {"to": "jazz"}, "cmd-001", lifetime_ms=5000))
        assert queued.expires_ms == world.utc_ms + 5000
        with pytest.raises(Rejected, match="choose another id"):
            await client.queue_command(hub_id, NewCommand("dance", command_id="cmd-001"))
        assert (await world.call("GET", "/v1/commands/pending")).json["commands"][0]["payload"] == {"to": "jazz"}
        await world.call("POST", "/v1/commands/ack", {"command_id": "cmd-001", "status": "acked"})
        assert [command.state for command in await client.commands(hub_id)] == [CommandState.ACKED]


class TestFirmware:
    async def test_firmware_can_be_published_and_offered(self, world: World, client: AdminClient) -> None:
        image = bytes(1_500_000)
        release = await client.publish("1.3.0+b.4", image, batches=["a", "b"], release_notes="Ü & =")
        assert (release.size_bytes, release.batches, release.release_notes) == (1_500_000, ("a", "b"), "Ü & =")
        await client.offer(release.version, ["stable"])
        assert [kept.batches for kept in await client.releases()] == [("stable",)]
        assert (await world.call("GET", f"/v1/ota/download/{release.version}")).body == image
        await world.call("POST", "/v1/ota/status", {"version": "1.3.0", "status": "completed"})
        assert (await client.ota_history(world.hub.device.device_id)).illegal_total == 1

    async def test_invalid_firmware_is_refused(
        self, world: World, client: AdminClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await client.publish("1", b"x")
        with pytest.raises(Rejected, match="a published version never changes"):
            await client.publish("1", b"y")
        with pytest.raises(Rejected, match="the image is empty"):
            await client.publish("2", b"")
        with pytest.raises(Rejected, match="1 to 64 characters"):
            await client.publish("1" * 65, b"x")
        with pytest.raises(Rejected, match="none of them a slash"):
            await client.publish("2/3", b"x")
        with pytest.raises(Refusal, match="release notes have"):
            world.admin.publish("2", b"x", release_notes="x" * (contract.RELEASE_NOTES_CHARS_MAX + 1))
        monkeypatch.setattr(contract, "FIRMWARE_BYTES_MAX", 10)
        with pytest.raises(Rejected, match="10 bytes after decompression"):
            await client.publish("2", b"x" * 11)
        with pytest.raises(Refusal, match="at most 10 bytes"):
            world.admin.publish("2", b"x" * 11)
        with pytest.raises(Rejected, match="no such version"):
            await client.offer("9", ["stable"])


class TestListings:
    async def test_readings_come_page_by_page(
        self, world: World, client: AdminClient, reading: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admin_client, "READINGS_PAGE_MAX", 2)
        await world.send(*[reading(i, f"2026-03-29T12:00:0{i}Z") for i in range(5)])
        assert [kept.value for kept in [r async for r in client.readings()]] == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=10001", "limit=x", "limit=", "after=", "after=x", "after=a/b/c", "after=a/b/1_0"]
    )
    async def test_invalid_cursors_are_refused(self, world: World, query: str) -> None:
        reply = await world.call("GET", f"/admin/readings?{query}", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        assert (reply.status, reply.json["error"]) == (400, "bad_request")

    async def test_statistics_count_requests_and_readings(
        self, world: World, client: AdminClient, reading: Make
    ) -> None:
        await world.send(reading())
        await client.set_faults([FaultRule(ErrorStatus(503), endpoint=Endpoint.SETTINGS_GET)])
        await world.call("GET", "/v1/settings")
        hub_id = world.hub.device.device_id
        counted = await client.statistics()
        assert counted.requests == {hub_id: {"telemetry": QuotaUsage(1, 0), "settings_get": QuotaUsage(1, 0)}}
        assert (counted.readings[hub_id].stored, counted.faults) == (1, {"Status": 1})


class TestFaults:
    async def test_faults_can_be_set_and_cleared(self, world: World, client: AdminClient) -> None:
        rules = [FaultRule(ErrorStatus(503, retry_after_s=5), next_n=3), FaultRule(ConnectionRefused(), from_s=9000.0)]
        await client.set_faults(rules, seed=5)
        assert list(await client.fault_rules()) == rules == list(world.cloud.fault_rules)
        assert (await world.call("GET", "/v1/settings")).status == 503
        await client.set_faults([])
        assert (await world.call("GET", "/v1/settings")).status == 200

    async def test_server_can_stop_and_start_listening(self, world: World, client: AdminClient) -> None:
        await client.set_listening(is_listening=False)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await world.call("GET", "/v1/settings")
        assert not (await client.statistics()).is_listening
        await client.set_listening(is_listening=True)
        assert (await world.call("GET", "/v1/settings")).status == 200

    async def test_unknown_fault_is_refused(self, world: World) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        reply = await world.call("PUT", "/admin/faults", {"rules": [{"fault": {"type": "Gremlin"}}]}, headers=headers)
        assert (reply.status, reply.json["error"]) == (422, "validation_error")


class TestClient:
    @pytest.mark.parametrize(
        ("status", "body", "error", "message"),
        [
            (200, b"<html>", CloudUnavailable, "is no admin API"),
            (200, b" " * 101, CloudUnavailable, "more than 100 bytes"),
            (502, b"<html>", CloudUnavailable, "status 502"),
            (418, b"", Rejected, "status 418"),
        ],
    )
    async def test_client_reports_unexpected_responses(
        self,
        session: aiohttp.ClientSession,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        body: bytes,
        error: type[Exception],
        message: str,
    ) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, body=body)

        monkeypatch.setattr(admin_client, "ANSWER_BYTES_MAX", 100)
        application = web.Application()
        application.router.add_get("/admin/devices", answer)
        async with TestServer(application) as server:
            with pytest.raises(error, match=message):
                await AdminClient(session, str(server.make_url("")), "x").devices()

    async def test_client_reports_an_absent_server(self, session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
        with pytest.raises(CloudUnavailable, match=r"check that the cloud runs at .*: no connection to .* \(C"):
            await AdminClient(session, f"http://127.0.0.1:{unused_tcp_port}", "x").devices()


def test_keys_have_the_published_form() -> None:
    rng = random.Random(1)
    keys = {random_key(rng) for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"cs_dev_[A-Za-z0-9]{32}", key) for key in keys)


class TestServe:
    def cloud(self, db: Path | None = None) -> ReferenceCloud:
        return open_cloud(db=db, admin_token=ADMIN_TOKEN, new_id=lambda: str(uuid.uuid4()), seed=1)

    async def test_the_file_survives_a_restart(self, tmp_path: Path, session: aiohttp.ClientSession) -> None:
        key = ""
        for run in range(2):
            stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve(self.cloud(tmp_path / "cloud.db"), ready=url.set_result, stop=stop))
                client = AdminClient(session, await url, ADMIN_TOKEN)
                key = key or (await client.provision(NewDevice("attic"))).api_key
                bearer = {"Authorization": f"Bearer {key}"}
                body = {"readings": [{"sensor_type": "iaq", "value": run, "timestamp": "2026-03-29T12:00:00Z"}]}
                async with session.post(f"{await url}/v1/telemetry", json=body, headers=bearer) as response:
                    assert response.status == 200
                tally = next(iter((await client.statistics()).readings.values()))
                stop.set()
            assert (tally.stored, tally.conflicting) == (1, run)

    async def test_cancelled_server_releases_its_port(self, session: aiohttp.ClientSession) -> None:
        url = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(self.cloud(), ready=url.set_result))
        base = await url
        assert base.startswith("http://127.0.0.1:")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(CloudUnavailable):
            await AdminClient(session, base, ADMIN_TOKEN).devices()

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
    async def test_server_listens_on_loopback_by_default(self, host: str, tmp_path: Path) -> None:
        cloud = self.cloud(tmp_path / "cloud.db")
        with pytest.raises(ConfigInvalid, match="other machines"):
            await serve(cloud, host=host, ready=pytest.fail)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            cloud.admin.devices()

    @pytest.mark.parametrize(("host", "remote"), [("localhost", False), ("0.0.0.0", True)])
    async def test_host_addresses_are_classified(self, host: str, remote: bool) -> None:
        stop, urls = asyncio.Event(), list[str]()
        stop.set()
        await serve(self.cloud(), host=host, ready=urls.append, stop=stop, is_remote_allowed=remote)
        assert len(urls) == 1

    def test_file_that_is_no_store_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "cloud.db").write_text("a letter to a friend, rather long" * 100)
        with pytest.raises(Corrupt):
            self.cloud(tmp_path / "cloud.db")
