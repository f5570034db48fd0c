"""Keeps the device settings in step with the cloud. The cloud's copy is the truth; local changes go to it by PUT.

Owns the file `settings.json`: the last good settings, and local changes that the cloud has not taken yet. Must never
let a wrong answer or a broken file change what is in force.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.errors import CloudUnavailable, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.disk import Disk
from agent.foundation.durable_file import CHECKSUM_BYTES, DurableFile
from agent.foundation.lenient_json import decode_object, decode_value, split_object
from agent.foundation.worker import Worker
from agent.settings.model import DeviceSettings, Location, check_changes, merge
from hal.interface import SensorKind

_log = logging.getLogger(__name__)

FILE_NAME = "settings.json"
FILE_BYTES_MAX = 256 * 1024

REFRESH_S_MAX = 60.0
"""How long somebody who wants the cloud's copy now waits for it."""

_UNSENT = (CloudUnavailable, Throttled, Unauthorized)


class SettingsDocument(msgspec.Struct, frozen=True):
    """Content of `settings.json`.

    Attributes:
        settings: The last good ones.
        pending: Local changes to be sent, as the body of PUT /v1/settings.
        applied: The command that changed them last: in one file with them, so that one write tells both.
    """

    settings: DeviceSettings = DeviceSettings()
    pending: dict[str, Any] = {}
    applied: str = ""


class SettingsSync:
    """The settings in force, and the loop that keeps them in step."""

    def __init__(
        self, directory: Path, *, disk: Disk, worker: Worker, client: CloudClient, poll_interval_s: float
    ) -> None:
        """Read what was in force before the restart.

        Args:
            directory: Where `settings.json` lies.
            disk: Writes it.
            worker: Where writing blocks.
            client: The way to the cloud.
            poll_interval_s: Between two questions to the cloud.
        """
        self._file = DurableFile(
            directory / FILE_NAME,
            disk=disk,
            bytes_max=FILE_BYTES_MAX,
            decode=_decoded,
            loss="defaults are in force until the cloud answers, and changes that it has not taken yet are gone",
        )
        self._disk = disk
        self._worker = worker
        self._client = client
        self._poll_interval_s = poll_interval_s
        self._listeners: list[Callable[[DeviceSettings], None]] = []
        self._asked = asyncio.Event()
        self._to_push = asyncio.Event()
        self._pushes = 0
        self._refreshing: list[asyncio.Future[None]] = []
        self._problems: list[str] = []
        self._refusal = ""
        self._stored, is_whole = self._read()
        self._first = self._stored
        self._kept = self._stored if is_whole else SettingsDocument()
        self._kinds = self._stored.settings.kinds

    @property
    def current(self) -> DeviceSettings:
        """The settings in force."""
        return self._stored.settings

    @property
    def kinds(self) -> frozenset[SensorKind] | None:
        """The enabled kinds; `None` for all. Asked for every report, so it is worked out once."""
        return self._kinds

    @property
    def pending(self) -> Mapping[str, Any]:
        """Local changes that the cloud has not taken yet."""
        return self._stored.pending

    @property
    def problems(self) -> list[str]:
        """What was wrong with the file, with the cloud's last answer and with the last local change."""
        return [*self._problems, *filter(None, [self._refusal])]

    def on_change(self, listener: Callable[[DeviceSettings], None]) -> None:
        """Have ``listener`` called whenever the settings in force change."""
        self._listeners.append(listener)

    async def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings from here: in force at once, sent to the cloud as soon as it takes them.

        A location is completed with what is known of it, since the cloud may replace it as a whole.

        Raises:
            SettingInvalid: Nothing was changed.
        """
        await self._keep(self._stored_with(changes, self._stored.applied))
        self._to_push.set()

    def check(self, changes: Mapping[str, Any]) -> None:
        """Judge changes without making them.

        Raises:
            SettingInvalid: They cannot be made.
        """
        check_changes(changes)

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        """Change settings as `change` does, in the name of a command and durably; return all of them.

        Once they are on the disk, the same again changes nothing.

        Raises:
            SettingInvalid: Nothing was changed.
            StorageFull: They are in force, but would not survive a restart: try again.
        """
        if self.applied(command_id) is None:
            try:
                await self._write(self._stored_with(changes, command_id))
            except OSError as error:
                raise StorageFull(f"the disk refused to write {self._file.path} ({error.strerror})") from error
            self._to_push.set()
        return self._all()

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        """Return all settings where this command was the last to change them, durably; else `None`."""
        return self._all() if self._kept.applied == command_id else None

    async def refresh(self) -> Mapping[str, Any]:
        """Fetch the cloud's copy now and return all settings.

        Raises:
            CloudUnavailable: It could not be had within `REFRESH_S_MAX`.
        """
        fetched = asyncio.get_running_loop().create_future()
        self._refreshing.append(fetched)
        self._asked.set()
        try:
            async with asyncio.timeout(REFRESH_S_MAX):
                await fetched
        except TimeoutError as error:
            raise CloudUnavailable(f"the cloud did not answer within {REFRESH_S_MAX:.0f} s") from error
        finally:
            self._refreshing.remove(fetched)
        return self._all()

    def _all(self) -> Mapping[str, Any]:
        settings: dict[str, Any] = msgspec.to_builtins(self.current)
        return settings

    def _stored_with(self, changes: Mapping[str, Any], applied: str) -> SettingsDocument:
        body = check_changes(changes)
        if "location" in body:
            known = msgspec.to_builtins(self.current.location or Location())
            body["location"] = known | body["location"]
        settings, _ = merge(self.current, body)
        return SettingsDocument(settings, dict(self._stored.pending) | body, applied)

    def fetch_now(self) -> None:
        """Ask the cloud soon instead of at the next turn."""
        self._asked.set()

    async def run(self) -> None:
        """Send local changes, and fetch the cloud's copy on start and then at each turn, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_pushing())
            group.create_task(self._keep_fetching())
            group.create_task(self._file.settle(self._worker, self._take_up))

    async def _keep_pushing(self) -> None:
        while True:
            self._to_push.clear()
            await self._push()
            await self._to_push.wait()

    async def _keep_fetching(self) -> None:
        while True:
            self._asked.clear()
            await self._fetch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_interval_s):
                    await self._asked.wait()

    async def _push(self) -> None:
        while pending := dict(self._stored.pending):
            await self._client.ready(Endpoint.SETTINGS_PUT)
            try:
                answer = await self._client.put_settings(pending)
            except _UNSENT as error:
                _log.info("local settings wait: %s", error)
                continue
            except Refused as error:
                self._refusal = f"the cloud refused a local change: {error}"
                _log.warning("%s", self._refusal)
                answer = {}
            else:
                self._refusal = ""
            self._pushes += 1
            left = {key: value for key, value in self._stored.pending.items() if pending.get(key) != value}
            settings, _ = merge(self.current, {**answer, **left})
            await self._keep(SettingsDocument(settings, left, self._stored.applied))

    async def _fetch(self) -> None:
        while True:
            await self._client.ready(Endpoint.SETTINGS_GET)
            pushes = self._pushes
            # An answer counts for those who asked before its request went out.
            waiting = self._refreshing.copy()
            try:
                answer = await self._client.get_settings()
            except _UNSENT as error:
                _log.info("settings not fetched: %s", error)
                continue
            except Refused as error:
                self._problems = [str(error)]
                _log.warning("settings not fetched: %s", error)
                self._refreshed(waiting, CloudUnavailable(str(error)))
                return
            if pushes != self._pushes:
                # A change was taken meanwhile: this answer may be from before it.
                continue
            # What is still on its way to the cloud stays in force here.
            settings, self._problems = merge(self.current, {**answer, **self._stored.pending})
            for problem in self._problems:
                _log.warning("a setting of the cloud is not taken: %s", problem)
            await self._keep(SettingsDocument(settings, dict(self._stored.pending), self._stored.applied))
            self._refreshed(waiting)
            return

    def _refreshed(self, waiting: list[asyncio.Future[None]], problem: CloudUnavailable | None = None) -> None:
        for fetched in waiting:
            if fetched.done():
                continue
            if problem:
                fetched.set_exception(problem)
            else:
                fetched.set_result(None)

    async def _keep(self, stored: SettingsDocument) -> None:
        """Put settings in force, then on the disk: a full disk must not keep a hub from following its settings."""
        try:
            await self._write(stored)
        except (StorageFull, OSError) as error:
            _log.warning("settings are in force but not kept over a restart: %s", error)

    async def _write(self, stored: SettingsDocument) -> None:
        self._put_in_force(stored)
        if stored == self._kept:
            return
        data = _encoded(stored)
        if len(data) > FILE_BYTES_MAX - CHECKSUM_BYTES:
            # What this agent does not know must not cost it what it knows: a larger file is not read again.
            data = _encoded(
                msgspec.structs.replace(stored, settings=msgspec.structs.replace(stored.settings, unknown={}))
            )
        await self._worker.run(lambda: self._file.write(data))
        self._kept = stored

    def _put_in_force(self, stored: SettingsDocument) -> None:
        before, self._stored = self._stored, stored
        if stored.settings != before.settings:
            self._kinds = stored.settings.kinds
            for listener in self._listeners:
                listener(stored.settings)

    def _read(self) -> tuple[SettingsDocument, bool]:
        """Return what the file holds, as far as it can be used, and whether that is all of it."""
        found = self._file.read()
        self._problems = [self._file.problem] if self._file.problem else []
        stored, wrong = found or (SettingsDocument(), [])
        if wrong:
            aside = self._disk.try_quarantine(self._file.path)
            self._problems.append(f"{FILE_NAME} could not be read ({'; '.join(wrong)}); {aside}")
            _log.warning("%s; the rest of it is in force, and defaults until the cloud answers", self._problems[-1])
        return stored, not wrong

    def _take_up(self, found: tuple[SettingsDocument, list[str]]) -> None:
        """Put in force what the disk has given at last, but for what has come from the cloud or from here since."""
        stored, self._problems = found
        self._kept = stored
        if self._stored != self._first:
            pending = stored.pending | self._stored.pending
            settings, _ = merge(self.current, pending)
            stored = SettingsDocument(settings, pending, self._stored.applied or stored.applied)
        self._put_in_force(stored)
        self._to_push.set()


def _encoded(stored: SettingsDocument) -> bytes:
    return msgspec.json.format(msgspec.json.encode(stored))


def _decoded(data: bytes) -> tuple[SettingsDocument, list[str]]:
    """Return the content of the file, and what in it is no setting: a time zone that was removed, say, costs no other.

    Raises:
        msgspec.DecodeError: It is nothing that this agent has written.
    """
    parts = split_object(data)
    known = split_object(parts.get("settings", b"{}"))
    unknown = decode_object(known.pop("unknown", b"{}"))
    # A field that a newer release has added to the document is none of the cloud's settings: it is left out.
    fields = {name: decode_value(part) for name, part in known.items() if name in DeviceSettings.__struct_fields__}
    settings, wrong = merge(DeviceSettings(), unknown | fields)
    pending = {}
    for name, change in decode_object(parts.get("pending", b"{}")).items():
        problems = merge(DeviceSettings(), {name: change})[1]
        wrong += problems
        if not problems:
            pending[name] = change
    return SettingsDocument(settings, pending, msgspec.json.decode(parts.get("applied", b'""'), type=str)), wrong
