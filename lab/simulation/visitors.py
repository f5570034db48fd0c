"""Who comes to the hub of a simulation beside its cloud: a technician, programs that use its APIs, the card's owner.

Decides from the options who comes. Must not decide what they do.
"""

import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from agent import app
from agent.foundation.disk import Disk
from agent.machine.moved_card import MovedCard
from lab.simulation.api_clients import ApiClients
from lab.simulation.card_oracle import CardOracle
from lab.simulation.card_owner import CardOwner
from lab.simulation.integrator import Integrator
from lab.simulation.machine import Machine
from lab.simulation.observers import Violate
from lab.simulation.options import MachineFault, Options
from lab.simulation.technician import Technician


class Visitors(msgspec.Struct, frozen=True):
    """Those that come; `None` in place of the others.

    Attributes:
        technician: Tests outputs.
        integrator: Pushes actions.
        api_clients: Ask contrary things.
        card_owner: Moves the card from board to board.
    """

    technician: Technician | None
    integrator: Integrator | None
    api_clients: ApiClients | None
    card_owner: CardOwner | None

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """Return what each of them does until it is cancelled."""
        everybody = (self.technician, self.integrator, self.api_clients, self.card_owner)
        return [each.run() for each in everybody if each is not None]

    def insert_card(self, disk: Disk) -> MovedCard | None:
        """Return what the next process knows of its card; `None` where that stays in its board."""
        return None if self.card_owner is None else self.card_owner.insert_card(disk)

    def faults(self) -> Mapping[str, int]:
        """Return what happened to the machine by them, how often each."""
        return dict(self.technician.counts if self.technician else {}) | dict(
            self.card_owner.counts if self.card_owner else {}
        )

    def api_counts(self) -> Mapping[str, int]:
        """Return what the programs did, how often each."""
        return dict(self.integrator.counts if self.integrator else {}) | dict(
            self.api_clients.counts if self.api_clients else {}
        )


class VisitorContext(msgspec.Struct, frozen=True):
    """What visitors find.

    Attributes:
        hub: Returns the hub; `None` while it is down.
        now_s: Virtual time.
        crashes: Returns how often the hub has crashed.
        restart: Restarts the hub's process.
        on_power_cut: Called where a visitor meets a hub without power.
        violate: Receives each broken promise: seconds, promise, detail.
        machine: The machine.
        cut_power: Cuts its power; returns false where it is left alone.
        give_new_key: Installs another key of the cloud.
        is_key_on_its_way: Tells whether the hub was reset and has no key yet.
        expect_reset: Called before somebody resets the hub, which no command has asked for.
    """

    hub: Callable[[], app.Hub | None]
    now_s: Callable[[], float]
    crashes: Callable[[], int]
    restart: Callable[[], None]
    on_power_cut: Callable[[], None]
    violate: Violate
    machine: Machine
    cut_power: Callable[[MachineFault], bool]
    give_new_key: Callable[[], None]
    is_key_on_its_way: Callable[[], bool]
    expect_reset: Callable[[], None]


def make_visitors(
    options: Options, found: VisitorContext, card_oracle: CardOracle | None, *, moves_until_s: float
) -> Visitors:
    """Return those that the options ask for; each draws from a generator of its own.

    Args:
        options: Of the simulation.
        found: What they find.
        card_oracle: Judges what becomes of the card; `None` where it stays in its board.
        moves_until_s: When it is moved for the last time.
    """
    technician = integrator = api_clients = card_owner = None
    if options.tests_per_day:
        technician = Technician(
            random.Random(f"technician {options.seed}"),
            hub=found.hub,
            now_s=found.now_s,
            violate=found.violate,
            tests_per_day=options.tests_per_day,
        )
    if options.actions_per_day:
        integrator = Integrator(
            random.Random(f"integrator {options.seed}"),
            hub=found.hub,
            now_s=found.now_s,
            on_power_cut=found.on_power_cut,
            violate=found.violate,
            options=options,
        )
    if options.client_requests_per_day:
        api_clients = ApiClients(
            random.Random(f"api clients {options.seed}"),
            hub=found.hub,
            now_s=found.now_s,
            crashes=found.crashes,
            restart=found.restart,
            on_power_cut=found.on_power_cut,
            violate=found.violate,
            requests_per_day=options.client_requests_per_day,
        )
    if card_oracle is not None:
        card_owner = CardOwner(
            random.Random(f"card owner {options.seed}"),
            card_oracle,
            machine=found.machine,
            hub=found.hub,
            now_s=found.now_s,
            cut_power=found.cut_power,
            on_power_cut=found.on_power_cut,
            give_new_key=found.give_new_key,
            is_key_on_its_way=found.is_key_on_its_way,
            expect_reset=found.expect_reset,
            moves_per_day=options.card_moves_per_day,
            until_s=moves_until_s,
        )
    return Visitors(technician, integrator, api_clients, card_owner)
