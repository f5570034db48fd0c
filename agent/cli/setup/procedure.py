"""The steps of `climahub setup` on this machine, in their order. Everything is checked before anything is written.

The configuration is written last: the service starts where there is one, so an interrupted setup starts nothing that is
half set up. Must never print a key.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.cli import exit_codes
from agent.cli.setup import machine as machines
from agent.cli.setup import service, written
from agent.cli.setup import sheet as sheets
from agent.cli.setup.answers import Answers
from agent.cli.setup.configuration import complete, configuration_text, is_untouched, resolve
from agent.cli.setup.drop_in import drop_in_text, needs_of
from agent.cli.setup.key_store import CommandFailed, KeyStore, read_key_file
from agent.cli.setup.machine import Machine
from agent.cloud.key_check import CloudAnswer, ask_cloud
from agent.commands import factory_reset
from agent.config import Config, load
from agent.config.zones import missing_outputs
from agent.environment import output_names
from agent.errors import CloudUnavailable, ConfigInvalid, Corrupt, ReadFailed
from agent.foundation.disk import Disk
from agent.foundation.text import plural

CLOUD_RETRY_S = 5.0
WAIT_S = 300
"""For the first reading. The time may have to come first, and a sensor's first value."""


class Places(msgspec.Struct, frozen=True):
    """Where the files of a hub are."""

    etc: Path = Path("/etc/climahub")
    drop_in: Path = Path("/etc/systemd/system/climahub.service.d/setup.conf")

    @property
    def config(self) -> Path:
        """The configuration of the service."""
        return self.etc / "config.toml"


class Options(msgspec.Struct, frozen=True):
    """What a person wants of this run.

    Attributes:
        replace: Replace a configuration that a person has written; a copy stays.
        starts: Start the service.
        wait_s: How long to wait for the first reading.
        is_offline: Go on where the cloud does not answer: the key is then not checked.
        cloud_s: For how long to try the cloud.
        wipes: Overwrite and remove the answers once they are taken.
        sheet_file: Where to write the sheet for the house; `None` for none.
    """

    replace: bool = False
    starts: bool = True
    wait_s: float = WAIT_S
    is_offline: bool = False
    cloud_s: float = 0
    wipes: bool = False
    sheet_file: Path | None = None


class Prepared(msgspec.Struct, frozen=True):
    """What is checked and not yet written."""

    text: str
    config: Config
    machine: Machine
    is_changed: bool
    before: str


class Steps:
    """Prints each step with the time that it took."""

    def __init__(self, say: Callable[[str], None], now_s: Callable[[], float]) -> None:
        self._say = say
        self._now_s = now_s
        self._began_s = self._last_s = now_s()

    @property
    def total_s(self) -> float:
        """Since the first step began."""
        return self._now_s() - self._began_s

    def done(self, name: str, text: str) -> None:
        """Tell that a step is done; lines after the first are indented."""
        now_s = self._now_s()
        first, *more = text.splitlines() or [""]
        self._say(f"{now_s - self._last_s:6.1f} s  {name:<13}  {first}")
        for line in more:
            self.note(line)
        self._last_s = now_s

    def note(self, text: str) -> None:
        """Print a line that belongs to a step."""
        self._say(f"{'':25}{text}")


class Procedure:
    """One run of setup."""

    def __init__(
        self,
        *,
        places: Places,
        keys: KeyStore,
        disk: Disk,
        steps: Steps,
        options: Options,
        environ: Mapping[str, str],
        ask_for_key: Callable[[], str] | None = None,
    ) -> None:
        """Prepare; nothing is done.

        Args:
            places: Where the files are.
            keys: Where the key is kept.
            disk: Reads and writes.
            steps: Receives what is done.
            options: What the person wants.
            environ: Of the process.
            ask_for_key: Asks a person for the key; `None` where nobody is there.
        """
        self._places = places
        self._keys = keys
        self._disk = disk
        self._steps = steps
        self._options = options
        self._environ = environ
        self._ask_for_key = ask_for_key

    @property
    def has_key(self) -> bool:
        """This hub has a key already."""
        return bool(self._keys.read())

    def run(self, answers: Answers, *, text: str, file: str) -> int:
        """Set the hub up; return the exit code.

        Args:
            answers: What was answered.
            text: Of the answers, whose lines a message names.
            file: Its name.

        Raises:
            ConfigInvalid: An answer is wrong. Nothing was changed.
            Unauthorized: The cloud refuses the key. Nothing was changed.
            CloudUnavailable, Refused: The cloud gives no usable answer. Nothing was changed.
            CommandFailed: systemd does not start the service.
            StorageFull, OSError: The disk refuses.
        """
        prepared = self.prepare(answers, text=text, file=file)
        key, origin = self._key(answers, prepared.config, Path(file).parent)
        self._check_cloud(prepared.config, key, origin, answers.time_zone)
        is_changed = self._write(prepared, key)
        if self._options.wipes:
            self._disk.wipe(Path(file))
            self._steps.done("answers", f"{file} is overwritten and removed")
        code = self._start(prepared.config, is_changed=is_changed)
        self._write_sheet(prepared)
        return code

    def renew_key(self, file: Path) -> int:
        """Give a hub that is configured another key; return the exit code. Errors as `run`."""
        config = load(self._places.config, environ={})
        key = read_key_file(file, self._disk)
        self._ensure_usable(config, key)
        machine = self._find_machine(config, machines.find_sticks())
        self._check_cloud(config, key, f"of {file}", "")
        before = written.read_text(self._places.config, self._disk)
        prepared = Prepared(before, config, machine, is_changed=False, before=before)
        is_changed = self._write(prepared, key)
        code = self._start(config, is_changed=is_changed)
        self._write_sheet(prepared)
        return code

    def prepare(self, answers: Answers, *, text: str, file: str) -> Prepared:
        """Find the machine and make its configuration; nothing is written. Arguments and errors as `run`."""
        sticks = machines.find_sticks()
        document = complete(answers.document, has_stick=len(sticks) == 1)
        config = resolve(document, answers=text, file=file, directory=self._places.etc).config
        if problem := missing_outputs(config.climate.zones, output_names(config.board)):
            raise ConfigInvalid(f"{file}: {problem}")
        self._steps.done(
            "answers", f"{file}: {plural(len(config.climate.zones), 'zone')}, cloud {config.cloud.base_url}"
        )
        machine = self._find_machine(config, sticks)
        made = configuration_text(document)
        before = written.read_text(self._places.config, self._disk)
        prepared = Prepared(made, config, machine, before != made, before)
        is_foreign = bool(before) and prepared.is_changed and not is_untouched(before)
        if is_foreign and not (self._options.replace or answers.replace):
            raise ConfigInvalid(
                f"add --replace to replace {self._places.config}, of which a copy stays: a person has changed it\n"
                f"{written.difference(before, made, self._places.config.name)}"
            )
        return prepared

    def _find_machine(self, config: Config, sticks: Sequence[str]) -> Machine:
        channels = asyncio.run(machines.find_channels(config.board, config.local_api.socket))
        machine = Machine(machines.read_model(), channels, sticks)
        self._steps.done("machine", machines.as_text(machine))
        self._note_missing_sensors(config, machine)
        return machine

    def _note_missing_sensors(self, config: Config, machine: Machine) -> None:
        found = {channel.sensor for channel in machine.channels}
        for zone in config.climate.zones:
            for sensor in zone.sensors:
                if "/" in sensor and sensor not in found:
                    self._steps.note(
                        f"! connect {sensor}, or correct its name: zone {zone.id} uses it, and it is not there"
                    )

    def _key(self, answers: Answers, config: Config, directory: Path) -> tuple[str, str]:
        """Return the key and where it came from, in words."""
        kept = self._keys.read()
        if answers.key:
            key, origin = answers.key, "of the answers"
        elif answers.key_file:
            path = directory / answers.key_file
            key, origin = read_key_file(path, self._disk), f"of {path}"
        elif kept:
            key, origin = kept, "that this hub has already"
        elif self._ask_for_key is not None:
            key, origin = self._ask_for_key(), "that was typed"
        else:
            raise ConfigInvalid(
                "give the hub's key of the cloud: setup.key or setup.key_file in the answers, or --key-file"
            )
        self._ensure_usable(config, key)
        return key, origin

    def _ensure_usable(self, config: Config, key: str) -> None:
        if config.cloud.api_key_file is not None:
            raise ConfigInvalid(
                "take cloud.api_key_file out of the configuration: setup gives the key to the service as a credential"
            )
        try:
            is_barred = factory_reset.is_barred(factory_reset.read(config.storage.state_dir, self._disk), key)
        except (Corrupt, ReadFailed) as error:
            self._steps.note(f"! {error}")
            return
        if is_barred:
            raise ConfigInvalid(
                "have the cloud issue a new key for this hub: a factory reset has barred the one that was given"
            )

    def _check_cloud(self, config: Config, key: str, origin: str, time_zone: str) -> None:
        try:
            answer = asyncio.run(self._ask_cloud(config, key, time_zone))
        except CloudUnavailable as error:
            if not self._options.is_offline:
                raise CloudUnavailable(
                    f"check the network and cloud.base_url, or add --offline to go on without: {error}"
                ) from error
            self._steps.done("cloud", f"not reached, so the key {origin} is not checked: {error}")
            return
        self._steps.done("cloud", f"{config.cloud.base_url} takes the key {origin}")
        self._tell_time_zone(answer)

    async def _ask_cloud(self, config: Config, key: str, time_zone: str) -> CloudAnswer:
        """Ask, again for as long as the options say: at a first boot the network and the time come late."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._options.cloud_s
        while True:
            try:
                return await ask_cloud(config.cloud, key, time_zone, self._environ)
            except CloudUnavailable:
                if loop.time() >= end_s:
                    raise
                await asyncio.sleep(CLOUD_RETRY_S)

    def _tell_time_zone(self, answer: CloudAnswer) -> None:
        if answer.problem:
            self._steps.note(f"! {answer.problem}")
        if answer.time_zone:
            self._steps.note(f"time zone of the home: {answer.time_zone}")

    def _write(self, prepared: Prepared, key: str) -> bool:
        """Write what differs from what is there; return whether anything did."""
        path = self._places.config
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        is_new_key = key != self._keys.read()
        if is_new_key:
            self._steps.done("key", self._keys.keep(key))
        is_new_drop_in = self._write_drop_in(prepared)
        if not prepared.is_changed:
            self._steps.done("configuration", f"{path} stays as it is")
            return is_new_key or is_new_drop_in
        copy = written.keep_copy(path, self._disk) if prepared.before else None
        self._disk.write(path, prepared.text.encode())
        self._steps.done("configuration", f"{path}{f'; the one before is {copy}' if copy else ''}")
        if copy is not None:
            for line in written.difference(prepared.before, prepared.text, path.name).splitlines():
                self._steps.note(line)
        return True

    def _write_drop_in(self, prepared: Prepared) -> bool:
        """Write or remove what opens devices to the service; return whether that differs from what is there."""
        path = self._places.drop_in
        groups = service.group_names()
        needs = needs_of(prepared.config, prepared.machine.buses, is_key_encrypted=self._keys.is_encrypted)
        text = drop_in_text(needs, groups)
        if text == written.read_text(path, self._disk):
            return False
        if not text:
            self._disk.remove(path)
            return True
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._disk.write(path, text.encode())
        opened = ", ".join(needs.devices) or "the key"
        self._steps.done("drop-in", f"{path} opens {opened} to the service")
        for group in sorted({*needs.groups} - {*groups}):
            self._steps.note(
                f"! install what brings the group {group}: this machine has none, and its devices stay closed"
            )
        return True

    def _write_sheet(self, prepared: Prepared) -> None:
        path = self._options.sheet_file
        if path is None or not self._options.starts:
            return
        port, code = sheets.ask_hub(prepared.config.local_api.socket)
        text = sheets.sheet_text(
            prepared.config, port, hub=os.uname().nodename, model=prepared.machine.model, code=code
        )
        self._disk.write(path, text.encode(), is_secret=True)
        self._steps.done("sheet", f"{path}: print it, then remove it")

    def _start(self, config: Config, *, is_changed: bool) -> int:
        if not self._options.starts or not service.is_under_systemd():
            self._steps.done("service", "not started: systemctl start climahub")
            return exit_codes.OK
        try:
            service.start(is_changed=is_changed)
        except CommandFailed as error:
            raise CommandFailed(service.failure_text(error)) from error
        how = "runs, and starts at each boot" if is_changed else "runs as before: nothing was changed"
        self._steps.done("service", f"{service.UNIT} {how}")
        now = service.wait_for_reading(config.local_api.socket, limit_s=self._options.wait_s, say=self._steps.note)
        if not now.is_accepted:
            self._steps.done("first reading", f"! not accepted yet: {now.text}")
            return exit_codes.WARNED
        self._steps.done("first reading", f"accepted by {config.cloud.base_url}")
        return exit_codes.OK
