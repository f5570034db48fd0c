"""The servers of an integrator that receive webhooks: every end of an action arrives, at least once and in order.

Runs the hub's own delivery (the API is not served in virtual time) in front of servers that fail at random. Judges by
what arrives, over power cuts. Never helps the hub along.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping

from agent import app
from agent.apis.amps.events import offer_settled, tell_of
from agent.apis.webhooks.attempts import Result
from agent.apis.webhooks.endpoints import Endpoint, NewEndpoint
from agent.apis.webhooks.service import WebhookService
from agent.apis.webhooks.signatures import WebhookApi
from agent.errors import ClimahubError
from agent.home.actions import ActionState, HomeAction
from lab.simulation.beside_hub import BesideHub, SimulatedHub, run_together

SLOW_S_MAX = 20.0
"""How long a server may take to answer: shorter than the hub waits, long enough for a power cut in between."""
REFUSED_SHARE = 0.15
UNANSWERED_SHARE = 0.1
"""Of all attempts: the server takes the event, and its answer gets lost."""

ARRIVAL_S_MAX = 900.0
"""How long after its end the event of an action may be on its way, without any fault of the machine."""

URLS = ("https://one.example/hook", "https://two.example/hook")


class WebhookReceivers(BesideHub):
    """Two servers, and the delivery to them."""

    def __init__(self, rng: random.Random, hub: SimulatedHub) -> None:
        """Prepare; the arguments are those of the base."""
        super().__init__(rng, hub)
        self._registered_ms: dict[str, int] = {}
        self._arrived: dict[str, set[str]] = {url: set() for url in URLS}
        self._waiting: dict[str, str] = {}
        self._due: dict[tuple[str, str], float] = {}

    def forget(self) -> None:
        """The hub was reset: it knows no endpoint any more."""
        self._registered_ms.clear()
        self._waiting.clear()
        self._due.clear()

    async def _serve(self, hub: app.Hub) -> None:
        environment, home = hub.environment, hub.home.home
        service = WebhookService(
            hub.config.storage.state_dir,
            clock=environment.clock,
            disk=environment.disk,
            worker=environment.worker,
            sender=self,
            rng=self._rng,
            new_id=lambda: f"{self._rng.getrandbits(48):012x}",
            random_bytes=self._rng.randbytes,
            add_fault=lambda text: self._report("webhooks are kept", text),
        )
        tell_of(home.changes, service.offer, home.thermostats, is_sandbox=False)
        try:
            await run_together(service.run(), self._begin(hub, service))
        finally:
            await service.close()

    async def _begin(self, hub: app.Hub, service: WebhookService) -> None:
        """Register what is not, and offer what has ended before, as the API does at each start."""
        with contextlib.suppress(ClimahubError):
            await offer_settled(hub.home.home.actions, service.offer, hub.environment.clock.utc_ms, is_sandbox=False)
        while True:
            utc_ms = hub.environment.clock.utc_ms()
            for url in URLS:
                await self._register(service, url, utc_ms)
            await asyncio.sleep(60.0)

    async def _register(self, service: WebhookService, url: str, utc_ms: int | None) -> None:
        is_known = any(each.url == url for each in service.endpoints)
        if url in self._registered_ms:
            if not is_known and not service.problem:
                self._report("an endpoint that is registered is kept", url)
                self._registered_ms.pop(url)
            return
        if utc_ms is None or is_known:
            return
        with contextlib.suppress(ClimahubError):
            await service.add(NewEndpoint(url, WebhookApi.AMPS))
            self._registered_ms[url] = utc_ms

    async def send(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Result:
        """Receive an attempt, as `agent.apis.webhooks.sender.Sender`."""
        del body
        url, event_id = endpoint.url, headers["svix-id"]
        expected = self._waiting.get(url, event_id)
        if event_id != expected:
            self._report("webhooks arrive in order", f"{event_id} overtakes {expected}")
        self._waiting[url] = event_id
        await asyncio.sleep(self._rng.uniform(0.0, SLOW_S_MAX))
        if self._rng.random() < REFUSED_SHARE:
            self._counts["webhooks refused"] += 1
            return Result(500)
        self._counts["webhooks again"] += event_id in self._arrived[url]
        self._counts["webhooks"] += event_id not in self._arrived[url]
        self._arrived[url].add(event_id)
        if self._rng.random() < UNANSWERED_SHARE:
            return Result(problem="no answer")
        # The hub has the answer, or its power is cut at this moment: then it may send this one or the next.
        self._waiting.pop(url, None)
        return Result(204)

    def expect(self, action: HomeAction) -> None:
        """Expect the event of an action that has ended, as the hub has shown."""
        if action.state not in {ActionState.COMPLETED, ActionState.FAILED} or action.ended_utc_ms is None:
            return
        for url, registered_ms in self._registered_ms.items():
            if registered_ms < action.ended_utc_ms:
                self._due.setdefault((url, f"msg_{action.action_id}_{action.ended_utc_ms}"), self._now_s())

    def close(self) -> None:
        """Check at the end that everything has arrived."""
        for (url, event_id), at_s in self._due.items():
            if event_id not in self._arrived[url] and self._now_s() - at_s > ARRIVAL_S_MAX:
                self._report(
                    "the end of an action is reported", f"{event_id}, ended at {at_s:.0f} s, never came to {url}"
                )
