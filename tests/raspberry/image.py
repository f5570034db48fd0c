"""Makes what the emulated Raspberry Pi boots: `python -m tests.raspberry.image build/raspberry`.

Debian's arm64 kernel, the description of the board that comes with it (device tree), and a small system: systemd,
Python, and climahub's dependencies as wheels from the lock files. climahub itself is not in it: it comes on top with
each run (`conftest.py`), so the image is made once.

Nothing of it is run here but Python, which compiles its modules (`qemu-aarch64`): the emulated machine would do that
again each time it is switched on.
"""

import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.raspberry.cpio import Archive
from tests.raspberry.machine import EMULATOR

PROJECT = Path(__file__).parents[2]
SUITE = "trixie"
"""The Debian that Raspberry Pi OS is made from."""
PYTHON = "3.13"
PACKAGES = ("base-files", "dash", "libbpf1", "linux-image-arm64", "python3", "systemd-sysv", "util-linux")
"""libbpf1: without it systemd admits no device to a service with `DevicePolicy=closed`, or every one."""
BOARD = "bcm2837-rpi-3-b.dtb"
MODULES = ("i2c-bcm2835", "industrialio", "dps310", "lm75")
"""Drivers of the bus and its chips, in the order in which they are loaded; the clock's is in the kernel itself."""
QEMU_VERSION = 10
"""That of Debian 13; in that of Debian 12 raspi3b has no I2C controller."""
UNUSED = (
    "boot/",
    "etc/kernel/",
    f"usr/lib/python{PYTHON}/idlelib/",
    f"usr/lib/python{PYTHON}/pydoc_data/",
    "usr/lib/aarch64-linux-gnu/gconv/",
    "usr/lib/klibc",
    "usr/lib/linux-image-",
    "usr/lib/modules/",
    "usr/share/",
)
"""What makes the archive larger and is not looked at. Most of the kernel's modules too: the drivers of the lines, the
serial port and memory file systems are in the kernel itself."""
UNUSED_WHEELS = (
    "bellows",
    "markdown_it",
    "mdurl",
    "pygments",
    "rich",
    "zigpy",
)
"""What this hub's daemon does not import: the command line's pictures, the radio."""
VENV = Path("opt/climahub")
PACKAGES_PATH = VENV / "lib" / f"python{PYTHON}" / "site-packages"


def main(target: Path) -> None:
    """Make the image in a directory.

    It gets `kernel`, `board.dtb`, `system.cpio`, `root`, which is the system unpacked, and `qemu` with the emulator of
    Debian 13 where this machine has none that is so new.
    """
    target.mkdir(parents=True, exist_ok=True)
    _get_emulator(target / EMULATOR)
    root = target / "root"
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        debian = Path(scratch) / "debian.tar"
        command = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64"]
        subprocess.run([*command, f"--include={','.join(PACKAGES)}", SUITE, debian], check=True)
        _unpack(debian, root, target)
        _install(root, Path(scratch))
    compile_modules(root, root / "usr/lib" / f"python{PYTHON}", root / PACKAGES_PATH)
    unfinished = target / "system.part"
    with unfinished.open("wb") as out, Archive(out) as archive:
        archive.tree(root)
    unfinished.rename(target / "system.cpio")


def compile_modules(root: Path, *directories: Path) -> None:
    """Compile Python's modules in some directories by the Python of a system.

    Not bound to the times of the sources: the archive's unpacking may change them.
    """
    python = ["qemu-aarch64", "-L", str(root), str(root / f"usr/bin/python{PYTHON}"), "-I", "-S"]
    arguments = ["-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    # A wheel may hold templates that are no Python; those are told by the exit code, and nobody imports them.
    subprocess.run([*python, *arguments, *map(str, directories)], check=False)


def _get_emulator(target: Path) -> None:
    """Unpack Debian 13's QEMU for this processor, unless this machine's is as new. It is started where it lies."""
    if (own := shutil.which("qemu-system-aarch64")) is not None:
        version = subprocess.run([own, "--version"], check=True, capture_output=True, text=True).stdout
        found = re.search(r"version (\d+)", version)
        if found is not None and int(found[1]) >= QEMU_VERSION:
            return
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract", "--include=qemu-system-arm", SUITE, target], check=True
    )


def _unpack(debian: Path, root: Path, target: Path) -> None:
    with tarfile.open(debian) as tar:
        # Its links lead to the root of the system that it will be; nothing is written through them.
        tar.extraction_filter = tarfile.tar_filter
        for member in tar:
            name = member.name.removeprefix("./")
            if name.startswith("boot/vmlinuz-"):
                (target / "kernel").write_bytes(_content(tar, member))
            elif name.endswith(f"/broadcom/{BOARD}"):
                (target / "board.dtb").write_bytes(_content(tar, member))
            elif name.endswith(tuple(f"/{module}.ko.xz" for module in MODULES)):
                module = root / "modules" / Path(name).stem
                module.parent.mkdir(parents=True, exist_ok=True)
                module.write_bytes(lzma.decompress(_content(tar, member)))
            elif not name.startswith(UNUSED) and (
                member.isfile() or member.isdir() or member.issym() or member.islnk()
            ):
                tar.extract(member, root, set_attrs=False)
                if member.isfile() or member.islnk():
                    (root / name).chmod(member.mode & 0o755 | 0o600)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _install(root: Path, scratch: Path) -> None:
    """Make the virtual environment of docs/install.md, without running anything of the other processor's."""
    wheels = scratch / "wheels"
    machine = ["--platform=manylinux_2_28_aarch64", "--platform=manylinux2014_aarch64", "--implementation=cp"]
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--dest", str(wheels)]
    pinned = ["--no-deps", "--require-hashes", "--requirement=requirements-hardware.lock"]
    subprocess.run(
        [*command, *machine, "--only-binary=:all:", f"--python-version={PYTHON}", *pinned], cwd=PROJECT, check=True
    )
    for wheel in wheels.glob("*.whl"):
        if wheel.name.startswith(UNUSED_WHEELS):
            continue
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(root / PACKAGES_PATH)
    (root / VENV / "bin").mkdir()
    (root / VENV / "bin" / "python").symlink_to(f"/usr/bin/python{PYTHON}")
    (root / VENV / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {PYTHON}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
