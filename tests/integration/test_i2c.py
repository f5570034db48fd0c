"""The hub's own readers with unmodified smbus2 on a real device file, /dev/i2c-1, by umockdev.

Needs umockdev with the bindings for Debian's Python (umockdev, gir1.2-umockdev-1.0, python3-gi): the chips are answered
by a process of that Python, the hub is another one.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hal.channels import Quantity
from hal.linux.i2c.known_chips import CHIPS
from tests import emulated_chips as emulated

HERE = Path(__file__).parent
DEBIAN_PYTHON = "/usr/bin/python3"
BINDINGS = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
NAMES = sorted(emulated.ALL)
QUANTITIES: dict[str, tuple[Quantity, ...]] = {chip.name: chip.quantities for chip in CHIPS}


def has_umockdev() -> bool:
    return (
        shutil.which("umockdev-wrapper") is not None
        and subprocess.run([DEBIAN_PYTHON, "-c", BINDINGS], check=False, capture_output=True).returncode == 0
    )


pytestmark = pytest.mark.skipif(
    not has_umockdev(), reason="needs umockdev, gir1.2-umockdev-1.0 and python3-gi (apt install)"
)


class Peer:
    """A process that answers each line of JSON with one."""

    def __init__(self, *command: str, **variables: str) -> None:
        environ = {**os.environ, **variables}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ, cwd=HERE.parents[1]
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __call__(self, **order: object) -> Any:  # noqa: ANN401 - JSON
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(order)}\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def close(self) -> None:
        self.process.communicate()


class Bus:
    """The two processes."""

    def __init__(self) -> None:
        self.wire = Peer("umockdev-wrapper", DEBIAN_PYTHON, str(HERE / "i2c_wire.py"))
        root = self.wire.line()
        preload = f"libumockdev-preload.so.0:{os.environ.get('LD_PRELOAD', '')}"
        self.hub = Peer(
            *(sys.executable, str(HERE / "i2c_hub.py")),
            LD_PRELOAD=preload,
            UMOCKDEV_DIR=root,
            PYTHONPATH=str(HERE.parents[1]),
        )

    def plug(self, name: str) -> list[str]:
        """Have one chip on the bus; return the names of its channels."""
        address = emulated.ALL[name][0]
        self.wire(plug={hex(address): name}, fault=None, short=False, bound=[])
        found: list[str] = self.hub(search=True)
        names = [f"i2c-1-{address:04x}/{name}/{quantity}" for quantity in QUANTITIES[name]]
        assert set(names) <= set(found)
        return names

    def read(self, names: list[str]) -> list[list[Any]]:
        """Read channels; ask a chip twice that was switched on just now."""
        outcomes: list[list[Any]] = self.hub(read=names)
        if any("wait" in reason for _, reason in outcomes):
            outcomes = self.hub(read=names)
        return outcomes


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    made = Bus()
    yield made
    made.hub.close()
    made.wire.close()


@pytest.mark.parametrize("name", NAMES)
def test_each_chip_is_found_and_read(bus: Bus, name: str) -> None:
    outcomes = bus.read(bus.plug(name))
    assert [reason for _, reason in outcomes] == [""] * len(QUANTITIES[name])


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (errno.ENXIO, "check its wiring and supply"),
        (errno.EREMOTEIO, "check its wiring and supply"),
        (errno.ETIMEDOUT, "disconnect the devices on this bus one by one"),
        (errno.EIO, "check the cable"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_says_what_to_do_and_passes(bus: Bus, name: str, fault: int, advice: str) -> None:
    [channel, *_] = names = bus.plug(name)
    right = bus.read([channel])
    bus.wire(fault=fault)
    [[value, reason]] = bus.hub(read=[channel])
    assert value is None
    assert reason.startswith(f"i2c-1 {emulated.ALL[name][0]:#04x} ({name}): {advice}")
    bus.wire(plug={hex(emulated.ALL[name][0]): name}, fault=None)
    assert bus.read([channel]) == right
    assert len(bus.read(names)) == len(names)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_transfer_is_no_value(bus: Bus, name: str) -> None:
    [channel, *_] = bus.plug(name)
    bus.wire(short=True)
    [[value, reason]] = bus.hub(read=[channel])
    assert value is None
    assert "messages were transferred" in reason


@pytest.mark.parametrize("name", ["sht3x", "sht4x", "shtc3", "scd4x", "scd30", "htu21"])
def test_a_bad_checksum_is_no_value(bus: Bus, name: str) -> None:
    [channel, *_] = bus.plug(name)
    for at in range(6):
        bus.wire(bad_checksum_at=at)
        [[value, reason]] = bus.hub(read=[channel])
        assert value is None
        assert "checksum of word" in reason


@pytest.mark.parametrize("name", NAMES)
def test_a_cable_pulled_at_any_byte_gives_the_right_value_or_none(bus: Bus, name: str) -> None:
    [channel, *_] = bus.plug(name)
    [[right, _]] = bus.read([channel])
    values: list[float | None] = []
    while not values or (values[-1] is None and len(values) < 200):
        bus.wire(plug={hex(emulated.ALL[name][0]): name}, fault=["pulled", len(values)])
        [[value, _]] = bus.read([channel])
        values.append(value)
    assert values[-1] == right
    bus.wire(plug={hex(emulated.ALL[name][0]): name}, fault=None)
    assert bus.read([channel]) == [[right, ""]]


def test_an_address_that_a_driver_is_bound_to_is_not_read(bus: Bus) -> None:
    """The kernel says so itself (EBUSY), also where its directory of devices does not."""
    [channel, *_] = bus.plug("bme280")
    bus.wire(bound=[0x76])
    [[value, reason]] = bus.hub(read=[channel])
    assert value is None
    assert "a driver of the kernel uses this address" in reason
    assert 0x76 not in bus.wire()["asked"]
