"""The key is kept encrypted where systemd can do that, else for root alone; a failure never costs the key."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.cli.setup.key_store import CREDENTIAL, ENCRYPTIONS, CommandFailed, KeyStore, read_key_file
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk

KEY = "cs_dev_" + "a1B2" * 8


class Creds:
    """Stands for systemd-creds: turns texts round. `fails` names what does not work."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def __call__(self, command: Sequence[str], given: bytes) -> bytes:
        assert KEY not in " ".join(command)
        assert command[:3:2] == ("systemd-creds", f"--name={CREDENTIAL}")
        if command[1] == self.fails:
            raise CommandFailed("no key")
        content = given if command[-2] == "-" else Path(command[-2]).read_bytes()
        return b"" if self.fails == "gives another" and command[1] == "decrypt" else content[::-1]


def store(directory: Path, creds: Creds, *, has_creds: bool = True) -> KeyStore:
    return KeyStore(directory, disk=Disk(), run=creds, has_creds=has_creds)


def test_encrypted_key_replaces_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("old")
    keys = store(tmp_path, Creds())
    assert "encrypted by systemd" in keys.keep(KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["api-key.cred"]
    assert keys.encrypted.stat().st_mode & 0o777 == 0o600
    assert KEY.encode() not in keys.encrypted.read_bytes()
    assert (keys.read(), keys.is_encrypted) == (KEY, True)


@pytest.mark.parametrize("fails", ["encrypt", "decrypt", "gives another", "not installed"])
def test_key_is_a_file_for_root_where_systemd_cannot_encrypt_it(tmp_path: Path, fails: str) -> None:
    store(tmp_path, Creds()).keep("cs_dev_old")
    keys = store(tmp_path, Creds(fails), has_creds=fails != "not installed")
    assert "for root alone to read" in keys.keep(KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["api-key"]
    assert keys.plain.stat().st_mode & 0o777 == 0o600
    assert (keys.read(), keys.is_encrypted) == (KEY, False)


@pytest.mark.parametrize("works", ENCRYPTIONS)
def test_key_is_encrypted_in_the_first_way_that_can_be_decrypted(tmp_path: Path, works: str) -> None:
    tried: list[str] = []

    def creds(command: Sequence[str], given: bytes) -> bytes:
        if command[1] == "encrypt":
            tried.append(command[3])
        elif tried[-1] != works:
            raise CommandFailed("TPM2 PCR bank invalid or not supported")
        return given[::-1]

    keys = KeyStore(tmp_path, disk=Disk(), run=creds, has_creds=True)
    assert "encrypted by systemd" in keys.keep(KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["api-key.cred"]
    assert tuple(tried) == ENCRYPTIONS[: ENCRYPTIONS.index(works) + 1]


def test_key_that_cannot_be_decrypted_is_none(tmp_path: Path) -> None:
    store(tmp_path, Creds()).keep(KEY)
    assert store(tmp_path, Creds("decrypt")).read() == ""


def test_plain_key_that_was_put_there_counts_first(tmp_path: Path) -> None:
    store(tmp_path, Creds()).keep("cs_dev_old")
    (tmp_path / "api-key").write_text(f"{KEY}\n")
    assert store(tmp_path, Creds()).read() == KEY


def test_key_file_of_a_person_may_have_comments(tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    path.write_text(f"# hub in the cellar\n{KEY}\n")
    assert read_key_file(path, Disk()) == KEY


@pytest.mark.parametrize("content", [f"{KEY}x", "", None])
def test_file_without_a_key_is_named_and_not_shown(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "hub.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigInvalid) as caught:
        read_key_file(path, Disk())
    assert str(path) in str(caught.value)
    assert KEY not in str(caught.value)
