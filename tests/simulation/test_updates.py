"""What the room of updates promises, shown on the simulated machine in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from agent.errors import BundleUntrusted, Rejected
from agent.ota import launcher
from agent.ota.lifecycle import UNCOUNTED_STARTS_MAX, UpdateState
from agent.ota.manifest import CHUNK_BYTES
from agent.ota.service import UpdateService
from lab.refcloud import faults
from lab.refcloud.contract import Endpoint
from lab.simulation.options import Options
from lab.simulation.rollout import STRANGERS_KEY, SimulatedRelease, make_release
from lab.simulation.run import simulate
from lab.simulation.verdict import as_text

from .update_bench import GOOD, NEXT, Bench, bench, closed, downloads, in_pieces, live, reported

HOUR_S = 3600.0


def test_two_releases_one_after_the_other_take_turns_in_the_slots() -> None:
    with bench() as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        made.publish(NEXT)
        made.is_done = False
        live(
            made, lambda service: service.context.running.version == "3.0.0" and closed(UpdateState.COMPLETED)(service)
        )
        account = launcher.load(made.machine.state_dir)
        assert (account.good, account.floor, made.version_in(account.good)) == ("b", 3, "3.0.0")


def test_interrupted_download_resumes() -> None:
    with bench() as made:
        half = len(GOOD.data) // 2
        made.cloud.set_faults(
            [faults.FaultRule(faults.CutAfter(body_bytes=half), endpoint=Endpoint.OTA_DOWNLOAD, next_n=1)], seed=1
        )
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        assert len(downloads(made)) == 2
        assert reported(made)[-1] == "completed"


@pytest.mark.parametrize(
    ("fault", "config", "said", "chunks_kept"),
    [
        (faults.SlowDrip(65_536, 1.0), {"rate_bytes_s_min": 70_000}, "less than 70000; it continues later", 4),
        (faults.SlowDrip(32_768, 1.0), {"download_deadline_s": 100.0}, "the download took longer than 100 s", 3),
        (faults.SlowDrip(2_500_000, 45.0), {}, "no answer within 30 s", 4),
    ],
    ids=["below the minimum rate", "above it and past the deadline", "silent"],
)
def test_deliberately_slow_server_is_dropped_and_verified_parts_kept(
    caplog: pytest.LogCaptureFixture,
    fault: faults.SlowDrip,
    config: dict[str, object],
    said: str,
    chunks_kept: int,
) -> None:
    caplog.set_level("INFO")
    release = make_release("2.0.0", 2, chunks=6)
    with bench() as made:
        made.config = config
        made.trees["2.0.0"] = release.tree_files
        # The second request is under way when the room is looked at. A silent server has sent more by then.
        made.cloud.set_faults([faults.FaultRule(fault, endpoint=Endpoint.OTA_DOWNLOAD, next_n=2)], seed=1)
        made.publish(release)
        live(made, lambda _: said in caplog.text)
        kept = (made.machine.state_dir / "update.part").read_bytes()
        assert len(kept) // CHUNK_BYTES == chunks_kept
        assert release.data.startswith(kept)
        assert not (made.machine.state_dir / "slots").exists()
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert made.version_in(launcher.load(made.machine.state_dir).good) == "2.0.0"


def test_at_most_five_downloads_an_hour() -> None:
    with bench() as made:
        rules = [
            faults.FaultRule(faults.CutAfter(body_bytes=1000), endpoint=Endpoint.OTA_DOWNLOAD, to_s=5 * HOUR_S),
        ]
        made.cloud.set_faults(rules, seed=1)
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        times = downloads(made)
        assert len(times) > 10
        assert all(later - earlier >= HOUR_S for earlier, later in zip(times, times[5:], strict=False))


@pytest.mark.parametrize(
    ("release", "why", "requests"),
    [
        (make_release("2.0.0", 2, private_key=STRANGERS_KEY), "does not trust", 1),
        (make_release("2.0.0", 2, machine="other"), "needs other", 1),
        (make_release("2.0.0", 2, model="kettle"), "is for kettle", 1),
        # Once, it may have been the line.
        (SimulatedRelease("2.0.0", 2, b"no bundle at all" * 1000, {}), "no climahub bundle", 2),
        (SimulatedRelease("2.0.1", 2, GOOD.data, {}), "was sent instead of", 1),
        (SimulatedRelease("2.0.0", 2, GOOD.data[:-1] + b"x", {}), "damaged", 2),
    ],
    ids=["stranger", "machine", "model", "no bundle", "other version", "damaged"],
)
def test_bad_bundle_is_refused_once_and_changes_no_slot(release: SimulatedRelease, why: str, requests: int) -> None:
    with bench() as made:
        made.publish(release)
        live(made, closed(UpdateState.FAILED))
        made.is_done = False
        live(made, lambda service: made.loop.time() > 10 * HOUR_S)
        assert not (made.machine.state_dir / "slots").exists()
        assert not (made.machine.state_dir / "update.part").exists()
        assert not (made.machine.state_dir / "update.bundle").exists()
        last = made.cloud.admin.ota_history(made.device_id).posts[-1]
        assert last.status == "failed"
        assert why in last.error_message
        assert len(downloads(made)) == requests
        assert set(made.boots) == {"1.0.0"}


def test_a_failed_release_is_tried_again_with_a_higher_sequence_only() -> None:
    with bench(sick=("2.0.0",)) as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.FAILED))
        made.is_done, made.sick = False, set()
        again = make_release("2.0.0", 3)
        made.trees["2.0.0"] = again.tree_files
        made.cloud.admin.publish("2.0.0-again", make_release("2.0.0-again", 3).data, batches=["stable"])
        made.trees["2.0.0-again"] = make_release("2.0.0-again", 3).tree_files
        live(made, closed(UpdateState.COMPLETED))
        assert made.boots[-1] == "2.0.0-again"


def test_losing_only_the_cloud_never_rolls_back() -> None:
    with bench() as made:
        made.publish(GOOD)

        def cut_in_the_trial(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL and made.connector is not None:
                made.connector.cut()
                made.connector.is_cut = True
            return service.store.record.state is UpdateState.COMPLETED

        live(made, cut_in_the_trial)
        assert launcher.load(made.machine.state_dir).floor == 2
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert reported(made)[-1] == "completed"


def test_refused_status_report_does_not_block_the_update() -> None:
    with bench() as made:
        made.cloud.set_faults([faults.FaultRule(faults.ErrorStatus(status=500), endpoint=Endpoint.OTA_STATUS)], seed=1)
        made.publish(GOOD)
        live(made, lambda service: service.store.record.state is UpdateState.COMPLETED)
        assert launcher.load(made.machine.state_dir).floor == 2
        made.cloud.set_faults([], seed=1)
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert reported(made)[-1] == "completed"


def test_the_hub_restarts_within_its_window_only() -> None:
    with bench() as made:
        made.config = {"maintenance_window": "02:00-05:00"}
        made.local = datetime(2026, 1, 1, 12, tzinfo=UTC)
        made.publish(GOOD)
        live(made, lambda service: made.loop.time() > 8 * HOUR_S)
        assert made.boots == ["1.0.0"]
        made.is_done, made.local = False, datetime(2026, 1, 2, 3, tzinfo=UTC)
        live(made, closed(UpdateState.COMPLETED))
        assert made.boots[-1] == "2.0.0"


def test_a_metered_link_carries_no_release_where_it_may_not() -> None:
    with bench() as made:
        made.config, made.is_metered = {"metered": "never"}, True
        made.publish(GOOD)
        live(made, lambda service: made.loop.time() > 8 * HOUR_S)
        assert downloads(made) == []
        made.is_done, made.is_metered = False, False
        live(made, closed(UpdateState.COMPLETED))


def test_pause_keeps_updates_from_beginning() -> None:
    with bench() as made:
        made.publish(GOOD)
        orders = {"hold": False}

        def hold_first(service: UpdateService) -> bool:
            if not orders["hold"]:
                orders["hold"] = True
                made.tasks.append(made.loop.create_task(service.set_paused(is_paused=True)))
            return made.loop.time() > 8 * HOUR_S

        live(made, hold_first)
        assert downloads(made) == []
        assert made.boots == ["1.0.0"]

        def resume(service: UpdateService) -> bool:
            if service.store.record.is_paused:
                made.tasks.append(made.loop.create_task(service.set_paused(is_paused=False)))
            return closed(UpdateState.COMPLETED)(service)

        made.is_done = False
        live(made, resume)


def test_a_bundle_from_a_stick_is_installed_without_a_cloud() -> None:
    with bench() as made:
        made.config = {"maintenance_window": "02:00-05:00"}
        done: list[str] = []

        def bring(service: UpdateService) -> bool:
            if service.context.running.version == "1.0.0" and not done:
                done.append("brought")
                made.tasks.append(made.loop.create_task(service.install(in_pieces(GOOD.data))))
            return service.store.record.state is UpdateState.COMPLETED

        made.is_cloud_down = True
        live(made, bring)
        assert launcher.load(made.machine.state_dir).floor == 2
        assert reported(made) == []


def test_a_bundle_from_a_stick_takes_the_place_of_a_running_download() -> None:
    """The two must never write one file."""
    release, brought = make_release("2.0.0", 2, chunks=6), make_release("3.0.0", 3, chunks=3)
    with bench() as made:
        made.trees |= {"2.0.0": release.tree_files, "3.0.0": brought.tree_files}
        made.cloud.set_faults([faults.FaultRule(faults.SlowDrip(65_536, 1.0), endpoint=Endpoint.OTA_DOWNLOAD)], seed=1)
        made.publish(release)

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in in_pieces(brought.data):
                yield piece
                await asyncio.sleep(1.0)  # the download goes on beside it

        def bring(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.DOWNLOADING and service.percent >= 20 and not made.tasks:
                made.tasks.append(made.loop.create_task(service.install(pieces())))
            return bool(made.tasks) and closed(UpdateState.COMPLETED)(service)

        live(made, bring)
        assert made.boots == ["1.0.0", "3.0.0"]
        assert "failed" not in reported(made)


def test_a_bad_bundle_from_a_stick_is_refused_at_once() -> None:
    with bench() as made:
        found: list[str] = []

        async def bring(service: UpdateService) -> None:
            for data in (b"nonsense" * 9999, make_release("9.0.0", 9, private_key=STRANGERS_KEY).data, GOOD.data[:-9]):
                with pytest.raises(BundleUntrusted):
                    await service.install(in_pieces(data))
                found.append("refused")

        def once(service: UpdateService) -> bool:
            if not made.tasks:
                made.tasks.append(made.loop.create_task(bring(service)))
            return len(found) == 3

        live(made, once)
        assert not (made.machine.state_dir / "slots").exists()


def test_a_technician_rolls_a_trial_back() -> None:
    with bench() as made:
        made.publish(GOOD)
        made.config = {"trial_s": 7200.0, "trial_deadline_s": 7200.0}

        def roll_back(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL:
                made.tasks.append(made.loop.create_task(service.roll_back()))
            return service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service)

        live(made, roll_back)
        assert made.boots == ["1.0.0", "2.0.0", "1.0.0"]


def stop_in_good_order(made: Bench) -> None:
    """Let the trial go on for ever, and stop each of its lives in good order."""
    made.config = {"trial_s": 7200.0, "trial_deadline_s": 7200.0}
    orders: dict[int, asyncio.Task[None]] = {}

    def stop(service: UpdateService) -> bool:
        life = len(made.boots)
        if (
            life not in orders
            and service.context.running.version == "2.0.0"
            and service.store.record.state is UpdateState.TRIAL
        ):
            if made.loop.time() - made.booted_at_s < 30.0:
                return False
            orders[life] = made.loop.create_task(service.stop())
        if life in orders and orders[life].done():
            made.restart.set()
        return service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service)

    live(made, stop)


def test_orderly_stop_does_not_count_as_a_failed_trial_start_up_to_a_limit() -> None:
    with bench() as made:
        made.publish(GOOD)
        stop_in_good_order(made)
        assert made.boots == ["1.0.0", *["2.0.0"] * (2 + UNCOUNTED_STARTS_MAX), "1.0.0"]


def test_stop_of_an_unhealthy_release_counts_as_a_trial_start() -> None:
    with bench(sick=("2.0.0",)) as made:
        made.publish(GOOD)
        stop_in_good_order(made)
        assert made.boots == ["1.0.0", "2.0.0", "2.0.0", "1.0.0"]


def test_confirmed_release_cannot_be_rolled_back() -> None:
    with bench() as made:
        found: list[str] = []

        async def try_it(service: UpdateService) -> None:
            with pytest.raises(Rejected):
                await service.roll_back()
            found.append("refused")

        def once(service: UpdateService) -> bool:
            if not made.tasks:
                made.tasks.append(made.loop.create_task(try_it(service)))
            return bool(found)

        live(made, once)


def test_unreadable_launcher_state_is_rebuilt() -> None:
    with bench() as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        for path in made.machine.state_dir.glob("launcher.json*"):
            path.write_bytes(b"\0" * 50)
        made.is_done = False
        live(made, lambda service: True)
        assert made.boots[-1] == "1.0.0"  # the package starts, whatever happens
        account = launcher.load(made.machine.state_dir)
        assert (account.good, account.floor) == ("base", 2)


@pytest.mark.parametrize("seed", [1, 4])
def test_a_simulation_with_releases_bricks_no_hub(seed: int) -> None:
    verdict = simulate(Options(days=0.5, sensors=7, seed=seed))
    assert verdict.violations == []
    assert verdict.updates.offered > 0
    assert verdict.updates.bricked == 0
    assert f"{verdict.updates.offered} offered" in as_text(verdict, "")


def test_launcher_without_checks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "choose_slot", lambda *_: "b")
    verdict = simulate(Options(days=0.2, sensors=7, seed=4, machine_faults=(), commands=()))
    assert verdict.updates.bricked > 0
    assert "a whole release starts" in {each.promise for each in verdict.violations}
