"""Attempts against a real server on this machine: what the sender never does."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from agent.apis.webhooks import sender
from agent.apis.webhooks.attempts import Result
from agent.apis.webhooks.endpoints import Endpoint
from agent.apis.webhooks.sender import HttpSender
from agent.apis.webhooks.signatures import WebhookApi

Handler = web.Request


class Receiver:
    """A server of an integrator."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        if request.path == "/redirect":
            return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
        if request.path == "/busy":
            return web.Response(status=429, headers={"Retry-After": "120"})
        if request.path == "/silent":
            await asyncio.sleep(3600)
        if request.path == "/endless":
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await response.write(b"x" * 65536)
            return response
        return web.Response(status=int(request.path.strip("/") or 204))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    application = web.Application()
    application.router.add_route("POST", "/{tail:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = site.name
    yield made
    await runner.cleanup()


class Names(AbstractResolver):
    """Names of a test, with their addresses."""

    def __init__(self, **addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._addresses[host]
        return [ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0) for each in found]

    async def close(self) -> None:
        """Nothing to close."""


async def sent(url: str, *, is_private_allowed: bool = True, resolver: AbstractResolver | None = None) -> Result:
    endpoint = Endpoint("ep1", WebhookApi.AMPS, url, "whsec_", is_private_allowed=is_private_allowed)
    return await HttpSender(user_agent="test", resolver=resolver).send(endpoint, {"svix-id": "msg_1"}, b"{}")


async def test_what_an_endpoint_answers(receiver: Receiver) -> None:
    assert await sent(receiver.url) == Result(204)
    assert await sent(f"{receiver.url}/500") == Result(500)
    assert await sent(f"{receiver.url}/busy") == Result(429, retry_after_s=120.0)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    assert (await sent(f"{receiver.url}/redirect")).status == 302
    assert receiver.paths == ["/redirect"]


async def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    async with asyncio.timeout(20):
        assert (await sent(f"{receiver.url}/endless")).status == 200


async def test_a_silent_endpoint_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ANSWER_S_MAX", 0.2)
    assert "did not answer" in (await sent(f"{receiver.url}/silent")).problem


async def test_nobody_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = await sent(f"http://127.0.0.1:{unused.getsockname()[1]}/secret-path")
    assert "no connection" in result.problem
    assert "secret-path" not in result.problem
    assert not result.is_final


async def test_an_address_that_is_not_allowed_is_never_connected(receiver: Receiver) -> None:
    result = await sent(receiver.url, is_private_allowed=False)
    assert result.is_final
    assert receiver.paths == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["169.254.169.254", "10.0.0.1"]])
async def test_a_name_with_a_private_address_is_never_connected(receiver: Receiver, addresses: list[str]) -> None:
    url = receiver.url.replace("127.0.0.1", "rebound")
    result = await sent(url, is_private_allowed=False, resolver=Names(rebound=addresses))
    assert "not a public one" in result.problem
    assert not result.is_final
    assert receiver.paths == []


async def test_only_the_allowed_addresses_of_a_name_are_used(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "both")
    assert await sent(url, resolver=Names(both=["169.254.169.254", "127.0.0.1"])) == Result(204)
    result = await sent(url, resolver=Names(both=["93.184.216.34"]))
    assert "without TLS" in result.problem


async def test_a_certificate_that_nobody_signed_is_refused(receiver: Receiver) -> None:
    result = await sent(receiver.url.replace("http:", "https:"))
    assert result.status == 0
    assert result.problem
