"""Decides whether a command runs, waits, is refused or has expired. Pure: no clock, no I/O, no asyncio."""

from collections.abc import Sequence

import msgspec

from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState, CommandType
from agent.foundation import rfc3339
from agent.foundation.clock import Now

LIFETIME_MS = 24 * 3600 * 1000
"""A command is void a day after it was made, if it was not acknowledged (ClimaSense contract, section 5.1)."""

CONFIRMATION_MS = 10 * 60 * 1000
"""Time for a person at the hub to confirm a factory reset, if that is configured."""

ATTEMPTS_MAX = 5
"""Processes that may die while executing one command before it is given up: it must not kill them for ever."""

ACKS_POLL_MS = 60_000
"""How often a factory reset checks whether all other commands are acknowledged, besides after each change."""

CLOCK_POLL_MS = 1000
"""How often a command that waits for the time checks the clock."""


class Begin(msgspec.Struct, frozen=True):
    """Run the command now."""


class Wait(msgspec.Struct, frozen=True):
    """Decide again after `wait_ms`: the command waits for the time, for a person, or for other acks."""

    wait_ms: int


class Reject(msgspec.Struct, frozen=True):
    """Do not run the command: apply this event, for this reason."""

    event: CommandEvent
    reason: str


Decision = Begin | Wait | Reject


def decide(record: CommandRecord, now: Now, *, problem: str, needs_confirmation: bool, acks_due: int) -> Decision:
    """Return what to do with a received command.

    Args:
        record: In the state `received`.
        now: Now.
        problem: What is wrong with its type or payload; empty for nothing.
        needs_confirmation: A person at the hub has to confirm it.
        acks_due: How many other commands are not acknowledged yet.
    """
    if problem:
        return Reject(CommandEvent.REFUSE, problem)
    if now.utc_ms is not None and record.expires_utc_ms is not None and record.expires_utc_ms <= now.utc_ms:
        return Reject(
            CommandEvent.EXPIRE, f"expired at {rfc3339.render(record.expires_utc_ms)}, before it could be run"
        )
    if now.utc_ms is None and record.is_destructive:
        return _wait_for_clock(record, now)
    if needs_confirmation and not record.is_confirmed:
        return _wait_for_person(record, now)
    if acks_due and record.known_type is CommandType.FACTORY_RESET:
        # It erases the journal: a command that ran without an ack would be listed to the next owner and run again.
        return Wait(ACKS_POLL_MS)
    return Begin()


def _wait_for_clock(record: CommandRecord, now: Now) -> Decision:
    left_ms = LIFETIME_MS - _waited_ms(record, now)
    if left_ms <= 0:
        return Reject(
            CommandEvent.EXPIRE, "not run: the hub's clock was not set for a day, so it cannot be valid any more"
        )
    return Wait(min(left_ms, CLOCK_POLL_MS))


def _wait_for_person(record: CommandRecord, now: Now) -> Decision:
    # After a reboot the time it has waited is not known.
    is_this_boot = record.received_boot_id == now.boot_id
    left_ms = CONFIRMATION_MS - _waited_ms(record, now) if is_this_boot else 0
    if left_ms <= 0:
        return Reject(CommandEvent.REFUSE, "nobody confirmed it at the hub within 10 minutes")
    return Wait(left_ms)


def _waited_ms(record: CommandRecord, now: Now) -> int:
    """Return the least time that a command has waited: the time before the last boot is not known."""
    begin_ms = record.received_ms if record.received_boot_id == now.boot_id else 0
    return now.now_ms - begin_ms


def has_exhausted_attempts(record: CommandRecord) -> bool:
    """Tell whether too many processes of the agent have died while they executed a command.

    Never for a command that is acknowledged first: it waits long, so a restart during the wait proves nothing.
    """
    return not record.is_acked_first and record.attempts >= ATTEMPTS_MAX


def execution_order(records: Sequence[CommandRecord]) -> list[CommandRecord]:
    """Return the commands for the executor: executing ones, then received ones, each in the cloud's order.

    What has begun is finished first; a command that waits for the clock or for a person does not hold up the others.
    """
    executing = [record for record in records if record.state is CommandState.EXECUTING]
    return executing + [record for record in records if record.state is CommandState.RECEIVED]
