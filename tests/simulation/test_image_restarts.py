"""The restart into a new system image: its window, its failures, and who may still stop it."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.ota import launcher
from agent.ota.image_installer import ImageInstaller
from agent.ota.launcher import LauncherState
from agent.ota.lifecycle import UpdateState
from agent.ota.recovery import RESTARTS_MAX
from agent.ota.service import UpdateService
from agent.ota.slots import Slots
from hal.errors import InstallerLost
from hal.images import SlotMark, SlotSelector, SystemState
from hal.sim.images import SimMachine

from .image_bench import (
    HOUR_S,
    IMAGE,
    fail_activation,
    image_bench,
    last_error,
    no_reboot,
    reboot_on_full_disk,
    refused_reboot,
)
from .update_bench import GOOD, Bench, bench, closed, live


def test_image_withdrawn_before_its_window_is_installed_once_offered_again() -> None:
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


def test_image_waits_for_its_window_in_the_old_system_over_power_cuts() -> None:
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


def test_machine_that_does_not_restart_keeps_its_old_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "reboot", no_reboot)
    with image_bench() as (made, images):
        live(made, closed(UpdateState.FAILED))
        assert "did not" in last_error(made)
        images.boot()
        assert images.booted == "A"


def test_failed_activations_are_counted_as_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_activation(monkeypatch, SlotSelector.OTHER)
    with image_bench() as (made, _):
        restarts = [0]

        def count(service: UpdateService) -> bool:
            restarts[0] = max(restarts[0], service.store.record.restarts)
            return closed(UpdateState.FAILED)(service)

        live(made, count)
        assert restarts == [RESTARTS_MAX]


def test_restarts_on_a_full_disk_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "reboot", reboot_on_full_disk)
    with image_bench() as (made, _):
        live(made, closed(UpdateState.FAILED))
        assert made.reboots == RESTARTS_MAX


def test_activation_of_the_old_system_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "reboot", no_reboot)
    with image_bench() as (made, images):
        is_lost = [True]

        def end(service: UpdateService) -> bool:
            if service.store.record.restarts == RESTARTS_MAX:
                fail_activation(monkeypatch, SlotSelector.BOOTED, lambda: bool(is_lost))
            return closed(UpdateState.FAILED)(service)

        live(made, end)
        is_lost.clear()
        made.is_done, until_s = False, made.loop.time() + 100.0
        live(made, lambda _: made.loop.time() > until_s)
        images.boot()
        assert images.version == "1.0.0"


@pytest.mark.parametrize("is_there", [True, False], ids=["RAUC comes back", "RAUC is taken away"])
def test_app_slot_is_restored_although_rauc_was_lost_at_the_start(
    monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
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


def test_refused_restart_keeps_the_old_system_and_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        monkeypatch.setattr(Bench, "reboot", refused_reboot)
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


def test_app_slot_never_changes_while_the_new_system_is_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = Slots.set_good_slot
    seen: list[tuple[str, str]] = []

    def look(self: Slots, slot: str) -> LauncherState:
        assert made.images is not None
        seen.append((slot, made.images.primary))
        return choose(self, slot)

    monkeypatch.setattr(Slots, "set_good_slot", look)
    with bench() as made:
        made.take_images()
        made.publish(GOOD)
        live(made, closed(UpdateState.COMPLETED))
        monkeypatch.setattr(Bench, "reboot", refused_reboot)
        made.publish(IMAGE)
        made.is_done = False
        live(
            made, lambda service: service.store.record.offer.version == "3.0.0" and closed(UpdateState.FAILED)(service)
        )
        assert set(seen) == {("base", "A"), ("a", "A")}


@pytest.mark.parametrize("word", ["hold", "roll back"])
def test_pause_or_roll_back_is_obeyed_while_the_restart_waits_for_the_time(word: str) -> None:
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
def test_pause_or_roll_back_is_obeyed_while_the_boot_loader_is_set(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    services: list[UpdateService] = []

    async def mark_and_hear(self: SimMachine, what: SlotMark, which: SlotSelector) -> None:
        if (what, which) == (SlotMark.ACTIVE, SlotSelector.OTHER):
            await _say(services[0], word)
        await mark(self, what, which)

    mark = SimMachine.mark
    monkeypatch.setattr(SimMachine, "mark", mark_and_hear)
    with image_bench() as (made, images):

        def look(service: UpdateService) -> bool:
            services.append(service)
            return made.loop.time() > 3 * HOUR_S

        live(made, look)
        assert (made.reboots, images.primary, set(made.boots)) == (0, "A", {"1.0.0"})


async def _say(service: UpdateService, word: str) -> None:
    await (service.set_paused(is_paused=True) if word == "hold" else service.roll_back())
