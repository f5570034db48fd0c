"""Builds the APIs that are switched on, each imported late, and what they share: credentials and limits.

A hub with all of them off imports none of this but the table. Must decide nothing.
"""

import asyncio
import contextlib
import importlib
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent import __version__
from agent.apis.catalog import APIS
from agent.apis.clients import Clients
from agent.apis.face import Face
from agent.apis.rate_limit import RateLimits
from agent.config import Config
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.secret_hash import RandomBytes
from agent.foundation.worker import Worker

if TYPE_CHECKING:
    from agent.apis.homekit.service import HomeKitService
    from agent.apis.webhooks.service import WebhookService
    from agent.home.home import Home

LOAD_S_MAX = 4.0
"""How long a listener waits for the credentials to be read; after that, APIs answer that the hub is not ready."""


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """What an API may be built of.

    Attributes:
        home: What it shows and changes.
        config: In force.
        state_dir: Where its files lie.
        clients: The credential store.
        clock: The machine's clocks.
        disk: Reads and writes.
        worker: Where reading and writing block. Control and the outbox use it too: nothing of an API may be long there.
        slow_worker: Where questions to facts and simulations block.
        random_bytes: The system's random source.
        new_id: Makes ids that need not be secret.
        add_fault: Shows a problem.
        remove_fault: Takes away a problem of this text that somebody has settled.
        webhooks: Delivers events; `None` where no API with webhooks is switched on.
        homekit: Apple's Home app; `None` where it is switched off.
    """

    home: "Home"
    config: Config
    state_dir: Path
    clients: Clients
    clock: Clock
    disk: Disk
    worker: Worker
    slow_worker: Worker
    random_bytes: RandomBytes
    new_id: Callable[[], str]
    add_fault: Callable[[str], None]
    remove_fault: Callable[[str], None]
    webhooks: "WebhookService | None" = None
    homekit: "HomeKitService | None" = None


def build_faces(parts: ApiParts) -> list[Face]:
    """Return the APIs that are switched on. The package of each has `face.build_face`, which takes the parts."""
    names = [name for name in APIS if getattr(parts.config.apis, name)]
    return [importlib.import_module(f"agent.apis.{name}.face").build_face(parts) for name in names]


class ApiService:
    """The local APIs of one hub.

    Attributes:
        faces: Those that are switched on.
        clients: The credential store.
        limits: Counts requests.
        webhooks: Delivers events; `None` where no API with webhooks is switched on.
        homekit: Apple's Home app; `None` where it is switched off.
        is_ready: The credentials have been read.
    """

    def __init__(self, parts: ApiParts, limits: RateLimits) -> None:
        """Build the APIs that are switched on; nothing is read yet."""
        self.clients = parts.clients
        self.limits = limits
        self.webhooks = parts.webhooks
        self.homekit = parts.homekit
        self._slow_worker = parts.slow_worker
        self.faces = build_faces(parts)
        self.is_ready = False
        self._loaded = asyncio.Event()

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {"API clients": self._load, "API limits": self.limits.run}
        if self.webhooks:
            loops["webhooks"] = self.webhooks.run
        if self.homekit:
            loops["HomeKit"] = self.homekit.run
        for face in self.faces:
            loops |= face.loops()
        return loops

    async def _load(self) -> None:
        await self.clients.load()
        self.is_ready = True
        self._loaded.set()

    async def wait_until_ready(self) -> None:
        """Wait for the credentials right after a start, but not for a disk that does not give them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_S_MAX):
                await self._loaded.wait()

    async def close(self) -> None:
        """Write what the limits have in memory, after the loops have ended."""
        try:
            await self.limits.save()
            if self.webhooks:
                await self.webhooks.close()
        finally:
            self._slow_worker.close()


def build_service(
    config: Config,
    *,
    home: "Home",
    clock: Clock,
    disk: Disk,
    worker: Worker,
    rng: random.Random,
    random_bytes: RandomBytes,
    new_id: Callable[[], str],
    add_fault: Callable[[str], None],
    remove_fault: Callable[[str], None],
) -> ApiService:
    """Return the local APIs of one hub.

    Args:
        config: In force.
        home: As in `ApiParts`, like all but `rng`.
        clock: As above.
        disk: As above.
        worker: As above.
        rng: For the jitter of waits.
        random_bytes: As above.
        new_id: As above.
        add_fault: As above.
        remove_fault: As above.
    """
    state_dir = config.storage.state_dir
    zones = [zone.id for zone in config.climate.zones]
    limits = RateLimits(state_dir, clock=clock, disk=disk, worker=worker)
    parts = ApiParts(
        home=home,
        config=config,
        state_dir=state_dir,
        clients=Clients(state_dir, clock=clock, disk=disk, worker=worker, random_bytes=random_bytes, zones=zones),
        clock=clock,
        disk=disk,
        worker=worker,
        slow_worker=worker.beside("apis"),
        random_bytes=random_bytes,
        new_id=new_id,
        add_fault=add_fault,
        remove_fault=remove_fault,
    )
    webhooks = _build_webhooks(parts, rng) if config.apis.has_webhooks else None
    homekit = _build_homekit(parts, limits) if config.apis.homekit else None
    return ApiService(msgspec.structs.replace(parts, webhooks=webhooks, homekit=homekit), limits)


def _build_webhooks(parts: ApiParts, rng: random.Random) -> "WebhookService":
    # Imported late: the APIs without webhooks do without.
    from agent.apis.webhooks.sender import HttpSender  # noqa: PLC0415
    from agent.apis.webhooks.service import WebhookService  # noqa: PLC0415

    return WebhookService(
        parts.state_dir,
        clock=parts.clock,
        disk=parts.disk,
        worker=parts.worker,
        sender=HttpSender(user_agent=f"climahub/{__version__}"),
        rng=rng,
        new_id=parts.new_id,
        random_bytes=parts.random_bytes,
        add_fault=parts.add_fault,
    )


def _build_homekit(parts: ApiParts, limits: RateLimits) -> "HomeKitService":
    # Imported late, as webhooks.
    from agent.apis.homekit.service import HomeKitService  # noqa: PLC0415

    return HomeKitService(
        parts.state_dir,
        home=parts.home,
        limits=limits,
        clock=parts.clock,
        disk=parts.disk,
        worker=parts.worker,
        random_bytes=parts.random_bytes,
        add_fault=parts.add_fault,
    )
