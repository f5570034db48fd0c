"""`climahub run`: the hub as a process. Owns signals, log, lock, exit code, and restarts within the process.

Must stay light: no click, no rich, no virtual event loop.
"""

import asyncio
import errno
import logging
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import __version__, app, config, environment
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.commands import factory_reset
from agent.config import Config, Resolved
from agent.config.changes import usable
from agent.config.loading import changes_problems
from agent.config.zones import missing_outputs
from agent.errors import ConfigInvalid, Corrupt, StorageFull
from agent.foundation import clock_sources, lock, log, shutdown, system_info
from agent.foundation.clock import Clock, SystemClock
from agent.foundation.disk import Disk
from agent.foundation.host import Systemd
from agent.foundation.log_ring import LogRing
from agent.foundation.memory import give_back_memory
from agent.foundation.shutdown import DaemonThreadExecutor, StopDeadline
from agent.foundation.simulated_boots import FILE_NAME as BOOTS_NAME
from agent.foundation.simulated_boots import SimulatedBoots, SimulatedRebootHost
from agent.foundation.start_history import StartHistory
from agent.foundation.text import escape_lines
from agent.foundation.worker import ThreadWorker
from agent.machine.moved_card import MovedCard
from agent.machine.storage_writes import read_counter
from agent.ota.context import RunningRelease
from agent.ota.launcher import BASE, REASON_VARIABLE, SLOT_VARIABLE, VERSION_VARIABLE
from agent.outputs import EXIT_CONFIG
from agent.port.config_editor import RunningConfig
from agent.port.config_store import ConfigStore
from agent.port.sign_in.sessions import Sessions
from agent.reloading import ReloadableConfig
from hal.errors import HalError

_log = logging.getLogger(__name__)

EXIT_CANNOT_CREATE = 73
"""EX_CANTCREAT: the state or runtime directory cannot be used."""
EXIT_ALREADY_RUNNING = 75
"""EX_TEMPFAIL: another agent works on the same state directory."""

LEDGER_NAME = "quotas"

_MISPLACED = {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of making a directory that mean a wrong path, not a failing disk."""


def main(config_path: Path, environ: Mapping[str, str] = os.environ) -> int:
    """Run the hub; return the exit code."""
    try:
        settings = config.load(config_path, environ=environ)
        now_ms = SystemClock(trust_wall_clock=True).monotonic_ms
        log.set_up(settings.log.level, settings.log.format, now_ms=now_ms)
        log.write_in_background()
        log_ring = LogRing(now_ms)
        logging.getLogger().addHandler(log_ring)
        storage = settings.storage
        problems = _make_directories(storage.state_dir, storage.run_dir)
        with lock.hold(storage.state_dir, storage.run_dir):
            reloadable = ReloadableConfig(config_path, settings, environ)
            asyncio.run(_run(_Restarts(reloadable, environ, problems, log_ring=log_ring), reloadable.reload))
    except (ConfigInvalid, HalError) as error:
        return _refuse(EXIT_CONFIG, error)
    except lock.AlreadyRunning as error:
        return _refuse(EXIT_ALREADY_RUNNING, error)
    except OSError as error:
        advice = "check storage.state_dir, storage.run_dir and their permissions"
        return _refuse(EXIT_CANNOT_CREATE, f"{advice}: {error.filename}: {error.strerror}")
    finally:
        log.drain()
    return 0


def _make_directories(*directories: Path) -> list[str]:
    """Make directories and return their problems in words. A failing disk must not keep a hub from heating.

    Raises:
        OSError: A directory cannot be made at its path: the configuration is wrong.
    """
    problems = []
    for directory in directories:
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            if error.errno in _MISPLACED:
                raise
        if problem := Disk().problem_of(directory):
            problems.append(f"{problem}; until then this hub works from memory")
            _log.error("%s", problems[-1])
    return problems


def _refuse(code: int, reason: object) -> int:
    log.drain()
    sys.stderr.write(f"climahub: {escape_lines(str(reason))}\n")
    return code


class _Restarts:
    """Runs the hub, and starts a new one in this process after a factory reset or a simulated reboot."""

    def __init__(
        self,
        reloadable: ReloadableConfig,
        environ: Mapping[str, str],
        problems: Sequence[str] = (),
        *,
        log_ring: LogRing | None = None,
    ) -> None:
        self._reloadable = reloadable
        self._log_ring = log_ring
        self._settings = settings = reloadable.settings
        self._problems = problems
        self._environ = environ
        self._disk = Disk()
        self._worker = ThreadWorker("storage")
        self._slow_worker = ThreadWorker("updates")
        trust = settings.clock.trust
        self._machine_clock = SystemClock(
            trust_wall_clock=trust == "system",
            trust_any_server=trust == "cloud",
            memory=settings.storage.run_dir / clock_sources.CLOCK_FILE,
        )
        self._starts = StartHistory(
            settings.storage.state_dir,
            settings.storage.run_dir,
            disk=self._disk,
            clock=self._machine_clock,
            version=__version__,
            boot_reason=system_info.boot_reason,
            power_problems=system_info.power_problems,
        )
        self._config_store = ConfigStore(settings.storage.state_dir, disk=self._disk, worker=self._worker)
        self._sessions: tuple[str, Sessions | None] = "", None
        self._hub_stop = asyncio.Event()
        self._is_stopping = False
        self._restoration_problem = ""
        self.deadline: StopDeadline | None = None

    def hurry(self) -> None:
        """Skip the syncs that protect against a power cut only."""
        self._disk.hurry()

    def stop(self) -> None:
        """Stop the hub for good. The process is gone by its deadline, whatever hangs."""
        self._is_stopping = True
        if self.deadline is not None:
            self.deadline.start()
        self._hub_stop.set()

    async def run(self) -> None:
        """Run one hub after the other until `stop`."""
        storage = self._settings.storage
        while not self._is_stopping:
            self._hub_stop.clear()
            await self._worker.run(self._finish_restoration)
            try:
                is_erased = await self._worker.run(
                    lambda: factory_reset.finish_erasing(
                        storage.state_dir,
                        self._disk,
                        key_file=self._reloadable.settings.cloud.api_key_file,
                        outlives=environment.OUTLIVES_RESET,
                    )
                )
                if is_erased:
                    self._config_store.forget()
                    self._sessions = "", None
            except (StorageFull, Corrupt, OSError) as error:
                # The old key is barred, so what is left of the old data is never sent.
                _log.error("the factory reset is not complete: %s", error)
            try:
                await self._run_hub(await self._configure())
            except (ConfigInvalid, HalError) as error:
                if self._config_store.changes.trial is None:
                    raise
                await self._config_store.roll_back(f"the hub cannot start with the change, which was undone: {error}")
        await self._worker.run(self._starts.stop)
        self._worker.close()
        self._slow_worker.close()

    def _finish_restoration(self) -> None:
        """Finish a restoration that a power cut has interrupted; until it is, nothing is sent under its key."""
        state_dir = self._settings.storage.state_dir
        self._restoration_problem = ""
        if any((state_dir / name).exists() for name in ("restore.new", "restore.ready")):
            from agent.backup import restoration  # noqa: PLC0415 - nothing that a hub needs otherwise

            self._restoration_problem = restoration.finish(state_dir, self._reloadable.path, self._disk)

    def _read_key(self) -> str | None:
        if self._restoration_problem:
            return None
        return factory_reset.read_usable_key(
            self._settings.storage.state_dir, self._disk, self._reloadable.read_api_key
        )

    def _running(self) -> RunningRelease:
        launcher = self._environ.get(VERSION_VARIABLE, "")
        return RunningRelease(
            version=__version__,
            slot=self._environ.get(SLOT_VARIABLE, BASE),
            launcher=int(launcher) if launcher.isdigit() else 0,
            machine=os.uname().machine,
            python=sys.implementation.cache_tag or "",
            restart=self.stop,
            worker=self._slow_worker,
            reason=self._environ.get(REASON_VARIABLE, ""),
        )

    async def _configure(self) -> RunningConfig:
        """Put the configuration in force, with the changes that were made at the hub, for the hub that starts now.

        A change that cannot be used is left out and reported: it must not keep a hub from heating.
        """
        store = self._config_store
        changes = await store.start()
        values, problem = self._usable(changes.in_force)
        if problem and changes.trial is not None:
            await store.roll_back(f"the change cannot be used and was undone: {problem}")
            values, problem = self._usable(store.changes.in_force)
        if problem:
            _log.error("%s", problem)
        resolved = self._reloadable.resolve(values)
        self._reloadable.use(resolved, values)
        self._settings = self._reloadable.settings
        return RunningConfig(
            file=str(self._reloadable.path),
            resolved=resolved,
            problem=problem,
            store=store,
            resolve=self._check,
            use=self._reloadable.use,
            restart=self._hub_stop.set,
            outputs=environment.output_names(resolved.config.board),
        )

    def _usable(self, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        return usable(
            values,
            problems=changes_problems,
            check=self._check,
        )

    def _check(self, values: Mapping[str, Any]) -> Resolved:
        """Return the configuration with changes.

        Raises:
            ConfigInvalid: It cannot be used on this board.
        """
        resolved = self._reloadable.resolve(values)
        offered = environment.output_names(resolved.config.board)
        if problem := missing_outputs(resolved.config.climate.zones, offered):
            raise ConfigInvalid(problem)
        return resolved

    async def _run_hub(self, running: RunningConfig) -> None:
        settings = self._settings
        storage = settings.storage
        clock: Clock = self._machine_clock
        host = Systemd(self._environ)
        if _is_reboot_simulated(settings):
            boots = SimulatedBoots(storage.state_dir / BOOTS_NAME, self._machine_clock, self._disk)
            clock = boots.clock
            host = SimulatedRebootHost(self._environ, boots, restart=self._hub_stop.set)
        card = MovedCard(storage.state_dir, system_info.machine_ids(), disk=self._disk, worker=self._worker)
        await self._worker.run(card.load)
        async with new_session(tcp_connector(None), user_agent=f"climahub/{__version__}") as session:
            board = environment.make_board(settings.board, clock, environment.sensor_names(settings), settings.climate)
            hub = app.Hub(
                settings,
                environment.Environment(
                    board=environment.with_parts(board, settings, clock, self._disk),
                    clock=clock,
                    rng=random.Random(),  # noqa: S311 - jitter, not secrets
                    disk=self._disk,
                    worker=self._worker,
                    session=session,
                    ledger=QuotaLedger(storage.run_dir / LEDGER_NAME, clock.boot_id),
                    read_key=self._read_key,
                    sensor_keys=self._reloadable.read_keys(),
                    host=host,
                    check_for=environment.check_for,
                    restart=self._hub_stop.set,
                    running=self._running(),
                    installer=environment.installer_for(settings.board),
                    timekeeper=self._machine_clock,
                    options=self._reloadable.connection.for_url,
                    problems=[
                        *self._problems,
                        *self._reloadable.problems,
                        *filter(None, [running.problem, running.store.problem, self._restoration_problem]),
                    ],
                    read_power=system_info.power,
                    read_writes=read_counter,
                    card=card,
                    starts=self._starts,
                    config_file=self._reloadable.path,
                    environ=self._environ,
                    log_ring=self._log_ring,
                    running_config=running,
                ),
            )
            self._keep_sessions(hub, clock.boot_id)
            self._reloadable.on_reload(hub.reload_keys)
            # 0.7 MiB of 43 that imports have freed.
            give_back_memory()
            _log.info(
                "climahub %s on board %s, answers on %s", __version__, settings.board.name, settings.local_api.socket
            )
            await hub.run(self._hub_stop)

    def _keep_sessions(self, hub: app.Hub, boot_id: str) -> None:
        """Let people who have signed in stay so over a restart within a boot: they have to confirm their change."""
        known_boot_id, sessions = self._sessions
        if sessions is not None and known_boot_id == boot_id:
            hub.port.credentials.sessions = sessions
        self._sessions = boot_id, hub.port.credentials.sessions


def _is_reboot_simulated(settings: Config) -> bool:
    how = settings.commands.reboot
    return settings.board.name != "linux" if how == "auto" else how == "simulated"


async def _run(restarts: _Restarts, reload: Callable[[], None]) -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreadExecutor())
    restarts.deadline = StopDeadline(hurry=restarts.hurry)
    shutdown.handle_signals(stop=restarts.stop, reload=reload, terminal=shutdown.Terminal())
    await restarts.run()
    _log.info("stopped")
