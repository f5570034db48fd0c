"""The two wheels of this tree: what a hub gets, and what the laboratory adds to it."""

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent import __version__
from agent.cli import exit_codes
from agent.cli.root import LAB_COMMANDS, run
from lab.simulation.dask_engine import sources_digest

ROOT = Path(__file__).parents[2]


def build(project: Path, directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", directory, project], check=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def hub_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def lab_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT / "lab", tmp_path_factory.mktemp("lab"))


def top_level(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name.split("/")[0] for name in archive.namelist()}


def climahub(scratch: Path, wheels: Sequence[Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line from unpacked wheels, beside this environment's packages without any climahub."""
    installed = scratch / "installed"
    installed.mkdir()
    for wheel in wheels:
        zipfile.ZipFile(wheel).extractall(installed)
    packages = scratch / "packages"
    packages.mkdir()
    # The .pth files in it name other directories of packages; those of an editable climahub are left out.
    for site in {sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))}:
        for path in Path(site).iterdir():
            if not path.name.startswith(("climahub", "_climahub", "__editable__")) and path.suffix != ".pth":
                (packages / path.name).symlink_to(path)
    first = [str(installed), str(packages)]
    program = (
        f"import sys; sys.path[:] = {first} + [path for path in sys.path if 'site-packages' not in path];"
        "from agent.__main__ import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *arguments], check=False, capture_output=True, text=True
    )


def test_a_hubs_wheel_holds_the_agent_and_the_hardware_layer_only(hub_wheel: Path) -> None:
    assert top_level(hub_wheel) == {"agent", "hal", f"climahub-{__version__}.dist-info"}


def test_bundle_of_this_project_is_built_signed_and_verified(hub_wheel: Path, tmp_path: Path) -> None:
    name, unsigned, signed = (str(tmp_path / each) for each in ("k", "u", "s"))
    assert run(["bundle", "keygen", name]) == exit_codes.OK
    build = ["bundle", "build", "--wheelhouse", str(hub_wheel.parent), "--sequence", "3", "--model", "hub", unsigned]
    assert run(build) == exit_codes.OK
    assert run(["bundle", "sign", "--key", f"{name}.key", unsigned, signed]) == exit_codes.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", signed]) == exit_codes.OK


def test_the_laboratorys_wheel_holds_the_laboratory_only(lab_wheel: Path) -> None:
    assert top_level(lab_wheel) == {"lab", f"climahub_lab-{__version__}.dist-info"}
    with zipfile.ZipFile(lab_wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("lab/")}
    assert packed == {str(path.relative_to(ROOT)) for path in (ROOT / "lab").rglob("*.py")}


def test_workers_that_have_the_wheels_installed_have_the_sources_of_the_checkout(
    hub_wheel: Path, lab_wheel: Path, tmp_path: Path
) -> None:
    for wheel in (hub_wheel, lab_wheel):
        zipfile.ZipFile(wheel).extractall(tmp_path)
    assert sources_digest(tmp_path) == sources_digest(ROOT)


@pytest.mark.parametrize("name", LAB_COMMANDS)
def test_a_hub_without_the_laboratory_names_the_package(name: str, hub_wheel: Path, tmp_path: Path) -> None:
    done = climahub(tmp_path, [hub_wheel], name, "--anything")
    assert done.returncode == exit_codes.UNAVAILABLE
    assert f"install climahub-lab, which brings climahub {name}" in done.stderr
    assert f"pip install climahub-lab=={__version__}" in done.stderr


def test_a_hub_without_the_laboratory_lists_its_own_commands(hub_wheel: Path, tmp_path: Path) -> None:
    done = climahub(tmp_path, [hub_wheel], "--help")
    assert done.returncode == exit_codes.OK
    assert "\n  status " in done.stdout
    assert not any(f"\n  {name} " in done.stdout for name in LAB_COMMANDS)


def test_the_laboratory_adds_its_commands(hub_wheel: Path, lab_wheel: Path, tmp_path: Path) -> None:
    done = climahub(tmp_path, [hub_wheel, lab_wheel], "--help")
    assert all(f"\n  {name} " in done.stdout for name in ("status", *LAB_COMMANDS))
