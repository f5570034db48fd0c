"""The outcome of a simulation, as a document and as text. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from agent.foundation.text import plural
from agent.telemetry.outbox.protocol import OutboxStats
from lab.simulation.command_oracle import CommandCounts
from lab.simulation.pairing_harness import PairingCounts
from lab.simulation.reading_oracle import ReadingOracle, Violation
from lab.simulation.rollout import UpdateCounts


class ReadingCounts(msgspec.Struct, frozen=True):
    """The outcomes of the readings.

    Attributes:
        handed_out: Provided by the sensors, each delivery counted.
        taken: Committed to the outbox: from here on nothing may be lost.
        accepted: Stored by the cloud, each once.
        pending: Still in the outbox.
        thinned: Given up by a full outbox, on record.
        dropped: Given up whole by a full outbox or disk, on record.
        dead_letters: Refused by the cloud for good.
        judged_bad: Not plausible, so not committed.
        uncommitted: In the memory of a process that was killed, at most one commit interval old.
        duplicates_sent: Sent again and recognised by the cloud.
        duplicates_stored: Stored twice; always 0.
        altered: Stored with another value; always 0.
        left_out: Of sensors that were removed, so not committed.
        erased: Erased by a factory reset before the cloud had them.
        lost: Committed, and neither in the outbox nor in the cloud; always 0.
    """

    handed_out: int
    taken: int
    accepted: int
    pending: int
    thinned: int
    dropped: int
    dead_letters: int
    judged_bad: int
    uncommitted: int
    duplicates_sent: int
    duplicates_stored: int
    altered: int
    left_out: int
    erased: int
    lost: int


class RequestCounts(msgspec.Struct, frozen=True):
    """The requests to the cloud."""

    total: int
    over_quota: int


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of one simulation. Without violations it has passed.

    Attributes:
        apis: What clients of the APIs and their owner did, how often each; empty where nobody came.
    """

    seed: int
    board: str
    faults_profile: str
    sensors: int
    virtual_s: float
    wall_s: float
    virtual_hours_per_wall_s: float
    readings: ReadingCounts
    commands: CommandCounts
    pairing: PairingCounts
    updates: UpdateCounts
    requests: RequestCounts
    crashes: int
    durable_operations: int
    faults: Mapping[str, int]
    violations: list[Violation]
    warnings: Sequence[str] = ()
    apis: Mapping[str, int] = {}


def reading_counts(oracle: ReadingOracle, stats: OutboxStats) -> ReadingCounts:
    """Return the outcomes of all readings, from the oracle's account and the outbox's final statistics."""
    counts = oracle.counts
    return ReadingCounts(
        handed_out=counts.handed_out,
        taken=counts.taken,
        accepted=counts.accepted,
        pending=oracle.outstanding,
        thinned=stats.downsampled,
        dropped=stats.dropped,
        dead_letters=stats.dead_letters,
        judged_bad=counts.judged_bad,
        uncommitted=counts.uncommitted,
        duplicates_sent=counts.duplicates_sent,
        duplicates_stored=counts.duplicates_stored,
        altered=counts.altered + counts.invented,
        left_out=counts.left_out,
        erased=counts.erased,
        lost=counts.lost,
    )


def as_text(verdict: Verdict, replay_command: str) -> str:
    """Return the verdict for a person; a failed one ends with the command that repeats it."""
    readings, commands, pairing, updates = verdict.readings, verdict.commands, verdict.pairing, verdict.updates
    faults = ", ".join(f"{name} {count}" for name, count in verdict.faults.items()) or "none"
    apis = ", ".join(f"{count} {name}" for name, count in sorted(verdict.apis.items()) if count)
    apis_line = f"APIs       {apis}\n" if apis else ""
    lines = (
        f"simulated {verdict.virtual_s / 86_400:.2f} days of {verdict.board} with {plural(verdict.sensors, 'sensor')},"
        f" seed {verdict.seed}, faults {verdict.faults_profile}, in {verdict.wall_s:.1f} s"
        f" ({verdict.virtual_hours_per_wall_s:.1f} h/s)\n"
        f"readings   {readings.taken} committed, {readings.accepted} accepted, {readings.pending} pending,"
        f" {readings.thinned} thinned, {readings.dropped} dropped, {readings.dead_letters} dead letters,"
        f" {readings.erased} erased by a reset\n"
        f"           {readings.lost} lost, {readings.altered} altered, {readings.duplicates_stored} stored twice"
        f" ({readings.duplicates_sent} sent again)\n"
        f"           {readings.handed_out} handed out, {readings.judged_bad} of them not plausible,"
        f" {readings.uncommitted} in memory at a crash\n"
        f"commands   {commands.issued} issued, {commands.executed} executed, {commands.acked} acked,"
        f" {commands.failed} failed, {commands.expired} expired\n"
        f"           {commands.executed_twice} executed twice, {commands.unsettled} unsettled\n"
        f"pairing    {pairing.joined} joined, {pairing.registered} registered, {pairing.relayed} relayed,"
        f" {pairing.paired_twice} paired twice, {pairing.lost} lost\n"
        f"updates    {updates.offered} offered, {updates.installed} installed, {updates.committed} committed,"
        f" {updates.rolled_back} rolled back, {updates.refused} refused, {updates.bricked} bricked\n"
        f"requests   {verdict.requests.total}, {verdict.requests.over_quota} over quota\n"
        f"{apis_line}"
        f"faults     {plural(verdict.crashes, 'crash', 'crashes')}; {faults}\n"
    )
    if not verdict.violations:
        return f"{lines}verdict    passed"
    found = "".join(f"  at {each.at_s:.3f} s: {each.promise}: {each.detail}\n" for each in verdict.violations)
    failed = f"verdict    FAILED, {plural(len(verdict.violations), 'violation')}"
    return f"{lines}{failed}\n{found}to see it again: {replay_command}"
