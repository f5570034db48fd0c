"""Stores a key that the running hub asks root to store (`agent.local.cloud_key`), for `climahub-key-request.service`.

The request comes from a program that may have been taken over, so it is read as foreign input: no link is followed, its
size and form are limited, and it is gone before anything is done. Writes nothing where the agent may write, and never
prints a key.
"""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.cli.setup import written
from agent.cli.setup.drop_in import Needs, drop_in_text
from agent.cli.setup.key_store import KeyStore
from agent.commands import factory_reset
from agent.config import Config
from agent.config.secrets import is_api_key
from agent.errors import ClimahubError, ConfigInvalid
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.local.cloud_key import FILE_BYTES_MAX, StoreAnswer, StoreRequest

ANSWER_S = 2.0
"""Between the answer and the restart, so that the hub can pass the answer on."""
ID_CHARACTERS_MAX = 64


class KeyTaker:
    """Takes one request."""

    def __init__(self, *, answer: Path, drop_in: Path, keys: KeyStore, disk: Disk, load: Callable[[], Config]) -> None:
        """Prepare; nothing is done.

        Args:
            answer: Where the answer goes: a directory that the agent cannot write.
            drop_in: Of the unit, which has the credential decrypted; a key that is not encrypted passes there, too.
            keys: Where the key is kept.
            disk: Reads and writes.
            load: Returns the configuration of the service; raises `ConfigInvalid`.
        """
        self._answer = answer
        self._drop_in = drop_in
        self._keys = keys
        self._disk = disk
        self._load = load

    def run(self, request: Path) -> StoreAnswer | None:
        """Take a request, store its key and answer; return the answer, `None` where there is no request.

        Raises:
            ConfigInvalid: The file is no request. It is gone.
            OSError: The file cannot be removed, or the answer not be written.
        """
        content = take(request)
        if content is None:
            return None
        asked = decoded(content, request)
        try:
            self._ensure_usable(asked.key)
            # First: a key that is encrypted is worth nothing to a unit that does not have it decrypted.
            self._write_drop_in()
            text, is_stored = self._keys.keep(asked.key), True
        except (ClimahubError, OSError) as error:
            text, is_stored = str(error), False
        answer = StoreAnswer(asked.id, is_stored, text)
        self._disk.write(self._answer, msgspec.json.encode(answer))
        return answer

    def _ensure_usable(self, key: str) -> None:
        config = self._load()
        if config.cloud.api_key_file is not None:
            raise ConfigInvalid(
                f"replace the key in {config.cloud.api_key_file}: cloud.api_key_file has the service take it from there"
            )
        if factory_reset.is_barred(factory_reset.read(config.storage.state_dir, self._disk), key):
            raise ConfigInvalid("have the cloud issue a new key for this hub: a factory reset has barred this one")

    def _write_drop_in(self) -> None:
        text = drop_in_text(Needs(is_key_encrypted=True), ())
        if text != written.read_text(self._drop_in, self._disk):
            self._drop_in.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._disk.write(self._drop_in, text.encode())


def take(path: Path) -> bytes | None:
    """Return the content of a request, overwritten and removed; `None` where there is none.

    Raises:
        ConfigInvalid: It is no file of its own, or too large. It is gone, too.
        OSError: It cannot be read or removed.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        path.unlink()
        raise ConfigInvalid(f"{path} is no request: {error.strerror}") from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        path.unlink()
        state = os.fstat(descriptor)
        # Another name of the file would have a foreign one overwritten.
        if not stat.S_ISREG(state.st_mode) or state.st_nlink > 0 or state.st_size > FILE_BYTES_MAX:
            raise ConfigInvalid(f"{path} is no request: it is no small file with one name")
        content = file.read(FILE_BYTES_MAX)
        file.seek(0)
        file.write(bytes(len(content)))
    return content


def decoded(content: bytes, path: Path) -> StoreRequest:
    """Return a request.

    Raises:
        ConfigInvalid: It is none; the message holds nothing of it.
    """
    try:
        asked = msgspec.json.decode(content, type=StoreRequest)
    except DECODE_ERRORS:
        raise ConfigInvalid(f"{path} is no request: it is not of that form") from None
    if not is_api_key(asked.key) or len(asked.id) > ID_CHARACTERS_MAX:
        raise ConfigInvalid(f"{path} is no request: it has no key of the cloud")
    return asked


def restart_soon(restart: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Restart the service, once the hub has passed the answer on."""
    sleep(ANSWER_S)
    restart()
