"""The contracts against servers that are wrong: no check of them may call that kept."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.cli import exit_codes, root
from lab.cli.api_check import CONTRACTS, SECRET_VARIABLE
from lab.conformance import server
from lab.conformance.lines import Mismatch, Outcome, Result
from lab.conformance.runner import CHANGES, check_server
from lab.conformance.server import Access

SECRET = "sk_live_secret"
FULL = Access(SECRET, client_id="acc_1", device="living", may_change=True)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def server_that_answers(answer: Answer) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def nothing_here(_: web.Request) -> web.StreamResponse:
    return web.Response(status=404, text="<html>nothing here</html>")


async def yes_to_all(_: web.Request) -> web.StreamResponse:
    return web.json_response({"success": True, "code": 0, "message": None, "data": [], "status": "ok"})


async def lists_of_nothing(_: web.Request) -> web.StreamResponse:
    return web.json_response([])


async def defect(_: web.Request) -> web.StreamResponse:
    raise RuntimeError("a defect")


async def checked(name: str, answer: Answer, access: Access = FULL) -> list[Result]:
    async with server_that_answers(answer) as url:
        return await check_server(CONTRACTS[name], url, access)


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("answer", [nothing_here, lists_of_nothing, defect], ids=lambda each: each.__name__)
async def test_a_server_that_is_none_keeps_no_line(name: str, answer: Answer) -> None:
    results = await checked(name, answer)
    assert [each.text for each in results if each.outcome is Outcome.KEPT] == []
    assert any(each.outcome is Outcome.BROKEN for each in results)


@pytest.mark.parametrize("name", CONTRACTS)
async def test_a_server_that_says_yes_to_all_is_found_out(name: str) -> None:
    results = await checked(name, yes_to_all)
    refusals = [each for each in results if "refused" in each.text]
    assert refusals
    assert [each.text for each in refusals if each.outcome is Outcome.KEPT] == []


@pytest.mark.parametrize("name", CONTRACTS)
async def test_nothing_is_changed_unless_it_is_asked_for(name: str) -> None:
    results = await checked(name, yes_to_all, Access(SECRET, client_id="acc_1", device="living"))
    told = {each.text: each for each in results}
    for line in CONTRACTS[name].lines:
        if line.is_change:
            assert told[line.text].detail == CHANGES


@pytest.mark.parametrize("name", CONTRACTS)
async def test_without_a_secret_only_what_strangers_see_is_checked(name: str) -> None:
    seen: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", "") or request.headers.get("x-api-key", ""))
        return web.Response(status=401)

    await checked(name, note, Access(""))
    assert SECRET not in " ".join(seen)
    assert 1 <= len(seen) <= 4


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_line_has_its_own_text(name: str) -> None:
    texts = [(line.place, line.text) for line in CONTRACTS[name].lines]
    assert len(set(texts)) == len(texts)
    assert len(texts) >= 15


async def test_a_server_that_has_just_started_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNAVAILABLE_S", 0.0)
    asked: list[int] = []

    async def late(_: web.Request) -> web.StreamResponse:
        asked.append(1)
        return web.Response(status=503 if len(asked) < 3 else 404)

    async with server_that_answers(late) as url, aiohttp.ClientSession() as session:
        reply = await server.Server(session, url, FULL).call("GET", "/")
    assert (reply.status, len(asked)) == (404, 3)


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWER_BYTES_MAX", 1000)

    async def much(_: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * 1001)

    async with server_that_answers(much) as url, aiohttp.ClientSession() as session:
        with pytest.raises(Mismatch, match="more than 1000 bytes"):
            await server.Server(session, url, FULL).call("GET", "/")


def test_an_address_without_a_server_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["api", "check", "http://127.0.0.1:1/amps", "--api", "amps"]) == exit_codes.UNAVAILABLE
    reported = capsys.readouterr().err
    assert "check the address http://127.0.0.1:1/amps: no connection to 127.0.0.1:1 (Connection refused)" in reported


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["api", "check", "hub.local", "--api", "amps"]) == exit_codes.USAGE
    assert "give an address such as" in capsys.readouterr().err


async def test_the_command_reads_the_secret_from_a_file_or_the_environment_and_never_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio  # noqa: PLC0415

    given: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        given.append(request.headers.get("x-api-key", ""))
        return web.json_response({"error": {"code": "X", "message": SECRET}}, status=500)

    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    async with server_that_answers(note) as url:
        for options in (["--secret-file", str(file)], []):
            given.clear()
            arguments = ["api", "check", url, "--api", "amps", *options]
            assert await asyncio.to_thread(root.run, arguments) == exit_codes.FAILED
            assert SECRET in given
            monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    assert SECRET not in capsys.readouterr().out
