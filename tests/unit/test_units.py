"""The service's drop-ins, each and all together: systemd grades how much the agent may do to the machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
EXPOSURE_TENTHS_MAX = 16
DROP_INS = sorted(path.name for path in SYSTEMD.glob("*.conf") if "sysusers" not in path.name)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (apt install systemd)"
)


@needs_systemd
@pytest.mark.parametrize("names", [[], *([name] for name in DROP_INS), DROP_INS], ids="+".join)
def test_the_exposure_stays_low_with_the_devices_that_a_hub_has(tmp_path: Path, names: list[str]) -> None:
    units = tmp_path / "etc/systemd/system"
    (units / "climahub.service.d").mkdir(parents=True)
    shutil.copy(SYSTEMD / "climahub.service", units)
    for name in names:
        shutil.copy(SYSTEMD / name, units / "climahub.service.d")
    command = ("systemd-analyze", "security", f"--root={tmp_path}", "--offline=true")
    done = subprocess.run(
        [*command, f"--threshold={EXPOSURE_TENTHS_MAX}", "climahub.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@needs_systemd
def test_the_unit_that_stores_a_key_of_the_page_can_do_little_else(tmp_path: Path) -> None:
    """It runs as root, and reads what the agent has written."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(SYSTEMD / "climahub-key-request.service", units)
    command = ("systemd-analyze", "security", f"--root={tmp_path}", "--offline=true", "--threshold=25")
    done = subprocess.run([*command, "climahub-key-request.service"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("name", ["climahub-i2c.conf", "climahub-usb-relay.conf"])
def test_a_drop_in_names_single_devices(name: str) -> None:
    allowed = re.findall(r"^DeviceAllow=(\S+)", (SYSTEMD / name).read_text(), re.MULTILINE)
    assert allowed
    assert all(device.startswith("/dev/") for device in allowed)


def test_the_rule_of_usb_relays_gives_the_agent_that_board_under_the_name_of_the_drop_in() -> None:
    rule = (SYSTEMD / "62-climahub-usb-relay.rules").read_text()
    (device,) = re.findall(r"^DeviceAllow=/dev/(\S+)", (SYSTEMD / "climahub-usb-relay.conf").read_text(), re.MULTILINE)
    assert f'SYMLINK+="{device}"' in rule
    assert 'ATTRS{product}=="USBRelay*"' in rule


def test_the_rule_of_1_wire_opens_what_the_hub_writes_where_the_drop_in_lets_it(tmp_path: Path) -> None:
    """The command of the rule is run on a tree as the kernel makes it, with the present group in place of climahub."""
    rule = (SYSTEMD / "63-climahub-1wire.rules").read_text()
    drop_in = (SYSTEMD / "climahub-1wire.conf").read_text()
    (master,) = re.findall(r"^ReadWritePaths=-(\S+)$", drop_in, re.MULTILINE)
    slave = tmp_path / Path(master).name / "28-00000a1b2c3d"
    slave.mkdir(parents=True)
    written = [slave / "features", slave.parent / "therm_bulk_read"]
    for path in written:
        path.touch(0o644)
    (command,) = re.findall(r"RUN\+=\"/bin/sh -c '(.*)'\"", rule)
    group = str(os.getgid())
    shell = command.replace("/sys%p", str(slave)).replace("$$", "$").replace("chgrp climahub", f"chgrp {group}")
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", shell], check=True)
        assert [path.exists() and path.stat().st_mode & 0o777 for path in written] == [0o664] * len(written)
    written.pop().unlink()
    subprocess.run(["/bin/sh", "-c", shell], check=True)
