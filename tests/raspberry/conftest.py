"""climahub installed on an emulated Raspberry Pi, with relays on its GPIO lines."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raspberry.cpio import Archive
from tests.raspberry.image import PACKAGES_PATH, PROJECT, VENV, compile_modules
from tests.raspberry.machine import Machine

PROGRAM = """\
#!/opt/climahub/bin/python
import sys
from agent.__main__ import main
sys.exit(main())
"""
HWMON = "opt/sensors/class/hwmon/hwmon0"
UNIT_FILES = {
    "climahub.service": "etc/systemd/system/climahub.service",
    "climahub-gpio.conf": "etc/systemd/system/climahub.service.d/gpio.conf",
    "climahub.sysusers.conf": "etc/sysusers.d/climahub.conf",
}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the project's code as it is installed, compiled."""
    directory = tmp_path_factory.mktemp("project")
    for name in ("agent", "hal"):
        shutil.copytree(PROJECT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    import time; t=time.monotonic()
    compile_modules(Path(os.environ["CLIMAHUB_RASPBERRY"]) / "root", directory)
    print("COMPILE", time.monotonic()-t)
    return directory


@pytest.fixture(scope="session")
def machine(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(Path(os.environ["CLIMAHUB_RASPBERRY"]), tmp_path_factory.mktemp("machine"))

    def install(archive: Archive) -> None:
        archive.tree(project, str(PACKAGES_PATH))
        archive.file(f"{VENV}/bin/climahub", PROGRAM.encode(), 0o755)
        archive.file(f"{VENV}/launcher.py", (PROJECT / "agent" / "ota" / "launcher.py").read_bytes())
        for name, target in UNIT_FILES.items():
            archive.file(target, (PROJECT / "systemd" / name).read_bytes())
        # Raspberry Pi OS has the group, and a rule for udev that gives it the lines.
        archive.file("etc/sysusers.d/gpio.conf", b"g gpio -\n")
        archive.file("etc/climahub/api-key", b"k" * 32, 0o600)
        archive.file(f"{HWMON}/name", b"w1_slave_temp\n")
        archive.file(f"{HWMON}/temp1_input", b"12000\n")

    try:
        import time; t=time.monotonic()
        made.power_on(install)
        print("BOOT", time.monotonic()-t)
        made.run("chgrp", "gpio", "/dev/gpiochip0")
        made.run("chmod", "660", "/dev/gpiochip0")
        yield made
    finally:
        made.power_off()
