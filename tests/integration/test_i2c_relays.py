"""Relays on an I2C expander by unmodified smbus2 on a real device file, /dev/i2c-1, by umockdev.

The process that drives them is the one of ExecStopPost=, which switches them off after the agent has been killed.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_i2c import DEBIAN_PYTHON, HERE, Peer, has_umockdev

pytestmark = pytest.mark.skipif(
    not has_umockdev(), reason="needs umockdev, gir1.2-umockdev-1.0 and python3-gi (apt install)"
)

CONFIG = """[board]
name = "linux"
[board.linux]
relays = [{{ name = "living", heat_line = "i2c-1-0020/{chip}/3" }}]
"""


@pytest.fixture
def wire() -> Iterator[Peer]:
    peer = Peer("umockdev-wrapper", DEBIAN_PYTHON, str(HERE / "i2c_wire.py"))
    yield peer
    peer.close()


def switch_off(root: str, config: Path) -> tuple[int, str]:
    """Run what the unit runs after the agent; return its code and message."""
    preload = f"libumockdev-preload.so.0:{os.environ.get('LD_PRELOAD', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "agent", "run", "--config", str(config), "--outputs-off"],
        env={**os.environ, "LD_PRELOAD": preload, "UMOCKDEV_DIR": root, "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_relays_on_expanders_are_switched_off_and_faults_of_the_bus_are_named(wire: Peer, tmp_path: Path) -> None:
    root, config = wire.line(), tmp_path / "config.toml"
    for chip, written in (("pcf8574", "ff"), ("mcp23017", "140800")):
        config.write_text(CONFIG.format(chip=chip))
        wire(plug={"0x20": chip}, fault=None, bound=[], short=False)
        assert switch_off(root, config) == (0, "")
        assert written in wire()["told"]
        wire(bound=[0x20])
        code, text = switch_off(root, config)
        assert (code, "a driver of the kernel has it" in text) == (78, True)
        for fault in ("pulled", 110):
            wire(plug={"0x20": chip}, bound=[], fault=["pulled", 0] if fault == "pulled" else fault)
            code, text = switch_off(root, config)
            assert (code, f"i2c-1-0020/{chip}" in text, "check" in text) == (78, True, True)
