"""An accelerometer of the kernel's IIO on the /sys that umockdev makes of a device's attributes (no kernel module).

The attributes are those of the driver adxl345 (the kernel's Documentation/iio/adxl345.rst).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CHIP = "i2c-1-0053/adxl345"
SCALE = 0.038300
"""m/s² a step: 256 steps a g, as the driver has it in full resolution."""

DEVICES = f"""P: /devices/platform/soc/fe804000.i2c/i2c-1/1-0053
E: SUBSYSTEM=i2c
A: name=adxl345

P: /devices/platform/soc/fe804000.i2c/i2c-1/1-0053/iio:device0
E: SUBSYSTEM=iio
A: name=adxl345
A: in_accel_x_raw=-12
A: in_accel_y_raw=8
A: in_accel_z_raw=251
A: in_accel_x_calibbias=0
A: in_accel_y_calibbias=0
A: in_accel_z_calibbias=0
A: in_accel_scale={SCALE:.6f}
A: in_accel_sampling_frequency=100.000000
"""

pytestmark = pytest.mark.skipif(shutil.which("umockdev-run") is None, reason="needs umockdev (apt install)")


def burst(directory: Path, name: str, amplitude: int) -> Any:  # noqa: ANN401 - JSON
    devices = directory / "devices.umockdev"
    devices.write_text(DEVICES)
    script = [sys.executable, str(HERE / "iio_burst.py"), name, str(amplitude)]
    environ = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = ["umockdev-run", "--device", str(devices), "--", *script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ, timeout=120)
    return json.loads(done.stdout)


def test_the_axes_of_a_chip_are_read_and_gravity_is_no_vibration(tmp_path: Path) -> None:
    names, rms = burst(tmp_path, CHIP, 0)
    assert names == [f"{CHIP}/acceleration-{axis}" for axis in "xyz"]
    assert rms < 1e-9


def test_what_shakes_it_is_measured_in_g(tmp_path: Path) -> None:
    _, rms = burst(tmp_path, CHIP, 64)
    assert rms == pytest.approx(32 * SCALE / 9.80665, rel=0.01), "half the amplitude, which is a square wave's RMS"


def test_a_chip_of_another_name_has_no_axes(tmp_path: Path) -> None:
    assert burst(tmp_path, "i2c-1-001d/adxl345", 64) == [[], 0.0]
