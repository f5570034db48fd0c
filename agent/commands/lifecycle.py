"""The states of a command, as a transition table, and the record of one. Pure: no clock, no I/O, no asyncio.

`decisions` decides what happens to a command next. Must never run or send anything: `executor` and `acknowledger` act,
after `journal` has saved the transition.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from agent.foundation import rfc3339
from agent.foundation.clock import Now


class CommandType(StrEnum):
    """The four commands of the contract, section 5.3."""

    REBOOT = "reboot"
    CONFIG_UPDATE = "config_update"
    FACTORY_RESET = "factory_reset"
    DIAGNOSTICS = "diagnostics"


class CommandTraits(msgspec.Struct, frozen=True):
    """How a type of command is treated.

    Attributes:
        is_destructive: Never run while the time, and so the expiry, is not known.
        is_acked_first: Acknowledged before its effect, which may end the process that would have to acknowledge it.
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


class CommandState(StrEnum):
    """The state of a command. Each is saved before anything is done because of it."""

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


EDGES: Mapping[tuple[CommandState, CommandEvent], CommandState] = MappingProxyType(
    {
        (CommandState.RECEIVED, CommandEvent.REFUSE): CommandState.REFUSED,
        (CommandState.RECEIVED, CommandEvent.EXPIRE): CommandState.EXPIRED,
        (CommandState.RECEIVED, CommandEvent.BEGIN): CommandState.EXECUTING,
        (CommandState.EXECUTING, CommandEvent.RESUME): CommandState.EXECUTING,
        (CommandState.EXECUTING, CommandEvent.SUCCEED): CommandState.DONE,
        (CommandState.EXECUTING, CommandEvent.FAIL): CommandState.FAILED,
        (CommandState.EXECUTING, CommandEvent.ACKNOWLEDGED): CommandState.EXECUTING,
        (CommandState.EXECUTING, CommandEvent.REVOKED): CommandState.ACKED,
        (CommandState.EXECUTING, CommandEvent.CONFIRMED): CommandState.ACKED,
        (CommandState.EXECUTING, CommandEvent.GIVEN_UP): CommandState.ACKED,
        (CommandState.REFUSED, CommandEvent.SETTLED): CommandState.ACKED,
        (CommandState.DONE, CommandEvent.SETTLED): CommandState.ACKED,
        (CommandState.FAILED, CommandEvent.SETTLED): CommandState.ACKED,
        (CommandState.EXPIRED, CommandEvent.SETTLED): CommandState.ACKED,
    }
)


def to_mermaid() -> str:
    """Return the table as a Mermaid state diagram: what docs/cloud-commands.md shows."""
    edges = [f"    {state} --> {target}: {event}" for (state, event), target in EDGES.items()]
    return "\n".join(
        ("stateDiagram-v2", f"    [*] --> {CommandState.RECEIVED}", *edges, f"    {CommandState.ACKED} --> [*]")
    )


_STORED_NAMES = {
    "received_boot_id": "received_boot",
    "started_boot_id": "begun_boot",
    "acked_boot_id": "answered_boot",
    "acked_ms": "answered_ms",
    "settled_utc_ms": "closed_utc_ms",
}
"""Fields whose name in `commands.db` differs: journals of earlier releases have to open."""


class CommandRecord(msgspec.Struct, frozen=True, omit_defaults=True, rename=_STORED_NAMES):
    """One command in the journal. Boot times are milliseconds of the boot that is named beside them.

    Attributes:
        command_id: From the cloud, opaque.
        type: From the cloud, known or unknown.
        payload: From the cloud.
        problem: Why it cannot be run, if that was found when it was received.
        expires_utc_ms: When it expires; `None` if the cloud did not say.
        received_boot_id: The boot in which it was received.
        received_ms: Boot time of that.
        received_utc_ms: UTC of that, if known.
        is_confirmed: A person at the hub has confirmed it.
        started_boot_id: The boot in which its execution began.
        attempts: How many processes of the agent have tried it.
        acked_boot_id: The boot in which the cloud took the ack that precedes the effect; empty before.
        acked_ms: Boot time of that.
        outcome: What is reported to the cloud: "acked" or "failed"; empty before it is known.
        error_message: Why it failed, was refused or expired.
        result: Sent with the ack; dropped once the cloud has it.
        settled_utc_ms: When it was settled, if known.
        machine: Hashes of the machine that received it; empty where that is not known.
    """

    command_id: str
    type: str
    received_boot_id: str
    received_ms: int
    state: CommandState = CommandState.RECEIVED
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
    machine: str = ""

    @property
    def known_type(self) -> CommandType | None:
        """The type, if it is one of the four."""
        return CommandType(self.type) if self.type in set(CommandType) else None

    @property
    def is_acked_first(self) -> bool:
        """Whether its ack precedes its effect."""
        known = self.known_type
        return known is not None and TRAITS[known].is_acked_first

    @property
    def is_destructive(self) -> bool:
        """Whether it must not run before the time is known."""
        known = self.known_type
        return known is not None and TRAITS[known].is_destructive


ACKED = "acked"
FAILED = "failed"
"""The two outcomes of the contract (section 5.2)."""

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
"""Events of commands that are acknowledged before their effect only: for others the outcome is not known yet."""


def transition(
    record: CommandRecord,
    event: CommandEvent,
    now: Now,
    *,
    error_message: str = "",
    result: Any = None,  # noqa: ANN401 (any JSON object)
) -> CommandRecord:
    """Return the record after an event.

    Args:
        record: Before the event.
        event: What happened.
        now: When.
        error_message: Why it failed.
        result: Reported to the cloud with a success.

    Raises:
        ValueError: The table does not have this transition, or not for this type: a defect of the caller.
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
    if target is CommandState.ACKED:
        # The tombstone holds what is needed to recognise the command and to show how it ended.
        changes |= {"settled_utc_ms": now.utc_ms, "payload": None, "result": None}
    return msgspec.structs.replace(record, **changes)


class NextActor(Enum):
    """The loop that acts on a command next. It is exactly one, so nothing is done twice."""

    EXECUTOR = "executor"
    ACKNOWLEDGER = "acknowledger"
    NONE = "none"


def next_actor(record: CommandRecord) -> NextActor:
    """Return the loop that acts on a command next."""
    match record.state:
        case CommandState.RECEIVED:
            return NextActor.EXECUTOR
        case CommandState.EXECUTING:
            return NextActor.ACKNOWLEDGER if record.is_acked_first and not record.acked_boot_id else NextActor.EXECUTOR
        case CommandState.ACKED:
            return NextActor.NONE
        case _:
            return NextActor.ACKNOWLEDGER


TOMBSTONE_MS = 48 * 3600 * 1000
"""Least age of a deleted tombstone: twice the day after which the cloud drops a command."""


def keep_until_ms(record: CommandRecord, utc_ms: int | None) -> int | None:
    """Return until when a tombstone is kept: at least until the cloud no longer lists the command."""
    if utc_ms is None:
        return None
    return min(max(utc_ms, record.expires_utc_ms or 0), rfc3339.UTC_MS_MAX) + TOMBSTONE_MS
