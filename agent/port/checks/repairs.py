"""Carries repairs out: asks the component that owns what is broken. Decides nothing about heat.

Must never do what the caller's role does not allow, and must never block the loop: files are removed on the worker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec

from agent.errors import CloudUnavailable, ConfigInvalid, Corrupt, PairingRefused, Rejected, StorageFull
from agent.foundation.format import size
from agent.foundation.text import plural
from agent.local import query
from agent.local.queries import RepairQuery
from agent.local.repair_table import REPAIRS
from agent.local.routes import Handler, LocalRequest, RequestRefused, Role
from agent.machine.moved_card import NOT_MOVED, NOTHING_HELD, MovedCard
from agent.port.hub_parts import HubParts
from hal.interface import parts_of
from hal.radio import Repairable

REPAIR_S_MAX = 25.0
"""Longer than any repair takes where disk and radio answer; `climahub doctor --fix` waits 30 s."""
TIME_S_MAX = 8.0
"""How long a person waits for the cloud's clock."""
LEFTOVER_S = 86_400
"""A temporary file of a write is renamed within seconds."""
SPACE_FILES_MAX = 2000


class RepairReport(msgspec.Struct, frozen=True):
    """One repair as the API lists it; see `agent.local.repair_table.Repair`."""

    name: str
    title: str
    effect: str
    role: str
    has_target: bool
    is_destructive: bool


class RepairsReport(msgspec.Struct, frozen=True):
    """What this hub can repair itself."""

    repairs: list[RepairReport]


class RepairOutcome(msgspec.Struct, frozen=True):
    """What a repair has done, in words."""

    repair: str
    done: str


class Repairs:
    """The repairs of one hub."""

    def __init__(
        self, hub: HubParts, *, renew_certificate: Callable[[], Awaitable[None]], on_repaired: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            hub: The components to ask.
            renew_certificate: Makes another certificate for the port.
            on_repaired: Called after each repair: what the checks found is old.
        """
        self._hub = hub
        self._renew = renew_certificate
        self._on_repaired = on_repaired
        self._actions: Mapping[str, Callable[[str], Awaitable[str]]] = {
            "retry-cloud": self._retry_cloud,
            "resync-settings": self._resync_settings,
            "fetch-time": self._fetch_time,
            "flush-outbox": self._flush_outbox,
            "free-space": self._free_space,
            "rebuild-stores": self._rebuild_stores,
            "discard-quarantined": self._discard_quarantined,
            "retry-registrations": self._retry_registrations,
            "set-up-reporting": self._set_up_reporting,
            "forget-sensor": self._forget_sensor,
            "restart-radio": self._restart_radio,
            "back-up-network": self._back_up_network,
            "resume-updates": self._resume_updates,
            "reset-update": self._reset_update,
            "renew-certificate": self._renew_certificate,
            "confirm-moved-card": self._confirm_moved_card,
            "reset-copied-card": self._reset_copied_card,
            "send-held": self._send_held,
            "discard-held": self._discard_held,
        }

    async def carry_out(self, name: str, *, target: str, role: Role) -> RepairOutcome:
        """Carry one repair out, and say what was done.

        Args:
            name: A key of `REPAIRS`.
            target: The device of a sensor; empty for a repair without a target.
            role: Of the caller.

        Raises:
            RequestRefused: There is no such repair, the role does not allow it, or it cannot be done now; the message
                names the reason.
            HalError, ClimahubError: The component refuses.
        """
        repair = REPAIRS.get(name)
        if repair is None:
            text = f"name another repair: there is no {name}; there is {', '.join(REPAIRS)}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        if role < repair.role:
            text = f"sign in as {repair.role.value}: {name} is not for the role {role.value}"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "forbidden", text)
        if repair.has_target and not target:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", f"name a sensor: {name}?target=DEVICE")
        try:
            async with asyncio.timeout(REPAIR_S_MAX):
                done = await self._actions[name](target)
        except TimeoutError:
            text = f"look at the checks again in a minute: {name} has not ended within {REPAIR_S_MAX:.0f} s"
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "no_answer", text) from None
        except (Rejected, PairingRefused, ConfigInvalid) as error:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", str(error)) from error
        finally:
            self._on_repaired()
        return RepairOutcome(name, done)

    async def _retry_cloud(self, _: str) -> str:
        self._hub.client.retry_now()
        self._hub.telemetry.uplink.send_now()
        return "every request that was waiting is tried now"

    async def _resync_settings(self, _: str) -> str:
        self._hub.settings.fetch_now()
        return "the cloud's settings are fetched now"

    async def _fetch_time(self, _: str) -> str:
        hub = self._hub
        if hub.timekeeper is None:
            return "the time is right: this hub's clock is its machine's"
        hub.client.retry_now()
        try:
            async with asyncio.timeout(TIME_S_MAX):
                # One answer proves nothing: two must agree (`agent.foundation.time_estimate`).
                await hub.settings.refresh()
                await hub.settings.refresh()
        except (TimeoutError, CloudUnavailable):
            return f"the cloud has not answered within {TIME_S_MAX:.0f} s; the hub goes on asking"
        known = hub.timekeeper.knowledge()
        return (
            f"the time is known by {known.source}" if known else "the cloud has answered; its time is not accepted yet"
        )

    async def _flush_outbox(self, _: str) -> str:
        await self._hub.telemetry.flush()
        left = self._hub.telemetry.intake.uncommitted
        return f"{plural(left, 'reading')} left in memory" if left else "every reading is on the disk"

    async def _free_space(self, _: str) -> str:
        hub = self._hub
        directory, utc_ms = hub.config.storage.state_dir, hub.clock.utc_ms()
        before = await hub.worker.run(lambda: hub.disk.free_bytes(directory))
        removed = await hub.worker.run(lambda: self._remove_leftovers(directory, utc_ms))
        updates = hub.updates
        if updates is not None and not updates.store.record.is_open and not updates.run_control.is_receiving:
            await updates.context.worker.run(updates.staging.clear)
        if hub.telemetry.outbox is not None:
            await hub.telemetry.outbox.maintain()
        after = await hub.worker.run(lambda: hub.disk.free_bytes(directory))
        freed, free = (size(each) if each > 0 else "nothing" for each in (after - before, after))
        return f"{plural(removed, 'leftover')} removed, {freed} freed; {free} free now"

    def _remove_leftovers(self, directory: Path, utc_ms: int | None) -> int:
        """Remove temporary files that are older than a day. Blocks."""
        if utc_ms is None:
            return 0
        old = [
            path
            for path in sorted(directory.glob("*.new"))[:SPACE_FILES_MAX]
            if path.is_file() and utc_ms / 1000 - path.lstat().st_mtime > LEFTOVER_S
        ]
        for path in old:
            self._hub.disk.remove(path)
        return len(old)

    async def _rebuild_stores(self, _: str) -> str:
        hub, written, problems = self._hub, [], []
        stores = {"settings": hub.settings.rewrite, "the sensors' book": hub.pairing.rewrite}
        if hub.climate is not None:
            stores["programs"] = hub.climate.rewrite
        for name, rewrite in stores.items():
            try:
                await rewrite()
                written.append(name)
            except StorageFull as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise StorageFull("; ".join(problems))
        return f"written anew: {', '.join(written)}"

    async def _discard_quarantined(self, _: str) -> str:
        directory = self._hub.config.storage.state_dir

        def discard() -> int:
            paths = [path for path in directory.glob("*.corrupt-*") if path.is_file() and not path.is_symlink()]
            for path in paths:
                self._hub.disk.remove(path)
            return len(paths)

        return f"{plural(await self._hub.worker.run(discard), 'file')} removed"

    async def _retry_registrations(self, _: str) -> str:
        self._hub.pairing.keys_changed()
        return "the cloud is asked again for each sensor without an identity"

    def _radio(self) -> Repairable:
        for part in parts_of(self._hub.network):
            if isinstance(part, Repairable):
                return part
        raise PairingRefused("this hub has no radio that can be set up again")

    async def _set_up_reporting(self, target: str) -> str:
        await self._radio().set_up_again(target)
        return "its reporting is set up again as soon as it is awake; press its button to wake it now"

    async def _forget_sensor(self, target: str) -> str:
        await self._hub.pairing.actions.remove(target)
        return "it is removed, and leaves the network as soon as it is awake"

    async def _restart_radio(self, _: str) -> str:
        await self._radio().restart()
        return "the radio is restarted"

    async def _back_up_network(self, _: str) -> str:
        await self._hub.pairing.actions.backup()
        return "the network is backed up on the hub; climahub zigbee backup FILE takes a copy away"

    async def _resume_updates(self, _: str) -> str:
        if self._hub.updates is None:
            raise Rejected("this hub cannot be updated: it was started without the launcher")
        await self._hub.updates.set_paused(is_paused=False)
        return "updates go on"

    async def _reset_update(self, _: str) -> str:
        if self._hub.updates is None:
            raise Rejected("this hub cannot be updated: it was started without the launcher")
        try:
            await self._hub.updates.reset()
        except Corrupt as error:
            raise Rejected(str(error)) from error
        return "the update is reset; the next check takes the offer again"

    async def _renew_certificate(self, _: str) -> str:
        await self._renew()
        return "the port has a new certificate; browsers ask once more"

    async def _confirm_moved_card(self, _: str) -> str:
        await self._moved_card().confirm()
        await self._release_held()
        self._hub.client.reload_key()
        return "the hub's key is used on this board from now on"

    async def _reset_copied_card(self, _: str) -> str:
        self._moved_card()
        await self._hub.machine.reset()
        return "the hub resets itself; then give it a key of its own: climahub setup --key-file FILE"

    async def _send_held(self, _: str) -> str:
        self._check_held()
        held = self._hub.telemetry.failover.stats().held
        await self._release_held()
        return f"{plural(held, 'reading')} of another board and what else was held back are sent"

    async def _release_held(self) -> None:
        await self._hub.commands.release_held()
        await self._hub.settings.release_held()
        await self._hub.telemetry.release_held()

    async def _discard_held(self, _: str) -> str:
        self._check_held()
        hub = self._hub
        commands = await hub.commands.discard_held()
        await hub.settings.discard_held()
        readings = await hub.telemetry.discard_held()
        return f"{plural(readings, 'reading')} and {plural(commands, 'command')} of another board are erased"

    def _check_held(self) -> None:
        """Check that something is held back that a person may decide about.

        Raises:
            Rejected: There is nothing to decide, or nobody may yet.
        """
        hub = self._hub
        card = hub.machine.card
        is_held = hub.telemetry.failover.stats().held or hub.settings.holds_back or hub.commands.holds_back
        if card is None or not is_held:
            raise Rejected(NOTHING_HELD)
        card.check_decidable()

    def _moved_card(self) -> MovedCard:
        """Return what decides whether the key is used.

        Raises:
            Rejected: There is nothing to decide.
        """
        card = self._hub.machine.card
        if card is None or not card.is_moved:
            raise Rejected(NOT_MOVED)
        return card

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers of the repairs."""

        async def get_repairs(_: LocalRequest) -> RepairsReport:
            return RepairsReport(
                [
                    RepairReport(
                        each.name, each.title, each.effect, each.role.value, each.has_target, each.is_destructive
                    )
                    for each in REPAIRS.values()
                ]
            )

        async def repair(request: LocalRequest) -> RepairOutcome:
            target = query.read(request.query, RepairQuery).target
            return await self.carry_out(request.parameters["repair"], target=target, role=request.caller.role)

        return {"get_repairs": get_repairs, "repair": repair}
