import base64
import hashlib
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from agent.errors import BundleUntrusted
from agent.ota import bundle_builder
from agent.ota.keys import KeyChanges

from .conftest import TARGET

HERE = msgspec.structs.replace(TARGET, python=sys.implementation.cache_tag)


def wheel(directory: Path, name: str, files: dict[str, bytes], *, break_record: bool = False) -> Path:
    """Write a wheel by hand."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    distribution = "-".join(name.split("-")[:2])
    digests = {each: hashlib.sha256(data + b"x" * break_record).digest() for each, data in files.items()}
    texts = {each: base64.urlsafe_b64encode(digest).decode().rstrip("=") for each, digest in digests.items()}
    record = "".join(f"{each},sha256={text},\n" for each, text in texts.items())
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in files.items():
            archive.writestr(each, data)
        archive.writestr(f"{distribution}.dist-info/RECORD", record)
    return path


def house(directory: Path) -> Path:
    wheel(
        directory,
        "climahub-2.0.0-py3-none-any.whl",
        {"agent/__init__.py": b"", "agent/__main__.py": b"def main():\n    print('it runs')\n"},
    )
    wheel(
        directory,
        "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        {"fast.so": b"\x7fELF", "fast-1.0.data/purelib/extra.py": b"x = 1\n", "fast-1.0.data/scripts/fast": b"#!"},
    )
    return directory


def test_the_tree_of_an_app_runs_by_itself(tmp_path: Path) -> None:
    target = msgspec.structs.replace(HERE, python="cpython-311")
    tree = bundle_builder.build_app_tree(house(tmp_path / "w"), target, KeyChanges())
    assert {"agent/__init__.py", "fast.so", "extra.py", "__main__.py"} <= set(tree)
    assert not any("scripts" in path or path == "fast" for path in tree)
    slot = tmp_path / "slot"
    with tarfile.open(fileobj=BytesIO(bundle_builder.pack(tree)), mode="r:xz") as tar:
        tar.extractall(slot, filter="data")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-X", "no_debug_ranges", slot], capture_output=True, check=True
    )
    assert ran.stdout == b"it runs\n"


def test_byte_code_is_inside_for_the_same_python_only(tmp_path: Path) -> None:
    wheels = tmp_path / "w"
    wheel(
        wheels,
        "climahub-2.0.0-py3-none-any.whl",
        {"agent/__main__.py": b"x = 1\n", "agent/bad.py": b"no python at all"},
    )
    cached = f"agent/__pycache__/__main__.{sys.implementation.cache_tag}.pyc"
    assert cached in (tree := bundle_builder.build_app_tree(wheels, HERE, KeyChanges()))
    assert not any("bad" in path and path.endswith(".pyc") for path in tree)
    other = msgspec.structs.replace(HERE, python="cpython-39")
    assert not any(path.endswith(".pyc") for path in bundle_builder.build_app_tree(wheels, other, KeyChanges()))


def test_the_same_wheels_give_the_same_bytes(tmp_path: Path) -> None:
    wheels = house(tmp_path / "w")
    code = (
        "import hashlib; from pathlib import Path; from agent.ota import bundle_builder as builder\n"
        "from agent.ota.keys import KeyChanges\n"
        "t = builder.BundleTarget('2', 1, ('hub',), 'x86_64', 'cpython-311')\n"
        f"tree = builder.build_app_tree(Path({str(wheels)!r}), t, KeyChanges())\n"
        "print(hashlib.sha256(builder.pack(tree)).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


def test_key_changes_are_part_of_the_tree(tmp_path: Path) -> None:
    tree = bundle_builder.build_app_tree(house(tmp_path / "w"), TARGET, KeyChanges(("00" * 32,), ("11" * 8,)))
    assert msgspec.json.decode(tree["trust.json"], type=KeyChanges).revoked == ("11" * 8,)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("fast-1.0-cp311-cp311-manylinux_2_17_aarch64.whl", "does not fit"),
        ("fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "does not fit"),
        ("fast-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", "does not fit"),
        ("fast.whl", "not named like a wheel"),
        ("climahub-1.9.0-py3-none-any.whl", "more than one wheel of climahub"),
    ],
)
def test_foreign_wheel_is_refused(tmp_path: Path, name: str, match: str) -> None:
    wheels = tmp_path / "w"
    wheel(wheels, "climahub-2.0.0-py3-none-any.whl", {"agent/__main__.py": b""})
    wheel(wheels, name, {"x.py": b""})
    with pytest.raises(BundleUntrusted, match=match):
        bundle_builder.build_app_tree(wheels, TARGET, KeyChanges())


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "w", "climahub-2.0.0-py3-none-any.whl", {"agent/x.py": b""}, break_record=True)
    with pytest.raises(BundleUntrusted, match="RECORD"):
        bundle_builder.build_app_tree(tmp_path / "w", TARGET, KeyChanges())
    (tmp_path / "w" / "climahub-2.0.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(BundleUntrusted, match="cannot be read"):
        bundle_builder.build_app_tree(tmp_path / "w", TARGET, KeyChanges())


def test_a_wheelhouse_without_the_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleUntrusted, match="no wheel of climahub"):
        bundle_builder.build_app_tree(tmp_path, TARGET, KeyChanges())
