import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli import exits
from agent.cli.root import run

REPOSITORY = Path(__file__).parents[3]


def test_from_keys_to_a_verified_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, name, unsigned, signed = (str(tmp_path / each) for each in ("system.raucb", "k", "u", "s"))
    Path(image).write_bytes(bytes(3_000_000))
    assert run(["bundle", "keygen", name]) == exits.OK
    assert stat.S_IMODE(Path(f"{name}.key").stat().st_mode) == 0o600
    common = ["--sequence", "3", "--model", "hub", "--version", "1.2.3", "--expires", "2030-01-02"]
    assert run(["bundle", "build", "--rauc", image, *common, unsigned]) == exits.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", unsigned]) == exits.FAILED
    assert "not signed" in capsys.readouterr().err
    assert run(["bundle", "sign", "--key", f"{name}.key", unsigned, signed]) == exits.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", signed]) == exits.OK
    assert "verified" in capsys.readouterr().out
    assert run(["bundle", "inspect", signed]) == exits.OK
    assert "2030-01-02T00:00:00Z" in capsys.readouterr().out
    assert run(["bundle", "inspect", "--json", signed]) == exits.OK
    assert msgspec.json.decode(capsys.readouterr().out)["payload_type"] == "rauc"


def test_keys_are_no_part_of_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(bytes(100))
    words = ["--sequence", "3", "--model", "hub", "--revoke", "00", str(tmp_path / "u")]
    assert run(["bundle", "build", "--rauc", str(tmp_path / "i"), *words]) == exits.USAGE
    assert "an image has the keys that lie in it" in capsys.readouterr().err
    assert not (tmp_path / "u").exists()


def test_a_damaged_bundle_is_neither_verified_nor_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(bytes(100))
    name, unsigned = str(tmp_path / "k"), tmp_path / "u"
    run(["bundle", "keygen", name])
    run(["bundle", "build", "--rauc", str(tmp_path / "i"), "--sequence", "3", "--model", "hub", str(unsigned)])
    unsigned.write_bytes(unsigned.read_bytes()[:-1] + b"x")
    assert run(["bundle", "sign", "--key", f"{name}.key", str(unsigned), str(tmp_path / "s")]) == exits.FAILED
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    assert run(["bundle", "keygen", str(tmp_path / "k")]) == exits.OK
    before = (tmp_path / "k.key").read_bytes()
    assert run(["bundle", "keygen", str(tmp_path / "k")]) == exits.CANNOT_CREATE
    assert (tmp_path / "k.key").read_bytes() == before


@pytest.mark.slow
def test_a_bundle_of_this_very_project(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "-w", wheels, REPOSITORY], check=True, timeout=120)
    name, unsigned, signed = (str(tmp_path / each) for each in ("k", "u", "s"))
    assert run(["bundle", "keygen", name]) == exits.OK
    build = ["bundle", "build", "--wheelhouse", str(wheels), "--sequence", "3", "--model", "hub", unsigned]
    assert run(build) == exits.OK
    assert run(["bundle", "sign", "--key", f"{name}.key", unsigned, signed]) == exits.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", signed]) == exits.OK


def test_what_to_build_must_be_said() -> None:
    from agent.cli.bundle import bundle  # noqa: PLC0415

    assert CliRunner().invoke(bundle, ["build", "--sequence", "1", "--model", "hub", "x"]).exit_code == exits.USAGE
