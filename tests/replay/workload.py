"""Updates of a hub on a recorded disk, and what a stranger expects of that disk after a power cut.

The room, the slots, the book and the launcher are the real ones; the launcher is a process of its own, and starts what
it finds. The releases are small programs that say who they are. A neighbour on the same disk writes and syncs a file of
its own now and then, as the outbox does: that is what carries the names of unsynced files to the disk.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from agent.errors import Rejected
from agent.foundation.disk import Operation
from agent.ota import bundle_builder, bundle_format, launcher
from agent.ota.launcher import BASE, SLOTS_DIR, STATE_FILE
from agent.ota.lifecycle import UpdateState
from agent.ota.service import UpdateService
from agent.ota.store import FILE_NAME as BOOK_FILE
from lab.simulation.rollout import MODEL, PRIVATE_KEY, SimulatedRelease
from lab.simulation.virtual_loop import VirtualLoop

from ..simulation.update_bench import Bench  # noqa: TID252 - pytest's importlib mode has no name for it but this

STATE_DIR = "climahub"
"""Of the hub, on the recorded disk."""
BASE_VERSION = "1.0.0"
LAUNCH_TIMEOUT_S = 30
STARTS_MAX = 3
"""Of a trial: the power is cut in it twice at the most, and a good release has to be committed all the same."""
NEIGHBOUR_SHARE = 0.4
"""How often the neighbour syncs: beside so many of the durable steps of an update."""
MODULES = 24
NOISE_BYTES = 1_200_000
"""More than one chunk of a bundle, and not to be compressed."""

_MAIN = """import json
import os
from lib import {modules}
parts = sum(each.NUMBER for each in ({modules}))
print(json.dumps({{"version": {version!r}, "slot": os.environ["CLIMAHUB_SLOT"], "parts": parts}}))
"""


class Bricked(Exception):
    """A start that found no whole release."""


class Step(msgspec.Struct, frozen=True):
    """One update.

    Attributes:
        release: What is offered.
        ends: How it has to end.
        is_brought: Somebody carries it to the hub; else the cloud offers it.
        is_sick: It does not find itself well.
        is_dead: It ends as soon as it is started.
    """

    release: SimulatedRelease
    ends: UpdateState = UpdateState.COMPLETED
    is_sideloaded: bool = False
    is_sick: bool = False
    is_dead: bool = False


class Promise(msgspec.Struct, frozen=True):
    """Something that the hub had on the disk, durably, once ``position`` requests were served."""

    position: int
    name: str
    content: bytes


class Tools(msgspec.Struct, frozen=True):
    """What is not on the recorded disk: it belongs to the package.

    Attributes:
        launcher: The program.
        base: The release of the package.
    """

    launcher: Path
    base: Path


@cache
def release(version: str, sequence: int) -> SimulatedRelease:
    """Return a signed bundle of a small program in many files."""
    names = [f"part{number}" for number in range(MODULES)]
    tree = {
        f"lib/{name}.py": f"NUMBER = {number}\nVERSION = {version!r}\n".encode() for number, name in enumerate(names)
    }
    tree["lib/noise.bin"] = random.Random(sequence).randbytes(NOISE_BYTES)
    tree["__main__.py"] = _MAIN.format(modules=", ".join(names), version=version).encode()
    payload = bundle_builder.pack(tree)
    manifest = bundle_builder.build_app_manifest(
        tree, payload, bundle_builder.BundleTarget(version, sequence, (MODEL,), "simulated", "")
    )
    unsigned = bundle_format.parse(bundle_format.encode_unsigned(manifest)[bundle_format.PRELUDE_BYTES :])
    return SimulatedRelease(
        version, sequence, bundle_format.encode_signed(PRIVATE_KEY, unsigned.payload) + payload, tree
    )


def scenarios() -> dict[str, tuple[Step, ...]]:
    """Return what is recorded: updates one after the other, so that each slot is written over as well."""
    second, third, fourth = release("2.0.0", 2), release("3.0.0", 3), release("4.0.0", 4)
    return {
        "downloaded": (Step(second), Step(third), Step(fourth)),
        "brought": (Step(second, is_sideloaded=True), Step(third, is_sideloaded=True)),
        "not well": (Step(second), Step(third, UpdateState.FAILED, is_sick=True)),
        "dead": (Step(second), Step(third, UpdateState.FAILED, is_dead=True)),
    }


Bugs = Sequence[tuple[str, str]]
"""Pieces of the launcher's text, and what is in their place. It is a program of its own: it cannot be patched."""


def install_tools(directory: Path, launcher_bugs: Bugs) -> Tools:
    """Lay out what the package brings into a directory."""
    text = Path(launcher.__file__).read_text()
    for right, wrong in launcher_bugs:
        assert right in text
        text = text.replace(right, wrong)
    tools = Tools(directory / "launcher.py", directory / "base")
    tools.launcher.write_text(text)
    tools.base.write_text(f'#!/bin/sh\necho \'{{"version": "{BASE_VERSION}", "slot": "{BASE}"}}\'\n')
    tools.base.chmod(0o755)
    return tools


class DiskBench(Bench):
    """The bench of the simulated updates, with the state directory on a mounted disk and the launcher as a process."""

    def __init__(
        self, scratch: Path, loop: VirtualLoop, state_dir: Path, tools: Tools, known: Sequence[Step] = ()
    ) -> None:
        super().__init__(scratch, loop, sick=set(), dead=set())
        self.machine.state_dir = state_dir
        self.tools = tools
        self.trees = {each.release.version: each.release.tree_files for each in known}
        self.config["trial_starts_max"] = STARTS_MAX
        self.witness: Witness | None = None
        # The disk below is a real one: it forgets what it likes, and the machine need not play that.
        self.machine.on_operation = self._pass_on  # type: ignore[method-assign]

    def _pass_on(self, operation: Operation, target: str) -> None:
        if self.witness is not None:
            self.witness.on_operation(operation, target)

    def boot(self) -> str:
        """Have the launcher start something; a stranger looks whether that is a whole release."""
        if self.witness is not None:
            self.witness.note_all()
        command = [sys.executable, "-I", "-S", "-B", str(self.tools.launcher), "--state-dir",
                   str(self.machine.state_dir), "--base", str(self.tools.base), "--", "run"]  # fmt: skip
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LAUNCH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Bricked("the launcher does not come to an end") from None
        if self.witness is not None:
            self.witness.note_all()
        try:
            said = json.loads(done.stdout)
        except ValueError:
            raise Bricked(f"nothing runs: {done.stderr.strip()[-300:]}") from None
        slot, version = said["slot"], said["version"]
        if version != self.version_in(slot):
            raise Bricked(f"slot {slot} says that it is {version} and holds {self.version_in(slot)}")
        self.boots.append(version)
        return str(slot)

    def play(self, step: Step) -> None:
        """Let one update happen, from whatever is on the disk, until it has ended as it should.

        Raises:
            Bricked: A start found no whole release.
            AssertionError: It did not end, or in another way.
        """
        version = step.release.version
        self.trees[version] = step.release.tree_files
        self.sick, self.dead = {version} if step.is_sick else set(), {version} if step.is_dead else set()
        self.is_done = False
        if not step.is_sideloaded and version not in {each.version for each in self.cloud.admin.releases()}:
            self.publish(step.release)
        try:
            self.loop.run_until_complete(self.run(self._until(step)))
        finally:
            for task in self.tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*self.tasks, return_exceptions=True))
            self.tasks.clear()
        if self.witness is not None:
            self.witness.note_all()
        assert self.is_done, f"{version} did not end {step.ends.value} after {self.boots}"

    def _until(self, step: Step) -> Callable[[UpdateService], bool]:
        asked: list[UpdateService] = []

        def is_over(service: UpdateService) -> bool:
            record = service.store.record
            is_it = record.offer.version == step.release.version
            if is_it and record.state is step.ends and not record.reports:
                return True
            if step.is_sideloaded and not record.is_open and service not in asked:
                asked.append(service)
                self.tasks.append(self.loop.create_task(self._bring(service, step.release)))
            return False

        return is_over

    async def _bring(self, service: UpdateService, brought: SimulatedRelease) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(0, len(brought.data), 2**18):
                yield brought.data[begin : begin + 2**18]

        with contextlib.suppress(Rejected):
            await service.install(pieces())


class Witness:
    """Notes what the hub relied on being on the disk, and from when on. Plays the neighbour as well."""

    def __init__(self, state_dir: Path, position: Callable[[], int], rng: random.Random) -> None:
        self._state_dir = state_dir
        self._position = position
        self._rng = rng
        self._sync = os.fdatasync  # a planted bug is the hub's, not the neighbour's
        self._synced = ""
        self.promises: list[Promise] = []

    def on_operation(self, operation: Operation, target: str) -> None:
        """Before each durable step: the one before is done."""
        if self._synced:
            self.note(self._synced)
        is_named = operation is Operation.FSYNC_DIRECTORY and target in {STATE_FILE, BOOK_FILE}
        self._synced = target if is_named else ""
        if self._rng.random() < NEIGHBOUR_SHARE:
            with (self._state_dir / "neighbour").open("ab", buffering=0) as file:
                file.write(self._rng.randbytes(512))
                self._sync(file.fileno())

    def note_all(self) -> None:
        """Note everything: a life has ended."""
        self._synced = ""
        for name in (STATE_FILE, BOOK_FILE):
            self.note(name)

    def note(self, name: str) -> None:
        """Note what a file holds now: that it is durable was promised."""
        path = self._state_dir / name
        content = path.read_bytes() if path.exists() else b""
        known = [each.content for each in self.promises if each.name == name]
        if content != (known[-1] if known else b""):
            self.promises.append(Promise(self._position(), name, content))


def broken_promises(promises: Sequence[Promise], served: int, state_dir: Path) -> Iterator[str]:
    """Yield what the disk has forgotten after a power cut once ``served`` requests were served."""
    for name in (STATE_FILE, BOOK_FILE):
        versions = [Promise(0, name, b""), *(each for each in promises if each.name == name)]
        newest = max(number for number, each in enumerate(versions) if each.position <= served)
        path = state_dir / name
        content = path.read_bytes() if path.exists() else b""
        if content not in {each.content for each in versions[newest : newest + 2]}:
            age = next((newest - n for n, each in enumerate(versions) if each.content == content), None)
            yield f"{name} holds {len(content)} bytes, " + ("torn" if age is None else f"{age} versions too old")


def damaged_slots(bench: DiskBench) -> Iterator[str]:
    """Yield the slots that the launcher's account names and that hold no whole release."""
    account = launcher.load(bench.machine.state_dir)
    for slot in {account.good, account.trial} - {"", BASE}:
        if bench.version_in(slot) == "pieces":
            held = sum(1 for _ in (bench.machine.state_dir / SLOTS_DIR / slot).rglob("*"))
            yield f"slot {slot} is named, and holds {held} files of no whole release"


@contextlib.contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """Give an event loop whose time is virtual."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.close()
        asyncio.set_event_loop(None)
