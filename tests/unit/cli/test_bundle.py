import base64
import hashlib
import stat
import zipfile
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli import exit_codes
from agent.cli.root import run
from agent.foundation.disk import Disk
from agent.ota import bundle_builder, bundle_format, keys


def test_keys_image_signature_and_verification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, name, unsigned, signed = (str(tmp_path / each) for each in ("system.raucb", "k", "u", "s"))
    Path(image).write_bytes(bytes(3_000_000))
    assert run(["bundle", "keygen", name]) == exit_codes.OK
    assert stat.S_IMODE(Path(f"{name}.key").stat().st_mode) == 0o600
    common = ["--sequence", "3", "--model", "hub", "--version", "1.2.3", "--expires", "2030-01-02"]
    assert run(["bundle", "build", "--rauc", image, *common, unsigned]) == exit_codes.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", unsigned]) == exit_codes.FAILED
    assert "not signed" in capsys.readouterr().err
    assert run(["bundle", "sign", "--key", f"{name}.key", unsigned, signed]) == exit_codes.OK
    assert run(["bundle", "verify", "--trust", f"{name}.pub", signed]) == exit_codes.OK
    assert "verified" in capsys.readouterr().out
    assert run(["bundle", "inspect", signed]) == exit_codes.OK
    assert "2030-01-02T00:00:00Z" in capsys.readouterr().out
    assert run(["bundle", "inspect", "--json", signed]) == exit_codes.OK
    assert msgspec.json.decode(capsys.readouterr().out)["payload_type"] == "rauc"


def test_image_refuses_key_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(bytes(100))
    words = ["--sequence", "3", "--model", "hub", "--revoke", "00", str(tmp_path / "u")]
    assert run(["bundle", "build", "--rauc", str(tmp_path / "i"), *words]) == exit_codes.USAGE
    assert "an image contains its keys" in capsys.readouterr().err
    assert not (tmp_path / "u").exists()


def test_a_damaged_bundle_is_neither_verified_nor_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(bytes(100))
    name, unsigned = str(tmp_path / "k"), tmp_path / "u"
    run(["bundle", "keygen", name])
    run(["bundle", "build", "--rauc", str(tmp_path / "i"), "--sequence", "3", "--model", "hub", str(unsigned)])
    unsigned.write_bytes(unsigned.read_bytes()[:-1] + b"x")
    assert run(["bundle", "sign", "--key", f"{name}.key", str(unsigned), str(tmp_path / "s")]) == exit_codes.FAILED
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    assert run(["bundle", "keygen", str(tmp_path / "k")]) == exit_codes.OK
    before = (tmp_path / "k.key").read_bytes()
    assert run(["bundle", "keygen", str(tmp_path / "k")]) == exit_codes.CANNOT_CREATE
    assert run(["bundle", "keygen", ""]) == exit_codes.USAGE
    assert (tmp_path / "k.key").read_bytes() == before


def test_build_needs_wheels_or_an_image() -> None:
    from agent.cli.bundle import bundle  # noqa: PLC0415

    assert CliRunner().invoke(bundle, ["build", "--sequence", "1", "--model", "hub", "x"]).exit_code == exit_codes.USAGE


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A wheelhouse with a climahub 2.0.0 that does nothing."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    with zipfile.ZipFile(directory / "climahub-2.0.0-py3-none-any.whl", "w") as archive:
        record = ""
        for name, data in (
            ("agent/__main__.py", b"def main(): ..."),
            ("climahub-2.0.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: climahub\nVersion: 2.0.0\n"),
        ):
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},\n"
        archive.writestr("climahub-2.0.0.dist-info/RECORD", record)
    return directory


def built(wheels: Path, output: Path, *words: str, version: str = "2.0.0") -> int:
    common = ["--wheelhouse", str(wheels), "--sequence", "3", "--model", "hub", "--version", version]
    return run(["bundle", "build", *common, *words, str(output)])


def key_id_in(text: str) -> str:
    return text.split()[1]


def test_a_bundle_has_the_version_of_its_wheel(
    wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert built(wheels, tmp_path / "u", version="2.1.0") == exit_codes.FAILED
    assert "the wheel of climahub is version 2.0.0" in capsys.readouterr().err
    assert not (tmp_path / "u").exists()
    assert built(wheels, tmp_path / "u", version="v2.0.0") == exit_codes.OK


def test_another_version_than_the_wheels_is_neither_signed_nor_verified(
    wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["bundle", "keygen", str(tmp_path / "k")])
    built(wheels, tmp_path / "u")
    with (tmp_path / "u").open("rb") as file:
        parts, start = bundle_builder.read_head(file)
        payload = file.read()
    wrong = msgspec.structs.replace(bundle_format.decode_manifest(parts.payload), version="2.1.0")
    (tmp_path / "w").write_bytes(bundle_format.encode_unsigned(wrong) + payload)
    assert run(["bundle", "sign", "--key", str(tmp_path / "k.key"), str(tmp_path / "w"), str(tmp_path / "s")]) == 1
    assert "holds climahub '2.0.0'" in capsys.readouterr().err
    private = keys.read_private(tmp_path / "k.key", Disk())
    unsigned = bundle_format.parse(bundle_format.encode_unsigned(wrong)[bundle_format.PRELUDE_BYTES :])
    (tmp_path / "s").write_bytes(bundle_format.encode_signed(private, unsigned.payload) + payload)
    assert run(["bundle", "verify", "--trust", str(tmp_path / "k.pub"), str(tmp_path / "s")]) == exit_codes.FAILED
    assert "holds climahub '2.0.0'" in capsys.readouterr().err
    assert start


def test_key_rotation_takes_two_releases(wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = []
    for name in ("old", "new"):
        run(["bundle", "keygen", str(tmp_path / name)])
        ids.append(key_id_in(capsys.readouterr().out))
    old, new = ids
    unsigned, signed = str(tmp_path / "u"), str(tmp_path / "s")
    add, revoke = ["--add-key", str(tmp_path / "new.pub")], ["--revoke", old.upper()]
    assert built(wheels, tmp_path / "u", *add, "--revoke", new) == exit_codes.FAILED
    assert "adds and revokes" in capsys.readouterr().err
    assert built(wheels, tmp_path / "u", "--revoke", "k1") == exit_codes.USAGE
    assert "hexadecimal digits" in capsys.readouterr().err
    assert built(wheels, tmp_path / "u", *add, *revoke) == exit_codes.OK
    assert f"revokes {old}" in capsys.readouterr().err
    assert run(["bundle", "sign", "--key", str(tmp_path / "old.key"), unsigned, signed]) == exit_codes.FAILED
    assert f"revokes key {old}, which signs it" in capsys.readouterr().err
    assert not Path(signed).exists()
    assert run(["bundle", "sign", "--key", str(tmp_path / "new.key"), unsigned, signed]) == exit_codes.OK
    assert run(["bundle", "verify", "--trust", str(tmp_path / "new.pub"), signed]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert f"adds key   {new}" in shown
    assert f"revokes    {old}" in shown
