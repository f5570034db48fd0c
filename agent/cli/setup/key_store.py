"""Where the hub's key of the cloud is kept: a credential that systemd encrypts, or a file that only root can read.

Owns `/etc/climahub/api-key` and `api-key.cred`; a key in the first counts, as `climahub-key.service` has it. Never
prints a key, and never passes one as an argument of a program.
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.config.secrets import is_api_key, not_a_key
from agent.errors import ClimahubError, ConfigInvalid, Corrupt, ReadFailed
from agent.foundation.disk import Disk

CREDENTIAL = "climahub-api-key"
"""Its name is part of what is encrypted (systemd-creds(1), --name=)."""
KEY_FILE = "api-key"
KEY_BYTES_MAX = 4096
RUN_S_MAX = 30.0
"""A TPM answers within seconds."""

ENCRYPTIONS = ("--tpm2-pcrs=", "--tpm2-pcrs=23", "--with-key=host")
"""How a key is encrypted: the first of these whose result can be decrypted. The first two take TPM and host key, as
far as they are there (systemd-creds(1), --with-key=auto). A key bound to a register that the firmware extends would
be lost by its update, so none is; but systemd 252 cannot decrypt what was encrypted with a TPM and no register.
Register 23 is left to applications (TCG PC Client Platform Firmware Profile, "Application Support"): nothing extends
it by itself."""

Run = Callable[[Sequence[str], bytes], bytes]


class CommandFailed(ClimahubError):
    """A program of the system failed; the message is its own."""


def run(command: Sequence[str], given: bytes = b"") -> bytes:
    """Run a program of the system with an input; return what it printed.

    Raises:
        CommandFailed: It is missing, fails, or does not end.
    """
    try:
        done = subprocess.run([*command], input=given, capture_output=True, check=False, timeout=RUN_S_MAX)  # noqa: S603 - fixed commands
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandFailed(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"ended with {done.returncode}"
        raise CommandFailed(f"{' '.join(command[:2])}: {said}")
    return done.stdout


class KeyStore:
    """The key of this machine's hub."""

    def __init__(self, directory: Path, *, disk: Disk, run: Run = run, has_creds: bool | None = None) -> None:
        """Prepare; nothing is read.

        Args:
            directory: `/etc/climahub`.
            disk: Reads and writes.
            run: Runs systemd-creds.
            has_creds: Whether it is there; `None` to look.
        """
        self.plain = directory / KEY_FILE
        self.encrypted = directory / f"{KEY_FILE}.cred"
        self._disk = disk
        self._run = run
        self._has_creds = shutil.which("systemd-creds") is not None if has_creds is None else has_creds

    def read(self) -> str:
        """Return the key that is kept; empty where there is none that can be used. Blocks."""
        try:
            content = self._disk.read(self.plain, bytes_max=KEY_BYTES_MAX) or b""
            if not content and self.encrypted.exists():
                content = self._run(("systemd-creds", "decrypt", f"--name={CREDENTIAL}", str(self.encrypted), "-"), b"")
        except (CommandFailed, Corrupt, ReadFailed):
            return ""
        return content.decode("ascii", "replace").strip()

    @property
    def is_encrypted(self) -> bool:
        """The key is kept as a credential."""
        return self.encrypted.exists()

    def keep(self, key: str) -> str:
        """Keep a key in place of the one before; return in words where it is.

        Encrypted where systemd can do that and gives the same key back; else as a file that only root can read.

        Raises:
            StorageFull, OSError: The disk refuses; the key before is still there.
        """
        why = "systemd-creds is not installed"
        if self._has_creds:
            try:
                self._encrypt(key)
            except CommandFailed as error:
                why = str(error)
            else:
                self._disk.remove(self.plain)
                return f"encrypted by systemd in {self.encrypted}"
        self._disk.write(self.plain, f"{key}\n".encode(), is_secret=True)
        self._disk.remove(self.encrypted)
        return f"in {self.plain}, for root alone to read ({why})"

    def _encrypt(self, key: str) -> None:
        for option in ENCRYPTIONS:
            try:
                made = self._encrypted(key, option)
            except CommandFailed:
                if option == ENCRYPTIONS[-1]:
                    raise
            else:
                self._disk.write(self.encrypted, made, is_secret=True)
                return

    def _encrypted(self, key: str, option: str) -> bytes:
        """Return what a key is encrypted to, once it has been decrypted again."""
        made = self._run(("systemd-creds", "encrypt", f"--name={CREDENTIAL}", option, "-", "-"), key.encode())
        again = self._run(("systemd-creds", "decrypt", f"--name={CREDENTIAL}", "-", "-"), made)
        if again.decode("ascii", "replace") != key:
            raise CommandFailed("systemd-creds gives another text back")
        return made


def read_key_file(path: Path, disk: Disk) -> str:
    """Return the key in a file of a person.

    Raises:
        ConfigInvalid: There is none; the message says what to do and never holds the content.
    """
    try:
        content = disk.read(path, bytes_max=KEY_BYTES_MAX)
    except (Corrupt, ReadFailed) as error:
        raise ConfigInvalid(f"name another file with the key: {error}") from None
    if content is None:
        raise ConfigInvalid(f"name the file with the key: there is no {path}")
    lines = content.decode("ascii", "replace").splitlines()
    key = "\n".join(line for line in lines if not line.startswith("#")).strip()
    if not is_api_key(key):
        raise ConfigInvalid(f"{path}: {not_a_key(key)}")
    return key
