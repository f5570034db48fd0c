"""Which commands the cloud's operator gives in a simulation, and when: drawn from the seed before it begins. Pure.

Good ones, bad ones, ones that expire before they arrive, ones that a forgetful cloud lists again after they are done.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

LIFETIME_S = 24 * 3600.0

RELISTED_SHARE = 0.2
"""Of all orders: so many are listed again later, although the cloud has had their ack."""

SHORT_LIVED_SHARE = 0.1


class PlannedCommand(msgspec.Struct, frozen=True):
    """One command.

    Attributes:
        at_s: When it is queued, in virtual seconds.
        type: As it goes out.
        payload: As it goes out; `None` for none.
        is_valid: Whether the hub is to execute it, by the contract.
        lifetime_s: After which it is void.
        relisted_after_s: So long after its ack the cloud lists it again; `None`: never.
    """

    at_s: float
    type: str
    payload: dict[str, Any] | None
    is_valid: bool = True
    lifetime_s: float = LIFETIME_S
    relisted_after_s: float | None = None


def draw_commands(rng: random.Random, per_day: float, *, until_s: float) -> list[PlannedCommand]:
    """Return the orders of a simulation in the order of their times."""
    commands = []
    at_s = 0.0
    while per_day > 0:
        at_s += rng.expovariate(per_day / 86_400.0)
        if at_s >= until_s:
            break
        (make,) = rng.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])
        type_, payload, is_valid = make(rng)
        commands.append(
            PlannedCommand(
                at_s,
                type_,
                payload,
                is_valid,
                rng.uniform(0.0, 600.0) if rng.random() < SHORT_LIVED_SHARE else LIFETIME_S,
                rng.uniform(0.0, 3600.0) if rng.random() < RELISTED_SHARE else None,
            )
        )
    return commands


_Drawn = tuple[str, dict[str, Any] | None, bool]


def _reboot(rng: random.Random) -> _Drawn:
    return "reboot", rng.choice([None, {}, {"delay_seconds": rng.randrange(0, 120)}]), True


def _config_update(rng: random.Random) -> _Drawn:
    # The kinds that are reported stay as they are: the oracle's account of readings goes by what sensors hand out.
    changes = {
        "reporting_interval_seconds": rng.randrange(60, 90),
        "timezone": rng.choice(["UTC", "Europe/Brussels", "Asia/Kolkata"]),
        "location": {"latitude": round(rng.uniform(-90, 90), 3), "longitude": 4.35, "name": "attic"},
    }
    wanted = rng.sample(sorted(changes), rng.randrange(4))
    return "config_update", {name: changes[name] for name in wanted}, True


def _diagnostics(rng: random.Random) -> _Drawn:
    return "diagnostics", rng.choice([None, {}, {"sections": ["memory", "outbox"]}]), True


def _factory_reset(rng: random.Random) -> _Drawn:
    del rng
    return "factory_reset", {"confirm": True}, True


def _refused(rng: random.Random) -> _Drawn:
    bad: list[tuple[str, dict[str, Any] | None]] = [
        ("set_setpoint", {"heat_setpoint_c": 21}),
        ("reboot", {"delay_seconds": -1}),
        ("reboot", {"delay_seconds": 5, "force": True}),
        ("config_update", {"reporting_interval_seconds": 60, "timezone": "Mars/Olympus"}),
        ("config_update", {"reporting_interval_seconds": 10}),
        ("diagnostics", {"sections": ["secrets"]}),
        ("factory_reset", None),
        ("factory_reset", {"confirm": "yes"}),
    ]
    type_, payload = rng.choice(bad)
    return type_, payload, False


_KINDS: tuple[tuple[Callable[[random.Random], _Drawn], float], ...] = (
    (_diagnostics, 0.3),
    (_config_update, 0.3),
    (_reboot, 0.18),
    (_refused, 0.2),
    (_factory_reset, 0.02),
)
"""Each kind with its weight."""
