"""Requests handed over as objects and requests as HTTP bytes: the same simulation, event by event."""

from collections.abc import Sequence
from itertools import product

import msgspec
import pytest

from agent import app
from agent.foundation import system_info
from hal.interface import Reading
from lab.refcloud.contract import Endpoint
from lab.refcloud.middleware import RequestOutcome
from lab.simulation import fleet, hub_lifecycle
from lab.simulation.fleet_options import FleetOptions
from lab.simulation.machine import Machine
from lab.simulation.options import APIS, PAIRING, FaultProfile, MachineFaultKind, Options
from lab.simulation.run import Simulation, simulate
from lab.simulation.virtual_loop import MemoryTransport

Event = tuple[object, ...]

SHORT = Options(days=0.1, calm_s=1800.0)
"""Two hours and a half: with harsh faults the cloud answers some thirty requests wrongly."""

REAL = ("disk", "interfaces", "memory", "temperatures", "uptime_s")

QUICK: Sequence[tuple[int, FaultProfile]] = ((2, "default"), (3, "harsh"), (14, "default"))
"""Tried in the quick tests too, so not once more in the slow ones."""

PROFILES: Sequence[FaultProfile] = ("default", "harsh")


def trace(options: Options, *, writes_bytes: bool) -> list[Event]:
    """Return what happens, in order, and the verdict.

    Each durable operation, each commit, each request with its outcome and instant, and for each process of the hub the
    bytes that it counted, headers included.
    """
    events: list[Event] = []
    on_request, on_committed = Simulation._on_request, Simulation._on_committed
    process_ended = Simulation.process_ended

    def record_request(
        self: Simulation, name: str, endpoint: Endpoint, arrived_s: float, outcome: RequestOutcome
    ) -> None:
        events.append((self._loop.time(), name, endpoint, arrived_s, outcome))
        on_request(self, name, endpoint, arrived_s, outcome)

    def record_committed(self: Simulation, readings: Sequence[Reading]) -> None:
        events.append((self._loop.time(), len(readings)))
        on_committed(self, readings)

    def record_end(self: Simulation, hub: app.Hub) -> None:
        events.extend((endpoint, msgspec.structs.astuple(usage)) for endpoint, usage in hub.client.data_usage.items())
        process_ended(self, hub)

    def record_operation(machine: Machine) -> bool:
        events.append((machine.boots, machine.operations, machine.clock.monotonic_ms()))
        return machine.operations == machine.stop_at

    with pytest.MonkeyPatch.context() as patch:
        # Of this machine and this process, also in a simulation: with a digit more, a report of diagnostics is longer.
        for name in REAL:
            patch.setattr(system_info, name, lambda *_: {})
        patch.setattr(Simulation, "_on_request", record_request)
        patch.setattr(Simulation, "_on_committed", record_committed)
        patch.setattr(Simulation, "process_ended", record_end)
        verdict = simulate(msgspec.structs.replace(options, writes_bytes=writes_bytes), at_operation=record_operation)
    return [*events, (msgspec.structs.replace(verdict, wall_s=0.0, virtual_hours_per_wall_s=0.0),)]


def check_same(options: Options) -> None:
    events = trace(options, writes_bytes=False)
    assert events == trace(options, writes_bytes=True)
    assert len(events) > 100


@pytest.mark.parametrize(("seed", "faults"), [(1, "none"), *QUICK])
def test_both_transports_give_the_same_trace(seed: int, faults: FaultProfile) -> None:
    check_same(msgspec.structs.replace(SHORT, seed=seed, faults=faults))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "faults"), [each for each in product(range(1, 21), PROFILES) if each not in QUICK])
def test_both_transports_give_the_same_trace_for_twenty_seeds(seed: int, faults: FaultProfile) -> None:
    check_same(msgspec.structs.replace(SHORT, seed=seed, faults=faults))


@pytest.mark.slow
@pytest.mark.parametrize("options", [PAIRING, APIS], ids=["pairing", "apis"])
def test_both_transports_give_the_same_trace_while_people_and_programs_act(options: Options) -> None:
    check_same(msgspec.structs.replace(options, days=0.1, calm_s=1800.0, faults="harsh"))


@pytest.mark.parametrize("stop_by", [MachineFaultKind.POWER_CUT, MachineFaultKind.PROCESS_KILLED])
def test_both_transports_recover_in_the_same_way_where_the_world_stops(stop_by: MachineFaultKind) -> None:
    for stop_at in (30, 90, 150):
        check_same(msgspec.structs.replace(SHORT, days=0.03, stop_at=stop_at, stop_by=stop_by, faults="none"))


def test_a_fleet_asks_the_same_of_its_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    options = FleetOptions(hubs=3, days=0.05, scenario="power-cut")
    _, exchanged = fleet.simulate_fleet(options)
    monkeypatch.setattr(hub_lifecycle, "exchange_requests", lambda *_: None)
    _, written = fleet.simulate_fleet(options)
    assert exchanged.seconds == written.seconds
    assert sum(exchanged.seconds.values()) > 50


def test_only_what_is_not_whole_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = MemoryTransport.write

    def record(self: MemoryTransport, data: bytes) -> None:
        written.append(bytes(data))
        write(self, data)

    monkeypatch.setattr(MemoryTransport, "write", record)
    trace(msgspec.structs.replace(SHORT, faults="none"), writes_bytes=False)
    assert not written
    trace(msgspec.structs.replace(SHORT, seed=3, faults="harsh"), writes_bytes=False)
    assert written
    assert not any(data.startswith((b"GET /v1/commands", b"POST /v1/telemetry")) for data in written)
