"""The outcome of a simulated fleet, as a document and as text. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from agent.foundation.text import plural
from lab.refcloud.contract import Endpoint
from lab.simulation.fleet_options import (
    AFTER_S,
    CLOCK_UNKNOWN_S,
    INCIDENT_AT_S,
    LASTS_S,
    START_S,
    FleetOptions,
)
from lab.simulation.reading_oracle import Violation
from lab.simulation.request_curve import Peak, RequestCurve

FAILURES_SHOWN = 5


class Rates(msgspec.Struct, frozen=True):
    """The highest request rates of a time, in requests a second.

    Attributes:
        second: Of its busiest second.
        minute: Of its busiest minute.
    """

    second: float
    minute: float

    @classmethod
    def of(cls, peak: Peak) -> "Rates":
        """Return the rates of a peak."""
        return cls(peak.second, peak.minute)


class HubFailure(msgspec.Struct, frozen=True):
    """A hub that broke a promise."""

    hub: str
    violations: Sequence[Violation]


class FleetPart(msgspec.Struct, frozen=True):
    """What one process found of its share of the hubs; fields as in `FleetVerdict`.

    Attributes:
        seconds: Requests of each second.
        minutes: Requests of each minute, by endpoint.
    """

    seconds: Mapping[int, int]
    minutes: Mapping[Endpoint, Mapping[int, int]]
    throttled: int
    refused: int
    taken: int
    accepted: int
    sent_again: int
    crashes: int
    offered: int
    committed: int
    rolled_back: int
    is_halted: bool
    failures: Sequence[HubFailure]


class FleetVerdict(msgspec.Struct, frozen=True):
    """The outcome for the fleet, and for each hub that failed.

    Attributes:
        scenario: What happened.
        hubs: How many hubs.
        sensors: Series of each.
        seed: Of everything random.
        jitter_s: Over which boots were spread.
        virtual_s: How long it was.
        wall_s: How long it took.
        requests: That arrived at the cloud.
        throttled: Of these, refused with 429; always 0.
        refused: Of these, refused with 401.
        mean_per_s: Requests a second of the settled fleet, before the incident.
        start: The peaks of the first ten minutes.
        quiet: The peaks of the settled fleet.
        after: The peaks after the incident; `None` where there was none.
        taken: Readings committed.
        accepted: Readings stored by the cloud, each once.
        sent_again: Readings sent again and recognised by the cloud.
        crashes: Processes that did not end in good order.
        offered: Hubs that were offered the release.
        committed: Hubs that committed it.
        rolled_back: Hubs that rolled it back.
        is_halted: The rollout was halted.
        failures: The hubs that broke a promise.
        minutes: Requests of each minute, by endpoint.
    """

    scenario: str
    hubs: int
    sensors: int
    seed: int
    jitter_s: float
    virtual_s: float
    wall_s: float
    requests: int
    throttled: int
    refused: int
    mean_per_s: float
    start: Rates
    quiet: Rates
    after: Rates | None
    taken: int
    accepted: int
    sent_again: int
    crashes: int
    offered: int
    committed: int
    rolled_back: int
    is_halted: bool
    failures: Sequence[HubFailure]
    minutes: Mapping[str, Sequence[int]]

    @property
    def has_failed(self) -> bool:
        """Whether a hub broke a promise, or the cloud had to throttle one."""
        return bool(self.failures) or self.throttled > 0


def make_verdict(options: FleetOptions, parts: Sequence[FleetPart], curve: RequestCurve, wall_s: float) -> FleetVerdict:
    """Return the verdict of a fleet.

    Args:
        options: The fleet.
        parts: What became of each share of it.
        curve: The requests of all of them.
        wall_s: How long it took.
    """
    incident_s, end_s = min(INCIDENT_AT_S, options.duration_s), options.duration_s
    after_s = INCIDENT_AT_S + LASTS_S.get(options.scenario, 0)
    watched_s = AFTER_S + (int(CLOCK_UNKNOWN_S[1]) if options.scenario == "clock-unknown" else 0)
    has_incident = options.scenario != "boot" and after_s < end_s
    return FleetVerdict(
        scenario=options.scenario,
        hubs=options.hubs,
        sensors=options.sensors,
        seed=options.seed,
        jitter_s=options.jitter_s,
        virtual_s=end_s,
        wall_s=round(wall_s, 1),
        requests=curve.total,
        throttled=sum(part.throttled for part in parts),
        refused=sum(part.refused for part in parts),
        mean_per_s=round(curve.mean(START_S, incident_s), 3),
        start=Rates.of(curve.peak(0, START_S)),
        quiet=Rates.of(curve.peak(START_S, incident_s)),
        after=Rates.of(curve.peak(after_s, min(after_s + watched_s, end_s))) if has_incident else None,
        taken=sum(part.taken for part in parts),
        accepted=sum(part.accepted for part in parts),
        sent_again=sum(part.sent_again for part in parts),
        crashes=sum(part.crashes for part in parts),
        offered=sum(part.offered for part in parts),
        committed=sum(part.committed for part in parts),
        rolled_back=sum(part.rolled_back for part in parts),
        is_halted=any(part.is_halted for part in parts),
        failures=[failure for part in parts for failure in part.failures],
        minutes=curve.minutes(),
    )


def as_text(verdict: FleetVerdict, replay_command: str) -> str:
    """Return the verdict for a person; a failed one ends with the command that repeats it."""
    mean = verdict.mean_per_s

    def peaks(name: str, rates: Rates) -> str:
        ratios = f"{rates.second / mean:.2f} and {rates.minute / mean:.2f} times the mean" if mean else "no mean"
        return f"           {name}: {rates.second:.0f}/s in a second, {rates.minute:.1f}/s in a minute: {ratios}\n"

    after = peaks("after", verdict.after) if verdict.after else ""
    halted = ", halted" if verdict.is_halted else ""
    updates = (
        f"rollout    {verdict.offered} offered, {verdict.committed} committed,"
        f" {verdict.rolled_back} rolled back{halted}\n"
        if verdict.offered
        else ""
    )
    lines = (
        f"simulated {verdict.virtual_s / 3600:.2f} h of {plural(verdict.hubs, 'hub')} with"
        f" {plural(verdict.sensors, 'sensor')} each, {verdict.scenario}, seed {verdict.seed},"
        f" in {verdict.wall_s:.1f} s\n"
        f"requests   {verdict.requests}, {mean:.2f}/s settled; {verdict.throttled} over quota,"
        f" {verdict.refused} with a refused key\n"
        f"{peaks('start', verdict.start)}{peaks('settled', verdict.quiet)}{after}"
        f"readings   {verdict.taken} committed, {verdict.accepted} accepted, {verdict.sent_again} sent again\n"
        f"crashes    {verdict.crashes}\n{updates}"
    )
    if not verdict.has_failed:
        return f"{lines}verdict    passed, {verdict.hubs} of {verdict.hubs} hubs"
    found = "".join(
        f"  {failure.hub} at {failure.violations[0].at_s:.3f} s: {failure.violations[0].promise}:"
        f" {failure.violations[0].detail}\n"
        for failure in verdict.failures[:FAILURES_SHOWN]
    )
    failed = f"verdict    FAILED, {len(verdict.failures)} of {verdict.hubs} hubs"
    return f"{lines}{failed}\n{found}to see it again: {replay_command}"
