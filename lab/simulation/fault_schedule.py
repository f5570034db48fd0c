"""What goes wrong in a simulation, and when: drawn from the seed before it begins. Pure."""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from lab.refcloud import faults
from lab.refcloud.contract import Endpoint

FaultProfile = Literal["none", "default", "harsh"]

CALM_S = 2 * 3600.0
"""Without drawn at the end, in which everything that can be delivered has to be."""


class MachineFaultKind(StrEnum):
    """Something that happens to the machine or to its network."""

    NETWORK_CUT = "network_cut"
    PROCESS_KILLED = "process_killed"
    POWER_CUT = "power_cut"
    DISK_FULL = "disk_full"


class MachineFault(msgspec.Struct, frozen=True):
    """One of them.

    Attributes:
        kind: What.
        at_s: When it begins, in virtual seconds.
        lasts_s: How long the network or the disk is gone, or the machine is down.
        unsynchronised_s: After a power cut: how long the new boot does not know the time.
    """

    kind: MachineFaultKind
    at_s: float
    lasts_s: float
    unsynchronised_s: float = 0.0


class FaultRates(msgspec.Struct, frozen=True):
    """How often, on average, each happens in a day; and the chances of each request to meet a fault of the cloud."""

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
    """Return the faults of the cloud: each request before ``until_s`` meets one with the given chance."""
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
