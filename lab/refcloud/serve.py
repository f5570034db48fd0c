"""The reference cloud alone on a port: what stands behind `climahub cloud`.

Must never listen beyond this machine unless it was told to: it speaks plain HTTP and takes keys.
"""

import asyncio
import ipaddress
import random
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from agent.errors import ConfigInvalid
from agent.foundation.clock import SystemClock
from lab.refcloud.admin import random_key
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.store import MemoryStore
from lab.refcloud.store_sqlite import SqliteStore

SHUTDOWN_S = 1.0
"""What requests get to finish at the end: Ctrl-C has 2 s in all."""


def open_cloud(
    *, db: Path | None, admin_token: str, new_id: Callable[[], str], seed: int, is_gzip_accepted: bool = True
) -> ReferenceCloud:
    """Return a cloud on the clocks of this machine.

    Args:
        db: The file to keep everything in; `None`: nothing outlives the process.
        admin_token: Bearer token of the admin API; empty: no admin API.
        new_id: Gives device and command ids: UUIDs.
        seed: Of the faults. Keys come from the system's own randomness.
        is_gzip_accepted: Whether packed requests are served.

    Raises:
        Corrupt: The file is no store of the reference cloud.
    """
    clock = SystemClock(trust_wall_clock=True)

    def utc_ms() -> int:
        now_ms = clock.utc_ms()
        assert now_ms is not None  # noqa: S101  # a trusted wall clock always answers
        return now_ms

    secret = random.SystemRandom()
    return ReferenceCloud(
        utc_ms=utc_ms,
        monotonic_s=lambda: clock.monotonic_ms() / 1000,
        rng=random.Random(seed),
        new_id=new_id,
        new_key=lambda: random_key(secret),
        store=MemoryStore() if db is None else SqliteStore(db),
        admin_token=admin_token,
        is_gzip_accepted=is_gzip_accepted,
    )


async def serve(
    cloud: ReferenceCloud,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None],
    stop: asyncio.Event | None = None,
    is_remote_allowed: bool = False,
) -> None:
    """Serve until `stop` is set or the task is cancelled (which is what Ctrl-C does under `asyncio.run`).

    The cloud is closed at the end in any case.

    Args:
        cloud: From `open_cloud`.
        host: An address; loopback unless `is_remote_allowed`.
        port: 0: any free one.
        ready: Called with the base URL once connections are taken.
        stop: Ends the serving in an orderly way.
        is_remote_allowed: Listen on any address. The traffic is not encrypted: put a TLS proxy in front.

    Raises:
        ConfigInvalid: The host is not an address of this machine alone.
        OSError: The port cannot be had.
    """
    try:
        _check_host(host, is_remote_allowed=is_remote_allowed)
        runner = web.AppRunner(cloud.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            ready(_url(runner))
            await (stop or asyncio.Event()).wait()
        finally:
            await runner.cleanup()
    finally:
        cloud.close()


def _check_host(host: str, *, is_remote_allowed: bool) -> None:
    if is_remote_allowed or host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigInvalid(f"{host} can be reached from other machines: use 127.0.0.1, or allow remote access")


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
