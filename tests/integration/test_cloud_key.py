"""A key of the cloud given over the local API: checked, stored by root's unit, and never shown, logged or kept."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from yarl import URL

from agent.cli.setup.key_store import KeyStore
from agent.commands import factory_reset
from agent.foundation.disk import Disk
from agent.local.cloud_key import StoreAnswer
from agent.local.routes import Role
from agent.port import cloud_key
from tests.integration.conftest import KEY, Cloud, until
from tests.integration.key_rig import hub
from tests.integration.port_rig import NO_CLOUD, PortRig

OTHER_KEY = "cs_dev_" + "Z9y8" * 8
PATH = "/v1/cloud-key"


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the rig's directory for that of systemd's credentials."""
    monkeypatch.setattr(cloud_key, "CREDENTIALS_PARENT", tmp_path / "credentials")


async def give(port: PortRig, role: Role | None = Role.OWNER, **body: object) -> tuple[int, dict[str, Any]]:
    async with port.session(role) as client, client.post(URL(PATH), json=body) as response:
        text = await response.text()
        assert KEY not in text
        assert OTHER_KEY not in text
        return response.status, msgspec.json.decode(text)


async def test_owner_gives_the_hub_a_key(tmp_path: Path, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with hub(tmp_path, cloud.url) as (port, root):
        status, told = await give(port, key=f" {KEY}\n", time_zone="Europe/Berlin")
        assert (status, told["is_checked"], told["time_zone"], told["problem"]) == (200, True, "Europe/Berlin", "")
        assert told["stored"].startswith(f"in {root.etc}/api-key")
        assert root.keys.read() == KEY
        assert root.modes == [0o600]
        assert [path.name for path in root.request.parent.iterdir() if path.name.startswith("key")] == []
        async with port.session(Role.OWNER) as client, client.get("/v1/audit") as response:
            audit = await response.text()
    assert "store_cloud_key" in audit
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert kept == []
    assert KEY not in audit + caplog.text


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.SERVICE])
async def test_nobody_but_an_owner_gives_a_key(tmp_path: Path, cloud: Cloud, role: Role | None) -> None:
    async with hub(tmp_path, cloud.url) as (port, root):
        status, _ = await give(port, role, key=KEY)
        assert status == (401 if role is None else 403)
        assert (root.modes, root.keys.read()) == ([], "")


async def test_key_that_the_cloud_refuses_is_not_stored(tmp_path: Path, cloud: Cloud) -> None:
    async with hub(tmp_path, cloud.url) as (port, root):
        status, told = await give(port, key=OTHER_KEY, unchecked=True)
        assert (status, told["error"]) == (422, "key_refused")
        assert "have the cloud issue another" in told["detail"]
        assert (root.modes, root.keys.read()) == ([], "")


async def test_key_is_stored_unchecked_only_where_a_person_says_so(tmp_path: Path) -> None:
    async with hub(tmp_path, NO_CLOUD) as (port, root):
        status, told = await give(port, key=KEY)
        assert (status, told["error"]) == (503, "no_answer")
        assert "have the key stored unchecked" in told["detail"]
        assert root.modes == []
        status, told = await give(port, key=KEY, unchecked=True)
        assert (status, told["is_checked"]) == (200, False)
        assert "the key is not checked" in told["problem"]
        assert root.keys.read() == KEY


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"key": "cs_dev_short"}, 400, "found 12 characters"),
        ({"key": KEY, "time_zone": "Mars/Base"}, 400, "Mars/Base"),
    ],
    ids=["no key", "no time zone"],
)
async def test_what_cannot_be_right_is_refused_at_once(
    tmp_path: Path, cloud: Cloud, body: dict[str, Any], status: int, said: str
) -> None:
    async with hub(tmp_path, cloud.url) as (port, root):
        answered, told = await give(port, **body)
        assert (answered, said in told["detail"]) == (status, True), told
        assert root.modes == []


async def test_key_that_a_reset_has_barred_is_refused(tmp_path: Path, cloud: Cloud) -> None:
    async with hub(tmp_path, cloud.url) as (port, root):
        factory_reset.bar_key(tmp_path / "state", Disk(), OTHER_KEY)
        status, told = await give(port, key=OTHER_KEY)
        assert (status, "a factory reset has barred" in told["detail"]) == (409, True)
        assert root.modes == []


async def test_hub_that_has_its_key_in_a_file_of_an_operator_says_which(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_key, "CREDENTIALS_PARENT", Path("/run/credentials"))
    async with hub(tmp_path, cloud.url) as (port, root):
        status, told = await give(port, key=KEY)
        assert (status, f"{tmp_path}/credentials/api-key" in told["detail"]) == (409, True)
        assert root.modes == []


async def test_request_that_nobody_takes_is_removed_and_told(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_key, "TAKEN_S_MAX", 0.3)
    async with hub(tmp_path, cloud.url, has_root=False) as (port, root):
        # Of an earlier request: it is no answer to this one.
        Disk().write(root.answer, msgspec.json.encode(StoreAnswer("before", is_stored=True, text="stored")))
        status, told = await give(port, key=KEY)
        assert (status, told["error"]) == (503, "not_stored")
        assert "sudo climahub setup --key-file FILE" in told["detail"]
        assert not root.request.exists()


async def test_request_that_was_taken_and_not_answered_names_the_journal(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_key, "STORED_S_MAX", 0.3)
    async with hub(tmp_path, cloud.url, has_root=False) as (port, root):

        async def take() -> None:
            await until(root.request.exists)
            root.request.unlink()

        taking = asyncio.create_task(take())
        status, told = await give(port, key=KEY)
        await taking
        assert (status, "journalctl -u climahub-key-request" in told["detail"]) == (503, True)


async def test_refusal_of_root_reaches_the_person(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(KeyStore, "keep", fail)
    async with hub(tmp_path, cloud.url) as (port, _):
        status, told = await give(port, key=KEY)
        assert (status, "Read-only file system" in told["detail"]) == (409, True)


async def test_two_keys_at_a_time_are_not_taken(tmp_path: Path, cloud: Cloud) -> None:
    async with hub(tmp_path, cloud.url, has_root=False) as (port, root):
        first = asyncio.create_task(give(port, key=KEY))
        await until(root.request.exists)
        status, told = await give(port, key=KEY)
        assert (status, told["error"]) == (409, "conflict")
        asked = msgspec.json.decode(root.request.read_bytes())
        Disk().write(root.answer, msgspec.json.encode(StoreAnswer(asked["id"], is_stored=True, text="stored")))
        assert (await first)[0] == 200
        assert not root.request.exists()
