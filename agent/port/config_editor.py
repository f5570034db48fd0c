"""Changes the configuration of a running hub, with a way back (`agent.config.changes`).

Owns the clock of the trial, and what is checked before anything is written. Must never put an unchecked value in force,
and never touch the configuration file: the service may not write it, and its comments are a person's
(docs/decisions/0010-changes-at-the-hub.md).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from agent.config import Resolved
from agent.config.changes import VALUES_MAX, edited
from agent.config.reading import ConfigProblems
from agent.config.tables import BY_PATH
from agent.errors import ConfigInvalid
from agent.foundation.clock import Clock
from agent.foundation.signals import Signal
from agent.local.config import ConfigReport, build_config, changed_keys, trial_report
from agent.local.routes import (
    TRIAL_S_MAX,
    TRIAL_S_MIN,
    Caller,
    ConfigPatch,
    Handler,
    LocalRequest,
    RequestRefused,
    Role,
)
from agent.local.status import ConfigTrialReport
from agent.port.config_store import ConfigStore
from agent.port.http.access import AuditTrail

_log = logging.getLogger(__name__)

RESTART_DELAY_S = 0.5
"""Between the answer to a change and the restart, so that the answer arrives."""


class RunningConfig(msgspec.Struct, frozen=True):
    """The configuration of a hub, and how it is changed. The daemon gives it to each hub.

    Attributes:
        file: The configuration file.
        resolved: What is in force.
        problem: What is wrong with the changes that were made at the hub; they are not in force.
        store: The changes on the disk.
        resolve: Returns what would be in force with other changes; raises `ConfigInvalid`.
        use: Puts changes in force that need no restart.
        restart: Ends this hub and starts another, with the changes that are in the store; `None` where the process
            cannot: only keys that need no restart can be changed then.
        outputs: What the board drives.
    """

    file: str
    resolved: Resolved
    problem: str
    store: ConfigStore
    resolve: Callable[[Mapping[str, Any]], Resolved]
    use: Callable[[Resolved, Mapping[str, Any]], None]
    restart: Callable[[], None] | None
    outputs: Sequence[str] = ()


HUB_CALLER = Caller("", Role.OWNER, "hub")
"""Undoes what nobody has confirmed."""


class ConfigEditor:
    """The configuration of one hub."""

    def __init__(self, running: RunningConfig, *, now_ms: Callable[[], int], audit: Callable[[], AuditTrail]) -> None:
        """Begin the clock of a trial that is in force.

        Args:
            running: The configuration.
            now_ms: Returns boot time.
            audit: Returns what keeps which keys were changed, beside the request itself.
        """
        self._audit = audit
        self._running = running
        self._resolved = running.resolved
        self._store = running.store
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._decided = Signal()
        self._needs_restart = False
        self._lock = asyncio.Lock()
        """One decision at a time: each begins from what the one before has written."""

    @property
    def _left_s(self) -> float | None:
        """The time left of a trial that is in force."""
        trial = self._store.changes.trial
        if trial is None or not trial.has_started:
            return None
        return max(0.0, trial.trial_s - (self._now_ms() - self._started_ms) / 1000)

    async def run(self) -> None:
        """Restart after a change; undo what is on trial at the end of its time, unless a person decides before that.

        The restart is this loop's, so that a hub that ends for another reason takes it along.
        """
        while not self._is_restart_due():
            if self._is_over():
                async with self._lock:
                    await self._undo_unconfirmed()
            else:
                await self._decided.wait(self._left_s)
        await asyncio.sleep(RESTART_DELAY_S)
        if self._running.restart is not None:
            self._running.restart()

    async def _undo_unconfirmed(self) -> None:
        """Undo what is on trial, unless it was confirmed meanwhile."""
        if self._is_over():
            self._needs_restart = True
            self._audit().record(
                HUB_CALLER, "roll_back_config", ", ".join(changed_keys(self._store.changes)), "not confirmed"
            )
            await self._store.roll_back("nobody confirmed the change in time: it was undone")

    def _is_restart_due(self) -> bool:
        return self._needs_restart

    def _is_over(self) -> bool:
        return self._left_s == 0

    def _whole_left_s(self) -> int | None:
        left_s = self._left_s
        return None if left_s is None else round(left_s)

    def trial(self) -> ConfigTrialReport | None:
        """Return what is on trial, for the status."""
        return trial_report(self._store.changes, self._whole_left_s())

    def report(self) -> ConfigReport:
        """Return the document."""
        return build_config(
            self._resolved,
            self._store.changes,
            file=self._running.file,
            left_s=self._whole_left_s(),
            problem=self._running.problem or self._store.problem,
            is_restarting=self._needs_restart,
            outputs=self._running.outputs,
        )

    async def change(self, patch: ConfigPatch, caller: Caller) -> ConfigReport:
        """Check a change and record it; the hub restarts where a value needs it, and the change is on trial then.

        Raises:
            RequestRefused: A value cannot be used, or another change is on trial.
            StorageFull: The disk refuses; nothing has changed.
        """
        async with self._lock:
            return await self._change(patch, caller)

    async def _change(self, patch: ConfigPatch, caller: Caller) -> ConfigReport:
        changes = self._store.changes
        if changes.trial is not None:
            text = "confirm or undo the change that is on trial first (climahub config confirm, or rollback)"
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        if not TRIAL_S_MIN <= patch.trial_s <= TRIAL_S_MAX:
            text = f"correct trial_s: allowed is {TRIAL_S_MIN} to {TRIAL_S_MAX} s"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
        values = edited(changes.values, patch.changes)
        resolved = self._checked(values, patch.changes)
        differing = sorted(
            path
            for path in values.keys() | changes.values.keys()
            if resolved.values[path] != self._resolved.values[path]
        )
        needing_restart = [path for path in differing if BY_PATH[path].edit != "live"]
        if not needing_restart:
            await self._store.set_confirmed(values)
            self._running.use(resolved, values)
            self._resolved = resolved
            self._audit().record(caller, "change_config", ", ".join(differing), "in force")
            return self.report()
        if self._running.restart is None:
            text = (
                f"change only what needs no restart: this hub cannot restart by itself ({', '.join(needing_restart)})"
            )
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        name = f"{caller.name} ({caller.origin})" if caller.name else caller.origin
        await self._store.begin(values, trial_s=patch.trial_s, caller=name)
        self._audit().record(caller, "change_config", ", ".join(differing), f"on trial for {patch.trial_s} s")
        _log.warning("configuration: %s changed by %s, on trial for %d s", ", ".join(differing), name, patch.trial_s)
        self._restart_soon()
        return self.report()

    def _checked(self, values: Mapping[str, Any], edits: Mapping[str, Any]) -> Resolved:
        """Return what would be in force.

        Raises:
            RequestRefused: It cannot be.
        """
        unknown = {path: None for path, value in edits.items() if value is None and path not in BY_PATH}
        try:
            if len(values) > VALUES_MAX:
                raise ConfigInvalid(f"change fewer keys: {VALUES_MAX} can be changed at the hub")
            return self._running.resolve({**values, **unknown})
        except ConfigProblems as error:
            text = "; ".join(f"{problem.key}: {problem.text}" for problem in error.problems)
        except ConfigInvalid as error:
            text = str(error)
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "config_invalid", text)

    async def confirm(self) -> ConfigReport:
        """Keep the change that is on trial.

        Raises:
            RequestRefused: None is, or it is not in force yet.
            StorageFull: The disk refuses; it is still on trial.
        """
        async with self._lock:
            return await self._confirm()

    async def _confirm(self) -> ConfigReport:
        trial = self._store.changes.trial
        if trial is None:
            text = f"there is nothing to confirm: {self._store.changes.last_trial or 'no change is on trial'}"
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        if not trial.has_started:
            text = "confirm again in a moment: the hub has not restarted with the change yet"
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", text)
        await self._store.confirm()
        self._decided.set()
        _log.warning("configuration: the change was confirmed")
        return self.report()

    async def roll_back(self) -> ConfigReport:
        """Undo the change that is on trial.

        Raises:
            RequestRefused: None is.
        """
        async with self._lock:
            return await self._roll_back()

    async def _roll_back(self) -> ConfigReport:
        if self._store.changes.trial is None:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", "there is nothing to undo: no change is on trial")
        await self._store.roll_back("the change was undone by a person")
        self._restart_soon()
        return self.report()

    def _restart_soon(self) -> None:
        self._needs_restart = True
        self._decided.set()


def build_editor(running: RunningConfig | None, clock: Clock, audit: Callable[[], AuditTrail]) -> ConfigEditor | None:
    """Return the editor of a hub; none where its configuration was not given."""
    return None if running is None else ConfigEditor(running, now_ms=clock.monotonic_ms, audit=audit)


def handlers(editor: ConfigEditor | None) -> Mapping[str, Handler]:
    """Return the handlers of the configuration; none where there is no editor."""
    if editor is None:
        return {}

    async def get_config(_: LocalRequest) -> ConfigReport:
        return editor.report()

    async def change_config(request: LocalRequest) -> ConfigReport:
        return await editor.change(request.body, request.caller)

    async def confirm_config(_: LocalRequest) -> ConfigReport:
        return await editor.confirm()

    async def roll_back_config(_: LocalRequest) -> ConfigReport:
        return await editor.roll_back()

    return {
        "get_config": get_config,
        "change_config": change_config,
        "confirm_config": confirm_config,
        "roll_back_config": roll_back_config,
    }
