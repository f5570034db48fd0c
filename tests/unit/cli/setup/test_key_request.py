"""Root stores a key that the running hub asks for: the request is foreign input, and gone whatever it holds."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.cli.setup import key_request
from agent.cli.setup.key_request import ANSWER_S, KeyTaker, restart_soon, take
from agent.cli.setup.key_store import KeyStore
from agent.commands import factory_reset
from agent.config import Config, resolve_text
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk
from agent.local.cloud_key import FILE_BYTES_MAX, StoreAnswer, StoreRequest, answer_file, request_file
from tests.unit.cli.setup.test_key_store import Creds

KEY = "cs_dev_" + "a1B2" * 8
REQUEST = msgspec.json.encode(StoreRequest("one", KEY))


class Root:
    """The directories of a machine, and what root's unit does there."""

    def __init__(self, directory: Path, *, cloud: str = "") -> None:
        self.etc = directory / "etc"
        self.state = directory / "state"
        self.request = request_file(directory / "run")
        self.answer = answer_file(directory / "run")
        self.drop_in = directory / "units" / "setup-key.conf"
        for path in (self.etc, self.state, self.request.parent, self.answer.parent):
            path.mkdir()
        self.keys = KeyStore(self.etc, disk=Disk(), run=Creds(), has_creds=True)
        self._text = f'[cloud]\nbase_url = "http://127.0.0.1:9"\n{cloud}\n[storage]\nstate_dir = "{self.state}"\n'

    def config(self) -> Config:
        return resolve_text(self._text, file="config.toml", directory=self.etc, environ={}).config

    def run(self, disk: Disk | None = None) -> StoreAnswer | None:
        taker = KeyTaker(
            answer=self.answer, drop_in=self.drop_in, keys=self.keys, disk=disk or Disk(), load=self.config
        )
        answer = taker.run(self.request)
        assert not os.path.lexists(self.request)
        return answer


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_key_is_stored_answered_and_decrypted_for_the_service(root: Root) -> None:
    root.request.write_bytes(REQUEST)
    answer = root.run()
    assert answer == StoreAnswer("one", is_stored=True, text=f"encrypted by systemd in {root.etc}/api-key.cred")
    assert msgspec.json.decode(root.answer.read_bytes(), type=StoreAnswer) == answer
    assert KEY not in root.answer.read_text()
    assert root.keys.read() == KEY
    assert "LoadCredential=climahub-api-key:/run/climahub-key/api-key" in root.drop_in.read_text()


def test_nothing_is_done_without_a_request(root: Root) -> None:
    assert root.run() is None
    assert not root.answer.exists()
    assert not root.drop_in.exists()


def test_key_in_a_request_is_overwritten_before_it_is_stored(root: Root, tmp_path: Path) -> None:
    """Whoever has the file open, or reads the memory that it was in, finds zeros."""
    root.request.write_bytes(REQUEST)
    with root.request.open("rb") as opened:
        assert take(root.request) == REQUEST
        assert opened.read() == bytes(len(REQUEST))


def test_disk_that_refuses_is_answered_and_the_old_key_stays(root: Root) -> None:
    root.keys.keep("cs_dev_old")
    root.request.write_bytes(REQUEST)

    def fail(_: object, name: str) -> None:
        if name == root.drop_in.name:
            raise OSError(30, "Read-only file system")

    answer = root.run(Disk(fail))
    assert answer is not None
    assert (answer.is_stored, "Read-only file system" in answer.text) == (False, True)
    assert root.keys.read() == "cs_dev_old"


def test_key_that_a_factory_reset_has_barred_is_refused(root: Root) -> None:
    factory_reset.bar_key(root.state, Disk(), KEY)
    root.request.write_bytes(REQUEST)
    answer = root.run()
    assert answer is not None
    assert not answer.is_stored
    assert "have the cloud issue a new key" in answer.text
    assert root.keys.read() == ""


def test_key_that_the_service_takes_from_another_file_is_refused(tmp_path: Path) -> None:
    root = Root(tmp_path, cloud='api_key_file = "/opt/hub.key"')
    root.request.write_bytes(REQUEST)
    answer = root.run()
    assert answer is not None
    assert not answer.is_stored
    assert "replace the key in /opt/hub.key" in answer.text


def link(path: Path) -> None:
    path.symlink_to(path.parent / "victim")


def hard_link(path: Path) -> None:
    path.hardlink_to(path.parent / "victim")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a link": link,
    "another name": hard_link,
    "a pipe": os.mkfifo,
    "too large": lambda path: path.write_bytes(REQUEST + b" " * FILE_BYTES_MAX),
    "no JSON": lambda path: path.write_bytes(KEY.encode()),
    "no key": lambda path: path.write_bytes(msgspec.json.encode(StoreRequest("one", KEY + "x"))),
    "a long id": lambda path: path.write_bytes(msgspec.json.encode(StoreRequest("i" * 65, KEY))),
    "more": lambda path: path.write_bytes(msgspec.json.encode({"id": "one", "key": KEY, "path": "/etc/passwd"})),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_foreign_request_stores_nothing_and_touches_nothing(root: Root, make: Callable[[Path], object]) -> None:
    victim = root.request.parent / "victim"
    victim.write_bytes(REQUEST)
    make(root.request)
    with pytest.raises(ConfigInvalid) as caught:
        root.run()
    assert KEY not in str(caught.value)
    assert not os.path.lexists(root.request)
    assert victim.read_bytes() == REQUEST
    assert [*root.etc.iterdir(), *root.answer.parent.iterdir()] == []


def test_link_is_not_even_opened(root: Root) -> None:
    """To open a device may be to use it."""
    root.request.symlink_to("/dev/null")
    with pytest.raises(ConfigInvalid, match="symbolic links"):
        root.run()


def test_service_restarts_after_the_answer_was_passed_on() -> None:
    done: list[object] = []
    restart_soon(lambda: done.append("restart"), done.append)
    assert done == [ANSWER_S, "restart"]
    assert key_request.ANSWER_S > 1
