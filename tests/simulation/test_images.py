"""What the room of updates promises about images of the whole system, on the simulated machine in virtual time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.environment import OUTLIVES_RESET
from agent.errors import BundleUntrusted, RebootFailed, StorageFull
from agent.ota import launcher
from agent.ota.image_installer import HANDOVERS_MAX, ImageInstaller
from agent.ota.launcher import LauncherState as Account
from agent.ota.lifecycle import UpdateState
from agent.ota.recovery import RESTARTS_MAX, SYSTEM_LEAVES_MAX
from agent.ota.service import UpdateService
from agent.ota.slots import Slots
from hal.errors import InstallerLost
from hal.images import SlotMark, SlotSelector, SystemState
from hal.sim.images import TRIES_MAX, SimImage, SimMachine, encode
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import ErrorStatus, FaultRule
from lab.simulation.options import Options
from lab.simulation.rollout import STRANGERS_KEY, make_image
from lab.simulation.run import simulate

from .update_bench import GOOD, Bench, bench, closed, downloads, in_pieces, live

IMAGE = make_image("3.0.0", 3, size_bytes=3_000_000)
HOUR_S = 3600.0


def last_error(made: Bench) -> str:
    last = made.cloud.admin.ota_history(made.device_id).posts[-1]
    assert last.status == "failed"
    return last.error_message or ""


def test_progress_is_told_every_ten_percent_at_the_most() -> None:
    with bench() as made:
        made.take_images()
        made.publish(IMAGE)
        seen: list[int] = []

        def look(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.APPLYING and service.percent:
                seen.append(service.percent)
            return closed(UpdateState.COMPLETED)(service)

        live(made, look)
        posts = made.cloud.admin.ota_history(made.device_id).posts
        percents = [post.progress_percent for post in posts if post.status == "applying" and post.progress_percent]
        assert percents == sorted(percents)
        assert len(percents) >= 2
        assert seen == sorted(seen)
        assert seen


def test_without_rauc_nothing_is_fetched_but_the_header() -> None:
    with bench() as made:
        made.take_images().is_set_up = False
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        assert "this machine has no RAUC" in last_error(made)
        assert not (made.machine.state_dir / "update.part").exists()
        made.is_done = False
        live(made, lambda _: made.loop.time() > 10 * HOUR_S)
        assert len(downloads(made)) == 1


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (SimImage("3.0.0", is_trusted=False), "RAUC does not trust its signature"),
        (SimImage("3.0.0", compatible="kettle"), "it is for 'kettle', and this machine is a 'simulated'"),
    ],
    ids=["bad signature", "wrong hardware"],
)
def test_what_rauc_refuses_is_told_in_plain_words_and_not_tried_again(image: SimImage, why: str) -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(make_image("3.0.0", 3, image=image))
        live(made, closed(UpdateState.FAILED))
        assert why in last_error(made)
        made.is_done = False
        live(made, lambda _: made.loop.time() > 10 * HOUR_S)
        assert (len(downloads(made)), images.installs, made.reboots) == (1, 0, 0)
        assert list(made.machine.state_dir.glob("image.*")) == []


def test_an_image_signed_by_a_stranger_never_comes_to_rauc() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(make_image("3.0.0", 3, private_key=STRANGERS_KEY))
        live(made, closed(UpdateState.FAILED))
        assert "does not trust" in last_error(made)
        assert images.installs == 0


def test_a_failed_image_is_tried_again_with_a_higher_sequence_only() -> None:
    with bench(sick=("3.0.0",)) as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        made.sick, made.is_done = set(), False
        refused: list[str] = []

        async def bring(service: UpdateService) -> None:
            with pytest.raises(BundleUntrusted, match="higher sequence"):
                await service.install(in_pieces(make_image("3.0.0", 3, size_bytes=100_000).data))
            refused.append("refused")

        def once(service: UpdateService) -> bool:
            if not made.tasks:
                made.tasks.append(made.loop.create_task(bring(service)))
            return bool(refused)

        live(made, once)
        assert images.installs == 1
        made.is_done = False
        made.publish(make_image("4.0.0", 4))
        live(
            made, lambda service: service.context.running.version == "4.0.0" and closed(UpdateState.COMPLETED)(service)
        )


def test_an_image_that_is_withdrawn_before_its_window_is_taken_once_it_is_offered_again() -> None:
    with bench() as made:
        made.take_images()
        made.config = {"maintenance_window": "02:00-05:00"}
        made.local = datetime(2026, 1, 1, 12, tzinfo=UTC)
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.state is UpdateState.READY)
        made.cloud.admin.offer(IMAGE.version, [])
        live(made, closed(UpdateState.FAILED))
        assert (made.reboots, "not offered any more" in last_error(made)) == (0, True)
        made.cloud.admin.offer(IMAGE.version, ["stable"])
        made.local = datetime(2026, 1, 2, 3, tzinfo=UTC)
        live(made, closed(UpdateState.COMPLETED))
        assert made.boots[-1] == "3.0.0"


def test_an_image_waits_for_the_window_in_the_old_system_whatever_the_power_does() -> None:
    with bench() as made:
        images = made.take_images(activates=True)
        made.config = {"maintenance_window": "02:00-05:00"}
        made.local = datetime(2026, 1, 1, 12, tzinfo=UTC)
        made.publish(IMAGE)
        live(
            made,
            lambda service: (
                service.store.record.state is UpdateState.READY and bool(service.run_control.blocked_reason)
            ),
        )
        made._power_on()
        assert images.booted == "A"
        made.is_done = False
        live(made, lambda service: made.loop.time() > 8 * HOUR_S)
        assert set(made.boots) == {"1.0.0"}
        made.is_done, made.local = False, datetime(2026, 1, 2, 3, tzinfo=UTC)
        live(made, closed(UpdateState.COMPLETED))
        assert made.boots[-1] == "3.0.0"


def test_an_agent_that_dies_in_the_middle_has_the_image_installed_once() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.handovers == 1 and service.percent > 0)
        assert images.installs == 1
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert images.installs == 1
        assert made.boots == ["1.0.0", "1.0.0", "3.0.0"]


def test_an_installer_that_does_not_answer_is_waited_for() -> None:
    with bench() as made:
        images = made.take_images()
        images.is_lost = True
        made.publish(IMAGE)
        live(
            made,
            lambda service: (
                "does not answer" in service.run_control.blocked_reason
                and service.store.record.state is UpdateState.APPLYING
            ),
        )
        made.is_done, images.is_lost = False, False
        live(made, closed(UpdateState.COMPLETED))
        assert images.installs == 1


def test_a_technician_rolls_an_image_back() -> None:
    with bench() as made:
        images = made.take_images()
        made.config = {"trial_s": 7200.0, "trial_deadline_s": 7200.0}
        made.publish(IMAGE)

        def roll_back(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.TRIAL and not made.tasks:
                made.tasks.append(made.loop.create_task(service.roll_back()))
            return service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service)

        live(made, roll_back)
        assert "a technician rolled it back" in last_error(made)
        assert made.boots == ["1.0.0", "3.0.0", "1.0.0"]
        assert images.slot("B") == ("3.0.0", 0)


def test_a_machine_that_does_not_restart_keeps_its_old_system(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stay(self: Bench, reason: str) -> None:
        del self, reason

    monkeypatch.setattr(Bench, "reboot", stay)
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        assert "did not" in last_error(made)
        images.boot()
        assert images.booted == "A"


def test_an_image_from_a_stick_needs_no_cloud() -> None:
    with bench() as made:
        made.take_images()
        made.config = {"maintenance_window": "02:00-05:00"}
        made.is_cloud_down = True

        def bring(service: UpdateService) -> bool:
            if service.context.running.version == "1.0.0" and not made.tasks:
                made.tasks.append(made.loop.create_task(service.install(in_pieces(IMAGE.data))))
            return service.store.record.state is UpdateState.COMPLETED

        live(made, bring)
        assert made.boots == ["1.0.0", "3.0.0"]
        account = launcher.load(made.machine.state_dir)
        assert (account.good, account.floor) == ("base", 3)
        assert not (made.machine.state_dir / "update.bundle").exists()
        assert not (made.machine.state_dir / "image.raucb").exists()


def test_losing_only_the_cloud_never_leaves_a_new_system() -> None:
    with bench() as made:
        made.take_images()
        made.publish(IMAGE)
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


def test_an_image_that_never_comes_to_its_end_is_given_up() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)

        def cut(service: UpdateService) -> bool:
            # The installer dies each time that it is at work.
            if service.store.record.state is UpdateState.APPLYING and service.percent > 0:
                images.die()
            return closed(UpdateState.FAILED)(service)

        live(made, cut)
        assert "never finished" in last_error(made)
        assert images.installs == HANDOVERS_MAX
        assert made.reboots == 0


def test_what_somebody_else_installs_is_not_taken_for_the_image(tmp_path: Path) -> None:
    with bench() as made:
        images = made.take_images()
        other = tmp_path / "other"
        other.write_bytes(encode(SimImage("1.5.0")))
        made.publish(IMAGE)

        def begin(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.DOWNLOADING and not made.tasks:
                made.tasks.append(made.loop.create_task(images.install(other, lambda _: None)))
            return closed(UpdateState.COMPLETED)(service)

        live(made, begin)
        assert images.installs == 2
        assert made.boots == ["1.0.0", "3.0.0"]


def test_another_image_that_is_installed_while_the_agent_is_dead_is_not_taken_for_this_one(tmp_path: Path) -> None:
    with bench() as made:
        images = made.take_images()
        other = tmp_path / "other"
        other.write_bytes(encode(SimImage("1.5.0")))
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.handovers == 1 and service.percent > 0)
        images.die()
        made.tasks.append(made.loop.create_task(images.install(other, lambda _: None)))
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert images.installs == 3
        assert made.boots == ["1.0.0", "1.0.0", "3.0.0"]


def test_a_machine_that_does_not_know_its_slot_takes_no_image() -> None:
    with bench() as made:
        images = made.take_images()
        images.is_slot_known = False
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        assert "which system runs" in last_error(made)
        assert images.installs == 0


def test_an_agent_that_dies_again_and_again_in_a_new_system_leaves_it() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)

        def die_in_the_trial(service: UpdateService) -> bool:
            if service.context.running.version == "3.0.0" and made.loop.time() - made.booted_at_s > 15.0:
                made.restart.set()
            return service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service)

        live(made, die_in_the_trial)
        assert "without confirming the release" in last_error(made)
        assert made.boots == ["1.0.0", "3.0.0", "3.0.0", "3.0.0", "1.0.0"]
        assert images.slot("B") == ("3.0.0", 0)


def test_a_boot_loader_that_goes_back_later_is_told() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, closed(UpdateState.COMPLETED))
        for _ in range(TRIES_MAX + 1):
            images.boot()  # nobody marks it good: its agent never comes up
        assert images.version == "1.0.0"
        made.is_done = False
        live(made, lambda service: bool(made.faults))
        assert "though release 3.0.0 was confirmed" in made.faults[0]


def test_a_factory_reset_does_not_end_the_trial_of_a_system() -> None:
    with bench(sick=("3.0.0",)) as made:
        made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.state is UpdateState.TRIAL)
        for path in made.machine.state_dir.iterdir():
            if path.is_file() and path.name not in OUTLIVES_RESET:
                path.unlink()
        made.is_done = False
        live(made, lambda service: service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service))


def test_an_update_whose_file_is_gone_may_be_offered_again() -> None:
    with bench() as made:
        images = made.take_images()
        images.is_lost = True
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.state is UpdateState.APPLYING)
        for name in ("update.bundle", "image.raucb"):
            (made.machine.state_dir / name).unlink(missing_ok=True)
        made.is_done, images.is_lost = False, False
        live(made, closed(UpdateState.COMPLETED))
        assert len(downloads(made)) == 2


@pytest.mark.parametrize("seed", [12, 65], ids=["an agent that dies late", "a system that does not come up"])
def test_a_simulation_with_images_bricks_no_hub(seed: int) -> None:
    """Seed 65 once restarted a machine that did not know the time yet: seven readings never got theirs."""
    verdict = simulate(Options(days=0.5, sensors=7, seed=seed))
    assert verdict.violations == []
    assert verdict.updates.rolled_back > 0
    assert verdict.updates.bricked == 0


async def full(self: Bench, reason: str) -> None:
    del reason
    self.reboots += 1
    raise StorageFull("the outbox is full")


def test_a_full_disk_does_not_keep_a_failed_system(monkeypatch: pytest.MonkeyPatch) -> None:
    reboot = Bench.reboot

    async def full_at_first(self: Bench, reason: str) -> None:
        if self.packaged == "3.0.0" and self.sick:
            self.sick = set()  # nor does it get well again
            await full(self, reason)
        await reboot(self, reason)

    monkeypatch.setattr(Bench, "reboot", full_at_first)
    with bench(sick=("3.0.0",)) as made:
        made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service))
        assert "it is sick" in last_error(made)


def test_a_failure_that_is_noted_is_not_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    note = Slots.record_failure

    def note_and_break(self: Slots, version: str, sequence: int, reason: str, *, good: str = "") -> Account:
        note(self, version, sequence, reason, good=good)
        monkeypatch.setattr(Slots, "record_failure", note)
        made.sick = set()
        raise InstallerLost("something that nobody thought of")

    monkeypatch.setattr(Slots, "record_failure", note_and_break)
    with bench(sick=("3.0.0",)) as made:
        made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service))


def test_restarts_that_cannot_be_asked_for_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
        if (what, which) == (SlotMark.ACTIVE, SlotSelector.OTHER):
            raise InstallerLost("fw_setenv failed")
        await mark(self, what, which)

    mark = SimMachine.mark
    monkeypatch.setattr(SimMachine, "mark", lost)
    with bench() as made:
        made.take_images()
        made.publish(IMAGE)
        restarts = [0]

        def count(service: UpdateService) -> bool:
            restarts[0] = max(restarts[0], service.store.record.restarts)
            return closed(UpdateState.FAILED)(service)

        live(made, count)
        assert restarts == [RESTARTS_MAX]


def test_a_full_disk_does_not_ask_for_restarts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "reboot", full)
    with bench() as made:
        made.take_images()
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        assert made.reboots == RESTARTS_MAX


def marks_good(made: Bench, images: SimMachine, slot: str) -> bool:
    """Tell whether a slot that was started had its tries given back by the hub."""
    before = images.slot(slot)[1]
    made.is_done, until_s = False, made.loop.time() + HOUR_S
    live(made, lambda _: made.loop.time() > until_s)
    return images.slot(slot)[1] > before


def test_an_installer_that_is_late_at_the_start_still_hears_that_the_system_is_good() -> None:
    with bench() as made:
        images = made.take_images()
        images.boot()
        images.is_lost = True

        def come_back(_: UpdateService) -> bool:
            images.is_lost = images.is_lost and made.loop.time() < 100.0
            return made.loop.time() > HOUR_S

        live(made, come_back)
        assert images.slot("A") == ("1.0.0", TRIES_MAX)


def test_a_failed_system_that_was_installed_to_its_end_after_a_factory_reset_is_left() -> None:
    with bench(sick=("3.0.0",)) as made:
        images = made.take_images(activates=True)
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.handovers == 1 and service.percent > 0)
        for path in made.machine.state_dir.iterdir():
            if path.is_file() and path.name not in OUTLIVES_RESET:
                path.unlink()
        made.is_done, made.is_cloud_down = False, True
        live(made, lambda service: service.store.record.state is UpdateState.FAILED and made.loop.time() > 2 * HOUR_S)
        images.boot()
        assert images.version == "3.0.0"
        made.is_done = False
        live(made, lambda service: service.context.running.version == "1.0.0" and made.loop.time() > 3 * HOUR_S)
        assert images.slot("B") == ("3.0.0", 0)


def test_a_boot_loader_that_cannot_be_told_to_stay_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stay(self: Bench, reason: str) -> None:
        del self, reason

    monkeypatch.setattr(Bench, "reboot", stay)
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)

        mark = SimMachine.mark

        async def lost(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
            if (what, which) == (SlotMark.ACTIVE, SlotSelector.BOOTED) and is_lost:
                raise InstallerLost("fw_setenv failed")
            await mark(self, what, which)

        is_lost = [True]

        def end(service: UpdateService) -> bool:
            if service.store.record.restarts == RESTARTS_MAX:
                monkeypatch.setattr(SimMachine, "mark", lost)
            return closed(UpdateState.FAILED)(service)

        live(made, end)
        is_lost.clear()
        made.is_done, until_s = False, made.loop.time() + 100.0
        live(made, lambda _: made.loop.time() > until_s)
        images.boot()
        assert images.version == "1.0.0"


def test_a_system_whose_record_is_lost_is_not_marked_good_in_that_life() -> None:
    with bench(sick=("3.0.0",)) as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.store.record.state is UpdateState.TRIAL)
        (made.machine.state_dir / "update.json").write_bytes(b"{")
        made.is_cloud_down = True
        assert not marks_good(made, images, "B")


def test_a_machine_whose_other_system_does_not_come_up_does_not_restart_for_ever() -> None:
    with bench(sick=("3.0.0",)) as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, lambda service: service.context.running.version == "1.0.0" and closed(UpdateState.FAILED)(service))
        images.damage("A")
        images.boot()
        made.reboots, made.is_done = 0, False
        live(made, lambda _: made.loop.time() > 10 * HOUR_S)
        assert 0 < made.reboots <= SYSTEM_LEAVES_MAX


@pytest.mark.parametrize("is_there", [True, False], ids=["RAUC comes back", "RAUC is taken away"])
def test_the_app_comes_back_though_rauc_was_lost_at_the_start(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    async def lost(self: SimMachine) -> SystemState:
        if made.loop.time() - made.booted_at_s < 60.0:
            raise InstallerLost("it is late")
        return await state(self)

    async def stay(self: Bench, reason: str) -> None:
        del reason
        assert self.images is not None
        self.images.is_set_up = is_there

    state = SimMachine.state
    with bench() as made:
        made.take_images()
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        monkeypatch.setattr(SimMachine, "state", lost)
        monkeypatch.setattr(ImageInstaller, "keep_marked", lambda self: asyncio.sleep(0))
        monkeypatch.setattr(Bench, "reboot", stay)
        made.publish(IMAGE)
        made.is_done = False
        live(
            made, lambda service: service.store.record.offer.version == "3.0.0" and closed(UpdateState.FAILED)(service)
        )
        assert made.version_in(launcher.load(made.machine.state_dir).good) == "2.0.0"
        assert "did not" in last_error(made) or not is_there


async def refused(self: Bench, reason: str) -> None:
    del reason
    self.reboots += 1
    raise RebootFailed("polkit")


def test_after_a_restart_that_did_not_happen_the_machine_stays_with_its_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        monkeypatch.setattr(Bench, "reboot", refused)
        made.publish(IMAGE)
        made.is_done = False

        def hold(service: UpdateService) -> bool:
            if made.reboots and not made.tasks:
                made.tasks.append(made.loop.create_task(service.set_paused(is_paused=True)))
            # The launcher has started the app once more, since it is the good one again.
            return made.loop.time() > 6 * HOUR_S

        live(made, hold)
        images.boot()
        account = launcher.load(made.machine.state_dir)
        assert (images.version, made.version_in(account.good)) == ("1.0.0", "2.0.0")


def test_no_power_cut_starts_the_old_systems_app_in_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = Slots.set_good_slot
    seen: list[tuple[str, str]] = []

    def look(self: Slots, slot: str) -> Account:
        assert made.images is not None
        seen.append((slot, made.images.primary))
        return choose(self, slot)

    monkeypatch.setattr(Slots, "set_good_slot", look)
    with bench() as made:
        made.take_images()
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        monkeypatch.setattr(Bench, "reboot", refused)
        made.publish(IMAGE)
        made.is_done = False
        live(
            made, lambda service: service.store.record.offer.version == "3.0.0" and closed(UpdateState.FAILED)(service)
        )
        assert set(seen) == {("base", "A"), ("a", "A")}


@pytest.mark.parametrize("word", ["hold", "roll back"])
def test_who_changes_their_mind_while_the_hub_learns_the_time_is_heard(word: str) -> None:
    with bench() as made:
        images = made.take_images()
        made.time_lost_s = 600.0
        made.publish(IMAGE)

        def say(service: UpdateService) -> bool:
            if service.store.record.state is UpdateState.READY and not made.tasks:
                made.tasks.append(made.loop.create_task(_say(service, word)))
            return made.loop.time() > 3 * HOUR_S

        live(made, say)
        assert (made.reboots, images.primary, set(made.boots)) == (0, "A", {"1.0.0"})


@pytest.mark.parametrize("word", ["hold", "roll back"])
def test_who_changes_their_mind_when_the_boot_loader_is_told_is_heard(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    services: list[UpdateService] = []

    async def mark_and_hear(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
        if (what, which) == (SlotMark.ACTIVE, SlotSelector.OTHER):
            await _say(services[0], word)
        await mark(self, what, which)

    mark = SimMachine.mark
    monkeypatch.setattr(SimMachine, "mark", mark_and_hear)
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)

        def look(service: UpdateService) -> bool:
            services.append(service)
            return made.loop.time() > 3 * HOUR_S

        live(made, look)
        assert (made.reboots, images.primary, set(made.boots)) == (0, "A", {"1.0.0"})


async def _say(service: UpdateService, word: str) -> None:
    await (service.set_paused(is_paused=True) if word == "hold" else service.roll_back())


@pytest.mark.parametrize(
    ("lost_max", "ends"), [(3, UpdateState.COMPLETED), (10**6, UpdateState.FAILED)], ids=["a while", "ever"]
)
def test_a_boot_loader_that_takes_no_word_costs_no_second_installation(
    monkeypatch: pytest.MonkeyPatch, lost_max: int, ends: UpdateState
) -> None:
    lost: list[str] = []

    async def lose(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
        if (what, which) == (SlotMark.ACTIVE, SlotSelector.BOOTED) and len(lost) < lost_max:
            lost.append("lost")
            raise InstallerLost("fw_setenv failed")
        await mark(self, what, which)

    mark = SimMachine.mark
    monkeypatch.setattr(SimMachine, "mark", lose)
    with bench() as made:
        images = made.take_images()
        made.publish(IMAGE)
        live(made, closed(ends))
        assert images.installs == 1


def test_a_life_is_counted_once_however_often_its_room_is_started() -> None:
    with bench() as made:
        made.take_images()
        made.publish(IMAGE)
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
