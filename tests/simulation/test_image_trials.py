"""The trial of a new system image: it is confirmed, or the machine goes back to its old system."""

import pytest

from agent.ota.launcher import LauncherState
from agent.ota.lifecycle import UpdateState
from agent.ota.recovery import SYSTEM_LEAVES_MAX
from agent.ota.service import UpdateService
from agent.ota.slots import Slots
from hal.errors import InstallerLost
from hal.sim.images import TRIES_MAX
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import ErrorStatus, FaultRule

from .image_bench import (
    HOUR_S,
    IMAGE,
    image_bench,
    is_marked_good,
    last_error,
    reboot_on_full_disk,
    reset_to_factory,
    runs,
)
from .update_bench import Bench, bench, closed, live


def test_technician_rolls_an_image_back() -> None:
    with bench() as made:
        images = made.take_images()
        made.config = {"trial_s": 7200.0, "trial_deadline_s": 7200.0}
        made.publish(IMAGE)

        def roll_back(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL and not made.tasks:
                made.tasks.append(made.loop.create_task(service.roll_back()))
            return runs("1.0.0", UpdateState.FAILED)(service)

        live(made, roll_back)
        assert "a technician rolled it back" in last_error(made)
        assert made.boots == ["1.0.0", "3.0.0", "1.0.0"]
        assert images.slot("B") == ("3.0.0", 0)


def test_loss_of_the_cloud_never_rolls_an_image_back() -> None:
    with image_bench() as (made, _):
        cut = [
            FaultRule(ErrorStatus(status=500), endpoint=Endpoint.OTA_STATUS),
            FaultRule(ErrorStatus(status=500), endpoint=Endpoint.OTA_CHECK),
        ]

        def cut_in_the_trial(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL:
                made.cloud.set_faults(cut, seed=1)
            return service.store.record.state is UpdateState.COMPLETED

        live(made, cut_in_the_trial)
        assert made.boots[-1] == "3.0.0"


def test_repeated_crashes_in_a_new_system_roll_it_back() -> None:
    with image_bench() as (made, images):

        def die_in_the_trial(service: UpdateService) -> bool:
            if service.context.running.version == "3.0.0" and made.loop.time() - made.booted_at_s > 15.0:
                made.restart.set()
            return runs("1.0.0", UpdateState.FAILED)(service)

        live(made, die_in_the_trial)
        assert "without confirming the release" in last_error(made)
        assert made.boots == ["1.0.0", "3.0.0", "3.0.0", "3.0.0", "1.0.0"]
        assert images.slot("B") == ("3.0.0", 0)


def test_later_fallback_of_the_boot_loader_is_reported() -> None:
    with image_bench() as (made, images):
        live(made, closed(UpdateState.COMPLETED))
        for _ in range(TRIES_MAX + 1):
            images.boot()  # nobody marks it good: its agent never comes up
        assert images.version == "1.0.0"
        made.is_done = False
        live(made, lambda service: bool(made.faults))
        assert "though release 3.0.0 was confirmed" in made.faults[0]


def test_factory_reset_does_not_end_the_trial_of_a_system() -> None:
    with image_bench(sick=("3.0.0",)) as (made, _):
        live(made, lambda service: service.store.record.state is UpdateState.TRIAL)
        reset_to_factory(made)
        made.is_done = False
        live(made, runs("1.0.0", UpdateState.FAILED))


def test_full_disk_does_not_keep_a_failed_system(monkeypatch: pytest.MonkeyPatch) -> None:
    reboot = Bench.reboot

    async def full_at_first(self: Bench, reason: str) -> None:
        if self.packaged == "3.0.0" and self.sick:
            self.sick = set()  # nor does it get well again
            await reboot_on_full_disk(self, reason)
        await reboot(self, reason)

    monkeypatch.setattr(Bench, "reboot", full_at_first)
    with image_bench(sick=("3.0.0",)) as (made, _):
        live(made, runs("1.0.0", UpdateState.FAILED))
        assert "it is sick" in last_error(made)


def test_recorded_failure_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    note = Slots.record_failure

    def note_and_break(self: Slots, version: str, sequence: int, reason: str, *, good: str = "") -> LauncherState:
        note(self, version, sequence, reason, good=good)
        monkeypatch.setattr(Slots, "record_failure", note)
        made.sick = set()
        raise InstallerLost("something that nobody thought of")

    monkeypatch.setattr(Slots, "record_failure", note_and_break)
    with image_bench(sick=("3.0.0",)) as (made, _):
        live(made, runs("1.0.0", UpdateState.FAILED))


def test_running_system_is_marked_good_once_a_late_installer_answers() -> None:
    with bench() as made:
        images = made.take_images()
        images.boot()
        images.is_lost = True

        def come_back(_: UpdateService) -> bool:
            images.is_lost = images.is_lost and made.loop.time() < 100.0
            return made.loop.time() > HOUR_S

        live(made, come_back)
        assert images.slot("A") == ("1.0.0", TRIES_MAX)


def test_failed_system_installed_during_a_factory_reset_is_rolled_back() -> None:
    with image_bench(sick=("3.0.0",), activates=True) as (made, images):
        live(made, lambda service: service.store.record.handovers == 1 and service.percent > 0)
        reset_to_factory(made)
        made.is_done, made.is_cloud_down = False, True
        live(made, lambda service: service.store.record.state is UpdateState.FAILED and made.loop.time() > 2 * HOUR_S)
        images.boot()
        assert images.version == "3.0.0"
        made.is_done = False
        live(made, lambda service: service.context.running.version == "1.0.0" and made.loop.time() > 3 * HOUR_S)
        assert images.slot("B") == ("3.0.0", 0)


def test_system_whose_update_record_is_lost_is_not_marked_good_in_that_process() -> None:
    with image_bench(sick=("3.0.0",)) as (made, images):
        live(made, lambda service: service.store.record.state is UpdateState.TRIAL)
        (made.machine.state_dir / "update.json").write_bytes(b"{")
        made.is_cloud_down = True
        assert not is_marked_good(made, images, "B")


def test_restarts_into_a_broken_old_system_are_limited() -> None:
    with image_bench(sick=("3.0.0",)) as (made, images):
        live(made, runs("1.0.0", UpdateState.FAILED))
        images.damage("A")
        images.boot()
        made.reboots, made.is_done = 0, False
        live(made, lambda _: made.loop.time() > 10 * HOUR_S)
        assert 0 < made.reboots <= SYSTEM_LEAVES_MAX


def test_start_of_a_process_is_counted_once() -> None:
    with image_bench() as (made, _):
        starts: list[int] = []

        async def again(service: UpdateService) -> None:
            await service.image_installer.count_start()
            starts.append(service.store.record.starts)

        def look(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL and not made.tasks:
                made.tasks.append(made.loop.create_task(again(service)))
            return closed(UpdateState.COMPLETED)(service)

        live(made, look)
        assert starts == [1]
