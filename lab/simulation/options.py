"""What a simulation has to do, and the faults and commands that follow from its seed. Pure.

Everything is drawn before the simulation begins.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import msgspec

from lab.refcloud import faults
from lab.refcloud.contract import Endpoint

FaultProfile = Literal["none", "default", "harsh"]
Profile = Literal["installed", "coarse"]

COARSE_REPORT_S = 300.0
COARSE = "commands_poll_interval_s = 60\n[storage]\ncommit_interval_s = 60\n"

CALM_S = 2 * 3600.0
"""Time without faults at the end, in which every reading must be delivered."""


class MachineFaultKind(StrEnum):
    """Something that happens to the machine or to its network."""

    NETWORK_CUT = "network_cut"
    PROCESS_KILLED = "process_killed"
    POWER_CUT = "power_cut"
    DISK_FULL = "disk_full"


class MachineFault(msgspec.Struct, frozen=True):
    """A fault of the machine or its network.

    Attributes:
        kind: Its kind.
        at_s: When it begins, in virtual seconds.
        lasts_s: How long the network is cut, the disk is full, or the machine is down.
        unsynchronised_s: After a power cut: how long the new boot is without UTC.
    """

    kind: MachineFaultKind
    at_s: float
    lasts_s: float
    unsynchronised_s: float = 0.0


class FaultRates(msgspec.Struct, frozen=True):
    """The average rate of each fault per day, and the probability that a request meets a fault of the cloud."""

    network_cuts: float
    kills: float
    power_cuts: float
    full_disks: float
    request_faults: float
    sensor_faults: float
    latency_s_max: float
    commands: float = 0.0
    releases: float = 0.0


RATES: dict[FaultProfile, FaultRates] = {
    "none": FaultRates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05),
    "default": FaultRates(2.0, 1.0, 0.5, 0.25, 0.02, 0.1, 0.5, 24.0, 3.0),
    "harsh": FaultRates(8.0, 6.0, 4.0, 2.0, 0.15, 0.5, 2.0, 96.0, 6.0),
}

_LASTS_S: dict[MachineFaultKind, tuple[float, float]] = {
    MachineFaultKind.NETWORK_CUT: (30.0, 6 * 3600.0),
    MachineFaultKind.PROCESS_KILLED: (1.0, 30.0),
    MachineFaultKind.POWER_CUT: (15.0, 1800.0),
    MachineFaultKind.DISK_FULL: (60.0, 3600.0),
}


def draw_faults(rng: random.Random, rates: FaultRates, *, until_s: float) -> list[MachineFault]:
    """Return the drawn of a simulation in the order of their times; all are over by ``until_s``."""
    drawn = []
    per_day = {
        MachineFaultKind.NETWORK_CUT: rates.network_cuts,
        MachineFaultKind.PROCESS_KILLED: rates.kills,
        MachineFaultKind.POWER_CUT: rates.power_cuts,
        MachineFaultKind.DISK_FULL: rates.full_disks,
    }
    for kind, rate in per_day.items():
        for at_s in _times(rng, rate, until_s=until_s):
            low_s, high_s = _LASTS_S[kind]
            # Short ones are far more common than long ones: uniform in the logarithm.
            lasts_s = low_s * (high_s / low_s) ** rng.random()
            lasts_s = min(lasts_s, until_s - at_s)
            unsynchronised_s = rng.uniform(0.0, 300.0) if kind is MachineFaultKind.POWER_CUT else 0.0
            drawn.append(MachineFault(kind, at_s, lasts_s, unsynchronised_s))
    return sorted(drawn, key=lambda fault: fault.at_s)


def _times(rng: random.Random, per_day: float, *, until_s: float) -> Iterator[float]:
    at_s = 0.0
    while per_day > 0:
        at_s += rng.expovariate(per_day / 86_400.0)
        if at_s >= until_s:
            return
        yield at_s


def cloud_rules(rates: FaultRates, *, until_s: float) -> Sequence[faults.FaultRule]:
    """Return the faults of the cloud: each request before ``until_s`` meets one with the given probability."""
    latency = faults.FaultRule(faults.LatencyUp(0.0, rates.latency_s_max / 2), to_s=None)
    if rates.request_faults <= 0:
        return [latency]
    kinds: list[tuple[faults.Fault, Endpoint | None]] = [
        (faults.CutBefore(), None),
        (faults.CutAfter(), None),
        (faults.CutAfter(body_bytes=7), None),
        (faults.ErrorStatus(500), None),
        (faults.ErrorStatus(503, retry_after_s=20), None),
        (faults.ErrorStatus(503, retry_after_s=30, retry_after_form="date"), None),
        (faults.ErrorStatus(502, is_processed=True, is_json=False), None),
        (faults.ErrorStatus(400), Endpoint.TELEMETRY),
        (faults.ErrorStatus(422, is_json=False), Endpoint.TELEMETRY),
        (faults.ErrorStatus(401), None),
        (faults.ErrorStatus(429), None),
        (faults.ErrorStatus(429, retry_after_s=45), None),
        (faults.AcceptedLower(), Endpoint.TELEMETRY),
        (faults.Redirect("http://elsewhere.invalid/"), None),
        (faults.SlowDrip(piece_bytes=3, pause_s=1.0), None),
        (faults.SlowDrip(piece_bytes=1, pause_s=5.0), None),
        (faults.WrongContentType(), None),
        (faults.BrokenJson(), None),
        (faults.TruncatedJson(), None),
        (faults.OversizedBody(body_bytes=1024 * 1024), None),
        (faults.ExtraFields(), None),
        (faults.WrongShape("string"), None),
        (faults.WrongShape("missing"), None),
        (faults.WrongShape("null"), None),
        (faults.ListsReversed(), Endpoint.COMMANDS_PENDING),
        (faults.LatencyUp(20.0, 60.0), None),
        (faults.LatencyDown(20.0, 60.0), None),
        (faults.ClockOff(offset_s=-365 * 86_400), None),
    ]
    chance = rates.request_faults / len(kinds)
    return [latency, *(faults.FaultRule(fault, place, chance, 0.0, until_s) for fault, place in kinds)]


LIFETIME_S = 24 * 3600.0

RELISTED_SHARE = 0.2
"""The share of commands that the cloud lists again although it has their ack."""

SHORT_LIVED_SHARE = 0.1


class PlannedCommand(msgspec.Struct, frozen=True):
    """A command that the operator will queue.

    Attributes:
        at_s: When it is queued, in virtual seconds.
        type: As it goes out.
        payload: As it goes out; `None` for none.
        is_valid: Whether the contract lets the hub execute it.
        lifetime_s: After which it expires.
        relisted_after_s: How long after its ack the cloud lists it again; `None`: never.
    """

    at_s: float
    type: str
    payload: dict[str, Any] | None
    is_valid: bool = True
    lifetime_s: float = LIFETIME_S
    relisted_after_s: float | None = None


def draw_commands(rng: random.Random, per_day: float, *, until_s: float) -> list[PlannedCommand]:
    """Return the commands of a simulation in the order of their times."""
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
    # The reported kinds do not change: the oracle's account of readings starts from the values that sensors provide.
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


class Options(msgspec.Struct, frozen=True):
    """One simulation.

    Attributes:
        board: "sim", or "replay".
        recording: The CSV file of a replay.
        map: Its map.
        days: How long, before the calm at the end; `None` for a day, or for the whole of a recording.
        sensors: Series of a simulated house.
        seed: Everything random follows from it.
        faults: The fault profile.
        stop_at: Stop the machine before this durable operation, once.
        stop_by: How it stops: by a power cut, or by a kill of the process.
        machine_faults: These, in place of those that `faults` would draw.
        commands: These, in place of those that `faults` would draw.
        releases: Whether the cloud offers releases, at the rate of `faults`.
        calm_s: The time without faults at the end, in which everything has to be delivered.
        config_text: TOML that is added after that of the cloud and of the profile.
        boxed: How many relayed sensors of the simulated house a technician has yet to pair, name, replace and remove.
        report_interval_s: How often a relayed sensor of the simulated house reports.
        tests_per_day: How often a technician tests outputs, and often walks away from it.
        actions_per_day: How often a client of an API pushes an action; `config_text` switches on `apis.amps`.
        webhooks: Whether that client's servers are told the ends of its actions.
        facts: Whether that client reads the facts of the hub.
        owner: Whether its owner changes credentials, spaces and alerts meanwhile.
        client_requests_per_day: How often two clients of the APIs ask contrary things; `config_text` switches on
            `apis.amps` and `apis.aurra_home`.
        card_moves_per_day: How often the card is put into another board, sometimes with another key. Leave `commands`
            empty: a command that is discarded comes again from the cloud, and a reset by the cloud is an answer.
        start_utc_ms: When a simulated house begins; `None` for a winter's day.
        unsynchronised_s: How long the first boot of the machine is without UTC.
        writes_bytes: Whether requests to the cloud are written and parsed as HTTP; the verdict is the same.
        profile: "installed" is a hub as it is installed. "coarse" is another one, for campaigns over more seeds: it
            commits and polls each minute, and all relayed sensors report together each five minutes.
    """

    board: str = "sim"
    recording: Path | None = None
    map: Path | None = None
    days: float | None = None
    sensors: int = 15
    seed: int = 1
    faults: FaultProfile = "default"
    stop_at: int | None = None
    stop_by: MachineFaultKind = MachineFaultKind.POWER_CUT
    machine_faults: tuple[MachineFault, ...] | None = None
    commands: tuple[PlannedCommand, ...] | None = None
    releases: bool = True
    calm_s: float = CALM_S
    config_text: str = ""
    boxed: int = 0
    report_interval_s: float = 60.0
    tests_per_day: float = 0.0
    actions_per_day: float = 0.0
    webhooks: bool = False
    facts: bool = False
    owner: bool = False
    client_requests_per_day: float = 0.0
    card_moves_per_day: float = 0.0
    start_utc_ms: int | None = None
    unsynchronised_s: float = 0.0
    writes_bytes: bool = False
    profile: Profile = "installed"

    def cloud_text(self, base_url: str) -> str:
        """Return the beginning of the hub's configuration: its cloud, and its profile."""
        return f'[cloud]\nbase_url = "{base_url}"\n{COARSE if self.profile == "coarse" else ""}'


CARDS = Options(days=1.0, sensors=8, commands=(), releases=False, card_moves_per_day=40.0)
"""A day in which the card goes from board to board, and somebody answers for what it holds back."""

PAIRING = Options(days=0.25, sensors=187, boxed=50, report_interval_s=300.0)
"""Fifty boxed sensors, which have 180 series beside the hub's seven: they are paired, leave, die, and come back."""

HEATED = """[climate]
heat_source = "boiler"
zones = [
  { id = "living", sensors = ["sim/temperature"] },
  { id = "kitchen", sensors = ["kitchen 1"] },
  { id = "bedroom", sensors = ["bedroom 2"] },
]
"""
"""Three zones of the simulated house, as `config_text`."""

APIS = Options(
    days=0.25,
    config_text=f"{HEATED}[apis]\namps = true\n",
    actions_per_day=500.0,
    webhooks=True,
    facts=True,
    owner=True,
)
"""Six hours in which a client pushes actions, its servers hear how they end, facts are read, and an owner changes
credentials, spaces and alerts."""
