"""The Debian package under a real dpkg and systemd: install, upgrade, power cuts between its steps, remove, purge."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.systemd.conftest import Cloud, build_packages, configure, install_package
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(
    "CLIMAHUB_ROOTFS" not in os.environ, reason="needs root and a Debian root file system: make container"
)

UNIT = "climahub"
LIB = "usr/lib/climahub"
PACKAGE_BYTES_MAX = 20_000_000
INSTALLED_BYTES_MAX = 70_000_000
"""Wheels for both Pythons, and one environment (docs/decisions/0016-debian-package.md)."""

LOAD_LIBRARIES = """\
import importlib, pathlib, sys
site = next(pathlib.Path(each) for each in sys.path if each.endswith("site-packages"))
for path in sorted(site.rglob("*.so")):
    name = ".".join([*path.relative_to(site).parts[:-1], path.name.partition(".")[0]])
    importlib.import_module(name)
    print(name)
"""


def pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def environment(machine: Machine) -> str:
    return str((machine.root / LIB / "current").readlink())


def is_active(machine: Machine) -> bool:
    return machine.show(UNIT, "ActiveState") == "active"


def repacked(package: Path, directory: Path, version: str, *, is_broken: bool = False) -> Path:
    """Return the package as a later version with another list of wheels; a broken one lacks a wheel of the list."""
    tree = directory / f"tree-{version}"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text(
        "".join(f"Version: {version}\n" if line.startswith("Version:") else f"{line}\n" for line in lines)
    )
    for lock in (tree / LIB / "wheels").glob("climahub-py*.lock"):
        missing = f"nothing==1 --hash=sha256:{'0' * 64}\n" if is_broken else ""
        lock.write_text(f"{lock.read_text()}# {version}\n{missing}")
    made = directory / f"climahub_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(made)], check=True)
    shutil.rmtree(tree)
    return made


@pytest.fixture(scope="module")
def packaged(cloud: Cloud, packages: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine of its own with the package installed and configured."""
    directory = tmp_path_factory.mktemp("packaged")
    subprocess.run(["cp", "-a", os.environ["CLIMAHUB_ROOTFS"], str(directory / "root")], check=True)
    made = Machine(directory / "root")
    try:
        made.power_on()
        told = install_package(made, packages["climahub"])
        assert "climahub setup" in told
        assert not is_active(made)
        assert made.run("systemctl", "is-enabled", UNIT).strip() == "enabled"
        assert made.run("systemctl", "--failed", "--plain", "--no-legend").strip() == ""
        configure(made, cloud)
        yield made
    finally:
        made.power_off()
        shutil.rmtree(directory / "root", ignore_errors=True)


@pytest.fixture
def hub(packaged: Machine, packages: Mapping[str, Path]) -> Machine:
    """The machine with this tree's package and nothing beside it, whatever the test before left there."""
    query = ("dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", "climahub*")
    installed = dict(line.split() for line in packaged.run(*query).splitlines() if len(line.split()) == 2)
    if "climahub-homekit" in installed:
        packaged.run("dpkg", "--purge", "climahub-homekit")
    if f"climahub_{installed.get('climahub')}_" not in packages["climahub"].name:
        install_package(packaged, packages["climahub"])
    assert is_active(packaged)
    return packaged


def test_two_builds_of_one_commit_are_the_same_file(packages: Mapping[str, Path], tmp_path: Path) -> None:
    again = build_packages(tmp_path / "elsewhere")
    assert [name for name, path in packages.items() if path.read_bytes() != again[name].read_bytes()] == []


def test_debians_own_checker_finds_no_error(packages: Mapping[str, Path]) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("needs lintian")
    command = ["lintian", "--allow-root", "--fail-on", "error", *map(str, packages.values())]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_an_upgrade_heats_until_the_new_environment_is_there(
    hub: Machine, packages: Mapping[str, Path], tmp_path: Path
) -> None:
    before, process = environment(hub), pid(hub)
    config = (hub.root / "etc/climahub/config.toml").read_bytes()
    shutil.copy(repacked(packages["climahub"], tmp_path, "0.1.0+b"), hub.root / "root" / "b.deb")
    hub.run("dpkg", "--unpack", "/root/b.deb")
    assert (environment(hub), pid(hub)) == (before, process)
    assert "Setting up climahub (0.1.0+b)" in hub.run("dpkg", "--configure", "climahub")
    assert environment(hub) != before
    assert pid(hub) not in {process, "0"}
    assert is_active(hub)
    assert [path.name for path in (hub.root / LIB / "environments").iterdir()] == [Path(environment(hub)).name]
    assert (hub.root / "etc/climahub/config.toml").read_bytes() == config


def test_an_upgrade_that_cannot_make_its_environment_changes_nothing_that_runs(
    hub: Machine, packages: Mapping[str, Path], tmp_path: Path
) -> None:
    before, process = environment(hub), pid(hub)
    shutil.copy(repacked(packages["climahub"], tmp_path, "0.1.0+c", is_broken=True), hub.root / "root" / "c.deb")
    told = hub.run("sh", "-c", "dpkg --install /root/c.deb 2>&1 || true")
    assert "the hub goes on with the environment it has" in told
    assert (environment(hub), pid(hub)) == (before, process)
    install_package(hub, packages["climahub"])
    assert is_active(hub)


@pytest.mark.parametrize("step", ["unpacked", "half an environment"])
def test_power_that_fails_during_an_upgrade_leaves_a_hub_that_heats(
    hub: Machine, packages: Mapping[str, Path], tmp_path: Path, step: str
) -> None:
    shutil.copy(repacked(packages["climahub"], tmp_path, f"0.1.0+d{len(step)}"), hub.root / "root" / "d.deb")
    before = environment(hub)
    hub.run("dpkg", "--unpack", "/root/d.deb")
    if step == "half an environment":
        environments = hub.root / LIB / "environments"
        with hub.open("dpkg", "--configure", "climahub"):
            hub.wait(lambda: len(list(environments.glob("*/lib/python3*/site-packages/zigpy"))) == 2, "most wheels")
            assert environment(hub) == before
            hub.power_off()
    hub.power_off()
    hub.power_on()
    hub.wait(lambda: is_active(hub), "the service after the power cut")
    # The environment's own service may have finished the work meanwhile: either is right.
    hub.run("dpkg", "--configure", "--pending")
    assert environment(hub) != before
    assert is_active(hub)


def make_foreign(hub: Machine) -> str:
    """Let the environment be one of another Python, as after an upgrade of Debian; return its name."""
    current = Path(environment(hub))
    foreign = current.with_name(f"py3.2-{'0' * 16}")
    hub.run("mv", f"/{LIB}/{current}", f"/{LIB}/{foreign}")
    hub.run("ln", "--symbolic", "--force", "--no-dereference", str(foreign), f"/{LIB}/current")
    return str(foreign)


def test_another_python_makes_the_environment_anew_by_dpkgs_trigger_and_else_at_the_next_boot(hub: Machine) -> None:
    before, process = environment(hub), pid(hub)
    foreign = make_foreign(hub)
    hub.run("dpkg-trigger", "--by-package=python3-minimal", "--no-await", "/usr/bin/python3")
    assert (environment(hub), pid(hub)) == (foreign, process)
    hub.run("dpkg", "--triggers-only", "--pending")
    assert environment(hub) == before
    assert pid(hub) not in {process, "0"}
    assert is_active(hub)
    assert not (hub.root / LIB / foreign).exists()

    make_foreign(hub)
    hub.power_off()
    hub.power_on()
    hub.wait(lambda: environment(hub) == before, "the environment after the boot")
    hub.wait(lambda: is_active(hub), "the service after the boot")


def test_an_addition_brings_its_libraries_and_takes_them_away(hub: Machine, packages: Mapping[str, Path]) -> None:
    before = environment(hub)
    imports = f"/{LIB}/current/bin/python -c 'import agent.cli, pyhap' && echo there || true"
    assert hub.run("sh", "-c", imports) == ""
    install_package(hub, packages["climahub-homekit"])
    assert hub.run("sh", "-c", imports) == "there\n"
    assert is_active(hub)
    hub.run("dpkg", "--purge", "climahub-homekit")
    assert environment(hub) == before
    assert is_active(hub)


def test_the_package_takes_little_room_and_all_that_is_left_of_it_loads(
    hub: Machine, packages: Mapping[str, Path]
) -> None:
    assert packages["climahub"].stat().st_size <= PACKAGE_BYTES_MAX
    installed = int(hub.run("du", "--summarize", "--block-size=1", f"/{LIB}").split()[0])
    assert installed <= INSTALLED_BYTES_MAX, packages["climahub"].stat().st_size
    loaded = hub.run(f"/{LIB}/current/bin/python", "-c", LOAD_LIBRARIES).split()
    assert {"cryptography.hazmat.bindings._rust", "msgspec._core", "_cbor2", "gpiod._ext"} <= set(loaded)


def test_removal_stops_the_hub_and_keeps_its_data_and_purge_leaves_nothing(
    hub: Machine, packages: Mapping[str, Path]
) -> None:
    hub.run("dpkg", "--remove", "climahub")
    assert not is_active(hub)
    assert not (hub.root / LIB).exists()
    assert (hub.root / "var/lib/climahub").is_dir()
    assert (hub.root / "etc/climahub/config.toml").exists()
    install_package(hub, packages["climahub"])
    hub.wait(lambda: is_active(hub), "the service with its old configuration")
    # `configure` of these tests writes a drop-in of its own; what climahub setup writes is the package's to remove.
    drop_ins = hub.root / "etc/systemd/system/climahub.service.d"
    shutil.rmtree(drop_ins)
    drop_ins.mkdir()
    for name in ("setup.conf", "setup-key.conf"):
        (drop_ins / name).write_text("[Service]\n")
    hub.run("dpkg", "--purge", "climahub")
    search = "find / -xdev -name '*climahub*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/root/*'"
    assert hub.run("sh", "-c", search) == ""
    assert "climahub" not in hub.run("getent", "passwd")
