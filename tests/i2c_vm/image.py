"""Makes what the x86 machine with an emulated I2C chip boots: `python -m tests.i2c_vm.image build/i2c-vm`.

Debian's amd64 kernel, its modules for the chip (i2c-stub, bmp280), busybox and i2c-tools, as apt finds them for the
Debian that this runs on. Nothing is installed and nobody needs to be root. What the machine does (`init.sh`) and the
registers of the chip come on top with each run (`test_bmp280.py`).
"""

import lzma
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.raspberry.cpio import Archive

PACKAGES = ("busybox-static", "i2c-tools", "libi2c0", "libc6")
MODULES = ("i2c-dev", "i2c-stub", "bmp280-i2c")
PROGRAMS = ("bin/busybox", "usr/sbin/i2cset")
LIBRARIES = ("libc.so.6", "libi2c.so.0", "ld-linux-x86-64.so.2")


def main(target: Path) -> None:
    """Make the image in a directory: `kernel`, and `system.cpio`."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as name:
        scratch = Path(name)
        listed = subprocess.run(
            ["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True
        ).stdout
        kernel = re.findall(r"Depends: (linux-image-\S+)", listed)[-1]
        subprocess.run(["apt-get", "--quiet", "download", kernel, *PACKAGES], cwd=scratch, check=True)
        root = scratch / "root"
        for package in scratch.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
        (target / "kernel").write_bytes(next((root / "boot").glob("vmlinuz-*")).read_bytes())
        unfinished = target / "system.part"
        with unfinished.open("wb") as out, Archive(out) as archive:
            _fill(archive, root)
        unfinished.rename(target / "system.cpio")


def _fill(archive: Archive, root: Path) -> None:
    found = {path.name: path for path in root.rglob("*") if path.is_file()}
    for program in PROGRAMS:
        archive.file(f"bin/{Path(program).name}", found[Path(program).name].read_bytes(), 0o755)
    for library in LIBRARIES:
        archive.file(f"lib64/{library}", found[library].read_bytes(), 0o755)
    modules = {path.name.split(".ko")[0].replace("_", "-"): path for path in root.rglob("*.ko*")}
    names = list(dict.fromkeys(each for module in MODULES for each in _with_needed(module, modules)))
    for name in names:
        archive.file(f"modules/{name}.ko", _content(modules[name]))
    archive.file("modules/order", "".join(f"{name}\n" for name in names).encode())


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _with_needed(name: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """Yield a module after those that it needs, as its own record says."""
    needed = re.search(rb"\0depends=([^\0]*)\0", _content(modules[name]))
    for each in needed[1].decode().split(",") if needed and needed[1] else ():
        yield from _with_needed(each.replace("_", "-"), modules)
    yield name


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
