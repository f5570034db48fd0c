"""Images of the whole system, with the world stopped before each durable operation and each effect of the installer.

The hub has been updated by an app before: so the way back leads to that app, in the old system.
"""

import os

import pytest

from agent.foundation.staging_files import StagingFiles
from agent.ota import launcher
from agent.ota.lifecycle import UpdateState
from agent.ota.slots import Slots
from hal.images import SlotMark, SlotSelector
from hal.sim.images import TRIES_MAX, SimMachine
from lab.simulation.rollout import make_image

from .update_bench import GOOD, Bench, bench, closed, sweep_fails

STRIDE = int(os.environ.get("CLIMAHUB_STRIDE", "3"))
IMAGE = make_image("3.0.0", 3, size_bytes=100_000)

SCENARIOS = {
    "a good image": ((), (), UpdateState.COMPLETED, "3.0.0", 3),
    "an image that is not well": (("3.0.0",), (), UpdateState.FAILED, "2.0.0", 2),
    "an image that does not come up": ((), ("3.0.0",), UpdateState.FAILED, "2.0.0", 2),
}


def simulate(name: str, stop_after: int | None, *, by_power: bool = True, activates: bool = False) -> tuple[Bench, int]:
    """Return what was seen, and how many points the image's part had."""
    sick, dead, ends, version, floor = SCENARIOS[name]
    with bench(sick=sick, dead=dead) as made:
        images = made.take_images(activates=activates)
        made.publish(GOOD)
        made.loop.run_until_complete(made.run(closed(UpdateState.COMPLETED)))
        before = made.machine.operations
        made.is_done = False
        made.stop_by_power = by_power
        made.machine.stop_at = before + stop_after if stop_after else None
        made.publish(IMAGE)
        made.loop.run_until_complete(
            made.run(lambda service: service.store.record.offer.version == "3.0.0" and closed(ends)(service))
        )
        if not activates:
            assert made.unbootable == []
        assert made.is_done, made.boots
        last = made.cloud.admin.ota_history(made.device_id).posts[-1]
        assert (last.version, last.status) == ("3.0.0", ends.value)
        points = made.machine.operations - before
        for _ in range(TRIES_MAX):
            # Whatever the boot loader does with a cut of the power now, the same release runs.
            images.boot()
            account = launcher.load(made.machine.state_dir)
            assert (made.version_in(account.good), account.trial, account.floor) == (version, "", floor)
            assert made.version_in(launcher.choose_slot(made.machine.state_dir, lambda _: None)) == version
        return made, points


@pytest.mark.parametrize("name", SCENARIOS)
def test_image_update_completes(name: str) -> None:
    made, _ = simulate(name, None)
    history = made.cloud.admin.ota_history(made.device_id)
    assert history.illegal_total == 0
    told = [post for post in history.posts if post.version == "3.0.0"]
    assert made.images is not None
    if name == "a good image":
        words = list(dict.fromkeys(post.status for post in told))
        assert words == ["downloading", "downloaded", "verifying", "applying", "completed"]
        assert made.boots == ["1.0.0", "2.0.0", "2.0.0", "3.0.0"]
        assert (made.images.installs, made.reboots) == (1, 1)
    elif name == "an image that is not well":
        assert "it is sick" in told[-1].error_message
        assert made.boots == ["1.0.0", "2.0.0", "2.0.0", "3.0.0", "1.0.0", "2.0.0"]
        assert made.images.slot("B") == ("3.0.0", 0)
    else:
        assert "does not start" in told[-1].error_message
        assert "3.0.0" not in made.boots


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("by_power", [True, False], ids=["power cut", "killed"])
def test_complete_system_runs_after_every_crash_point(name: str, by_power: bool) -> None:
    _, points = simulate(name, None)
    tried = 0
    for point in range(1, points + 1, STRIDE):
        made, _ = simulate(name, point, by_power=by_power)
        assert made.crashes == 1
        tried += 1
    how = "power cut" if by_power else "killed"
    print(f"{name}, {how}: {tried} of {points} points, a whole system each time")  # noqa: T201 - the issue asks for it


@pytest.mark.slow
def test_rauc_that_activates_by_itself_does_no_lasting_harm() -> None:
    _, points = simulate("a good image", None, activates=True)
    for point in range(1, points + 1, STRIDE):
        simulate("a good image", point, activates=True)


def test_unsynced_image_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StagingFiles, "sync_file", lambda self, name: None)
    assert sweep_fails(lambda stop_after: simulate("a good image", stop_after)[1])


def test_old_app_kept_for_the_new_system_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "set_good_slot", lambda self, slot: self.read_state())
    with pytest.raises(AssertionError, match="made for another system"):
        simulate("a good image", None)


def test_missing_mark_good_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = SimMachine.mark

    async def never_good(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
        if what is not SlotMark.GOOD:
            await mark(self, what, which)

    monkeypatch.setattr(SimMachine, "mark", never_good)
    with pytest.raises(AssertionError):
        simulate("a good image", None)
