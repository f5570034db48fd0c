"""A person who tests outputs at random times, and often walks away: each test has to end with the session.

Acts through the services that the API calls, and judges by the documents that people see. Never helps the hub along.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from agent import app
from agent.errors import ClimahubError
from agent.local.hardware import CommissioningRequest, RelayTestRequest, TestReference
from agent.port.hardware.output_test import LEASE_S
from agent.port.hardware.runner import HardwareTestService
from hal.interface import HvacAction
from lab.simulation.observers import Violate

DAY_S = 86_400.0
RENEW_S = 5.0
LATE_S_MAX = 15.0
"""How much later than its lease a test may end: its loop ticks once a second, outputs may take 5 s."""

WALK_SHARE = 0.2
"""Of all tests: commissioning walks."""
SESSION_S_MAX = 900.0


class Technician:
    """Begins tests, renews them for a while, then stops them or walks away.

    Attributes:
        counts: How often each thing was done.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        hub: Callable[[], app.Hub | None],
        now_s: Callable[[], float],
        violate: Violate,
        tests_per_day: float,
    ) -> None:
        """Prepare.

        Args:
            rng: Decides everything.
            hub: Returns the hub whose process runs; `None` between two.
            now_s: Virtual time.
            violate: Receives each broken promise: seconds, promise, detail.
            tests_per_day: On average.
        """
        self._rng = rng
        self._hub = hub
        self._now_s = now_s
        self._violate = violate
        self._mean_s = DAY_S / tests_per_day
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Come and go until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._mean_s))
            hub = self._hub()
            if hub is not None and hub.hardware_tests is not None and hub.climate is not None:
                await self._visit(hub, hub.hardware_tests)

    async def _visit(self, hub: app.Hub, tests: HardwareTestService) -> None:
        try:
            begun = self._begin(hub, tests)
        except ClimahubError:
            self.counts["refused tests"] += 1
            return
        self.counts["hardware tests"] += 1
        leaves_s = self._now_s() + self._rng.uniform(0, SESSION_S_MAX)
        while self._now_s() < leaves_s and self._hub() is hub:
            await asyncio.sleep(RENEW_S)
            try:
                tests.renew(begun)
            except ClimahubError:
                return
        if self._rng.random() < 0.3:  # noqa: PLR2004 - some say goodbye
            tests.stop()
            return
        self.counts["lost test sessions"] += 1
        await asyncio.sleep(LEASE_S + LATE_S_MAX)
        if self._hub() is hub and self._goes_on(tests, begun.test_id):
            self._violate(self._now_s(), "a hardware test ends with its session", f"test {begun.test_id} goes on")

    def _begin(self, hub: app.Hub, tests: HardwareTestService) -> TestReference:
        """Begin a test; return it with the lease by which whoever began it keeps it on."""
        if self._rng.random() < WALK_SHARE:
            report = tests.begin_commissioning(CommissioningRequest())
            return TestReference(report.commissioning.test_id if report.commissioning else "", report.lease)
        zones = list(hub.climate.control.zones) if hub.climate else []
        action = self._rng.choice((HvacAction.HEAT, HvacAction.HEAT, HvacAction.COOL))
        request = RelayTestRequest(action, self._rng.uniform(5, 600))
        report = tests.test_relay(self._rng.choice(zones), request)
        return TestReference(report.test.test_id if report.test else "", report.lease)

    @staticmethod
    def _goes_on(tests: HardwareTestService, test_id: str) -> bool:
        report = tests.report()
        if report.test is not None and report.test.test_id == test_id:
            return report.test.phase in {"waiting", "on"}
        walk = report.commissioning
        return walk is not None and walk.test_id == test_id and walk.phase != "done"
