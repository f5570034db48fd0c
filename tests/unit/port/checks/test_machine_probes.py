"""The facts of the machine, from trees like those of a Raspberry Pi, of a laptop, and of a machine without anything."""

import os
from pathlib import Path

import pytest

from agent.config import resolve_text
from agent.config.loading import resolve
from agent.port.checks import machine_probes
from agent.port.checks.facts import (
    Configuration,
    FlashWear,
    HardwareWatchdog,
    Interface,
    Missing,
    Mount,
    PowerSupply,
    ProtectedFile,
    Stores,
    Throttling,
    TimeZones,
    Unit,
)
from agent.port.checks.machine_probes import Roots

CONFIG = '[cloud]\nbase_url = "https://api.example.org"\n'
NOW_MS = 1_800_000_000_000


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(tmp_path)


def test_the_firmware_of_a_pi_reports_its_supply(roots: Roots) -> None:
    put(roots.sys / "devices/platform/soc/soc:firmware/get_throttled", "0x50005\n")
    expected = ["under_voltage", "throttled"]
    assert machine_probes.throttling(roots) == Throttling(expected, expected)


@pytest.mark.parametrize(("alarm", "now"), [("1", ["under_voltage"]), ("0", [])])
def test_without_the_firmware_the_voltage_driver_reports_it(roots: Roots, alarm: str, now: list[str]) -> None:
    put(roots.sys / "class/hwmon/hwmon3/name", "rpi_volt")
    put(roots.sys / "class/hwmon/hwmon3/in0_lcrit_alarm", alarm)
    assert machine_probes.throttling(roots) == Throttling(now, [])


def test_other_machine_reports_no_supply_voltage(roots: Roots) -> None:
    put(roots.sys / "class/hwmon/hwmon0/name", "coretemp")
    found = machine_probes.throttling(roots)
    assert isinstance(found, Missing)
    assert "neither under-voltage nor throttling" in found.reason


def test_power_supplies(roots: Roots) -> None:
    for name, value in {"type": "Mains", "online": "0"}.items():
        put(roots.sys / f"class/power_supply/AC/{name}", value)
    for name, value in {"type": "UPS", "capacity": "42", "status": "Discharging"}.items():
        put(roots.sys / f"class/power_supply/ups/{name}", value)
    assert machine_probes.supplies(roots) == (
        PowerSupply("AC", "Mains", is_online=False),
        PowerSupply("ups", "UPS", None, 42, "Discharging"),
    )


def test_the_room_on_the_disk(tmp_path: Path) -> None:
    room = machine_probes.disk(tmp_path, 7)
    assert 0 < room.free_bytes <= room.total_bytes
    assert room.free_bytes_min == 7
    with pytest.raises(FileNotFoundError):
        machine_probes.disk(tmp_path / "gone", 7)


def test_wear_of_an_emmc_and_of_a_card(roots: Roots, tmp_path: Path) -> None:
    assert machine_probes.wear(roots, tmp_path) == ()
    put(roots.sys / "block/mmcblk0/device/life_time", "0x09 0x02\n")
    put(roots.sys / "block/mmcblk0/device/pre_eol_info", "0x02\n")
    assert machine_probes.wear(roots, tmp_path) == (FlashWear("mmcblk0", 90, 2),)


def test_directories_that_can_be_written(tmp_path: Path) -> None:
    assert machine_probes.mounts((tmp_path,), is_service=True) == (Mount(str(tmp_path), ""),)
    assert machine_probes.mounts((tmp_path,), is_service=False) == (Mount(str(tmp_path), ""),)
    (found,) = machine_probes.mounts((tmp_path / "gone",), is_service=True)
    assert "cannot be used" in found.problem
    read_only = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " ro," in line]
    if read_only:
        (found,) = machine_probes.mounts((Path(read_only[0]),), is_service=False)
        assert "read-only" in found.problem


def test_memory_load_and_temperatures(roots: Roots) -> None:
    assert isinstance(machine_probes.memory(roots), Missing)
    assert isinstance(machine_probes.load(roots), Missing)
    assert machine_probes.temperatures(roots) == {}
    put(roots.proc / "meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n")
    put(roots.proc / "loadavg", "0.1 2.5 1.0 1/100 7\n")
    put(roots.sys / "class/thermal/thermal_zone0/temp", "51500")
    put(roots.sys / "class/thermal/thermal_zone0/type", "cpu-thermal")
    memory, load = machine_probes.memory(roots), machine_probes.load(roots)
    assert not isinstance(memory, Missing)
    assert memory.available_bytes == 400 * 1024
    assert not isinstance(load, Missing)
    assert load.average == 2.5
    assert machine_probes.temperatures(roots) == {"thermal_zone0/cpu-thermal": 51.5}


def test_time_zones(roots: Roots) -> None:
    assert isinstance(machine_probes.time_zones(roots, ""), Missing)
    assert machine_probes.time_zones(roots, "Mars/Olympus") == TimeZones("Mars/Olympus", False, "")
    (roots.root / "etc").mkdir()
    (roots.root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert machine_probes.time_zones(roots, "Europe/Rome") == TimeZones("Europe/Rome", True, "Europe/Berlin")


def test_hardware_watchdogs(roots: Roots) -> None:
    for name, value in {"identity": "Broadcom BCM2835", "state": "active", "timeout": "15"}.items():
        put(roots.sys / f"class/watchdog/watchdog0/{name}", value)
    assert machine_probes.watchdogs(roots) == (HardwareWatchdog("watchdog0", "Broadcom BCM2835", True, 15),)


ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n"


def test_the_local_network(roots: Roots) -> None:
    put(roots.sys / "class/net/wlan0/operstate", "up")
    put(roots.sys / "class/net/lo/operstate", "unknown")
    put(roots.proc / "net/wireless", "Inter-| sta-|\n face |\n wlan0: 0000   60.  -50.  -256\n")
    put(roots.proc / "net/if_inet6", "fe800000000000000000000000000001 02 40 20 80 wlan0\n")
    put(roots.proc / "net/route", f"{ROUTES}wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\t0\n")
    put(roots.proc / "net/arp", "IP address HW Flags\n10.0.0.1 0x1 0x2 aa:bb:cc:dd:ee:ff * wlan0\n")
    zero = "0" * 32
    put(roots.proc / "net/ipv6_route", f"{zero} 00 {zero} 00 {'f' * 32} 00000400 1 0 00000003 wlan0\n")
    found = machine_probes.local_network(roots, ipv4_of={"wlan0": "10.0.0.7"}.__getitem__)
    assert found.interfaces == (Interface("wlan0", "up", -50.0, ("10.0.0.7", "fe80::1")),)
    assert (found.gateway, found.gateway_interface, found.gateway_answers) == ("10.0.0.1", "wlan0", True)
    assert found.has_ipv6_route


@pytest.mark.parametrize(("flags", "answers"), [("0x0", False), ("0x2", True), ("", None)])
def test_whether_the_router_answers(roots: Roots, flags: str, answers: bool | None) -> None:
    put(roots.proc / "net/route", f"{ROUTES}eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\n")
    put(roots.proc / "net/arp", f"IP address HW Flags\n10.0.0.1 0x1 {flags} 0 * eth0\n" if flags else "IP address\n")
    assert machine_probes.local_network(roots).gateway_answers is answers


def test_a_machine_without_a_network(roots: Roots) -> None:
    found = machine_probes.local_network(roots)
    assert (found.interfaces, found.gateway, found.has_ipv6_route) == ((), "", False)
    assert machine_probes.ipv4_address("no-such-one") == ""
    assert machine_probes.ipv4_address("lo") in {"127.0.0.1", ""}


def test_the_configuration_and_whether_it_is_in_force(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    missing = machine_probes.configuration(file, {}, None)
    assert missing == Configuration(str(file), (f"{file} is missing",))
    elsewhere = tmp_path / "none" / "c"
    assert machine_probes.configuration(elsewhere, {}, None) == Configuration(
        str(elsewhere), (f"{elsewhere} is missing",)
    )
    assert isinstance(machine_probes.configuration(put(tmp_path / "f", "") / "c", {}, None), Missing)
    put(file, CONFIG)
    running = resolve(file, environ={}).config
    assert machine_probes.configuration(file, {}, running) == Configuration(str(file), (), True)
    assert machine_probes.configuration(file, {}, None) == Configuration(str(file), (), None)
    put(file, f'{CONFIG}[log]\nlevel = "debug"\n')
    assert machine_probes.configuration(file, {}, running) == Configuration(str(file), (), False)
    put(file, f"{CONFIG}[log]\nlevel = 7\n")
    found = machine_probes.configuration(file, {}, running)
    assert isinstance(found, Configuration)
    assert "log.level" in found.problems[0]
    assert found.is_in_force is None


def test_permissions(tmp_path: Path) -> None:
    key = put(tmp_path / "key", "x")
    key.chmod(0o640)
    tmp_path.chmod(0o750)
    assert machine_probes.secrets((key, tmp_path / "none"), (tmp_path,)) == (
        ProtectedFile(str(key), 0o640),
        ProtectedFile(str(tmp_path), 0o750, is_directory=True),
    )


def test_the_first_unit_counts_and_drop_ins_are_read(roots: Roots) -> None:
    assert isinstance(machine_probes.unit(roots), Missing)
    put(roots.root / "usr/lib/systemd/system/climahub.service", "[Service]\nType=simple\n")
    own = put(roots.root / "etc/systemd/system/climahub.service", "[Service]\nType=notify\n")
    put(roots.root / "etc/systemd/system/climahub.service.d/gpio.conf", "[Service]\nDeviceAllow=/dev/gpiochip0 rw\n")
    found = machine_probes.unit(roots)
    assert found == Unit(
        str(own), ("[Service]", "Type=notify", "[Service]", "DeviceAllow=/dev/gpiochip0 rw"), ("gpio.conf",)
    )


def test_the_shipped_unit_has_all_that_the_hub_relies_on(roots: Roots) -> None:
    from agent.port.checks.hub_checks import UNIT_DIRECTIVES, UNIT_VITAL  # noqa: PLC0415 - one test

    shipped = (Path(__file__).parents[4] / "systemd" / "climahub.service").read_text()
    put(roots.root / "etc/systemd/system/climahub.service", shipped)
    found = machine_probes.unit(roots)
    assert isinstance(found, Unit)
    assert all(any(line.startswith(each) for line in found.lines) for each in UNIT_DIRECTIVES)
    assert set(UNIT_DIRECTIVES) > UNIT_VITAL


def test_quarantined_files_and_leftovers(tmp_path: Path) -> None:
    put(tmp_path / "settings.json", "{}")
    put(tmp_path / "settings.json.corrupt-1", "12345")
    old, young = put(tmp_path / "climate.json.new", ""), put(tmp_path / "starts.json.new", "")
    os.utime(old, (NOW_MS / 1000 - 90_000, NOW_MS / 1000 - 90_000))
    os.utime(young, (NOW_MS / 1000 - 5, NOW_MS / 1000 - 5))
    assert machine_probes.stores(tmp_path, NOW_MS) == Stores(("settings.json.corrupt-1",), 5, ("climate.json.new",))
    assert machine_probes.stores(tmp_path, None) == Stores(("settings.json.corrupt-1",), 5)


def test_a_directory_full_of_files_is_looked_at_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_probes, "FILES_MAX", 3)
    for number in range(5):
        put(tmp_path / f"f.corrupt-{number}", "")
    found = machine_probes.stores(tmp_path, NOW_MS)
    assert isinstance(found, Stores)
    assert len(found.quarantined) == 3


def test_the_age_of_a_file(tmp_path: Path) -> None:
    file = put(tmp_path / "f", "")
    os.utime(file, (NOW_MS / 1000 - 60, NOW_MS / 1000 - 60))
    assert machine_probes.file_age_s(file, NOW_MS) == 60.0
    assert machine_probes.file_age_s(file, None) is None
    assert machine_probes.file_age_s(tmp_path / "none", NOW_MS) is None


def test_the_defaults_name_the_places_of_files() -> None:
    config = resolve_text(CONFIG, file="c", directory=Path("/"), environ={}).config
    assert config.storage.state_dir.is_absolute()
