"""System images are downloaded, verified and installed by RAUC once; on the simulated machine, in virtual time."""

from pathlib import Path

import pytest

from agent.errors import BundleUntrusted
from agent.ota import launcher
from agent.ota.image_installer import HANDOVERS_MAX
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from hal.images import SlotSelector
from hal.sim.images import SimImage, encode
from lab.simulation.options import Options
from lab.simulation.rollout import STRANGERS_KEY, make_image
from lab.simulation.run import simulate

from .image_bench import HOUR_S, IMAGE, fail_activation, image_bench, last_error, runs
from .update_bench import bench, closed, downloads, in_pieces, live


def test_progress_is_reported_at_most_every_ten_percent() -> None:
    with image_bench() as (made, _):
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


def test_only_the_header_is_downloaded_without_rauc() -> None:
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
def test_refusal_of_rauc_is_explained_and_not_retried(image: SimImage, why: str) -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(make_image("3.0.0", 3, image=image))
        live(made, closed(UpdateState.FAILED))
        assert why in last_error(made)
        made.is_done = False
        live(made, lambda _: made.loop.time() > 10 * HOUR_S)
        assert (len(downloads(made)), images.installs, made.reboots) == (1, 0, 0)
        assert list(made.machine.state_dir.glob("image.*")) == []


def test_image_of_an_untrusted_signer_never_reaches_rauc() -> None:
    with bench() as made:
        images = made.take_images()
        made.publish(make_image("3.0.0", 3, private_key=STRANGERS_KEY))
        live(made, closed(UpdateState.FAILED))
        assert "does not trust" in last_error(made)
        assert images.installs == 0


def test_failed_image_is_retried_with_a_higher_sequence_only() -> None:
    with image_bench(sick=("3.0.0",)) as (made, images):
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
        live(made, runs("4.0.0", UpdateState.COMPLETED))


def test_crash_during_the_installation_installs_the_image_once() -> None:
    with image_bench() as (made, images):
        live(made, lambda service: service.store.record.handovers == 1 and service.percent > 0)
        assert images.installs == 1
        made.is_done = False
        live(made, closed(UpdateState.COMPLETED))
        assert images.installs == 1
        assert made.boots == ["1.0.0", "1.0.0", "3.0.0"]


def test_installer_without_an_answer_is_waited_for() -> None:
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


def test_sideloaded_image_needs_no_cloud() -> None:
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


def test_installation_that_never_finishes_is_given_up() -> None:
    with image_bench() as (made, images):

        def cut(service: UpdateService) -> bool:
            # The installer dies each time that it is at work.
            if service.store.record.state is UpdateState.APPLYING and service.percent > 0:
                images.die()
            return closed(UpdateState.FAILED)(service)

        live(made, cut)
        assert "never finished" in last_error(made)
        assert images.installs == HANDOVERS_MAX
        assert made.reboots == 0


def test_installation_by_another_program_is_not_taken_for_the_image(tmp_path: Path) -> None:
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


def test_other_image_installed_while_the_agent_is_down_is_not_taken_for_this_one(tmp_path: Path) -> None:
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


def test_machine_that_does_not_know_its_slot_installs_no_image() -> None:
    with bench() as made:
        images = made.take_images()
        images.is_slot_known = False
        made.publish(IMAGE)
        live(made, closed(UpdateState.FAILED))
        assert "which system runs" in last_error(made)
        assert images.installs == 0


def test_update_whose_file_is_gone_is_downloaded_again() -> None:
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
def test_simulation_with_images_bricks_no_hub(seed: int) -> None:
    """Seed 65 once restarted a machine that did not know the time yet: seven readings never got theirs."""
    verdict = simulate(Options(days=0.5, sensors=7, seed=seed))
    assert verdict.violations == []
    assert verdict.updates.rolled_back > 0
    assert verdict.updates.bricked == 0


@pytest.mark.parametrize(
    ("lost_max", "ends"), [(3, UpdateState.COMPLETED), (10**6, UpdateState.FAILED)], ids=["a while", "ever"]
)
def test_failing_boot_loader_causes_no_second_installation(
    monkeypatch: pytest.MonkeyPatch, lost_max: int, ends: UpdateState
) -> None:
    failures = iter(range(lost_max))
    fail_activation(monkeypatch, SlotSelector.BOOTED, lambda: next(failures, None) is not None)
    with image_bench() as (made, images):
        live(made, closed(ends))
        assert images.installs == 1
