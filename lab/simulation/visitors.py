"""Who comes to the hub of a simulation beside its cloud: a technician, a program with actions, clients of its APIs.

Decides from the options who comes. Must not decide what they do.
"""

import random
from collections.abc import Callable

from agent import app
from lab.simulation.api_clients import ApiClients
from lab.simulation.integrator import Integrator
from lab.simulation.observers import Violate
from lab.simulation.options import Options
from lab.simulation.technician import Technician


def make_visitors(
    options: Options,
    *,
    hub: Callable[[], app.Hub | None],
    now_s: Callable[[], float],
    crashes: Callable[[], int],
    restart: Callable[[], None],
    on_power_cut: Callable[[], None],
    violate: Violate,
) -> tuple[Technician | None, Integrator | None, ApiClients | None]:
    """Return those that the options ask for, `None` in place of the others; each draws from a generator of its own.

    Args:
        options: Of the simulation.
        hub: Returns the hub; `None` while it is down.
        now_s: Virtual time.
        crashes: Returns how often the hub has crashed.
        restart: Restarts the hub's process.
        on_power_cut: Called where a visitor meets a hub without power.
        violate: Receives each broken promise: seconds, promise, detail.
    """
    technician = integrator = api_clients = None
    if options.tests_per_day:
        technician = Technician(
            random.Random(f"technician {options.seed}"),
            hub=hub,
            now_s=now_s,
            violate=violate,
            tests_per_day=options.tests_per_day,
        )
    if options.actions_per_day:
        integrator = Integrator(
            random.Random(f"integrator {options.seed}"),
            hub=hub,
            now_s=now_s,
            on_power_cut=on_power_cut,
            violate=violate,
            options=options,
        )
    if options.client_requests_per_day:
        api_clients = ApiClients(
            random.Random(f"api clients {options.seed}"),
            hub=hub,
            now_s=now_s,
            crashes=crashes,
            restart=restart,
            on_power_cut=on_power_cut,
            violate=violate,
            requests_per_day=options.client_requests_per_day,
        )
    return technician, integrator, api_clients
