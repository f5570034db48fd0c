"""The whole hub in virtual time: safety at every step, liveness after calm, the same again for the same seed."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from lab.simulation.crash_points import OUTAGE_HALF_HOUR, fork_at_operations, sweep
from lab.simulation.machine import Machine
from lab.simulation.options import FaultProfile, MachineFault, MachineFaultKind, Options
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict, as_text

DATA = Path(__file__).parents[1] / "data"
RECORDINGS = Path(os.environ.get("CLIMAHUB_RECORDINGS", Path(__file__).parents[3] / "shared" / "data"))
NINE_ROOMS = RECORDINGS / "house-zigbee-9rooms.csv"


def passed(verdict: Verdict) -> Verdict:
    assert not verdict.violations, as_text(verdict, f"climahub simulate --seed {verdict.seed}")
    return verdict


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("faults", ["none", "default", "harsh"])
def test_every_reading_reaches_the_cloud(faults: FaultProfile, seed: int) -> None:
    verdict = passed(simulate(Options(days=0.5, sensors=20, seed=seed, faults=faults)))
    readings = verdict.readings
    assert readings.taken > 14_000
    assert readings.accepted + readings.pending + readings.dead_letters + readings.erased == readings.taken
    assert readings.pending <= 20 * 20  # of the last twenty minutes
    assert verdict.requests.over_quota == 0


def test_the_same_seed_gives_the_same_verdict() -> None:
    first, second = (simulate(Options(days=0.25, seed=7, faults="harsh")) for _ in range(2))
    assert [comparable(first)] == [comparable(second)]
    assert comparable(first) != comparable(simulate(Options(days=0.25, seed=8, faults="harsh")))


def comparable(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, wall_s=0.0, virtual_hours_per_wall_s=0.0)


def test_full_outbox_downsamples_and_drops_with_a_record() -> None:
    week_without_network = (MachineFault(MachineFaultKind.NETWORK_CUT, at_s=600.0, lasts_s=2.5 * 86_400),)
    verdict = passed(
        simulate(
            Options(
                days=3,
                sensors=20,
                faults="none",
                machine_faults=week_without_network,
                config_text="[storage]\noutbox_bytes_max = 200000\n",
            )
        )
    )
    assert verdict.readings.thinned > 10_000
    readings = verdict.readings
    assert readings.accepted + readings.pending + readings.thinned + readings.dropped == readings.taken


@pytest.mark.parametrize("faults", ["none", "harsh"])
def test_bundled_recording_arrives_complete(faults: FaultProfile) -> None:
    options = Options(
        board="replay",
        recording=DATA / "three-rooms-1day.csv",
        map=DATA / "three-rooms-1day.toml",
        faults=faults,
        commands=(),  # a factory reset erases readings, as it should
    )
    readings = passed(simulate(options)).readings
    assert (readings.taken, readings.accepted, readings.pending, readings.judged_bad) == (670, 670, 0, 0)


@pytest.mark.slow
@pytest.mark.skipif(not NINE_ROOMS.exists(), reason="the shared recording is not here; see CLIMAHUB_RECORDINGS")
@pytest.mark.parametrize("faults", ["none", "harsh"])
def test_nine_room_recording_arrives_complete(faults: FaultProfile) -> None:
    """The first five days; `tests/bench/bench_recording.py` plays all of it."""
    options = Options(
        board="replay", recording=NINE_ROOMS, map=DATA / "house-zigbee-9rooms.toml", faults=faults, days=5, commands=()
    )
    readings = passed(simulate(options)).readings
    assert readings.accepted == readings.taken > 3_000
    assert readings.pending == readings.dead_letters == readings.judged_bad == 0


def test_fork_at_a_crash_point_equals_a_replay_up_to_it() -> None:
    forked: dict[int, Verdict] = {}
    whole = fork_at_operations(
        lambda at: simulate(OUTAGE_HALF_HOUR, at_operation=at), stride=67, on_result=forked.__setitem__
    )
    assert comparable(whole) == comparable(simulate(OUTAGE_HALF_HOUR))
    assert list(forked) == list(range(1, whole.durable_operations + 1, 67))
    for point, verdict in forked.items():
        assert comparable(verdict) == comparable(simulate(msgspec.structs.replace(OUTAGE_HALF_HOUR, stop_at=point)))


def test_an_error_in_a_fork_reaches_the_caller() -> None:
    def play(at: Callable[[Machine], bool]) -> None:
        simulate(OUTAGE_HALF_HOUR, at_operation=at)
        if os.getpid() != parent:
            raise ValueError("in the child")

    parent = os.getpid()
    with pytest.raises(ValueError, match="in the child"):
        fork_at_operations(play, stride=1000, on_result=lambda *_: None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_hub_recovers_from_a_power_cut_at_every_durable_operation() -> None:
    verdict = sweep(OUTAGE_HALF_HOUR)
    print(f"crash points: {verdict.recovered} of {verdict.points} recovered")  # noqa: T201 - the issue asks for the count
    assert verdict.violations == []
    assert verdict.recovered == verdict.points > 200
