"""The hub's key of the cloud is encrypted to a TPM: systemd's own program with an emulated TPM 2.0."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path

import pytest

from agent.cli.setup import key_store
from agent.cli.setup.key_store import CommandFailed, KeyStore
from agent.foundation.disk import Disk
from tests.integration.conftest import until

KEY = "cs_dev_" + "a1B2" * 8

if None in (shutil.which("swtpm"), shutil.which("systemd-creds"), find_library("tss2-tcti-swtpm")):
    packages = "swtpm libtss2-tcti-swtpm0 libtss2-esys-3.0.2-0 libtss2-rc0"
    pytest.skip(f"an emulated TPM is not installed (apt-get install {packages})", allow_module_level=True)


def free_port() -> int:
    """Return a port that is free as the next one is: systemd's library expects the TPM's control there."""
    while True:
        with socket.socket() as server, socket.socket() as control, contextlib.suppress(OSError):
            server.bind(("127.0.0.1", 0))
            port = int(server.getsockname()[1])
            control.bind(("127.0.0.1", port + 1))
            return port


@contextlib.contextmanager
def emulated_tpm(state: Path) -> Iterator[int]:
    """Run a TPM until the block ends; yield its port. Its state makes it the same TPM again."""
    state.mkdir(exist_ok=True)
    port = free_port()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear"]
    for name, number in (("--server", port), ("--ctrl", port + 1)):
        command += [name, f"type=tcp,port={number},bindaddr=127.0.0.1"]
    with subprocess.Popen(command) as process:
        try:
            yield port
        finally:
            process.kill()


async def store(directory: Path, port: int) -> KeyStore:
    """Return the key store of a machine with a TPM, and without a host key: that would be this machine's own."""

    def run(command: Sequence[str], given: bytes) -> bytes:
        if "--with-key=host" in command:
            raise CommandFailed("there is no host key")
        options = [f"--tpm2-device=swtpm:host=127.0.0.1,port={port}"]
        if command[1] == "encrypt":
            options.append("--with-key=tpm2")
        return key_store.run([*command[:2], *options, *command[2:]], given)

    def answers() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    await until(answers)
    return KeyStore(directory, disk=Disk(), run=run, has_creds=True)


async def test_key_is_read_after_a_restart_and_not_with_another_tpm(tmp_path: Path) -> None:
    with emulated_tpm(tmp_path / "tpm") as port:
        said = (await store(tmp_path, port)).keep(KEY)
        assert "encrypted by systemd" in said
        assert not (tmp_path / "api-key").exists()
    with emulated_tpm(tmp_path / "tpm") as port:
        assert (await store(tmp_path, port)).read() == KEY
    with emulated_tpm(tmp_path / "another tpm") as port:
        assert (await store(tmp_path, port)).read() == ""
