"""The whole API of a real hub under schemathesis: generated requests by its own OpenAPI document, right and wrong ones.

A hub runs on a loop of its own; requests come over TCP with a token. Whatever is asked, the hub answers as described,
never with a defect, and its loops go on in time.
"""

import asyncio
import contextlib
import copy
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent.local.routes import Role
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port, radio_board

TICK_S = 0.01
ANSWER_S_MAX = 30.0
SLOW = {"POST /v1/update/check": 20, "GET /v1/support-bundle": 20}
"""Operations of which fewer are tried: they wait for a cloud that does not answer, or make all checks."""
STRANGE = ("nobody", "\u00e4 %2F..", "x" * 300)
"""Names that nothing has."""
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


class Defects(logging.Handler):
    """Keeps what the supervisor has caught: a loop that was started again, a request that failed by a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}" if record.exc_info else record.getMessage())


class FuzzedHub:
    """A hub on a loop in a thread of its own: schemathesis is synchronous.

    Attributes:
        late_s_max: By how much the hub's loop was late at most.
        document: The hub's OpenAPI document.
    """

    def __init__(self, directory: Path) -> None:
        self.late_s_max = 0.0
        self._defects = Defects()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = contextlib.AsyncExitStack()
        try:
            self._port: PortRig = self._run(self._start(directory))
        except BaseException:
            self._end_loop()
            raise
        self._ticking: Future[None] = asyncio.run_coroutine_threadsafe(self._tick(), self._loop)
        self.document: dict[str, Any] = self.ask("GET", "/v1/openapi.json", Role.VIEWER).json()

    def _run(self, work: Any) -> Any:  # noqa: ANN401 (whatever a coroutine returns)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self, directory: Path) -> PortRig:
        logging.getLogger("agent.foundation.supervisor").addHandler(self._defects)
        port = await self._stack.enter_async_context(open_port(directory, make_board=radio_board, is_editable=True))
        for role in (Role.VIEWER, Role.SERVICE, Role.OWNER):
            async with port.session(role):
                pass
        await until(lambda: port.hub.status().sensors)
        await until(lambda: port.hub.pairing.queries.state.sensors)
        return port

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self.late_s_max = max(self.late_s_max, loop.time() - due_s)

    def headers(self, role: Role) -> Mapping[str, str]:
        """Return the headers that sign in with a role."""
        return {"Authorization": f"Bearer test-{role.value}"}

    @property
    def url(self) -> str:
        """Where the hub listens."""
        return self._port.url

    def ask(self, method: str, path: str, role: Role) -> requests.Response:
        """Send one request."""
        return requests.request(method, self.url + path, headers=dict(self.headers(role)), timeout=ANSWER_S_MAX)

    def take_problems(self) -> list[str]:
        """Return what has gone wrong in the hub since the last call."""
        climate = self._port.hub.climate
        found, self._defects.found = self._defects.found, []
        if climate is None or climate.is_hung:
            found.append("control decides nothing")
        return found

    def names(self) -> Mapping[str, Sequence[str]]:
        """Return names that exist in this hub, by the path parameter that takes them."""
        hub = self._port.hub
        return {
            "zone": ["living", "all"],
            "sensor": [*hub.pairing.queries.state.sensors, *(each.name for each in hub.pairing.queries.sensors)][:6],
            "output": ["living", "kitchen"],
            "file": ["index.html", "main.js", "en.json", "preact.js"],
            "role": [role.value for role in Role],
            "token": ["script"],
            "number": ["1", "0"],
        }

    def programs(self) -> bytes:
        """Return what people have set in each zone."""
        climate = self._port.hub.climate
        assert climate is not None
        return msgspec.json.encode({name: zone.program for name, zone in climate.control.zones.items()})

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def close(self) -> None:
        """Stop the hub."""
        self._ticking.cancel()
        self._run(self._stack.aclose())
        self._end_loop()
        logging.getLogger("agent.foundation.supervisor").removeHandler(self._defects)


@contextlib.contextmanager
def fuzzed_hub(directory: Path) -> Iterator[FuzzedHub]:
    """Run a hub until the block ends."""
    hub = FuzzedHub(directory)
    try:
        yield hub
    finally:
        hub.close()


def operations(hub: FuzzedHub) -> Mapping[str, Any]:
    """Return the operations of a hub by name. A stream has no end and is left out."""
    schema = schemathesis.openapi.from_dict(aimed(hub.document, hub.names()))
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {each.label: each for each in found if "text/event-stream" not in str(each.definition.raw)}


def aimed(document: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a document whose path parameters are mostly real names: a request for nothing says little of a handler."""
    aimed = copy.deepcopy(dict(document))
    for operation in [each for methods in aimed["paths"].values() for each in methods.values()]:
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and (real := names.get(parameter["name"])):
                parameter["schema"] = {"enum": [*real, *STRANGE]}
    return aimed


def fuzz(hub: FuzzedHub, operation: Any, *, examples: int, first_seed: int, role: Role = Role.OWNER) -> int:  # noqa: ANN401 (schemathesis is generic)
    """Send generated requests for one operation, right and wrong ones.

    Args:
        hub: Answers.
        operation: Of `operations`.
        examples: How many at most; less where there are not so many different ones.
        first_seed: Of the generator.
        role: Who asks.

    Returns:
        How many were sent.

    Raises:
        AssertionError: An answer is a defect, or the hub has a problem. schemathesis' own where it is not as described.
    """
    count = 0
    examples = max(1, examples // SLOW.get(operation.label, 1))
    strategies = [operation.as_strategy(GenerationMode.POSITIVE)]
    if operation.body or any(True for _ in operation.iter_parameters()):
        strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))

    with requests.Session() as session:

        @seed(first_seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(st.one_of(strategies))
        def ask(case: Any) -> None:  # noqa: ANN401
            nonlocal count
            count += 1
            case.headers = {**(case.headers or {}), **hub.headers(role)}
            response = case.call(base_url=hub.url, session=session, timeout=ANSWER_S_MAX)
            assert response.status_code != 500, response.text
            assert b'"error":"sign_in"' not in response.content, response.text
            case.validate_response(response, checks=CHECKS)

        ask()
    assert hub.take_problems() == []
    return count
