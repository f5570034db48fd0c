"""Fifty sensors join, leave, die and come back: none is lost or paired twice. And the judge of that is no yes-man."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.pairing import transitions
from agent.pairing.lifecycle import PairingState
from agent.pairing.registration import Registrar
from agent.pairing.service import SensorIdentities
from agent.pairing.store import PairingStore
from hal.sim.mesh import SimMesh
from lab.simulation.crash_points import PAIRING_HOUR, sweep
from lab.simulation.options import PAIRING, FaultProfile, MachineFault, MachineFaultKind, Options
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict, as_text

STRIDE = int(os.environ.get("CLIMAHUB_STRIDE", "40"))
"""Every so many operations only: all of them take minutes (`CLIMAHUB_STRIDE=1`, which `make soak` sets)."""

SMALL = msgspec.structs.replace(PAIRING_HOUR, seed=2)
"""Ten sensors in an hour."""


def passed(verdict: Verdict) -> Verdict:
    assert not verdict.violations, as_text(verdict, f"climahub simulate --pairing --seed {verdict.seed}")
    return verdict


def promises_broken(options: Options, *, until: str = "") -> set[str]:
    """Return the broken promises; up to the one that is looked for, if there is one."""
    verdict = simulate(options, until_broken=(until,) if until else ())
    return {violation.promise for violation in verdict.violations}


def is_broken(promise: str, options: Options) -> bool:
    return promise in promises_broken(options, until=promise)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "faults"), [(1, "none"), (19, "default"), (3, "harsh"), (12, "harsh")])
def test_fifty_sensors_join_leave_die_and_come_back(seed: int, faults: FaultProfile) -> None:
    """`make soak` does the same for the seeds 1 to 50."""
    pairing = passed(simulate(msgspec.structs.replace(PAIRING, seed=seed, faults=faults))).pairing
    assert pairing.joined >= 45
    assert pairing.registered >= pairing.relayed >= 40  # some die before they were heard
    assert (pairing.paired_twice, pairing.lost) == (0, 0)


def test_the_same_seed_gives_the_same_verdict() -> None:
    first, second = (simulate(SMALL) for _ in range(2))
    assert comparable(first) == comparable(second)
    assert first.pairing.relayed >= 9


def comparable(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, wall_s=0.0, virtual_hours_per_wall_s=0.0)


def test_sensors_without_pairing_are_known_from_the_start() -> None:
    pairing = passed(simulate(Options(days=0.05, sensors=21, faults="none"))).pairing
    assert (pairing.joined, pairing.registered, pairing.relayed) == (4, 4, 4)


@pytest.mark.slow
def test_no_sensor_is_paired_twice_or_lost_at_every_crash_point() -> None:
    tried, failed = 0, []
    for kind in (MachineFaultKind.POWER_CUT, MachineFaultKind.PROCESS_KILLED):
        verdict = sweep(msgspec.structs.replace(SMALL, stop_by=kind), stride=STRIDE)
        tried += verdict.points
        failed += [f"{kind}: {violation}" for violation in verdict.violations]
    print(f"crash points of pairing: {tried - len(failed)} of {tried} recovered")  # noqa: T201 - the issue asks for the count
    assert not failed, failed[0]
    assert tried > 300 // STRIDE


# Planted bugs.


def test_without_a_planted_bug_the_scenario_passes() -> None:
    passed(simulate(SMALL))


def test_relaying_a_removed_sensor_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SensorIdentities, "is_relayed", lambda *_: True)
    monkeypatch.setattr(SimMesh, "forget", lambda *_: None)
    assert is_broken("removing stops relaying", msgspec.structs.replace(SMALL, seed=3))


def test_undeleted_key_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = transitions.register

    def keep(state: PairingState, device: str, **named: str) -> PairingState:
        key = state.sensors[device].key
        done = registered(state, device, **named)
        return transitions.with_records(done, msgspec.structs.replace(done.sensors[device], key=key))

    monkeypatch.setattr(transitions, "register", keep)
    assert is_broken("keys are erased", SMALL)


def test_a_sensor_that_is_forgotten_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    is_due = Registrar._is_due

    def all_but_some(self: Registrar, record: Any) -> bool:  # noqa: ANN401 (a record)
        return is_due(self, record) and not record.device.endswith(("0", "1", "2", "3"))

    monkeypatch.setattr(Registrar, "_is_due", all_but_some)
    assert is_broken("no sensor lost", SMALL)


def test_unsaved_pairing_state_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut nobody knows what was removed, nor whose place the replacement took."""

    async def forget(self: PairingStore, change: Callable[[PairingState], PairingState]) -> PairingState:
        self._set(change(self.value))
        return self.value

    monkeypatch.setattr(PairingStore, "commit", forget)
    monkeypatch.setattr(PairingStore, "apply", forget)
    cut = (MachineFault(MachineFaultKind.POWER_CUT, at_s=3500.0, lasts_s=30.0),)
    monkeypatch.setattr("lab.simulation.pairing_workload.PairingWorkload._round", _no_round)
    assert promises_broken(msgspec.structs.replace(SMALL, machine_faults=cut))


async def _no_round(self: object) -> None:
    """The technician has gone home."""
