"""The releases of a simulation: real bundles with real signatures, good and bad, published at their times.

The real launcher on the simulated machine chooses what starts. Must never ask the agent: it reads the files from
outside.
"""

import asyncio
import hashlib
import io
import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.errors import ClimahubError
from agent.foundation.disk import Disk, Operation
from agent.foundation.staging_files import announcer
from agent.foundation.worker import InlineWorker
from agent.ota import bundle_builder, bundle_format, launcher
from agent.ota.context import RunningRelease
from agent.ota.launcher import BASE, SLOTS_DIR
from agent.ota.manifest import CHUNK_BYTES
from hal.sim.images import COMPATIBLE, SimImage, SimMachine, encode
from lab.refcloud.cloud import ReferenceCloud
from lab.simulation.machine import Machine
from lab.simulation.options import MachineFault, MachineFaultKind

PRIVATE_KEY = hashlib.sha256(b"the simulation's key").digest()
STRANGERS_KEY = hashlib.sha256(b"a stranger's key").digest()
MODEL = "hub"
FILES = 3
PADDING_BYTES = 3000


class SimulatedRelease(msgspec.Struct, frozen=True):
    """A release.

    Attributes:
        version: As the cloud names it.
        sequence: As its manifest says.
        data: The bundle.
        tree_files: What its slot holds, by path.
    """

    version: str
    sequence: int
    data: bytes
    tree_files: dict[str, bytes]


def make_release(
    version: str,
    sequence: int,
    *,
    private_key: bytes = PRIVATE_KEY,
    machine: str = "simulated",
    model: str = MODEL,
    chunks: int = 0,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> SimulatedRelease:
    """Return a release.

    Args:
        version: As the cloud names it.
        sequence: As its manifest says.
        private_key: Signs it; empty for an unsigned release.
        machine: The machine that it requires.
        model: The hub model that it fits.
        chunks: Its least number of chunks: larger downloads can be cut off in the middle.
        files: More files of its tree.
    """
    tree = {f"lib/{number}.py": f"# {version} {number}\n".encode() * PADDING_BYTES for number in range(FILES)}
    tree["__main__.py"] = f"version = {version!r}\n".encode()
    tree |= files
    if chunks:
        noise = b"".join(hashlib.sha256(f"{version} {n}".encode()).digest() for n in range(chunks * CHUNK_BYTES // 32))
        tree["lib/noise.bin"] = noise
    target = bundle_builder.BundleTarget(version, sequence, (model,), machine, "")
    payload = bundle_builder.pack(tree)
    manifest = bundle_builder.build_app_manifest(tree, payload, target)
    head = bundle_format.encode_unsigned(manifest)
    if private_key:
        head = bundle_format.encode_signed(
            private_key, bundle_format.parse(head[bundle_format.PRELUDE_BYTES :]).payload
        )
    return SimulatedRelease(version, sequence, head + payload, tree)


def make_image(
    version: str,
    sequence: int,
    *,
    image: SimImage | None = None,
    private_key: bytes = PRIVATE_KEY,
    model: str = MODEL,
    size_bytes: int = 2 * CHUNK_BYTES,
) -> SimulatedRelease:
    """Return a release that is an image of the whole system of a simulated machine.

    Args:
        version: As the cloud names it.
        sequence: As its manifest says.
        image: The content; by default a good image of that version.
        private_key: Signs the bundle around it.
        model: The hub model that it fits.
        size_bytes: The least size of the image.
    """
    payload = encode(image or SimImage(version), size_bytes=size_bytes)
    target = bundle_builder.BundleTarget(version, sequence, (model,), "simulated", "")
    manifest = bundle_builder.build_image_manifest(io.BytesIO(payload), target)
    unsigned = bundle_format.parse(bundle_format.encode_unsigned(manifest)[bundle_format.PRELUDE_BYTES :])
    return SimulatedRelease(version, sequence, bundle_format.encode_signed(private_key, unsigned.payload) + payload, {})


def public_key_pem() -> bytes:
    """Return the public half of `PRIVATE_KEY`, for a hub's `ota.keys_dir`."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - costs memory, needed rarely
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key()
    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


BATCH = "stable"
PACKAGED_VERSION = "1.0.0"
LATE_CRASH_S = 40.0
"""Seconds after its start, in the middle of the trial."""

CONFIG = """
[ota]
keys_dir = "{keys_dir}"
maintenance_window = "always"
metered = "always"
check_interval_s = 1800
spread_s = 300
trial_s = 60
trial_deadline_s = 900
"""


class ReleaseKind(StrEnum):
    """The kinds of releases."""

    GOOD = "good"
    DEAD = "dies at once"
    LATE = "dies in its trial"
    STRANGER = "signed by a stranger"
    MISFIT = "for other hardware"
    DAMAGED = "damaged"
    STALE = "below the floor"
    """After another release was committed; before that it is as good as any."""
    IMAGE = "an image of the whole system"
    IMAGE_DEAD = "an image that does not come up"
    IMAGE_LATE = "an image whose agent dies in its trial"
    IMAGE_MISFIT = "an image that its installer refuses"


_REFUSED = {ReleaseKind.STRANGER, ReleaseKind.MISFIT, ReleaseKind.DAMAGED, ReleaseKind.IMAGE_MISFIT}
_DYING = {ReleaseKind.DEAD, ReleaseKind.LATE, ReleaseKind.IMAGE_DEAD, ReleaseKind.IMAGE_LATE}
_DIES_LATE = {ReleaseKind.LATE, ReleaseKind.IMAGE_LATE}

IMAGE_SHARE = 0.3
"""The share of images among the releases that are good or die."""
_APPS = [
    ReleaseKind.GOOD,
    ReleaseKind.DEAD,
    ReleaseKind.LATE,
    ReleaseKind.STRANGER,
    ReleaseKind.MISFIT,
    ReleaseKind.DAMAGED,
    ReleaseKind.STALE,
]
_AS_IMAGE = {
    ReleaseKind.GOOD: ReleaseKind.IMAGE,
    ReleaseKind.DEAD: ReleaseKind.IMAGE_DEAD,
    ReleaseKind.LATE: ReleaseKind.IMAGE_LATE,
    ReleaseKind.MISFIT: ReleaseKind.IMAGE_MISFIT,
}


class Publication(msgspec.Struct, frozen=True):
    """A release and when it is offered."""

    at_s: float
    kind: ReleaseKind
    release: SimulatedRelease


class UpdateCounts(msgspec.Struct, frozen=True):
    """The outcomes of the releases.

    Attributes:
        offered: Published to the hub's batch.
        installed: Started at least once.
        committed: Became the good release.
        rolled_back: Rolled back after the installation.
        refused: Reported as failed without a start.
        bricked: Starts without a complete release; always 0.
    """

    offered: int = 0
    installed: int = 0
    committed: int = 0
    rolled_back: int = 0
    refused: int = 0
    bricked: int = 0


def draw_publications(rng: random.Random, per_day: float, *, until_s: float) -> list[Publication]:
    """Return the releases of a simulation in the order of their times; sequence numbers rise, except for stale ones."""
    drawn: list[Publication] = []
    at_s, number = 0.0, 1
    while per_day > 0:
        at_s += rng.expovariate(per_day / 86_400.0)
        if at_s >= until_s:
            break
        number += 1
        kind = rng.choices(_APPS, weights=[6, 2, 2, 1, 1, 1, 1])[0]
        # From a generator of its own, so that the other draws of a seed did not change when images were added.
        if random.Random(f"{at_s} {number}").random() < IMAGE_SHARE:
            kind = _AS_IMAGE.get(kind, kind)
        drawn.append(Publication(at_s, kind, _made(kind, number)))
    return drawn


def _made(kind: ReleaseKind, number: int) -> SimulatedRelease:
    version = f"{number}.0.0"
    if kind in _AS_IMAGE.values():
        compatible = "kettle" if kind is ReleaseKind.IMAGE_MISFIT else COMPATIBLE
        return make_image(version, number, image=SimImage(version, compatible))
    match kind:
        case ReleaseKind.STRANGER:
            return make_release(version, number, private_key=STRANGERS_KEY)
        case ReleaseKind.MISFIT:
            return make_release(version, number, model="kettle")
        case ReleaseKind.DAMAGED:
            release = make_release(version, number)
            return msgspec.structs.replace(release, data=release.data[:-20] + bytes(20))
        case ReleaseKind.STALE:
            return make_release(version, 1)
        case _:
            return make_release(version, number)


def dies_late(kind: ReleaseKind) -> bool:
    """Tell whether a release of this kind dies in its trial."""
    return kind in _DIES_LATE


def die_late(blow: asyncio.Future[MachineFault], now_s: Callable[[], float]) -> None:
    """End a process by a defect of the release itself."""
    if not blow.done():
        blow.set_result(MachineFault(MachineFaultKind.PROCESS_KILLED, now_s(), 1.0))


class Rollout:
    """Publishes the releases of one simulation, and observes their outcomes."""

    def __init__(
        self,
        publications: Sequence[Publication],
        *,
        cloud: ReferenceCloud,
        machine: Machine,
        keys_dir: Path,
        restart: Callable[[], None],
        violate: Callable[[str, str], None],
    ) -> None:
        """Prepare.

        Args:
            publications: The releases and their times; none: updates are off.
            cloud: Offers the releases.
            machine: Runs them.
            keys_dir: For the key that the hub trusts.
            restart: Ends the hub's process in good order.
            violate: Receives a violated promise and its detail.
        """
        self.publications = publications
        self._cloud = cloud
        self._machine = machine
        self._keys_dir = keys_dir
        self._restart = restart
        self._violate = violate
        self._by_version = {each.release.version: each for each in publications}
        self._offered: set[str] = set()
        self._installed: set[str] = set()
        self._committed: set[str] = set()
        self._rolled_back: set[str] = set()
        self._bricked = 0
        self._made_for: dict[str, str] = {}
        self.images: SimMachine | None = None
        if publications:
            self.images = SimMachine(
                PACKAGED_VERSION,
                now_s=lambda: machine.now_ms() / 1000,
                announce=lambda what: machine.on_operation(Operation.COMMIT, what),
                is_dead=lambda version: (
                    version in self._by_version and self._by_version[version].kind is ReleaseKind.IMAGE_DEAD
                ),
            )
        self.slot = BASE
        self.version = PACKAGED_VERSION
        if publications:
            keys_dir.mkdir()
            (keys_dir / "simulation.pub").write_bytes(public_key_pem())

    @property
    def config_text(self) -> str:
        """The section `[ota]` of the hub's configuration."""
        return CONFIG.format(keys_dir=self._keys_dir) if self.publications else ""

    def publish(self, publication: Publication) -> None:
        """Offer a release."""
        release = publication.release
        self._cloud.admin.publish(release.version, release.data, batches=[BATCH])
        self._offered.add(release.version)

    def boot(self) -> None:
        """Let the boot loader choose the system."""
        if self.images is not None:
            self.images.boot()

    def start(self, disk: Disk) -> ReleaseKind:
        """Let the launcher choose, check that the chosen release is complete, and return its kind."""
        if not self.publications:
            return ReleaseKind.GOOD
        self.slot = launcher.choose_slot(self._machine.state_dir, lambda _: None, announcer(disk))
        self.version = self._version_in(self.slot)
        self.look()
        if not self.version:
            self._bricked += 1
            self._violate("a whole release starts", f"slot {self.slot} holds something else")
            return ReleaseKind.GOOD
        if self.version == PACKAGED_VERSION:
            return ReleaseKind.GOOD
        self._installed.add(self.version)
        if self.slot != BASE and self._made_for.setdefault(self.version, self._packaged) != self._packaged:
            self._violate("an app runs in the system that it was made for", f"{self.version} in {self._packaged}")
        kind = self._by_version[self.version].kind
        if kind in _REFUSED:
            self._violate("a bad bundle is refused", f"{self.version}, {kind}, was installed")
        return kind

    def running(self) -> RunningRelease | None:
        """Return the hub's running release."""
        if not self.publications:
            return None
        return RunningRelease(self.version, self.slot, launcher.VERSION, "simulated", "", self._restart, InlineWorker())

    def look(self) -> None:
        """Read the launcher's state file and check it."""
        try:
            account = launcher.load(self._machine.state_dir)
        except (ValueError, OSError) as error:
            self._violate("the account of the slots is whole", str(error))
            return
        version = self._version_in(account.good)
        if version and version != PACKAGED_VERSION and self._is_committed(version, account):
            self._committed.add(version)
            if self._by_version[version].kind in _REFUSED | _DYING:
                self._violate("a bad release is not committed", f"{version}, {self._by_version[version].kind}")
        if account.trial and account.trial_sequence <= account.floor:
            self._violate("nothing below the floor", f"{account.trial_version} is on trial")
        if account.failed.version:
            self._rolled_back.add(account.failed.version)

    @property
    def _packaged(self) -> str:
        """The version of the package in the running system."""
        return self.images.version if self.images is not None else PACKAGED_VERSION

    def _is_committed(self, version: str, account: launcher.LauncherState) -> bool:
        """Tell whether the good slot's release is committed, and not an image on trial, which starts as the package."""
        return account.good != BASE or account.floor >= self._by_version[version].release.sequence

    def counts(self, device_ids: Sequence[str]) -> UpdateCounts:
        """Return the outcomes."""
        if not self.publications:
            return UpdateCounts()
        self.look()
        failed: set[str] = set()
        for device_id in device_ids:
            try:
                posts = self._cloud.admin.ota_history(device_id).posts
            except ClimahubError:
                continue
            failed |= {post.version for post in posts if post.status == "failed"}
        return UpdateCounts(
            offered=len(self._offered),
            installed=len(self._installed),
            committed=len(self._committed),
            rolled_back=len(self._rolled_back),
            refused=len(failed - self._rolled_back),
            bricked=self._bricked,
        )

    def _version_in(self, slot: str) -> str:
        """Return the version of the complete release in a slot; empty where there is none."""
        if slot == BASE:
            return self._packaged
        root = self._machine.state_dir / SLOTS_DIR / slot
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return next((v for v, each in self._by_version.items() if each.release.tree_files == found), "")
