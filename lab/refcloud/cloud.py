"""The reference cloud as a whole: wires store, endpoints, middleware and admin, and serves them on a port.

Must never listen beyond this machine unless the caller says so: it speaks plain HTTP and takes keys.
"""

import asyncio
import ipaddress
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from agent.errors import ConfigInvalid
from agent.foundation.clock import SystemClock
from lab.refcloud.admin import Admin, random_key
from lab.refcloud.api import DeviceApi, OnReadings
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota
from lab.refcloud.faults import FaultPlan, FaultRule
from lab.refcloud.http_api import add_device_routes, admin_application
from lab.refcloud.middleware import DeviceApiMiddleware, OnRequest, QuotaCounter, QuotaUsage
from lab.refcloud.records import DeviceHealth, ReadingTally
from lab.refcloud.store import MemoryStore, SqliteStore, Store


class CloudStatistics(Struct, frozen=True):
    """Counts. Those of requests and faults begin with the process; those of readings are kept with the readings.

    Attributes:
        requests: By device id, then by endpoint: how many came and how many of them were over quota.
        readings: By the id of the sending device.
        faults: How often each fault struck since the rules were set.
    """

    is_listening: bool
    requests: Mapping[str, Mapping[str, QuotaUsage]]
    readings: Mapping[str, ReadingTally]
    faults: Mapping[str, int]


class ReferenceCloud:
    """A ClimaSense cloud in this process.

    Attributes:
        admin: Keys, settings, commands, firmware, listings.
    """

    def __init__(
        self,
        *,
        utc_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        rng: random.Random,
        new_id: Callable[[], str],
        new_key: Callable[[], str] | None = None,
        store: Store | None = None,
        quotas: Mapping[Endpoint, EndpointQuota] = QUOTAS,
        admin_token: str = "",
        is_gzip_accepted: bool = True,
        on_readings: OnReadings | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        """Wire it.

        Args:
            utc_ms: The server's clock, in UTC milliseconds.
            monotonic_s: For sliding windows and for the times of fault rules.
            rng: For faults, and for keys where `new_key` is absent.
            new_id: Gives device and command ids; on the open network they are UUIDs.
            new_key: Gives API keys. Anything that outsiders can reach wants a cryptographic source here.
            store: Absent: in memory.
            quotas: Other than the published ones only for tests that are not about quotas.
            admin_token: Bearer token of `/admin`; empty: there is no `/admin`.
            is_gzip_accepted: Whether requests may be packed; else 415.
            on_readings: Called for each accepted batch, from inside the request.
            on_request: Called for each request that arrived, when it ends.
        """
        self._store = MemoryStore() if store is None else store
        self._utc_ms = utc_ms
        self._rng = rng
        self._admin_token = admin_token
        self._is_gzip_accepted = is_gzip_accepted
        self._quotas = QuotaCounter(quotas)
        self._api = DeviceApi(self._store, on_readings=on_readings)
        self._gate = DeviceApiMiddleware(
            store=self._store,
            quotas=self._quotas,
            utc_ms=utc_ms,
            monotonic_s=monotonic_s,
            faults=FaultPlan((), rng),
            on_request=on_request,
        )
        self.admin = Admin(self._store, utc_ms=utc_ms, new_id=new_id, new_key=new_key or (lambda: random_key(rng)))

    def application(self) -> web.Application:
        """Return a new aiohttp application with `/v1`, and with `/admin` where there is a token for it."""
        application = web.Application(middlewares=[self._gate.middleware])
        add_device_routes(application.router, self._api, utc_ms=self._utc_ms, is_gzip_accepted=self._is_gzip_accepted)
        if self._admin_token:
            application.add_subapp("/admin", admin_application(self, token=self._admin_token))
        return application

    @property
    def listening(self) -> bool:
        """Whether device requests are served. While not, each is aborted at once; the admin API stays.

        Who owns the listening socket may close it as well, so that connections are refused.
        """
        return self._gate.listening

    @listening.setter
    def listening(self, is_listening: bool) -> None:
        self._gate.listening = is_listening

    @property
    def fault_rules(self) -> Sequence[FaultRule]:
        """The rules in force."""
        return self._gate.faults.rules

    def set_faults(self, rules: Sequence[FaultRule], *, seed: int | None = None) -> None:
        """Put these rules in place of all others; none: no faults. Their counts begin anew.

        Args:
            rules: In the order in which they are drawn.
            seed: Begins a random source of its own, so that the same requests meet the same faults again.
        """
        self._gate.faults = FaultPlan(rules, self._rng if seed is None else random.Random(seed))

    def health(self) -> Mapping[str, DeviceHealth]:
        """Return when each device was last seen and what is wrong with it, by its id."""
        return {
            device.device_id: DeviceHealth(
                self._gate.sightings.get(device.device_id), tuple(self.admin.problems(device.device_id))
            )
            for device in self.admin.devices()
        }

    def statistics(self) -> CloudStatistics:
        """Return what was counted."""
        requests: dict[str, dict[str, QuotaUsage]] = {}
        for device_id, endpoint, usage in self._quotas.usage():
            requests.setdefault(device_id, {})[endpoint.value] = usage
        return CloudStatistics(
            is_listening=self.listening,
            requests=requests,
            readings=self.admin.tallies(),
            faults=self._gate.faults.struck,
        )

    def close(self) -> None:
        """Give the storage back, once the application is down."""
        self._store.close()


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
        OSError: It cannot be opened or made.
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
        OSError: The port cannot be had; the message says what to do.
    """
    try:
        _check_host(host, is_remote_allowed=is_remote_allowed)
        runner = web.AppRunner(cloud.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                text = f"choose another address or port: {host}:{port} cannot be opened ({error.strerror})"
                raise OSError(error.errno, text) from error
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
        raise ConfigInvalid(f"use 127.0.0.1, or allow remote access: {host} can be reached from other machines")


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
