"""The service's drop-ins, each and all together: systemd grades how much the agent may do to the machine."""

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
