"""An owner who gives and revokes credentials, names spaces and resolves alerts: what was answered is kept, once.

Runs the stores of the APIs beside the hub (the APIs are not served in virtual time). Keeps its own account of what it
was answered and judges by what the stores show, over power cuts. Never helps the hub along.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent import app
from agent.apis.aurra_home.alerts import Alerts
from agent.apis.aurra_home.records import ALERTS_MAX, AlertRecord, AurraRecords
from agent.apis.client_records import CLIENTS_MAX, NewClient
from agent.apis.clients import Clients
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.errors import ClimahubError
from agent.home.spaces import SPACES_MAX, SpaceChange, Spaces, SpaceTree
from lab.simulation.beside_hub import BesideHub, SimulatedHub, run_together

VISIT_S = 90.0
"""On average between two visits."""
CHANGES_MAX = min(CLIENTS_MAX, ALERTS_MAX, SPACES_MAX) - 2
"""Things of one kind that the owner makes: no store is full, so that none of them makes room."""
END_SHARE = 0.3
"""Of all changes: a credential is revoked, a space renamed, an alert resolved."""
DEVICES = ("zone:living", "zone:kitchen", "zone:bedroom", "hub")

View = Mapping[str, Any]
"""What a store shows: by a name that the owner has chosen, everything that was promised of that thing."""

T = TypeVar("T")


class Account:
    """What one store has promised. While a change is being made it may show either side of it.

    Attributes:
        promised: What the store has to show, unless a change was cut.
    """

    def __init__(self) -> None:
        self.promised: View = {}
        self._cut: View | None = None

    async def change(self, after: View, work: Coroutine[Any, Any, T]) -> T:
        """Make a change; where its answer never comes, both sides of it are right.

        Raises:
            ClimahubError: It was refused: nothing has changed.
        """
        self._cut = after
        try:
            answer = await work
        except ClimahubError:
            self._cut = None
            raise
        self.promised, self._cut = after, None
        return answer

    def judge(self, shown: View) -> str:
        """Return what is wrong with what a store shows, empty for nothing, and go on from there."""
        is_right = shown in (self.promised, self._cut)
        names = sorted(name for name in {*shown, *self.promised} if shown.get(name) != self.promised.get(name))
        self.promised, self._cut = shown, None
        return "" if is_right else ", ".join(names)


class Stores(msgspec.Struct, frozen=True):
    """The stores of one process, and what it shows and tells of alerts."""

    clients: Clients
    spaces: Spaces
    records: AurraRecords
    alerts: Alerts
    faults: set[str]
    told: set[str]
    utc_ms: Callable[[], int | None]


class Owner(BesideHub):
    """The owner, and the stores beside the hub."""

    def __init__(self, rng: random.Random, hub: SimulatedHub) -> None:
        """Prepare; the arguments are those of the base."""
        super().__init__(rng, hub)
        self._made = 0
        self._resets = 0
        self.forget()

    def forget(self) -> None:
        """The hub was reset: it has promised nothing any more, and nobody asks the process that was reset."""
        self._resets += 1
        self._credentials, self._spaces, self._alerts = Account(), Account(), Account()
        self._secrets: dict[str, str] = {}
        self._told: set[str] = set()

    async def _serve(self, hub: app.Hub) -> None:
        stores = self._open(hub)
        await run_together(stores.records.run(), stores.alerts.run(), self._visit(hub, stores))

    def _open(self, hub: app.Hub) -> Stores:
        environment = hub.environment
        directory: Path = hub.config.storage.state_dir
        clock, disk, worker = environment.clock, environment.disk, environment.worker
        zones = list(hub.climate.control.zones) if hub.climate else []
        records = AurraRecords(directory, disk=disk, worker=worker)
        faults: set[str] = set()

        def offer(events: Sequence[WebhookEvent]) -> None:
            self._told.update(event.key for event in events)

        return Stores(
            Clients(directory, clock=clock, disk=disk, worker=worker, random_bytes=self._rng.randbytes, zones=zones),
            Spaces(directory, disk=disk, worker=worker, new_id=lambda: f"{self._rng.getrandbits(48):012x}"),
            records,
            Alerts(records, clock=clock, offer=offer, add_fault=faults.add, remove_fault=faults.discard),
            faults,
            self._told,
            clock.utc_ms,
        )

    async def _visit(self, hub: app.Hub, stores: Stores) -> None:
        await stores.clients.load()
        await stores.records.wait_until_loaded()
        resets = self._resets
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / VISIT_S))
            if self._hub() is hub and self._resets == resets:
                self._check(stores)
                changes = (self._change_clients, self._change_spaces, self._change_alerts)
                try:
                    await self._rng.choice(changes)(stores)
                except ClimahubError:
                    self._counts["changes of the owner refused"] += 1

    def _name(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made}"

    async def _change_clients(self, stores: Stores) -> None:
        account, clients = self._credentials, stores.clients
        names = list(account.promised)
        if names and (self._rng.random() < END_SHARE or len(names) >= CHANGES_MAX):
            name = self._rng.choice(names)
            found = [each.client.client_id for each in clients.records if each.client.name == name]
            await account.change(_without(account.promised, name), clients.revoke(found[0] if found else ""))
            self._counts["credentials revoked"] += 1
            return
        name = self._name("client")
        wanted = NewClient("amps", name, zones=(DEVICES[0].removeprefix("zone:"),))
        secret, _ = await account.change({**account.promised, name: wanted.zones}, clients.add(wanted))
        self._secrets[name] = secret
        self._counts["credentials"] += 1

    async def _change_spaces(self, stores: Stores) -> None:
        account, spaces = self._spaces, stores.spaces
        ids = {space.name: space_id for space_id, space in spaces.tree.spaces.items()}
        name = self._name("room")
        if not ids or (len(ids) < CHANGES_MAX and self._rng.random() >= END_SHARE):
            parent = self._rng.choice((None, *list(ids)[:3]))
            work: Coroutine[Any, Any, object] = spaces.create(name, parent_id=ids.get(parent or ""), marking="bedroom")
            await account.change({**account.promised, name: (parent, "bedroom", ())}, work)
        else:
            old = self._rng.choice(list(ids))
            device = self._rng.choice(DEVICES)
            await account.change(
                _placed(account.promised, old, device), spaces.place(ids[old], {device}, known=DEVICES)
            )
            await account.change(_renamed(account.promised, old, name), spaces.update(ids[old], SpaceChange(name=name)))
        self._counts["changes of spaces"] += 1

    async def _change_alerts(self, stores: Stores) -> None:
        account, alerts = self._alerts, stores.alerts
        open_ids = [alert_id for alert_id, by in account.promised.items() if not by]
        if open_ids and (self._rng.random() < END_SHARE or len(account.promised) >= CHANGES_MAX):
            alert_id = self._rng.choice(open_ids)
            await account.change({**account.promised, alert_id: "owner"}, alerts.resolve(alert_id, by="owner"))
            self._counts["alerts resolved"] += 1
        elif len(account.promised) < CHANGES_MAX:
            alert_id = self._name("alt")
            alert = AlertRecord(
                alert_id, "living", "acc_1", "filter", 0.9, "replace it", "high", False, stores.utc_ms()
            )
            await account.change({**account.promised, alert_id: ""}, alerts.add(alert))
            self._counts["alerts"] += 1

    def _check(self, stores: Stores) -> None:
        """Compare what the stores show with what they have promised."""
        shown = {each.client.name: each.client.zones for each in stores.clients.records}
        self._report("credentials are kept as answered", self._credentials.judge(shown))
        for name, secret in self._secrets.items():
            if (stores.clients.find("amps", secret) is None) is (name in shown):
                self._report("a credential is valid until it is revoked", name)
        self._report("spaces are kept as answered", self._spaces.judge(_view_of_spaces(stores.spaces.tree)))
        by_alert = {each.alert_id: each.resolved_by for each in stores.records.value.alerts}
        self._report("alerts are kept as answered, and resolved once", self._alerts.judge(by_alert))
        at_hub = {text.split()[1] for text in stores.faults}
        self._report("people see the alerts that are not resolved", _difference(at_hub, _ids(by_alert, is_open=True)))
        ends = {f"{alert_id}_resolved" for alert_id in _ids(by_alert, is_open=False)}
        self._report("an alert and its end are told", ", ".join(sorted((by_alert.keys() | ends) - stores.told)))

    def _report(self, promise: str, detail: str) -> None:
        if detail:
            self._violate(self._now_s(), promise, detail)


def _without(view: View, name: str) -> View:
    return {each: value for each, value in view.items() if each != name}


def _placed(view: View, name: str, device: str) -> View:
    """Return the spaces with a device in one of them, and in no other."""
    return {
        each: (parent, marking, tuple(sorted(({*devices} - {device}) | ({device} if each == name else set()))))
        for each, (parent, marking, devices) in view.items()
    }


def _renamed(view: View, old: str, new: str) -> View:
    return {
        new if each == old else each: (new if parent == old else parent, marking, devices)
        for each, (parent, marking, devices) in view.items()
    }


def _view_of_spaces(tree: SpaceTree) -> View:
    names = {space_id: space.name for space_id, space in tree.spaces.items()}
    return {
        space.name: (
            names.get(space.parent_id or ""),
            space.marking,
            tuple(sorted(device for device, place in tree.places.items() if place == space_id)),
        )
        for space_id, space in tree.spaces.items()
    }


def _ids(by_alert: View, *, is_open: bool) -> set[str]:
    return {alert_id for alert_id, by in by_alert.items() if bool(by) is not is_open}


def _difference(first: set[str], second: set[str]) -> str:
    return ", ".join(sorted(first ^ second))
