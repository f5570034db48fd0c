import os
import time
import pytest
from tests.raspberry.machine import Machine
pytestmark = pytest.mark.skipif("CLIMAHUB_RASPBERRY" not in os.environ, reason="needs QEMU and an image: make raspberry")

def test_a(machine: Machine) -> None:
    for command in ["cat /proc/uptime", "systemd-analyze blame | head -20", "systemctl --failed", "cat /proc/devices", "journalctl -b --no-pager | tail -60", "/opt/climahub/bin/python -X importtime -c \"import agent.daemon\" 2>&1 | tail -1", "/opt/climahub/bin/climahub run --config /nonexistent --outputs-off"]:
        s = time.monotonic()
        print("$", command, machine.attempt("sh", "-c", command), round(time.monotonic()-s, 1))
    print(machine.controller(), [machine.controller().line(n) for n in (14, 15, 17, 27)])
    with machine.recorded() as states:
        machine.run("chgrp", "gpio", "/dev/gpiochip0")
        s = time.monotonic()
        print(machine.run("/opt/climahub/bin/python", "-c", """
import gpiod
from gpiod.line import *
c=gpiod.Chip('/dev/gpiochip0'); print(c.get_info(), c.get_line_info(17))
r=gpiod.request_lines('/dev/gpiochip0', consumer='x', config={(17,): gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE, bias=Bias.PULL_DOWN)})
print(c.get_line_info(17))
""").replace("<", "\n<"), time.monotonic()-s)
    print(len(states()), [(str(s.line(17)), s.pulls) for s in states()], os.path.getsize(machine._log))
    print(machine._log.read_text()[:1500])
