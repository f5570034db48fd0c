"""A machine with the real RAUC: two slots that are files, a boot loader that is a script, and a bus of its own."""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hal.errors import InstallerLost
from hal.images import SlotMark, SlotSelector
from hal.linux.rauc import Rauc
from tests.integration.conftest import WAIT_S

COMPATIBLE = "climahub-test"
SLOT_BYTES = 4 * 1024 * 1024

SYSTEM_CONF = """\
[system]
compatible={compatible}
bootloader=custom
statusfile={root}/status
mountprefix={root}/mnt
activate-installed={activates}
bundle-formats=plain
[handlers]
bootloader-custom-backend={root}/backend
pre-install={root}/before
[keyring]
path={root}/trusted.pem
[slot.rootfs.0]
device={root}/slot-A
type=raw
bootname=A
[slot.rootfs.1]
device={root}/slot-B
type=raw
bootname=B
"""

BACKEND = """\
#!/bin/sh
cd '{root}/boot' || exit 1
case "$1" in
get-primary) cat primary ;;
set-primary) echo "$2" > primary; echo good > "state-$2" ;;
get-state) cat "state-$2" ;;
set-state) echo "$3" > "state-$2" ;;
esac
"""
"""The four requests of a custom backend (RAUC's manual, "Custom Bootloader Backend Interface")."""

BEFORE = """\
#!/bin/sh
touch '{root}/waits'
while [ -e '{root}/gate' ]; do sleep 0.02; done
"""
"""An installation waits while the gate is there."""

MANIFEST = """\
[update]
compatible={compatible}
version={version}
[bundle]
format=plain
[image.rootfs]
filename=rootfs.img
"""


def skip_reason(scratch: Path) -> str:
    """Return why RAUC cannot work on this machine; empty where it can."""
    for tool in ("dbus-daemon", "rauc", "mksquashfs"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (apt-get install dbus rauc squashfs-tools)"
    if os.geteuid() != 0:
        return "RAUC mounts what it installs, which needs root"
    tree, packed, place = (scratch / name for name in ("tree", "tree.squashfs", "place"))
    tree.mkdir()
    place.mkdir()
    subprocess.run(["mksquashfs", tree, packed, "-quiet"], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop,ro", packed, place], check=False, capture_output=True, text=True)
    if mounted.returncode:
        return f"this machine mounts no images ({mounted.stderr.strip()})"
    subprocess.run(["umount", place], check=True)
    return ""


class WatchedRauc(Rauc):
    """Notes what the boot loader was told, once it was."""

    def __init__(self, bus: str, config: Path) -> None:
        super().__init__(bus_address=bus, config_files=[config])
        self.marks: list[tuple[SlotMark, SlotSelector]] = []

    async def mark(self, mark: SlotMark, which: SlotSelector) -> None:
        await super().mark(mark, which)
        self.marks.append((mark, which))


class RaucMachine:
    """The machine. `start` boots it into a slot.

    Attributes:
        root: Where all of it lies.
        config: RAUC's configuration.
    """

    def __init__(self, root: Path, bus: str, *, activates: bool = False) -> None:
        """Set the machine up; slot A runs.

        Args:
            root: An empty directory.
            bus: Address of the bus.
            activates: As a machine does that was set up without regard to the hub.
        """
        self.root = root
        self._environ = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus}
        self._bus = bus
        self._process: subprocess.Popen[bytes] | None = None
        self.config = root / "system.conf"
        values = {"root": root, "compatible": COMPATIBLE, "activates": str(activates).lower()}
        (root / "boot").mkdir()
        (root / "mnt").mkdir()
        for name, text in (("system.conf", SYSTEM_CONF), ("backend", BACKEND), ("before", BEFORE)):
            (root / name).write_text(text.format(**values))
            (root / name).chmod(0o755)
        for slot in "AB":
            (root / f"slot-{slot}").write_bytes(bytes(SLOT_BYTES))
            (root / "boot" / f"state-{slot}").write_text("good\n")
        (root / "boot" / "primary").write_text("A\n")
        for who in ("trusted", "stranger"):
            _make_signer(root, who)

    async def start(self, slot: str = "A") -> WatchedRauc:
        """Boot: RAUC's service begins, in a system that came from ``slot``."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - a test may wait for a process to begin
            ["rauc", f"--conf={self.config}", f"--override-boot-slot={slot}", "service"],
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        rauc = WatchedRauc(self._bus, self.config)
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(InstallerLost):
                    await rauc.state()
                    return rauc
                await asyncio.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End RAUC's service."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(WAIT_S)
            self._process = None
        if number is signal.SIGKILL:
            # In the middle of an installation, the image stays mounted.
            subprocess.run(["umount", self.root / "mnt" / "bundle"], check=False, capture_output=True)

    def image(self, version: str, *, content: bytes, signer: str = "trusted", compatible: str = COMPATIBLE) -> Path:
        """Return a RAUC bundle that holds an image, made by the real tool."""
        source = self.root / f"content-{version}-{signer}-{compatible}"
        source.mkdir()
        (source / "rootfs.img").write_bytes(content)
        (source / "manifest.raucm").write_text(MANIFEST.format(version=version, compatible=compatible))
        made = source.with_name(f"{source.name}.raucb")
        keys = [f"--cert={self.root / signer}.pem", f"--key={self.root / signer}.key"]
        subprocess.run(["rauc", *keys, "bundle", source, made], check=True, capture_output=True)
        return made

    def content(self, slot: str, size: int) -> bytes:
        """Return what lies at the beginning of a slot."""
        with (self.root / f"slot-{slot}").open("rb") as file:
            return file.read(size)

    def boot(self) -> Mapping[str, str]:
        """Return what the boot loader knows."""
        return {path.name: path.read_text().strip() for path in (self.root / "boot").iterdir()}

    def shut_gate(self) -> Path:
        """Have installations wait until what is returned is removed."""
        gate = self.root / "gate"
        gate.touch()
        return gate

    async def at_gate(self) -> None:
        """Wait until an installation waits there, with its image mounted."""
        async with asyncio.timeout(WAIT_S):
            while not (self.root / "waits").exists():  # noqa: ASYNC110 - RAUC is another process
                await asyncio.sleep(0.005)


def _make_signer(directory: Path, name: str) -> None:
    """Make a key and a certificate that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins.replace(year=2099))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    private = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / f"{name}.key").write_bytes(private)
    (directory / f"{name}.pem").write_bytes(certificate.public_bytes(form))
