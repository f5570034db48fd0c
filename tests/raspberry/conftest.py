"""climahub installed on an emulated Raspberry Pi, with relays on its GPIO lines."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.raspberry.cpio import Archive
from tests.raspberry.image import PACKAGES_PATH, PROJECT, VENV, compile_modules
from tests.raspberry.machine import Machine

KEEPS, LETS_GO = "kernel-keeps-lines", "kernel-lets-lines-go"
"""What becomes of a line whose holder is gone. Raspberry Pi's own kernel keeps it as it was (raspberrypi/linux, pull
request 6117); Linux as Debian has it makes it an input again, unless it is told otherwise."""
PARAMETER = "pinctrl_bcm2835.persist_gpio_outputs"
USED = ("agent", "hal", "lab/refcloud")
"""The hub, and a cloud for it on the same machine, which has no network."""
UNUSED = ("agent/cli", "hal/replay", "hal/sim")
"""The daemon of a hub with relays imports none of it, and compiling takes its time."""
INSTALLED = "usr/lib/climahub"
"""Where the unit finds the release that is installed."""
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
def image() -> Path:
    return Path(os.environ["CLIMAHUB_RASPBERRY"])


@pytest.fixture(scope="session")
def project(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the project's code as it is installed, compiled."""
    directory = tmp_path_factory.mktemp("project")
    for name in USED:
        shutil.copytree(PROJECT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in UNUSED:
        shutil.rmtree(directory / name)
    compile_modules(image / "root", directory)
    return directory


@pytest.fixture(scope="session", params=[KEEPS, LETS_GO])
def machine(
    request: pytest.FixtureRequest, image: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    made = Machine(image, tmp_path_factory.mktemp("machine"))
    files = {f"{HWMON}/name": "w1_slave_temp\n", f"{HWMON}/temp1_input": "12000\n"}
    try:
        made.power_on(
            lambda archive: install(archive, project, files), f"{PARAMETER}={'y' if request.param == KEEPS else 'n'}"
        )
        made.run("chgrp", "gpio", "/dev/gpiochip0")
        made.run("chmod", "660", "/dev/gpiochip0")
        yield made
    finally:
        made.power_off()


def install(archive: Archive, project: Path, files: Mapping[str, str]) -> None:
    """Put climahub on a machine, with its unit and a key, and further files."""
    archive.tree(project, str(PACKAGES_PATH))
    archive.file(f"{VENV}/bin/climahub", PROGRAM.encode(), 0o755)
    archive.link(f"{INSTALLED}/current", f"/{VENV}")
    archive.file(f"{INSTALLED}/launcher.py", (PROJECT / "agent" / "ota" / "launcher.py").read_bytes())
    for name, target in UNIT_FILES.items():
        archive.file(target, (PROJECT / "systemd" / name).read_bytes())
    # Raspberry Pi OS has the group, and a rule for udev that gives it the lines.
    archive.file("etc/sysusers.d/gpio.conf", b"g gpio -\n")
    archive.file("etc/climahub/api-key", b"cs_dev_" + b"k" * 32, 0o600)
    # What follows a death is looked at before the next life; the emulated processor is slow.
    patience = b"[Service]\nRestartSec=1h\nTimeoutStartSec=600\nTimeoutStopSec=300\n"
    archive.file("etc/systemd/system/climahub.service.d/patience.conf", patience)
    for name, text in files.items():
        archive.file(name, text.encode())
