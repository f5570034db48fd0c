"""Reload on SIGHUP: reads again what may be replaced while a hub runs, and changes nothing else.

The hub's key, the keys of relayed sensors, further certificate authorities, the certificate that the hub shows to the
cloud, and the level of the log. What is wrong
with one of them is reported, and the old one stays in force. Never ends the hub.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent import config
from agent.cloud.session import ClientTls, ConnectionOptions, client_tls
from agent.config import CloudConfig, Config, Resolved, resolve_text
from agent.config.network import ProxyRules, verifying_context
from agent.config.reading import read_text
from agent.config.secrets import read_api_key, read_sensor_keys
from agent.errors import ConfigInvalid, KeyMissing, SensorKeysInvalid
from agent.foundation import log

_log = logging.getLogger(__name__)


class ReloadableConfig:
    """What may be replaced while the hub runs, as last read.

    Attributes:
        path: The configuration file.
        settings: The configuration, with the replaceable keys as they are now.
        sensor_keys: The keys of relayed sensors; the same mapping after each reload.
        problems: What was wrong with the keys when the hub started, for the status.
        connection: How requests get to the cloud.
        path: The configuration file.
    """

    def __init__(self, path: Path, settings: Config, environ: Mapping[str, str]) -> None:
        """Read the certificate authorities.

        Args:
            path: The configuration.
            settings: As it was read at the start.
            environ: Of the process.

        Raises:
            ConfigInvalid: They cannot be read.
        """
        self.path = path
        self._text = read_text(path)
        self._changes: Mapping[str, object] = {}
        self._environ = environ
        self.settings = settings
        self.sensor_keys: dict[str, str] = {}
        self.problems: list[str] = []
        self._client_problem = ""
        self._verified = tls_context(settings.cloud)
        self.connection = self._connection(settings.cloud)
        self._listener: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def _connection(self, cloud: CloudConfig) -> ConnectionOptions:
        proxies = ProxyRules(cloud.proxy, self._environ)
        if proxies.problem:
            _log.warning("cloud.proxy: %s", proxies.problem)
        return ConnectionOptions(self._verified, proxies, self._client_tls(cloud))

    def _client_tls(self, cloud: CloudConfig) -> ClientTls | None:
        """Return the hub's certificate for the cloud; one that cannot be used costs the cloud, and never the heat."""
        self._client_problem = ""
        try:
            return client_tls(cloud)
        except ConfigInvalid as error:
            self._client_problem = str(error)
            _log.error("%s", error)
            return None

    def resolve(self, changes: Mapping[str, object]) -> Resolved:
        """Return the configuration with changes that were made at the hub; the file is as it was at the start.

        Raises:
            ConfigInvalid: It cannot be used.
        """
        directory = self.path.parent.absolute()
        return resolve_text(
            self._text, file=str(self.path), directory=directory, environ=self._environ, changes=changes
        )

    def use(self, resolved: Resolved, changes: Mapping[str, object]) -> None:
        """Put a configuration in force: at once the level of the log, and the rest for the next hub."""
        old, new = self.settings, resolved.config
        cloud = msgspec.structs.replace(new.cloud, api_key_file=old.cloud.api_key_file, ca_file=old.cloud.ca_file)
        if cloud != old.cloud:
            self.connection = self._connection(cloud)
        self.settings = msgspec.structs.replace(new, cloud=cloud, relayed_sensors=old.relayed_sensors)
        self._changes = changes
        log.set_level(new.log.level)

    def read_keys(self) -> Mapping[str, str]:
        """Read the keys of relayed sensors for a new hub and report missing ones, which must not keep it from heating.

        An invalid key costs only its own sensor its identity.

        Raises:
            ConfigInvalid: The file is there and cannot be read.
        """
        self.problems = [self._client_problem] if self._client_problem else []
        try:
            self._take(read_sensor_keys(self.settings.relayed_sensors))
        except SensorKeysInvalid as error:
            self._take(error.usable)
            self.problems.append(str(error))
            _log.error("some sensors have no identity of their own with the cloud: %s", error)
        except KeyMissing as error:
            _log.error("no sensor has an identity of its own with the cloud: %s", error)
        try:
            self.read_api_key()
        except KeyMissing as error:
            _log.error("the cloud is not contacted, everything else works: %s", error)
        except ConfigInvalid:
            # Expected after a factory reset; otherwise the hub refuses to start in a moment.
            return self.sensor_keys
        return self.sensor_keys

    def read_api_key(self) -> str:
        """Return the hub's key as it is now.

        Raises:
            ConfigInvalid: There is none, or it cannot be read.
        """
        return read_api_key(self.settings.cloud)

    def on_reload(self, listener: Callable[[], None]) -> None:
        """Call ``listener``, and no other, after each reload; a `ConfigInvalid` from it is logged."""
        self._listener = listener

    def _take(self, sensor_keys: Mapping[str, str]) -> None:
        self.sensor_keys.clear()
        self.sensor_keys.update(sensor_keys)

    def reload(self) -> None:
        """Start reading everything again, off the loop: the disk may be slow."""
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._turn:
            loop = asyncio.get_running_loop()
            steps = (self._take_configuration, self._take_sensor_keys, self._take_authorities, self._notify_hub)
            problems = []
            for read in steps:
                try:
                    take = await loop.run_in_executor(None, read)
                    take()
                except ConfigInvalid as error:
                    problems.append(str(error))
            for problem in problems:
                _log.error("what was replaced is not used: %s", problem)
            if len(problems) < len(steps):
                _log.info("keys, certificate authorities and the level of the log were read again")

    def _take_configuration(self) -> Callable[[], None]:
        new, old = config.resolve(self.path, environ=self._environ, changes=self._changes).config, self.settings
        cloud = msgspec.structs.replace(old.cloud, api_key_file=new.cloud.api_key_file, ca_file=new.cloud.ca_file)
        level = msgspec.structs.replace(old.log, level=new.log.level)
        merged = msgspec.structs.replace(old, cloud=cloud, relayed_sensors=new.relayed_sensors, log=level)

        def take() -> None:
            self.settings = merged
            log.set_level(level.level)
            if later := sorted(_changed(merged, new)):
                _log.warning("changed too, but in force only at the next start: %s", ", ".join(later))

        return take

    def _take_sensor_keys(self) -> Callable[[], None]:
        keys = read_sensor_keys(self.settings.relayed_sensors)
        return lambda: self._take(keys)

    def _take_authorities(self) -> Callable[[], None]:
        verified, client = tls_context(self.settings.cloud), client_tls(self.settings.cloud)

        def take() -> None:
            self._verified = verified
            self.connection.set_tls_context(verified, client)

        return take

    def _notify_hub(self) -> Callable[[], None]:
        return self._listener


def _changed(old: Any, new: Any, prefix: str = "") -> Iterator[str]:  # noqa: ANN401 - a struct of the configuration
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, msgspec.Struct) and type(before) is type(after):
            yield from _changed(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"


def tls_context(cloud: CloudConfig) -> ssl.SSLContext | Literal[True]:
    """Return what verifies the cloud's servers (`agent.config.network`).

    Raises:
        ConfigInvalid: `cloud.ca_file` cannot be read, or holds no certificate.
    """
    return verifying_context(str(cloud.ca_file) if cloud.ca_file else None)
