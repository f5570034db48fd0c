"""The confined service speaks with RAUC over the system bus, with no rule but RAUC's own."""

import os

import pytest

from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

SYSTEM_CONF = """\
[system]
compatible=container
bootloader=custom
statusfile=/var/lib/rauc.status
activate-installed=false
[handlers]
bootloader-custom-backend=/opt/boot/backend
[keyring]
path=/etc/ssl/certs/ca-certificates.crt
[slot.rootfs.0]
device=/opt/boot/slot-A
type=raw
bootname=A
[slot.rootfs.1]
device=/opt/boot/slot-B
type=raw
bootname=B
"""

BACKEND = """\
#!/bin/sh
cd /opt/boot || exit 1
case "$1" in
get-primary) echo A ;;
get-state) cat "state-$2" ;;
set-state) echo "$3" > "state-$2" ;;
esac
"""

IN_SLOT_A = "[Service]\nExecStart=\nExecStart=/usr/bin/rauc --override-boot-slot=A service\n"


def test_running_system_is_detected_and_marked_good(machine: Machine) -> None:
    if not (machine.root / "usr/bin/rauc").exists():
        pytest.skip("the root file system was made without RAUC; remove build/rootfs to have it made anew")
    machine.write("/opt/boot/backend", BACKEND, 0o755)
    for name in ("slot-A", "slot-B", "state-A", "state-B"):
        machine.write(f"/opt/boot/{name}", "tried\n")
    machine.write("/etc/systemd/system/rauc.service.d/slot.conf", IN_SLOT_A)
    machine.write("/etc/rauc/system.conf", SYSTEM_CONF)
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "climahub")
        state = machine.root / "opt/boot/state-A"
        machine.wait(lambda: state.read_text() == "good\n", "the mark of the system that runs")
        assert "in system A" in machine.run("/usr/bin/climahub", "update", "status")
    finally:
        machine.run("rm", "/etc/rauc/system.conf")
        machine.run("systemctl", "restart", "climahub")
