"""What may happen to a command, as a table, and what is to be done with it next. Pure: no clock, no I/O, no asyncio.

Owns the states, the edges between them and the decisions about expiry, trust in the clock and confirmation. Must never
run or send anything: `executor` and `acks` do what is decided here, after `journal` has it on the disk.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from agent.foundation import rfc3339
from agent.foundation.clock import Now

LIFETIME_MS = 24 * 3600 * 1000
"""A command is void a day after it was made, if it was not acknowledged (ClimaSense contract, section 5.1)."""

CONFIRMATION_MS = 10 * 60 * 1000
"""How long a person at the hub has to confirm a factory reset, where that is asked for."""

ATTEMPTS_MAX = 5
"""Lives of the agent that may end in one command before it is given up: what kills its host must not do so for ever."""

ACKS_POLL_MS = 60_000
"""How often a factory reset looks whether all else is acknowledged, besides at each change."""

CLOCK_POLL_MS = 1000
"""How often a command that waits for the time asks for it again."""


class CommandType(StrEnum):
    """The four commands of the contract, section 5.3."""

    REBOOT = "reboot"
    CONFIG_UPDATE = "config_update"
    FACTORY_RESET = "factory_reset"
    DIAGNOSTICS = "diagnostics"


class CommandTraits(msgspec.Struct, frozen=True):
    """What sets a type apart.

    Attributes:
        is_destructive: Never run while the time, and with it the expiry, is not known.
        is_acked_first: Acknowledged before the effect, because nobody may be left to do it afterwards.
    """

    is_destructive: bool
    is_acked_first: bool


TRAITS: Mapping[CommandType, CommandTraits] = MappingProxyType(
    {
        CommandType.REBOOT: CommandTraits(is_destructive=True, is_acked_first=True),
        CommandType.CONFIG_UPDATE: CommandTraits(is_destructive=False, is_acked_first=False),
        CommandType.FACTORY_RESET: CommandTraits(is_destructive=True, is_acked_first=True),
        CommandType.DIAGNOSTICS: CommandTraits(is_destructive=False, is_acked_first=False),
    }
)


class State(StrEnum):
    """Where a command stands. Each is on the disk before anything is done because of it."""

    RECEIVED = "received"
    REFUSED = "refused"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    ACKED = "acked"


class CommandEvent(StrEnum):
    """What happens to a command.

    `resume`: the agent restarted and found the command executing. `acknowledged` and `revoked` apply to commands that
    are acknowledged before their effect: the cloud took the ack, or it no longer has the command. `confirmed` and
    `given_up` report the result of the effect after that.
    """

    REFUSE = "refuse"
    EXPIRE = "expire"
    BEGIN = "begin"
    RESUME = "resume"
    SUCCEED = "succeed"
    FAIL = "fail"
    ACKNOWLEDGED = "acknowledged"
    REVOKED = "revoked"
    CONFIRMED = "confirmed"
    GIVEN_UP = "given_up"
    SETTLED = "settled"


EDGES: Mapping[tuple[State, CommandEvent], State] = MappingProxyType(
    {
        (State.RECEIVED, CommandEvent.REFUSE): State.REFUSED,
        (State.RECEIVED, CommandEvent.EXPIRE): State.EXPIRED,
        (State.RECEIVED, CommandEvent.BEGIN): State.EXECUTING,
        (State.EXECUTING, CommandEvent.RESUME): State.EXECUTING,
        (State.EXECUTING, CommandEvent.SUCCEED): State.DONE,
        (State.EXECUTING, CommandEvent.FAIL): State.FAILED,
        (State.EXECUTING, CommandEvent.ACKNOWLEDGED): State.EXECUTING,
        (State.EXECUTING, CommandEvent.REVOKED): State.ACKED,
        (State.EXECUTING, CommandEvent.CONFIRMED): State.ACKED,
        (State.EXECUTING, CommandEvent.GIVEN_UP): State.ACKED,
        (State.REFUSED, CommandEvent.SETTLED): State.ACKED,
        (State.DONE, CommandEvent.SETTLED): State.ACKED,
        (State.FAILED, CommandEvent.SETTLED): State.ACKED,
        (State.EXPIRED, CommandEvent.SETTLED): State.ACKED,
    }
)


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram: what docs/cloud-commands.md shows."""
    edges = [f"    {state} --> {target}: {event}" for (state, event), target in EDGES.items()]
    return "\n".join(("stateDiagram-v2", f"    [*] --> {State.RECEIVED}", *edges, f"    {State.ACKED} --> [*]"))


_STORED_NAMES = {
    "received_boot_id": "received_boot",
    "started_boot_id": "begun_boot",
    "acked_boot_id": "answered_boot",
    "acked_ms": "answered_ms",
    "settled_utc_ms": "closed_utc_ms",
}
"""Fields whose name in `commands.db` differs: journals of earlier releases have to open."""


class CommandRecord(msgspec.Struct, frozen=True, omit_defaults=True, rename=_STORED_NAMES):
    """One command as the journal keeps it. Boot times are milliseconds of the boot that is named beside them.

    Attributes:
        command_id: As the cloud gave it, opaque.
        type: As the cloud gave it, known or not.
        payload: As the cloud gave it.
        problem: Why it cannot be run, where that showed when it was taken in.
        expires_utc_ms: When it is void; `None` where the cloud did not say.
        received_boot_id: The boot in which it was taken in.
        received_ms: Boot time of that.
        received_utc_ms: UTC of that, where it was known.
        is_confirmed: A person at the hub has confirmed it.
        started_boot_id: The boot in which it began.
        attempts: How many lives of the agent have tried it.
        acked_boot_id: The boot in which the cloud had the ack that comes before the effect; empty before.
        acked_ms: Boot time of that.
        outcome: What the cloud was told or will be: "acked" or "failed"; empty before it is known.
        error_message: Why it failed, was refused or expired.
        result: What goes with the ack; dropped once the cloud has it.
        settled_utc_ms: When it was settled, where that was known.
    """

    command_id: str
    type: str
    received_boot_id: str
    received_ms: int
    state: State = State.RECEIVED
    payload: Any = None
    problem: str = ""
    expires_utc_ms: int | None = None
    received_utc_ms: int | None = None
    is_confirmed: bool = False
    started_boot_id: str = ""
    attempts: int = 0
    acked_boot_id: str = ""
    acked_ms: int = 0
    outcome: str = ""
    error_message: str = ""
    result: Mapping[str, Any] | None = None
    settled_utc_ms: int | None = None

    @property
    def known_type(self) -> CommandType | None:
        """The type, where it is one of the four."""
        return CommandType(self.type) if self.type in set(CommandType) else None

    @property
    def is_acked_first(self) -> bool:
        """Whether its ack goes out before its effect."""
        known = self.known_type
        return known is not None and TRAITS[known].is_acked_first


ACKED = "acked"
FAILED = "failed"
"""The two outcomes that the contract knows (section 5.2)."""

_OUTCOMES: Mapping[CommandEvent, str] = MappingProxyType(
    {
        CommandEvent.REFUSE: FAILED,
        CommandEvent.EXPIRE: FAILED,
        CommandEvent.FAIL: FAILED,
        CommandEvent.SUCCEED: ACKED,
        CommandEvent.ACKNOWLEDGED: ACKED,
    }
)


_ACKED_FIRST_ONLY = frozenset({CommandEvent.ACKNOWLEDGED, CommandEvent.REVOKED})
"""What happens only to commands whose ack goes out before their effect: for others, the outcome is not known yet."""


def transition(
    record: CommandRecord,
    event: CommandEvent,
    now: Now,
    *,
    error_message: str = "",
    result: Any = None,  # noqa: ANN401 (any JSON object)
) -> CommandRecord:
    """Return the record as it is after an event.

    Args:
        record: As it is now.
        event: What happened.
        now: When.
        error_message: Why it failed.
        result: What the cloud is to be told with a success.

    Raises:
        ValueError: The table has no such edge, or has it for those only that are answered before their effect: a
            defect of the caller.
    """
    target = EDGES.get((record.state, event))
    if target is None or (event in _ACKED_FIRST_ONLY and not record.is_acked_first):
        raise ValueError(f"command {record.command_id} is {record.state}: it cannot be {event}")
    changes: dict[str, Any] = {"state": target}
    if event in _OUTCOMES:
        changes["outcome"] = _OUTCOMES[event]
    if error_message:
        changes["error_message"] = error_message
    if result is not None:
        changes["result"] = result
    if event is CommandEvent.BEGIN:
        changes["started_boot_id"] = now.boot_id
    if event in {CommandEvent.BEGIN, CommandEvent.RESUME}:
        changes["attempts"] = record.attempts + 1
    if event is CommandEvent.ACKNOWLEDGED:
        changes |= {"acked_boot_id": now.boot_id, "acked_ms": now.now_ms}
    if target is State.ACKED:
        # A tombstone: what is needed to know the command again and to tell a person how it ended.
        changes |= {"settled_utc_ms": now.utc_ms, "payload": None, "result": None}
    return msgspec.structs.replace(record, **changes)


class NextActor(Enum):
    """Who acts on a command next. Exactly one: that is why nothing is done twice."""

    EXECUTOR = "executor"
    ACKNOWLEDGER = "acknowledger"
    NOBODY = "nobody"


def next_actor(record: CommandRecord) -> NextActor:
    """Return who acts on the command next."""
    match record.state:
        case State.RECEIVED:
            return NextActor.EXECUTOR
        case State.EXECUTING:
            return NextActor.ACKNOWLEDGER if record.is_acked_first and not record.acked_boot_id else NextActor.EXECUTOR
        case State.ACKED:
            return NextActor.NOBODY
        case _:
            return NextActor.ACKNOWLEDGER


class Begin(msgspec.Struct, frozen=True):
    """Run it now."""


class Wait(msgspec.Struct, frozen=True):
    """Look again after so long: it waits for the time, or for a person."""

    wait_ms: int


class Reject(msgspec.Struct, frozen=True):
    """It is not to be run: let this event happen, for this reason."""

    event: CommandEvent
    reason: str


Decision = Begin | Wait | Reject


def decide(record: CommandRecord, now: Now, *, problem: str, needs_confirmation: bool, acks_due: int) -> Decision:
    """Return what to do with a command that was received.

    Args:
        record: In the state `received`.
        now: Now.
        problem: What is wrong with its type or payload; empty where nothing is.
        needs_confirmation: Somebody at the hub has to confirm it.
        acks_due: How many other commands have yet to be acknowledged.
    """
    if problem:
        return Reject(CommandEvent.REFUSE, problem)
    if now.utc_ms is not None and record.expires_utc_ms is not None and record.expires_utc_ms <= now.utc_ms:
        return Reject(
            CommandEvent.EXPIRE, f"expired at {rfc3339.render(record.expires_utc_ms)}, before it could be run"
        )
    if now.utc_ms is None and _is_destructive(record):
        return _wait_for_clock(record, now)
    if needs_confirmation and not record.is_confirmed:
        return _wait_for_person(record, now)
    if acks_due and record.known_type is CommandType.FACTORY_RESET:
        # It erases the journal: what was done and not acknowledged would be listed to the next owner, and done again.
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
    # After a reboot nobody can tell how long it has been waiting.
    is_this_boot = record.received_boot_id == now.boot_id
    left_ms = CONFIRMATION_MS - _waited_ms(record, now) if is_this_boot else 0
    if left_ms <= 0:
        return Reject(CommandEvent.REFUSE, "nobody confirmed it at the hub within 10 minutes")
    return Wait(left_ms)


def _is_destructive(record: CommandRecord) -> bool:
    known = record.known_type
    return known is not None and TRAITS[known].is_destructive


def _waited_ms(record: CommandRecord, now: Now) -> int:
    """Return how long a command has been waiting at the least: of an earlier boot, nothing is known."""
    begin_ms = record.received_ms if record.received_boot_id == now.boot_id else 0
    return now.now_ms - begin_ms


def has_exhausted_attempts(record: CommandRecord) -> bool:
    """Tell whether a command found executing has ended too many lives of the agent.

    One that is acknowledged first waits long by its nature, and each of its waits may meet a restart: never.
    """
    return not record.is_acked_first and record.attempts >= ATTEMPTS_MAX


def execution_order(records: Sequence[CommandRecord]) -> list[CommandRecord]:
    """Return what the executor has to look at: what has begun, then what has not, each as the cloud listed it.

    What has begun is finished first; a command that waits for the clock or for a person lets those behind it pass.
    """
    executing = [record for record in records if record.state is State.EXECUTING]
    return executing + [record for record in records if record.state is State.RECEIVED]
