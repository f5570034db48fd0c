"""Keeps the device settings in step with the cloud, whose copy is the truth. Local changes go to it by PUT.

Owns `settings.json`: the last valid settings, and the local changes that the cloud has not taken yet. A wrong answer or
an unreadable file must never change what is in force.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agent.cloud.client import SettingsClient
from agent.cloud.contract import Endpoint
from agent.errors import CloudUnavailable, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.signals import Signal
from agent.foundation.worker import Worker
from agent.settings.model import (
    DeviceSettings,
    Location,
    SettingsDocument,
    check_changes,
    decode_document,
    encode_document,
    merge,
    without_unknown,
)
from hal.interface import SensorKind
from hal.radio import ShowsTime

_log = logging.getLogger(__name__)

FILE_NAME = "settings.json"
FILE_BYTES_MAX = 256 * 1024

REFRESH_S_MAX = 180.0
"""The longest time that a request for the cloud's present copy waits for it. A command may ask right after a boot, when
the first request for settings rests for up to `agent.cloud.boot_spread.BOOT_SPREAD_S`."""

OUTAGE_S_MIN = 60.0
"""Hubs that were without the cloud for so long may have lost it together, and take a new moment to ask."""

SHOW_TIME_S = 30.0
"""A clock that was set, and a new time zone, reach the displays with their first request after this interval."""

_UNAVAILABLE = (CloudUnavailable, Throttled, Unauthorized)


class SettingsSync:
    """The settings in force, and the loops that keep them in step with the cloud.

    Its public members serve three users: the hub (reading and `run`), the command `config_update` (`check`, `apply`,
    `applied`, `refresh`), and local changes (`change`).
    """

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk,
        worker: Worker,
        client: SettingsClient,
        poll_interval_s: float,
        rng: random.Random,
        label: Callable[[], str] = lambda: "",
        is_elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Read what was in force before the restart.

        Args:
            directory: Of `settings.json`.
            disk: Writes it.
            worker: Runs what blocks.
            client: The way to the cloud.
            poll_interval_s: Between two requests for the cloud's copy.
            rng: For the interval after a start or an outage: hubs that had it together do not ask together for ever.
            label: Returns what is recorded with a local change of the machine that it is made on; empty for nothing.
            is_elsewhere: Tells whether a local change was made on another machine: it is held back.
        """
        self._disk = disk
        self._client = client
        self._poll_interval_s = poll_interval_s
        self._rng = rng
        self._listeners: list[Callable[[DeviceSettings], None]] = []
        self._fetch_due = Signal()
        self._push_due = Signal()
        self._pushes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._problems: list[str] = []
        self._refusal = ""
        self._unreadable: list[str] = []
        self._store = JsonStore(
            directory / FILE_NAME,
            SettingsDocument(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="defaults are in force until the cloud answers, and changes that it has not taken yet are gone",
            decode=self._decode,
            encode=encode_document,
            # A file that is too large would not be read again. Unknown settings must not cost the known ones.
            shrink=without_unknown,
        )
        self._saved = SettingsDocument()
        self._label = label
        self._is_elsewhere = is_elsewhere
        self._first = self._load()
        self._last = self._first.settings
        self._kinds = self._last.kinds
        self._store.on_change(self._notify)

    @property
    def current(self) -> DeviceSettings:
        """The settings in force."""
        return self._store.value.settings

    @property
    def kinds(self) -> frozenset[SensorKind] | None:
        """The enabled kinds; `None` for all. Read for every report, so it is computed once."""
        return self._kinds

    @property
    def pending(self) -> Mapping[str, Any]:
        """The local changes that the cloud has not taken yet."""
        return self._store.value.pending

    @property
    def problems(self) -> list[str]:
        """The problems of the file, of the cloud's last answer and of the last local change."""
        return [*self._problems, *filter(None, [self._refusal])]

    def on_change(self, listener: Callable[[DeviceSettings], None]) -> None:
        """Have ``listener`` called whenever the settings in force change."""
        self._listeners.append(listener)

    async def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings locally. They are in force at once, and sent to the cloud as soon as it takes them.

        A location is completed with its known parts, because the cloud may replace it as a whole.

        Raises:
            SettingInvalid: Nothing was changed.
        """
        await self._change(changes)

    def check(self, changes: Mapping[str, Any]) -> None:
        """Check changes without making them.

        Raises:
            SettingInvalid: They are not valid.
        """
        check_changes(changes)

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        """Change settings as `change` does, for a command and durably; return all settings.

        Once they are on the disk, the same command changes nothing.

        Raises:
            SettingInvalid: Nothing was changed.
            StorageFull: They are in force, but would not survive a restart: try again.
        """
        if self.applied(command_id) is None:
            await self._change(changes, command_id)
            if self._store.save_problem:
                raise StorageFull(self._store.save_problem)
        return self._all()

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        """Return all settings if this command was the last to change them, durably; else `None`."""
        return self._all() if self._saved.applied == command_id else None

    async def refresh(self) -> Mapping[str, Any]:
        """Fetch the cloud's copy now and return all settings.

        Raises:
            CloudUnavailable: The cloud did not give it within `REFRESH_S_MAX`.
        """
        fetched = asyncio.get_running_loop().create_future()
        self._waiting.append(fetched)
        self._fetch_due.set()
        try:
            async with asyncio.timeout(REFRESH_S_MAX):
                await fetched
        except TimeoutError as error:
            raise CloudUnavailable(f"the cloud did not answer within {REFRESH_S_MAX:.0f} s") from error
        finally:
            self._waiting.remove(fetched)
        return self._all()

    async def rewrite(self) -> None:
        """Write the settings in force anew, and fetch the cloud's copy soon.

        Raises:
            StorageFull: The disk refuses.
        """
        await self._store.rewrite()
        self._saved = self._store.value
        self._problems, self._refusal = [], ""
        self.fetch_now()

    def local_time(self, utc_ms: int | None) -> datetime | None:
        """Return a time, in milliseconds since 1970, in the time zone of the house; `None` for an unknown one."""
        if utc_ms is None:
            return None
        return datetime.fromtimestamp(utc_ms // 1000, ZoneInfo(self.current.timezone))

    def fetch_now(self) -> None:
        """Fetch the cloud's copy soon instead of at the next interval."""
        self._fetch_due.set()

    async def run(self) -> None:
        """Send local changes, and fetch the cloud's copy at the start and at each interval, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._push_loop())
            group.create_task(self._fetch_loop())
            group.create_task(self._store.retry_read(self._restore_late))

    def _all(self) -> Mapping[str, Any]:
        settings: dict[str, Any] = msgspec.to_builtins(self.current)
        return settings

    async def _push_loop(self) -> None:
        while True:
            self._push_due.clear()
            await self._push()
            await self._push_due.wait()

    async def _fetch_loop(self) -> None:
        takes_new_phase = True
        while True:
            self._fetch_due.clear()
            takes_new_phase |= await self._fetch()
            share = self._rng.random() if takes_new_phase else 1.0
            await self._fetch_due.wait(share * self._poll_interval_s)
            takes_new_phase = False

    def _sendable(self, document: SettingsDocument) -> dict[str, Any]:
        """Return the local changes to send: those that were not made on another machine."""
        return {
            name: change
            for name, change in document.pending.items()
            if not self._is_elsewhere(document.made_on.get(name, ""))
        }

    @property
    def holds_back(self) -> bool:
        """Whether local changes were made on another machine and wait for a person."""
        return any(map(self._is_elsewhere, self._store.value.made_on.values()))

    async def release_held(self) -> None:
        """Send the local changes that were made on another machine.

        Raises:
            StorageFull: They are still held back.
        """
        self._check_read()
        if self.holds_back:
            await self._put_in_force(
                lambda before: msgspec.structs.replace(
                    before,
                    made_on={name: made for name, made in before.made_on.items() if not self._is_elsewhere(made)},
                )
            )
            self._push_due.set()

    async def discard_held(self) -> None:
        """Forget the local changes that were made on another machine, and fetch the cloud's copy soon.

        Raises:
            StorageFull: They are still held back.
        """
        self._check_read()
        if len(self._sendable(self._store.value)) < len(self.pending):
            await self._put_in_force(lambda before: before.with_pending(self._sendable(before)))
            self.fetch_now()

    def _check_read(self) -> None:
        if self._store.is_unread:
            raise StorageFull("try again in a minute, when the disk gives the settings: they could not be read")

    async def _push(self) -> None:
        while sent := self._sendable(self._store.value):
            await self._client.ready(Endpoint.SETTINGS_PUT)
            try:
                answer = await self._client.put_settings(sent)
            except _UNAVAILABLE as error:
                _log.info("local settings are not sent yet: %s", error)
                continue
            except Refused as error:
                self._refusal = f"the cloud refused a local change: {error}"
                _log.warning("%s", self._refusal)
                answer = {}
            else:
                self._refusal = ""
            self._pushes += 1
            await self._put_in_force(partial(_settle, sent=sent, answer=answer))

    async def _fetch(self) -> bool:
        """Fetch the cloud's copy; return whether the cloud could not be reached for a while before."""
        loop = asyncio.get_running_loop()
        begun_s, failed_s = loop.time(), 0.0
        while True:
            await self._client.ready(Endpoint.SETTINGS_GET)
            pushes = self._pushes
            # An answer counts for those who asked before its request went out.
            waiting = self._waiting.copy()
            try:
                answer = await self._client.get_settings()
            except _UNAVAILABLE as error:
                _log.info("settings not fetched: %s", error)
                failed_s = loop.time() - begun_s
                continue
            except Refused as error:
                self._problems = [str(error)]
                _log.warning("settings not fetched: %s", error)
                self._finish_waiting(waiting, CloudUnavailable(str(error)))
                return failed_s >= OUTAGE_S_MIN
            if pushes != self._pushes:
                # The cloud has taken a change meanwhile: this answer may be older than that.
                continue
            await self._take(answer)
            self._finish_waiting(waiting)
            return failed_s >= OUTAGE_S_MIN

    async def _take(self, answer: Mapping[str, Any]) -> None:
        """Put the cloud's copy in force, except for pending local changes."""

        def merge_answer(before: SettingsDocument) -> SettingsDocument:
            settings, self._problems = merge(before.settings, {**answer, **before.pending})
            return msgspec.structs.replace(before, settings=settings)

        await self._put_in_force(merge_answer)
        for problem in self._problems:
            _log.warning("a setting of the cloud was rejected: %s", problem)

    def _finish_waiting(self, waiting: list[asyncio.Future[None]], problem: CloudUnavailable | None = None) -> None:
        for fetched in waiting:
            if fetched.done():
                continue
            if problem:
                fetched.set_exception(problem)
            else:
                fetched.set_result(None)

    async def _change(self, changes: Mapping[str, Any], command_id: str | None = None) -> None:
        """Put local changes in force and have them sent."""
        body = check_changes(changes)

        def with_changes(before: SettingsDocument) -> SettingsDocument:
            made = dict(body)
            if "location" in made:
                known = msgspec.to_builtins(before.settings.location or Location())
                made["location"] = known | made["location"]
            settings, _ = merge(before.settings, made)
            applied = before.applied if command_id is None else command_id
            return SettingsDocument(settings, {**before.pending, **made}, applied, self._made_here(before, made))

        await self._put_in_force(with_changes)
        self._push_due.set()

    async def _put_in_force(self, change: Callable[[SettingsDocument], SettingsDocument]) -> None:
        """Make a change, then save it: a full disk must not keep a hub from following its settings."""
        document = await self._store.apply(change)
        if not self._store.save_problem:
            self._saved = document

    def _notify(self, document: SettingsDocument) -> None:
        before, self._last = self._last, document.settings
        if document.settings != before:
            self._kinds = document.settings.kinds
            for listener in self._listeners:
                listener(document.settings)

    def _decode(self, data: bytes, left_out: list[str]) -> SettingsDocument:
        document, self._unreadable = decode_document(data)
        left_out += self._unreadable
        return document

    def _load(self) -> SettingsDocument:
        """Return the readable part of the file. A file with an unreadable part is put aside and written anew."""
        document = self._store.load()
        self._problems = [self._store.problem] if self._store.problem else []
        if not self._unreadable:
            self._saved = document
            return document
        aside = self._disk.try_quarantine(self._store.path)
        self._problems = [f"{FILE_NAME} could not be read ({'; '.join(self._unreadable)}); {aside}"]
        _log.warning("%s; the rest of it is in force, and defaults until the cloud answers", self._problems[0])
        with contextlib.suppress(StorageFull):
            self._store.save_blocking(document)
            self._saved = document
        return document

    def _restore_late(self, present: SettingsDocument, found: SettingsDocument) -> SettingsDocument:
        """Return the file that became readable late, with the changes of the cloud and of the hub since the start."""
        self._problems = list(self._unreadable)
        self._saved = found
        self._push_due.set()
        if present == self._first:
            return found
        pending = {**found.pending, **present.pending}
        settings, _ = merge(present.settings, pending)
        made_on = self._made_here(found, present.pending)
        return SettingsDocument(settings, pending, present.applied or found.applied, made_on)

    def _made_here(self, before: SettingsDocument, names: Iterable[str]) -> Mapping[str, str]:
        """Return on which machine each local change was made, with these made on this one."""
        here = dict.fromkeys(names, self._label())
        return {name: machine for name, machine in {**before.made_on, **here}.items() if machine}


def _settle(before: SettingsDocument, *, sent: Mapping[str, Any], answer: Mapping[str, Any]) -> SettingsDocument:
    """Return the document after the cloud has taken or refused local changes; newer changes stay pending."""
    pending = {key: value for key, value in before.pending.items() if sent.get(key) != value}
    settings, _ = merge(before.settings, {**answer, **pending})
    return msgspec.structs.replace(before.with_pending(pending), settings=settings)


async def show_time(network: ShowsTime, local_time: Callable[[], datetime | None]) -> None:
    """Keep the clocks of sensors with a display on the time of the house, until cancelled.

    Args:
        network: Its sensors request the time.
        local_time: Returns the time in the time zone of the settings; `None` while it is unknown.
    """
    while True:
        network.show_time(local_time())
        await asyncio.sleep(SHOW_TIME_S)
