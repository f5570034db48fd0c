"""Gives the hub a key of the cloud over the local API: checks it, and asks root to store it (`agent.local.cloud_key`).

The key is in memory only until root has stored it, and the request never outlives its answer. Must never log a key or
put one into a message.
"""

import asyncio
import secrets
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from agent.cloud.key_check import CloudAnswer, ask_cloud
from agent.commands import factory_reset
from agent.config import Config
from agent.config.secrets import CREDENTIALS_PARENT, is_api_key, not_a_key
from agent.errors import CloudUnavailable, ConfigInvalid, Corrupt, ReadFailed, Refused, Unauthorized
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.worker import Worker
from agent.local.cloud_key import (
    FILE_BYTES_MAX,
    CloudKeyReport,
    CloudKeyRequest,
    StoreAnswer,
    StoreRequest,
    answer_file,
    request_file,
)
from agent.local.routes import Handler, LocalRequest, RequestRefused
from agent.settings.model import check_changes

TAKEN_S_MAX = 30.0
"""Until root's unit takes the request: it starts a Python on a board that may be busy."""
STORED_S_MAX = 70.0
"""Until it has answered: systemd-creds encrypts and decrypts, each within 30 s."""
LOOK_S = 0.1

BY_HAND = "store the key at the hub (sudo climahub setup --key-file FILE)"


class CloudKeyService:
    """Takes a key of the cloud from a person."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], disk: Disk, worker: Worker) -> None:
        """Prepare; nothing is read.

        Args:
            config: In force.
            environ: Of the process, for the proxy.
            disk: Reads and writes request and answer.
            worker: Where that blocks.
        """
        self._config = config
        self._environ = environ
        self._disk = disk
        self._worker = worker
        self._request = request_file(config.storage.run_dir)
        self._answer = answer_file(config.storage.run_dir)
        self._lock = asyncio.Lock()

    async def store(self, given: CloudKeyRequest) -> CloudKeyReport:
        """Check a key and have it stored; the hub restarts after the answer.

        Raises:
            RequestRefused: It is not stored; the message says what to do.
            SettingInvalid: There is no such time zone.
            StorageFull: The request cannot be written.
        """
        key = given.key.strip()
        if not is_api_key(key):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", not_a_key(key))
        if given.time_zone:
            check_changes({"timezone": given.time_zone})
        if self._lock.locked():
            raise _conflict("wait a moment: another key is being stored")
        async with self._lock:
            await self._ensure_usable(key)
            found, problem = await self._check(given, key)
            where = await self._have_stored(key)
        if found is None:
            return CloudKeyReport(where, is_checked=False, problem=problem)
        return CloudKeyReport(where, is_checked=True, time_zone=found.time_zone, problem=found.problem)

    async def _ensure_usable(self, key: str) -> None:
        file = self._config.cloud.api_key_file
        if file is None or CREDENTIALS_PARENT not in file.parents:
            where = f"in {file}, as cloud.api_key_file says" if file else "nowhere: cloud.api_key_file names no file"
            raise _conflict(
                f"give this hub its key by that file: it is no service with a credential; its key is {where}"
            )
        state_dir = self._config.storage.state_dir
        try:
            state = await self._worker.run(lambda: factory_reset.read(state_dir, self._disk))
        except (Corrupt, ReadFailed) as error:
            raise _conflict(str(error)) from None
        if factory_reset.is_barred(state, key):
            raise _conflict("have the cloud issue a new key for this hub: a factory reset has barred this one")

    async def _check(self, given: CloudKeyRequest, key: str) -> tuple[CloudAnswer | None, str]:
        """Ask the cloud; return its answer, or none and why it does not know the key yet."""
        cloud = self._config.cloud
        try:
            return await ask_cloud(cloud, key, given.time_zone, self._environ), ""
        except CloudUnavailable as error:
            text = f"the cloud does not answer, so the key is not checked: {error}"
            if not given.unchecked:
                advice = "check the network and cloud.base_url, or have the key stored unchecked"
                raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "no_answer", f"{advice}: {error}") from None
            return None, text
        except Unauthorized:
            text = f"copy the key again, or have the cloud issue another: {cloud.base_url} refuses this one"
            raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "key_refused", text) from None
        except (ConfigInvalid, Refused) as error:
            raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "config_invalid", str(error)) from None

    async def _have_stored(self, key: str) -> str:
        """Ask root; return where the key is. The request is gone when this ends, however it ends."""
        request = StoreRequest(secrets.token_hex(8), key)
        data = msgspec.json.encode(request)
        try:
            await self._worker.run(lambda: self._disk.write(self._request, data, is_secret=True))
            answer = await self._wait(request.id)
        except OSError as error:
            text = f"check {self._request.parent}: the request to store the key cannot be written ({error.strerror})"
            raise _not_stored(text) from None
        finally:
            await self._worker.run(lambda: self._request.unlink(missing_ok=True))
        if not answer.is_stored:
            raise _conflict(answer.text)
        return answer.text

    async def _wait(self, request_id: str) -> StoreAnswer:
        """Wait for the answer.

        Raises:
            RequestRefused: Nobody takes the request, or whoever took it does not answer.
        """
        try:
            async with asyncio.timeout(TAKEN_S_MAX) as limit:
                is_taken = False
                while (answer := await self._worker.run(self._read)) is None or answer.id != request_id:
                    if not is_taken and not await self._worker.run(self._request.exists):
                        is_taken = True
                        limit.reschedule(asyncio.get_running_loop().time() + STORED_S_MAX)
                    await asyncio.sleep(LOOK_S)
                return answer
        except TimeoutError:
            if is_taken:
                text = "look why: journalctl -u climahub-key-request; the key was taken, and no answer came"
            else:
                text = f"{BY_HAND}; nothing takes it from here: systemctl status climahub-key-request.path"
            raise _not_stored(text) from None

    def _read(self) -> StoreAnswer | None:
        try:
            data = self._disk.read(self._answer, bytes_max=FILE_BYTES_MAX)
            return None if data is None else msgspec.json.decode(data, type=StoreAnswer)
        except (Corrupt, ReadFailed, *DECODE_ERRORS):
            return None


def _conflict(text: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.CONFLICT, "conflict", text)


def _not_stored(text: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", text)


def handlers(service: CloudKeyService) -> Mapping[str, Handler]:
    """Return the handler."""

    async def store_cloud_key(request: LocalRequest) -> CloudKeyReport:
        return await service.store(request.body)

    return {"store_cloud_key": store_cloud_key}
