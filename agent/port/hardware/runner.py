"""Hardware tests as a service: one test at a time, its lease, and its demand on the climate control.

Owns `commissioning.json`, the report of the last walk. Must never drive an output itself, and must never keep a test
alive that nobody renews: the climate control ends each demand by itself, also where this loop hangs.
"""

import asyncio
import hmac
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.climate.output_test import OutputTest
from agent.climate.settings import ZONES_MAX
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.phrase import parts, plain
from agent.foundation.signals import Signal
from agent.foundation.text import quote
from agent.foundation.worker import Worker
from agent.local.hardware import (
    CommissioningReport,
    CommissioningRequest,
    OutputReport,
    RelayTestReport,
    RelayTestRequest,
    RiseReport,
    TestReference,
    TestsReport,
    TurnReport,
)
from agent.local.routes import RequestRefused
from agent.port.hardware import commissioning, output_test
from agent.port.hardware.commissioning import PlannedZone, Walk, WalkPhase
from agent.port.hardware.output_test import OVERRIDE_WORD, Observation, RelayTest, TestPhase
from hal.interface import HvacAction

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

FILE_NAME = "commissioning.json"
FILE_BYTES_MAX = 64 * 1024
"""Eight zones with long names take 8 KiB."""

TICK_S = 1.0
"""How often a running test is advanced."""

TEMPERATURE_AGE_S_MAX = 1800.0
"""An older value says nothing about a room that is heated now."""

NO_DECISION = "restart the agent: its climate control has decided nothing for a minute"

CYCLES_MAX = 2.0
"""A zone is heated for at most this many cycles of its controller: 30 min with radiators, 2 h with a heated floor."""


class HardwareTestService:
    """The tests of one hub."""

    def __init__(
        self,
        directory: Path,
        *,
        climate: "ClimateService",
        clock: Clock,
        port_clock: Clock,
        disk: Disk,
        worker: Worker,
        new_id: Callable[[], str],
        new_lease: Callable[[], str],
        can_scan: bool,
    ) -> None:
        """Prepare; the report of the last walk is read beside the tests.

        Args:
            directory: Of `commissioning.json`.
            climate: Drives the outputs.
            clock: Of the house: what the commissioning walk and the climate control go by.
            port_clock: Of the people who watch: for leases and relay tests.
            disk: Reads and writes the report.
            worker: Runs what blocks.
            new_id: Returns an id for a test.
            new_lease: Returns what only the one who begins a test gets to know.
            can_scan: The radio can measure the energy of its channels.
        """
        self._climate = climate
        self._clock = clock
        self._port_clock = port_clock
        self._new_id = new_id
        self._new_lease = new_lease
        self._lease = ""
        self._can_scan = can_scan
        self._store = JsonStore(
            directory / FILE_NAME,
            CommissioningReport(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the report of the last commissioning walk is gone",
        )
        self._test: RelayTest | None = None
        self._walk: Walk | None = None
        self._began: str | None = None
        self._changed = Signal()
        self._walk_ended = Signal()

    async def run(self) -> None:
        """Advance the running test; sleep without one. However this ends, no test goes on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._test_loop())
                # A disk that hangs must not hold up a test, nor its end.
                group.create_task(self._report_loop())
        finally:
            self._climate.set_test(None)
            self._test = self._walk = None

    async def _test_loop(self) -> None:
        while True:
            if self._walk is not None and self._walk.phase is WalkPhase.DONE:
                self._walk_ended.set()
            if self._is_busy:
                self._tick()
                await self._changed.wait(TICK_S)
            else:
                await self._changed.wait()

    async def _report_loop(self) -> None:
        """Read the last report, then keep that of each walk that ends."""
        await self._store.load_patiently()
        while True:
            await self._keep_report()
            await self._walk_ended.wait()

    @property
    def _is_busy(self) -> bool:
        is_testing = self._test is not None and self._test.phase is not TestPhase.DONE
        return is_testing or (self._walk is not None and self._walk.phase is not WalkPhase.DONE)

    def _tick(self) -> None:
        climate, people_ms = self._climate, self._port_clock.monotonic_ms()
        if self._test is not None and self._test.phase is not TestPhase.DONE:
            self._test = output_test.advance(
                self._test, self._observe(climate, self._test.output, self._test.action), people_ms
            )
            self._demand(output_test.demand(self._test, people_ms))
        elif self._walk is not None and (zone := self._walk.zone) is not None:
            seen = self._observe(climate, zone.zone_id, HvacAction.HEAT)
            walk = commissioning.expire(self._walk, people_ms)
            self._walk = commissioning.advance(walk, self._values_c(climate), seen, self._clock.monotonic_ms())
            self._demand(commissioning.demand(self._walk))

    def _demand(self, test: OutputTest | None) -> None:
        """Pass a demand on to the climate control, which ends it by its own clock, also where this loop hangs."""
        if test is not None and self._port_clock is not self._clock:
            # The two clocks cannot be compared. Each tick renews the demand while the people's lease lasts.
            test = msgspec.structs.replace(test, until_ms=output_test.lease_end_ms(self._clock.monotonic_ms()))
        self._climate.set_test(test)

    @staticmethod
    def _observe(climate: "ClimateService", zone_id: str, action: HvacAction) -> Observation:
        last = climate.control.last
        if last is None:
            return Observation(is_on=False, reason="nothing has been decided yet")
        number = list(climate.control.zones).index(zone_id)
        problem = NO_DECISION if climate.is_hung else climate.output_problem
        return Observation(last.demand.zones.get(zone_id) is action, last.reasons[number], problem)

    def _values_c(self, climate: "ClimateService") -> dict[str, float]:
        oldest_ms = self._clock.monotonic_ms() - TEMPERATURE_AGE_S_MAX * 1000
        return {name: found.value_c for name, found in climate.readings().items() if found.at_ms >= oldest_ms}

    async def _keep_report(self) -> None:
        """Write the report of a walk that has just ended."""
        walk = self._walk
        if walk is None or walk.phase is not WalkPhase.DONE:
            return
        report = self._report_walk(walk)
        self._walk = None
        await self._store.apply(lambda _: report)

    # What people ask.

    def test_relay(self, output: str, request: RelayTestRequest) -> TestsReport:
        """Begin to test an output.

        Raises:
            RequestRefused: It cannot be tested, or not now; the message says why.
        """
        climate = self._require_free()
        zone = climate.control.zones.get(output)
        if zone is None:
            known = ", ".join(climate.control.zones)
            raise RequestRefused(
                HTTPStatus.NOT_FOUND, "not_found", f"there is no output {quote(output)}; there is {known}"
            )
        can = {HvacAction.HEAT: zone.settings.can_heat, HvacAction.COOL: zone.settings.can_cool}
        if not can.get(request.action, False):
            text = f"choose another action: {output} cannot be tested with {request.action.value}"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        if request.override not in {"", OVERRIDE_WORD}:
            text = f'give "{OVERRIDE_WORD}" to test without the minimum times, or leave it out'
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        if not output_test.DURATION_S_MIN <= request.duration_s <= output_test.DURATION_S_MAX:
            text = f"choose {output_test.DURATION_S_MIN:g} to {output_test.DURATION_S_MAX:g} s"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        self._test = output_test.begin(
            self._new_id(),
            output,
            request.action,
            self._port_clock.monotonic_ms(),
            duration_s=request.duration_s,
            is_overridden=bool(request.override),
        )
        return self._begun()

    def begin_commissioning(self, request: CommissioningRequest) -> TestsReport:
        """Begin a walk.

        Raises:
            RequestRefused: There is nothing to walk through, or not now; the message says why.
        """
        climate = self._require_free()
        zones = climate.control.zones
        if unknown := [name for name in request.zones if name not in zones]:
            text = f"there is no zone {', '.join(map(quote, unknown[:ZONES_MAX]))}; there is {', '.join(zones)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        # Every zone is part of the plan, so that all the others rest and their sensors are compared.
        wanted = request.zones or list(zones)
        ordered = [*dict.fromkeys(wanted), *(name for name in zones if name not in wanted)]
        plan = [
            PlannedZone(
                name,
                tuple(sensor for sensor, _ in zones[name].settings.sensors),
                can_heat=zones[name].settings.can_heat,
                heat_s_max=CYCLES_MAX * zones[name].settings.law.response_s,
            )
            for name in ordered
        ]
        walk = commissioning.begin(self._new_id(), plan, self._clock.monotonic_ms(), turns=len(set(wanted)))
        self._walk = commissioning.renew(walk, self._port_clock.monotonic_ms())
        self._began = rfc3339.render_known(self._clock.utc_ms())
        return self._begun()

    def _begun(self) -> TestsReport:
        self._lease = self._new_lease()
        self._changed.set()
        return msgspec.structs.replace(self.report(), lease=self._lease)

    def renew(self, reference: TestReference) -> TestsReport:
        """Renew the lease of the running test, for the one who has begun it: others who watch must not keep it on.

        Raises:
            RequestRefused: It has ended, or is another one, or somebody else has begun it.
        """
        now_ms = self._port_clock.monotonic_ms()
        is_test = self._test is not None and self._test.test_id == reference.test_id
        is_walk = self._walk is not None and self._walk.test_id == reference.test_id
        if not self._is_busy or not (is_test or is_walk):
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", "begin a new test: this one has ended")
        if not hmac.compare_digest(reference.lease.encode(), self._lease.encode()):
            text = "stop this test or let it end: only who has begun it can keep it on"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)
        if self._test is not None and is_test:
            self._test = output_test.renew(self._test, now_ms)
        elif self._walk is not None:
            self._walk = commissioning.renew(self._walk, now_ms)
        return self.report()

    def stop(self) -> TestsReport:
        """End the running test; without one, do nothing."""
        if self._test is not None:
            self._test = output_test.stop(self._test, self._port_clock.monotonic_ms())
        if self._walk is not None:
            self._walk = commissioning.stop(self._walk)
            self._climate.set_test(None)
        self._changed.set()
        return self.report()

    def _require_free(self) -> "ClimateService":
        if self._is_busy:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", "stop the running test first: there is one at a time")
        return self._climate

    def report(self) -> TestsReport:
        """Return the document."""
        return TestsReport(
            self._outputs(),
            None if self._test is None else self._report_test(self._test),
            self.commissioning(),
            can_scan=self._can_scan,
        )

    def commissioning(self) -> CommissioningReport | None:
        """Return the report of the running or last walk; `None` before the first."""
        if self._walk is not None:
            return self._report_walk(self._walk)
        return self._store.value if self._store.value.zones else None

    def _outputs(self) -> list[OutputReport]:
        climate = self._climate
        last = climate.control.last
        return [
            OutputReport(
                zone_id,
                zone.settings.can_heat,
                zone.settings.can_cool,
                last.demand.zones[zone_id].value if last else HvacAction.OFF.value,
                last.reasons[number] if last else "",
                climate.wait_to_start_s(zone_id),
            )
            for number, (zone_id, zone) in enumerate(climate.control.zones.items())
        ]

    def _report_test(self, test: RelayTest) -> RelayTestReport:
        return RelayTestReport(
            test.test_id,
            test.output,
            test.action.value,
            test.duration_s,
            test.is_overridden,
            test.phase.value,
            (self._port_clock.monotonic_ms() - test.phase_ms) // 1000,
            test.outcome.value,
            test.text,
            round(test.on_s, 1),
        )

    def _report_walk(self, walk: Walk) -> CommissioningReport:
        zone_of = {name: zone.zone_id for zone in walk.plan for name in zone.sensors}
        values_c = self._values_c(self._climate)
        sentences = commissioning.sentences(walk.findings)
        return CommissioningReport(
            walk.test_id,
            self._began,
            walk.phase.value,
            walk.zone.zone_id if walk.zone else "",
            (self._clock.monotonic_ms() - walk.phase_ms) // 1000,
            tuple(zone.zone_id for zone in walk.plan),
            walk.text,
            tuple(TurnReport(**msgspec.structs.asdict(found)) for found in walk.findings),
            tuple(map(plain, sentences)),
            tuple(
                RiseReport(name, zone_of[name], values_c[name], round(rise.rise_k, 2))
                for name, rise in sorted(walk.rises.items())
                if name in values_c and name in zone_of
            ),
            parts(sentences),
        )
