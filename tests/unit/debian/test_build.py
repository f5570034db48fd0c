"""The parts of the Debian packages that need neither dpkg nor the package index."""

import json
import zipfile
from pathlib import Path

import pytest

from agent.cli.root import COMMANDS
from agent.config.tables import KEYS
from debian.build import (
    Wheel,
    bill_of_materials,
    check_requirements,
    debian_changelog,
    hub_fields,
    lock_lines,
    read_wheel,
    room_bytes,
    unmet,
)
from debian.manuals import command_manual, configuration_manual, escaped

METADATA = "Metadata-Version: 2.1\nName: Some_Thing\nVersion: 1.2\nClassifier: License :: OSI Approved :: MIT License\n"


def wheel(directory: Path) -> Path:
    path = directory / "some_thing-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_thing-1.2.dist-info/METADATA", METADATA)
        archive.writestr("some_thing/vendored/other-1.dist-info/METADATA", "Name: other\n")
    return path


def test_wheel_is_known_by_its_own_metadata(tmp_path: Path) -> None:
    found = read_wheel(wheel(tmp_path))
    assert (found.name, found.version, found.licence) == ("Some_Thing", "1.2", "MIT License")
    assert lock_lines([found]) == f"Some_Thing==1.2 --hash=sha256:{found.sha256}\n"


def test_bill_of_materials_has_each_file_once_and_no_time() -> None:
    one = Wheel(Path("a.whl"), "A_b", "1", "MIT", "00")
    parts = bill_of_materials("climahub", [one, one])
    assert [part["purl"] for part in parts["components"]] == ["pkg:pypi/a-b@1"]
    assert "timestamp" not in json.dumps(parts)
    assert "serialNumber" not in parts


def test_changelog_names_the_package_and_the_time_of_the_commit() -> None:
    assert debian_changelog("climahub", 0).endswith("Thu, 01 Jan 1970 00:00:00 +0000\n")


def test_manual_has_every_command_and_every_key() -> None:
    manual = command_manual()
    assert [name for name in COMMANDS if f".SS climahub {escaped(name)} " not in manual] == []
    configuration = configuration_manual()
    assert [key.path for key in KEYS if f".B {escaped(key.name)}\n" not in configuration] == []


def test_manual_escapes_what_troff_would_take_for_itself() -> None:
    assert escaped(".hidden\n'quoted\na\\b --c") == "\\&.hidden\n\\&'quoted\na\\eb \\-\\-c"


def named(name: str, version: str, *requires: str) -> Wheel:
    return Wheel(Path(f"{name}.whl"), name, version, "MIT", "00", requires)


def test_wheels_that_do_not_fit_together_end_the_build() -> None:
    needy = named(
        "Needy", "1", "some_thing (>=2)", "old; python_version < '3.12'", "extra; extra == 'more'", "pygments>=2",
        "windows; sys_platform == 'win32'",
    )  # fmt: skip
    wheels = [needy, named("some-thing", "2.1")]
    assert unmet(wheels, "3.13") == []
    assert unmet(wheels, "3.11") == ['Needy requires old; python_version < "3.12"; there is none']
    wheels[1] = named("some-thing", "1.9")
    check_requirements("climahub", {})
    with pytest.raises(SystemExit, match=r"(?s)climahub was not built.*Python 3.13: Needy requires .*there is 1\.9"):
        check_requirements("climahub", {"3.13": wheels})


def test_room_is_counted_in_blocks_and_each_file_once(tmp_path: Path) -> None:
    empty = room_bytes(tmp_path)
    (tmp_path / "one").write_bytes(b"1" * 5000)
    one = room_bytes(tmp_path) - empty
    assert one >= 5000
    assert one % 512 == 0
    (tmp_path / "same").hardlink_to(tmp_path / "one")
    assert room_bytes(tmp_path) - empty == one


def test_the_package_suggests_what_systemd_creds_needs_for_a_tpm_by_the_names_of_both_releases() -> None:
    fields = hub_fields("arm64")
    assert {"Depends", "Recommends", "Suggests", "Description"} < set(fields)
    for library in ("libtss2-esys-3.0.2-0", "libtss2-rc0"):
        assert f"{library}t64 | {library}" in fields["Suggests"].split(", ")
        assert library not in fields["Depends"] + fields["Recommends"]
