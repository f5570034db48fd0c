"""What the cloud and a technician learn of an update: why it failed, how a trial goes, what came of a question."""

import asyncio
from collections.abc import Callable

import pytest

from agent.cli.update import as_text
from agent.local.updates import UpdateReport, build_updates
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from agent.ota.trial import Trial, Verdict

from .update_bench import GOOD, Bench, bench, closed, in_pieces, live


def told(made: Bench) -> list[tuple[str, bool]]:
    return [(post.status, post.is_legal) for post in made.cloud.admin.ota_history(made.device_id).posts]


def test_crash_reason_of_a_release_reaches_the_cloud() -> None:
    with bench(dead=("2.0.0",)) as made:
        made.publish(GOOD)
        live(made, closed(UpdateState.FAILED))
        last = made.cloud.admin.ota_history(made.device_id).posts[-1]
        assert last.status == "failed"
        assert "started as often as it may be" in last.error_message
        assert "crashed exit code 1" in last.error_message
        assert "ModuleNotFoundError: No module named 'gpiod'" in last.error_message


def test_sideloaded_bundle_is_reported_in_allowed_transitions() -> None:
    with bench() as made:

        def bring(service: UpdateService) -> bool:
            if not made.tasks:
                made.tasks.append(made.loop.create_task(service.install(in_pieces(GOOD.data))))
            return closed(UpdateState.COMPLETED)(service)

        live(made, bring)
        assert [status for status, _ in told(made)] == [
            "downloading", "downloaded", "verifying", "applying", "completed"
        ]  # fmt: skip
        assert all(is_legal for _, is_legal in told(made))


def test_release_with_a_wrong_version_rolls_back_at_once() -> None:
    """Else it would be offered again, and installed, for ever."""
    with bench() as made:
        made.publish(GOOD)
        del made.trees["2.0.0"]
        made.trees["1.9.0"] = GOOD.tree_files
        service = live(made, closed(UpdateState.FAILED))
        assert "it calls itself 1.9.0" in service.store.record.error
        assert service.launcher_state.good == "base"


def test_trial_shows_its_remaining_time_and_problems() -> None:
    seen: list[UpdateReport] = []
    with bench(sick=("2.0.0",)) as made:
        made.config = {"trial_s": 600.0, "trial_deadline_s": 1800.0}
        made.publish(GOOD)

        def look(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL:
                seen.append(build_updates(service))
            return closed(UpdateState.FAILED)(service)

        live(made, look)
    middle = seen[len(seen) // 2]
    assert middle.trial_left_s == 600
    assert middle.trial_deadline_s == pytest.approx(900, abs=30)
    assert middle.trial_problems == {"well": "it is sick"}
    assert middle.trial_starts_left == 1
    text = as_text(middle)
    assert "a check fails; committed in 10 min at the earliest, rolled back in" in text
    assert "well: it is sick" in text


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda made: None, "the cloud offers nothing newer than 1.0.0"),
        (lambda made: made.publish(GOOD), "release 2.0.0 is offered and will be downloaded"),
        (lambda made: setattr(made, "is_cloud_down", True), "the cloud could not be asked"),
    ],
    ids=["nothing", "an offer", "no cloud"],
)
def test_manual_check_returns_its_outcome(prepare: Callable[[Bench], object], said: str) -> None:
    with bench() as made:
        prepare(made)

        def ask(service: UpdateService) -> bool:
            if not made.tasks and made.loop.time() > 70.0:  # the quota of the minute before the boot is over
                made.tasks.append(made.loop.create_task(service.check_now()))
            return bool(made.tasks) and made.tasks[0].done()

        live(made, ask)
        assert said in str(made.tasks[0].result())


def test_manual_check_on_a_paused_hub_tells_so() -> None:
    with bench() as made:

        async def ask(service: UpdateService) -> str:
            await service.set_paused(is_paused=True)
            return await service.check_now()

        def look(service: UpdateService) -> bool:
            if not made.tasks:
                made.tasks.append(made.loop.create_task(ask(service)))
            return made.tasks[0].done()

        live(made, look)
        assert "updates are paused" in str(made.tasks[0].result())


def test_hanging_health_check_does_not_keep_a_trial_open() -> None:
    async def hang() -> str:
        await asyncio.sleep(10**9)
        return ""

    with bench() as made:
        trial = Trial({"port": hang}, lambda: 0, healthy_s=10, deadline_s=100)
        verdict, why = made.loop.run_until_complete(trial.run(0))
    assert verdict is Verdict.FAILED
    assert "port: no answer within 30 s" in why
