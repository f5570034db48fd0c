"""Judges commands: compares what the operator queued with what happened on the machine and at the cloud.

Independent of the agent: it sees the machine's boots, the durable content of the hub's files, and the cloud's records.
Must never ask a component of the agent.
"""

from collections.abc import Callable, Iterable

import msgspec

from lab.refcloud.records import CloudCommand, CommandState
from lab.simulation.options import PlannedCommand

SETTLED_S_MAX = 1800.0
"""Without faults a command is settled after at most this time: a poll, a full back-off, a slow probe of a refused key
(15 min) and a delay of two minutes."""

REBOOT_INTERVAL_S = 600.0
REBOOTS_PER_DAY_MAX = 5
"""What the cloud may ask of a hub that has a home to heat (docs/cloud-commands.md)."""


def _json(payload: object) -> str:
    return msgspec.json.encode(payload).decode()


class CommandCounts(msgspec.Struct, frozen=True):
    """What became of the commands.

    Attributes:
        issued: Queued by the operator.
        executed: Took effect on the hub.
        acked: Reported by the hub as done.
        failed: Reported by the hub as failed, refused or expired.
        expired: Expired at the cloud before the hub reported anything.
        executed_twice: Took effect more than once; always 0.
        unsettled: Neither reported nor expired; always 0.
    """

    issued: int = 0
    executed: int = 0
    acked: int = 0
    failed: int = 0
    expired: int = 0
    executed_twice: int = 0
    unsettled: int = 0


class _Case(msgspec.Struct):
    planned: PlannedCommand
    issued_s: float
    expires_s: float
    boots_before: int
    state: CommandState = CommandState.PENDING
    closed_s: float = 0.0
    effects: int = 0
    is_done: bool = False


class CommandOracle:
    """Keeps the account of commands.

    Attributes:
        latencies_s: From queueing to the cloud's having the outcome, of each command that the hub reported.
    """

    def __init__(self, *, violate: Callable[[float, str, str], None], boots: Callable[[], int]) -> None:
        """Begin.

        Args:
            violate: Notes a violated promise: seconds, promise, detail.
            boots: Returns the number of boots of the machine.
        """
        self._violate = violate
        self._boots = boots
        self._cases: dict[str, _Case] = {}
        self._applied = ""
        self._barred = 0
        self._is_reset_expected = False
        self._rebooted: set[tuple[str, int]] = set()
        self._reboots_s: list[tuple[str, float]] = []
        self.latencies_s: list[float] = []

    def record_issued(self, command: CloudCommand, planned: PlannedCommand, at_s: float) -> None:
        """The operator queued a command."""
        self._cases[command.command_id] = _Case(planned, at_s, at_s + planned.lifetime_s, self._boots())

    def open_ids(self) -> Iterable[str]:
        """Return the commands that the cloud has not closed, as far as was seen."""
        return [command_id for command_id, case in self._cases.items() if case.state is CommandState.PENDING]

    def record_state(self, command: CloudCommand, at_s: float) -> None:
        """The cloud has a command in this state. The first end counts: a cloud may list a command again by mistake."""
        case = self._cases[command.command_id]
        if case.state is not CommandState.PENDING or command.state is CommandState.PENDING:
            return
        case.state, case.closed_s = command.state, at_s
        if command.state is CommandState.EXPIRED:
            return
        self.latencies_s.append(at_s - case.issued_s)
        if command.state is not CommandState.ACKED:
            return
        if not case.planned.is_valid:
            self._violate(
                at_s, "bad commands are refused", f"{case.planned.type} {_json(case.planned.payload)} was acked"
            )
        match case.planned.type:
            case "config_update" if case.planned.payload and not case.effects:
                self._violate(at_s, "done before acked", f"config_update {command.command_id} has had no effect yet")
            case "config_update" | "diagnostics":
                case.is_done = command.result is not None
                if not case.is_done:
                    self._violate(at_s, "the result is reported", f"{case.planned.type} {command.command_id}")

    def record_reboot(self, command_id: str, at_s: float) -> None:
        """The hub requested a reboot from its host. A second request in the same boot changes nothing."""
        if (command_id, self._boots()) not in self._rebooted:
            self._rebooted.add((command_id, self._boots()))
            self._check_reboots(command_id, at_s)
            self._effect(command_id, at_s, is_acked_first=True)

    def _check_reboots(self, command_id: str, at_s: float) -> None:
        """Check the limits on reboots by command: a hub that reboots all the time heats no home."""
        earlier_s = [when_s for known_id, when_s in self._reboots_s if known_id != command_id]
        self._reboots_s.append((command_id, at_s))
        if earlier_s and at_s - earlier_s[-1] < REBOOT_INTERVAL_S:
            self._violate(at_s, "reboots are limited", f"{command_id} came {at_s - earlier_s[-1]:.0f} s after the last")
        if len({known_id for known_id, when_s in self._reboots_s if when_s > at_s - 86_400}) > REBOOTS_PER_DAY_MAX:
            self._violate(at_s, "reboots are limited", f"{command_id} is one too many in a day")

    def record_settings(self, applied: str, at_s: float, *, is_time_known: bool) -> None:
        """The settings on the disk come from this command; empty: from none."""
        if applied != self._applied:
            self._applied = applied
            if applied:
                self._effect(applied, at_s, is_acked_first=False, is_time_known=is_time_known)

    def expect_reset(self) -> None:
        """A person is about to reset the hub: the next key that is revoked on the disk needs no command."""
        self._is_reset_expected = True

    def record_revoked_keys(self, barred: int, at_s: float) -> None:
        """This many keys are revoked on the disk."""
        if barred <= self._barred:
            return
        self._barred = barred
        # A factory reset erases the hub's count.
        self._reboots_s.clear()
        acked = [
            command_id
            for command_id, case in self._cases.items()
            if case.planned.type == "factory_reset" and case.state is CommandState.ACKED and not case.effects
        ]
        if self._is_reset_expected:
            self._is_reset_expected = False
            return
        if not acked:
            self._violate(at_s, "acked before done", "the key was barred, and no factory reset has been acked")
            return
        self._effect(acked[0], at_s, is_acked_first=True)

    def _effect(self, command_id: str, at_s: float, *, is_acked_first: bool, is_time_known: bool = True) -> None:
        case = self._cases.get(command_id)
        if case is None:
            self._violate(at_s, "only commands are executed", f"{command_id} was never queued")
            return
        case.effects += 1
        case.is_done = True
        what = f"{case.planned.type} {command_id}"
        if not case.planned.is_valid:
            self._violate(at_s, "bad commands are refused", f"{what} took effect")
        if case.effects > 1:
            self._violate(at_s, "nothing executed twice", f"{what} took effect {case.effects} times")
        if is_acked_first and case.state is not CommandState.ACKED:
            self._violate(at_s, "acked before done", f"{what} took effect, and the cloud has it as {case.state}")
        elif not is_acked_first and is_time_known and at_s > case.expires_s:
            self._violate(
                at_s, "expired commands are not run", f"{what} took effect {at_s - case.expires_s:.0f} s late"
            )

    def close(self, at_s: float) -> CommandCounts:
        """Close the account at the end, after a calm time."""
        counts = dict.fromkeys(CommandCounts.__struct_fields__, 0)
        for command_id, case in self._cases.items():
            counts["issued"] += 1
            counts["executed"] += case.is_done
            counts["executed_twice"] += case.effects > 1
            what = f"{case.planned.type} {command_id}"
            match case.state:
                case CommandState.ACKED:
                    counts["acked"] += 1
                    self._check_done(case, what, at_s)
                case CommandState.FAILED:
                    counts["failed"] += 1
                    if case.effects:
                        self._violate(at_s, "what failed has had no effect", what)
                case _ if case.state is CommandState.EXPIRED or case.expires_s <= at_s:
                    counts["expired"] += 1
                case _ if case.issued_s < at_s - SETTLED_S_MAX:
                    counts["unsettled"] += 1
                    self._violate(at_s, "everything settled", f"{what}, queued at {case.issued_s:.0f} s")
        return CommandCounts(**counts)

    def _check_done(self, case: _Case, what: str, at_s: float) -> None:
        if case.closed_s > at_s - SETTLED_S_MAX:
            return
        is_missing = case.planned.type == "factory_reset" and not case.effects
        # A power cut before the ack is a restart as well.
        is_missing |= case.planned.type == "reboot" and self._boots() == case.boots_before
        if is_missing:
            self._violate(at_s, "what is acked is done", f"{what} never took effect")
