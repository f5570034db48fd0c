"""A hub with two systems to which an image is offered, and the faults that the tests of images share."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from agent.environment import OUTLIVES_RESET
from agent.errors import RebootFailed, StorageFull
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from hal.errors import InstallerLost
from hal.images import SlotMark, SlotSelector
from hal.sim.images import SimMachine
from lab.simulation.rollout import make_image

from .update_bench import Bench, bench, closed, live

IMAGE = make_image("3.0.0", 3, size_bytes=3_000_000)
HOUR_S = 3600.0


@contextlib.contextmanager
def image_bench(*, sick: tuple[str, ...] = (), activates: bool = False) -> Iterator[tuple[Bench, SimMachine]]:
    """Offer `IMAGE` to a hub with two systems, of which A runs release 1.0.0."""
    with bench(sick=sick) as made:
        images = made.take_images(activates=activates)
        made.publish(IMAGE)
        yield made, images


def last_error(made: Bench) -> str:
    last = made.cloud.admin.ota_history(made.device_id).posts[-1]
    assert last.status == "failed"
    return last.error_message or ""


def runs(version: str, state: UpdateState) -> Callable[[UpdateService], bool]:
    """Return the condition that a release runs and the update has ended in a state."""
    is_closed = closed(state)
    return lambda service: service.context.running.version == version and is_closed(service)


def reset_to_factory(made: Bench) -> None:
    """Erase what a factory reset erases."""
    for path in made.machine.state_dir.iterdir():
        if path.is_file() and path.name not in OUTLIVES_RESET:
            path.unlink()


def is_marked_good(made: Bench, images: SimMachine, slot: str) -> bool:
    """Tell whether the hub gives a started slot its tries back within an hour."""
    before = images.slot(slot)[1]
    made.is_done, until_s = False, made.loop.time() + HOUR_S
    live(made, lambda _: made.loop.time() > until_s)
    return images.slot(slot)[1] > before


def fail_activation(
    monkeypatch: pytest.MonkeyPatch, which: SlotSelector, is_failing: Callable[[], bool] = lambda: True
) -> None:
    """Make the boot loader refuse that a slot is activated, while a condition holds."""
    mark = SimMachine.mark

    async def lost(self: SimMachine, what: SlotMark, slot: SlotSelector) -> None:
        if (what, slot) == (SlotMark.ACTIVE, which) and is_failing():
            raise InstallerLost("fw_setenv failed")
        await mark(self, what, slot)

    monkeypatch.setattr(SimMachine, "mark", lost)


async def no_reboot(self: Bench, reason: str) -> None:
    """In the place of `Bench.reboot`: the machine stays up."""
    del self, reason


async def reboot_on_full_disk(self: Bench, reason: str) -> None:
    """In the place of `Bench.reboot`: the readings cannot be saved first."""
    del reason
    self.reboots += 1
    raise StorageFull("the outbox is full")


async def refused_reboot(self: Bench, reason: str) -> None:
    """In the place of `Bench.reboot`: the host refuses."""
    del reason
    self.reboots += 1
    raise RebootFailed("polkit")
