"""A hub with its key in a credential, and root's unit beside it, for tests of a key that a person gives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from agent.cli.setup.key_request import KeyTaker
from agent.cli.setup.key_store import KeyStore
from agent.config import resolve_text
from agent.foundation.disk import Disk
from agent.local.cloud_key import answer_file, request_file
from tests.integration.conftest import KEY
from tests.integration.port_rig import NO_CLOUD, PortRig, open_port


class Root:
    """Root's unit on this machine: looks for a request as the path unit does, and stores as the command does."""

    def __init__(self, directory: Path) -> None:
        self.etc = directory / "etc"
        self.etc.mkdir()
        self.request = request_file(directory / "run")
        self.answer = answer_file(directory / "run")
        self.answer.parent.mkdir()
        self.keys = KeyStore(self.etc, disk=Disk(), has_creds=False)
        self.modes: list[int] = []
        self._taker = KeyTaker(
            answer=self.answer,
            drop_in=directory / "units" / "setup-key.conf",
            keys=self.keys,
            disk=Disk(),
            load=lambda: (
                resolve_text(f'[cloud]\nbase_url = "{NO_CLOUD}"\n', file="", directory=directory, environ={}).config
            ),
        )

    async def watch(self) -> None:
        while True:
            with contextlib.suppress(FileNotFoundError):
                self.modes.append(self.request.stat().st_mode & 0o777)
                await asyncio.to_thread(self._taker.run, self.request)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def hub(directory: Path, url: str, *, has_root: bool = True) -> AsyncIterator[tuple[PortRig, Root]]:
    """Run a hub of the cloud at an address until the block ends; its key comes from a credential, as in the service."""
    root = Root(directory)
    path = directory / "credentials" / "api-key"
    path.parent.mkdir()
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    watch = asyncio.create_task(root.watch()) if has_root else None
    try:
        async with open_port(directory, cloud_url=f'{url}"\napi_key_file = "{directory}/credentials/api-key') as port:
            yield port, root
    finally:
        if watch:
            watch.cancel()
