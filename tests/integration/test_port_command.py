"""`climahub port` against a running hub, from the making of a code to the audit trail of it."""

import asyncio
import getpass
import json
import re
from pathlib import Path

import pytest

from agent.cli import exit_codes, root
from agent.local.routes import Role
from tests.integration.port_rig import PortRig, open_port

WRONG = {"code": "0000-0000-0000-0000"}


class Command:
    """Runs `climahub port` and returns what it prints."""

    def __init__(self, port: PortRig, capsys: pytest.CaptureFixture[str]) -> None:
        self._socket = str(port.socket)
        self._capsys = capsys

    async def __call__(self, *words: str, fails: bool = False) -> str:
        code = await asyncio.to_thread(root.run, ["port", *words, "--socket", self._socket])
        shown = self._capsys.readouterr()
        assert code == (exit_codes.FAILED if fails else exit_codes.OK), shown
        return shown.err if fails else shown.out


async def test_a_technician_makes_a_code_signs_in_and_sees_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        command = Command(port, capsys)
        assert "! make a code (sudo climahub port code): nobody can sign in yet" in await command()
        shown = await command("code")
        code = re.fullmatch(r"owner: ([0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3})\n", shown)
        assert code
        async with client.post("/v1/session", json=WRONG) as response:
            assert response.status == 401
        async with client.post("/v1/session", json={"code": code[1]}) as response:
            assert response.status == 200
        shown = await command()
        assert f"open       {port.url}" in shown
        assert "codes      owner, made 20" in shown
        assert "sessions   1: owner from 127.0.0.1" in shown
        assert code[1] not in shown
        newest_first = (await command("audit")).splitlines()
        assert [re.sub(r"^\S+  ", "", line) for line in newest_first] == [
            "session 1 (owner) from 127.0.0.1: sign_in -> 200",
            "(public) from 127.0.0.1: sign_in -> wrong_code",
            f"{getpass.getuser()} (owner) from socket: make_code /v1/codes/owner -> 200",
        ]


async def test_replacing_a_code_needs_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path) as port:
        command = Command(port, capsys)
        first = await command("code", "--role", "viewer")
        refused = await command("code", "--role", "viewer", fails=True)
        assert refused.startswith(
            "climahub: look on the provisioning sheet, or add --new for another code of the viewer"
        )
        assert first.startswith("viewer: ")
        assert await command("code", "--role", "viewer", "--new") != first


async def test_tokens_are_added_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        command = Command(port, capsys)
        assert await command("tokens", "list") == "there is no token\n"
        token = (await command("tokens", "add", "metrics", "--days", "7")).strip()
        client.headers["Authorization"] = f"Bearer {token}"
        async with client.get("/v1/status") as response:
            assert response.status == 200
        assert re.fullmatch(
            r"metrics: viewer, until \S+Z, last used \S+Z\n", listed := await command("tokens", "list")
        ), listed
        assert "choose another name" in await command("tokens", "add", "metrics", fails=True)
        assert await command("tokens", "revoke", "metrics") == "metrics is revoked\n"
        assert "there is no token" in await command("tokens", "revoke", "metrics", fails=True)
        async with client.get("/v1/status") as response:
            assert response.status == 401


async def test_sessions_are_shown_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path) as port, port.session() as client:
        command = Command(port, capsys)
        assert await command("sessions") == "nobody is signed in\n"
        code = await port.make_code(Role.SERVICE)
        for _ in range(2):
            async with client.post("/v1/session", json={"code": code}) as response:
                assert response.status == 200
            client.cookie_jar.clear()
        assert (await command("sessions")).startswith("2: service from 127.0.0.1")
        assert await command("sessions", "--end", "--id", "1") == "1 session ended\n"
        assert "there is no session" in await command("sessions", "--end", "--id", "1", fails=True)
        assert await command("sessions", "--end") == "1 session ended\n"
        assert await command("sessions", "--end") == "0 sessions ended\n"


@pytest.mark.parametrize("words", [["tokens", "list"], ["sessions"], ["audit"]])
async def test_documents_are_printed_unchanged_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    async with open_port(tmp_path) as port:
        assert isinstance(json.loads(await Command(port, capsys)(*words, "--json")), dict)


async def test_the_state_is_printed_as_two_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path) as port:
        listeners, access = (await Command(port, capsys)("--json")).splitlines()
        assert json.loads(listeners)["addresses"] == [port.url]
        assert json.loads(access)["codes"] == []
        made = json.loads(await Command(port, capsys)("code", "--json"))
        assert made["role"] == "owner"
        made = json.loads(await Command(port, capsys)("tokens", "add", "x", "--json"))
        assert made["token"].startswith("climahub_")


def test_options_that_do_not_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["port", "sessions", "--id", "1", "--socket", "/nowhere"]) == exit_codes.USAGE
    assert "add --end" in capsys.readouterr().err
    assert root.run(["port", "--json", "audit"]) == exit_codes.USAGE
    assert "put the options after audit" in capsys.readouterr().err
