from pathlib import Path

import pytest

from agent.foundation import system_info


def tree(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_values_of_a_raspberry_pi(tmp_path: Path) -> None:
    proc = tree(
        tmp_path / "proc",
        {
            "uptime": "4711.25 9000.00\n",
            "meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nSwapFree: 0 kB\n",
            "self/status": "Name:\tpython\nVmRSS:\t  42 kB\n",
            "net/wireless": "Inter-| sta-|\n face | tus |\n wlan0: 0000   54.  -56.  -256        0\n",
            "device-tree/chosen/bootloader/rsts": (0x1000).to_bytes(4, "big"),
        },
    )
    sys = tree(
        tmp_path / "sys",
        {
            "block/mmcblk0/device/life_time": "0x01 0x03\n",
            "block/mmcblk0/device/pre_eol_info": "0x01\n",
            "class/thermal/thermal_zone0/temp": "48312\n",
            "class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "class/thermal/thermal_zone1/type": "broken\n",
            "devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "class/net/lo/operstate": "unknown\n",
            "class/net/eth0/operstate": "down\n",
            "class/net/wlan0/operstate": "up\n",
        },
    )
    assert system_info.uptime_s(proc) == 4711
    assert system_info.boot_reason(proc, sys) == "power_on"
    assert system_info.memory(proc) == {
        "total_bytes": 1_024_000,
        "available_bytes": 409_600,
        "swap_free_bytes": 0,
        "agent_bytes": 43_008,
    }
    disk = system_info.disk(tmp_path, sys)
    assert disk["wear"] == {"mmcblk0": {"life_used_percent_max": 30, "pre_eol_info": "0x01"}}
    assert 0 < disk["free_bytes"] <= disk["total_bytes"]
    assert system_info.temperatures(sys) == {
        "celsius": {"thermal_zone0/cpu-thermal": 48.312},
        "now": ["under_voltage", "throttled"],
        "since_boot": ["under_voltage", "throttled"],
    }
    assert system_info.interfaces(proc, sys) == {
        "eth0": {"state": "down"},
        "wlan0": {"state": "up", "quality": 54.0, "level_dbm": -56.0},
    }


@pytest.mark.parametrize(("register", "reason"), [(0x20, "restart"), (0, "unknown"), (0x1020, "power_on")])
def test_boot_reason_of_a_raspberry_pi(tmp_path: Path, register: int, reason: str) -> None:
    proc = tree(tmp_path, {"device-tree/chosen/bootloader/rsts": register.to_bytes(4, "big")})
    assert system_info.boot_reason(proc, tmp_path) == reason


@pytest.mark.parametrize(("status", "reason"), [("32\n", "watchdog"), ("0\n", "unknown")])
def test_boot_reason_of_other_machines(tmp_path: Path, status: str, reason: str) -> None:
    sys = tree(tmp_path, {"class/watchdog/watchdog0/bootstatus": status})
    assert system_info.boot_reason(tmp_path, sys) == reason


def test_machine_without_any_value(tmp_path: Path) -> None:
    assert system_info.uptime_s(tmp_path) is None
    assert system_info.boot_reason(tmp_path, tmp_path) == "unknown"
    assert system_info.memory(tmp_path) == {}
    assert system_info.disk(tmp_path, tmp_path)["wear"] == {}
    assert system_info.temperatures(tmp_path) == {"celsius": {}}
    assert system_info.interfaces(tmp_path, tmp_path) == {}
    assert system_info.versions(tmp_path)["system"] == ""
    with pytest.raises(OSError, match="No such file"):
        system_info.disk(tmp_path / "gone", tmp_path)


def test_wear_above_the_scale_is_reported(tmp_path: Path) -> None:
    sys = tree(tmp_path, {"block/mmcblk1/device/life_time": "0x0b 0xff", "block/mmcblk2/device/life_time": ""})
    assert system_info.disk(tmp_path, sys)["wear"] == {"mmcblk1": {"life_used_percent_max": 110, "pre_eol_info": ""}}


def test_operating_system_is_named(tmp_path: Path) -> None:
    tree(tmp_path, {"os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n'})
    assert system_info.versions(tmp_path)["system"] == "Debian GNU/Linux 12"


def test_this_machine_answers() -> None:
    assert system_info.memory()["agent_bytes"] > 0
    assert system_info.uptime_s() is not None


@pytest.mark.parametrize(
    ("files", "power"),
    [
        ({}, system_info.Power()),
        (
            {"devices/platform/soc/soc:firmware/get_throttled": "0x50001"},
            system_info.Power(("under_voltage",), ("under_voltage", "throttled")),
        ),
        (
            {"class/hwmon/hwmon1/name": "rpi_volt", "class/hwmon/hwmon1/in0_lcrit_alarm": "1"},
            system_info.Power(("under_voltage",)),
        ),
        (
            {"class/power_supply/ac/type": "Mains", "class/power_supply/ac/online": "0"},
            system_info.Power(is_mains_off=True),
        ),
        (
            {
                "class/power_supply/ac/type": "Mains",
                "class/power_supply/ac/online": "0",
                "class/power_supply/usb/type": "USB",
                "class/power_supply/usb/online": "1",
            },
            system_info.Power(),
        ),
        ({"class/power_supply/bat/type": "Battery", "class/power_supply/bat/online": "0"}, system_info.Power()),
    ],
)
def test_the_supply_is_what_firmware_driver_and_kernel_report(
    tmp_path: Path, files: dict[str, str | bytes], power: system_info.Power
) -> None:
    assert system_info.power(tree(tmp_path, files)) == power
