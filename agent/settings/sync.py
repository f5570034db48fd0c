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
from agent.errors import CloudUnavailable, Corrupt, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation.decoding import UNREADABLE
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.model import SensorKind
from agent.settings.model import DeviceSettings, Location, checked, merged

_log = logging.getLogger(__name__)

FILE_NAME = "settings.json"
FILE_BYTES_MAX = 256 * 1024

_UNSENT = (CloudUnavailable, Throttled, Unauthorized)


class Stored(msgspec.Struct, frozen=True):
    """Content of `settings.json`.

    Attributes:
        settings: The last good ones.
        pending: Local changes to be sent, as the body of PUT /v1/settings.
    """

    settings: DeviceSettings = DeviceSettings()
    pending: dict[str, Any] = {}


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
        self._path = directory / FILE_NAME
        self._disk = disk
        self._worker = worker
        self._client = client
        self._poll_interval_s = poll_interval_s
        self._listeners: list[Callable[[DeviceSettings], None]] = []
        self._asked = asyncio.Event()
        self._changed = asyncio.Event()
        self._pushes = 0
        self._problems: list[str] = []
        self._refusal = ""
        self._stored = self._read()
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
        body = checked(changes)
        if "location" in body:
            known = msgspec.to_builtins(self.current.location or Location())
            body["location"] = known | body["location"]
        settings, _ = merged(self.current, body)
        await self._keep(Stored(settings, dict(self._stored.pending) | body))
        self._changed.set()

    def fetch_now(self) -> None:
        """Ask the cloud soon instead of at the next turn."""
        self._asked.set()

    async def run(self) -> None:
        """Send local changes, and fetch the cloud's copy on start and then at each turn, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_pushing())
            group.create_task(self._keep_fetching())

    async def _keep_pushing(self) -> None:
        while True:
            self._changed.clear()
            await self._push()
            await self._changed.wait()

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
            settings, _ = merged(self.current, {**answer, **left})
            await self._keep(Stored(settings, left))

    async def _fetch(self) -> None:
        while True:
            await self._client.ready(Endpoint.SETTINGS_GET)
            pushes = self._pushes
            try:
                answer = await self._client.get_settings()
            except _UNSENT as error:
                _log.info("settings not fetched: %s", error)
                continue
            except Refused as error:
                self._problems = [str(error)]
                _log.warning("settings not fetched: %s", error)
                return
            if pushes != self._pushes:
                # A change was taken meanwhile: this answer may be from before it.
                continue
            # What is still on its way to the cloud stays in force here.
            settings, self._problems = merged(self.current, {**answer, **self._stored.pending})
            for problem in self._problems:
                _log.warning("a setting of the cloud is not taken: %s", problem)
            await self._keep(Stored(settings, dict(self._stored.pending)))
            return

    async def _keep(self, stored: Stored) -> None:
        """Put settings in force, then on the disk: a full disk must not keep a hub from following its settings."""
        if stored == self._stored:
            return
        before, self._stored = self._stored, stored
        if stored.settings != before.settings:
            self._kinds = stored.settings.kinds
            for listener in self._listeners:
                listener(stored.settings)
        data = _encoded(stored)
        if len(data) > FILE_BYTES_MAX:
            # What this agent does not know must not cost it what it knows: a larger file is not read again.
            data = _encoded(
                msgspec.structs.replace(stored, settings=msgspec.structs.replace(stored.settings, unknown={}))
            )
        try:
            await self._worker.run(lambda: self._disk.write(self._path, data))
        except (StorageFull, OSError) as error:
            _log.warning("settings are in force but not kept over a restart: %s", error)

    def _read(self) -> Stored:
        try:
            data = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX)
            return Stored() if data is None else _decoded(data)
        except (Corrupt, *UNREADABLE) as error:
            aside = self._disk.quarantine(self._path)
            self._problems = [f"{self._path.name} could not be read ({error}); it is kept as {aside.name}"]
            _log.warning("%s; defaults are in force until the cloud answers", self._problems[0])
            return Stored()


def _encoded(stored: Stored) -> bytes:
    return msgspec.json.format(msgspec.json.encode(stored))


def _decoded(data: bytes) -> Stored:
    """Return the content of the file; a value out of its bounds is a broken file, not a setting."""
    stored = msgspec.json.decode(data, type=Stored)
    known = {key: value for key, value in msgspec.to_builtins(stored.settings).items() if key != "unknown"}
    wrong = merged(DeviceSettings(), known)[1] + merged(DeviceSettings(), stored.pending)[1]
    if wrong:
        raise Corrupt("; ".join(wrong))
    return stored
