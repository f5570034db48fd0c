"""The reference cloud as a whole: one object that wires store, endpoints, gate and admin, and makes the application.

Must never read a clock, draw a random number or make an id by itself: all three are given.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from msgspec import Struct

from lab.refcloud.admin import Admin, random_key
from lab.refcloud.admin_http import admin_application
from lab.refcloud.api import DeviceApi, OnReadings
from lab.refcloud.contract import QUOTAS, Endpoint, EndpointQuota
from lab.refcloud.faults import FaultPlan, FaultRule
from lab.refcloud.handlers import add_device_routes
from lab.refcloud.middleware import DeviceApiMiddleware, OnRequest
from lab.refcloud.quotas import QuotaCounter, QuotaUsage
from lab.refcloud.records import DeviceHealth, ReadingTally
from lab.refcloud.store import MemoryStore, Store


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
            on_readings: Told of each accepted batch, from inside the request.
            on_request: Told of each request that arrived, when it ends.
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
