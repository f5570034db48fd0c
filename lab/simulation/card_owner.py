"""A person who moves the hub's card from board to board, and answers, late or twice, what the hub asks then.

Gives answers through the service that the API calls, and looks at what the page shows. Never helps the hub along.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from agent import app
from agent.errors import ClimahubError
from agent.foundation.disk import Disk
from agent.foundation.system_info import MachineIds
from agent.foundation.worker import InlineWorker
from agent.local.routes import Role
from agent.machine.moved_card import MovedCard
from lab.simulation.card_oracle import BOARDS, CardOracle
from lab.simulation.machine import Machine, PowerCut
from lab.simulation.options import MachineFault, MachineFaultKind

DAY_S = 86_400.0
LOOK_S = 60.0
QUIET_S = 1800.0
"""The card is not moved sooner after a start, a new key or a full disk: by then the disk says whose key it is, and
a key that was refused has been read again (15 min). A disk that fails up to the move hides it (docs/decisions/0020)."""

DOWN_S_MIN, DOWN_S_MAX = 300.0, 1500.0
"""How long a move takes: a request that was under way has arrived."""

ANSWER_S_MAX = 3000.0
NEW_KEY_SHARE = 0.4
LEAVES_SHARE = 0.25
"""Of all moves: those after which nobody answers before the next one."""

CUT_SHARE = 0.4
CUT_OPERATIONS_MAX = 10
"""Of all answers: those in which the power is cut, before one of the next so many durable operations."""


class CardOwner:
    """Moves the card, and answers.

    Attributes:
        counts: How often each thing was done.
    """

    def __init__(
        self,
        rng: random.Random,
        oracle: CardOracle,
        *,
        machine: Machine,
        hub: Callable[[], app.Hub | None],
        now_s: Callable[[], float],
        cut_power: Callable[[MachineFault], bool],
        on_power_cut: Callable[[], None],
        give_new_key: Callable[[], None],
        is_key_on_its_way: Callable[[], bool],
        expect_reset: Callable[[], None],
        moves_per_day: float,
        until_s: float,
    ) -> None:
        """Prepare.

        Args:
            rng: Decides everything.
            oracle: Judges.
            machine: The card, whatever board it is in.
            hub: Returns the hub whose process runs; `None` between two.
            now_s: Virtual time.
            cut_power: Cuts the power; returns false where the machine is left alone.
            on_power_cut: Called when the machine stops at an operation of an answer.
            give_new_key: Installs a new key.
            is_key_on_its_way: Tells whether the hub was reset and has no key yet.
            expect_reset: Called before the hub is reset.
            moves_per_day: On average.
            until_s: When the last move may begin.
        """
        self._rng = rng
        self._oracle = oracle
        self._machine = machine
        self._hub = hub
        self._now_s = now_s
        self._cut_power = cut_power
        self._on_power_cut = on_power_cut
        self._give_new_key = give_new_key
        self._is_key_on_its_way = is_key_on_its_way
        self._expect_reset = expect_reset
        self._mean_s = DAY_S / moves_per_day
        self._until_s = until_s
        self._quiet_since_s = 0.0
        self._answers_s = 0.0
        self._broken_off = ""
        self._has_new_key = False
        self.counts: Counter[str] = Counter()
        self._board = BOARDS[0]

    def insert_card(self, disk: Disk) -> MovedCard:
        """Return what the next process knows of its card: it starts in a board now, perhaps with a new key."""
        self._oracle.record_board(self._board)
        if self._has_new_key:
            self._has_new_key = False
            self._give_new_key()
        self._quiet_since_s = self._now_s()
        card = MovedCard(self._machine.state_dir, MachineIds(self._board), disk=disk, worker=InlineWorker())
        card.load()
        return card

    async def run(self) -> None:
        """Move the card and answer until cancelled; from `until_s` on the card stays, and everything is answered."""
        moves_s = self._rng.expovariate(1 / self._mean_s)
        while True:
            await asyncio.sleep(LOOK_S)
            if self._machine.is_disk_full or self._is_key_on_its_way():
                self._quiet_since_s = self._now_s()
            elif self._now_s() - self._quiet_since_s > QUIET_S:
                self._oracle.record_key_used()
                if moves_s < self._now_s() < self._until_s and not self._broken_off and self._move():
                    moves_s = self._now_s() + self._rng.expovariate(1 / self._mean_s)
                    leaves = self._rng.random() < LEAVES_SHARE
                    self._answers_s = self._until_s if leaves else self._now_s() + self._rng.uniform(0, ANSWER_S_MAX)
            hub = self._hub()
            if hub is not None and hub.telemetry.outbox is not None:
                await self._look(hub)

    def _move(self) -> bool:
        down_s = self._rng.uniform(DOWN_S_MIN, DOWN_S_MAX)
        if not self._cut_power(MachineFault(MachineFaultKind.POWER_CUT, self._now_s(), down_s, 5.0)):
            return False
        self._board = self._rng.choice([each for each in BOARDS if each != self._board])
        self._has_new_key = self._rng.random() < NEW_KEY_SHARE
        self.counts["moves of the card"] += 1
        return True

    async def _look(self, hub: app.Hub) -> None:
        """Look at what the hub holds back, and answer where that is due."""
        stats = hub.telemetry.failover.stats()
        given_up = stats.downsampled + stats.dropped + stats.dead_letters
        self._oracle.check_held(stats.held, given_up, self._now_s())
        answer = self._answer_to(hub)
        if not answer:
            self._broken_off = ""
        elif self._now_s() >= self._answers_s:
            await self._give(hub, answer)

    def _answer_to(self, hub: app.Hub) -> str:
        """Return the answer to what the hub asks; empty where it asks nothing. One broken off is given again."""
        card = hub.machine.card
        if card is not None and card.is_moved:
            names = ("confirm-moved-card", "reset-copied-card")
            is_copy = self._rng.random() < 0.2  # noqa: PLR2004 - most cards are moved
            return self._broken_off if self._broken_off in names else names[is_copy]
        if not hub.telemetry.failover.stats().held or card is None or not card.has_key:
            return ""
        if self._broken_off:
            return "send-held" if self._broken_off == "confirm-moved-card" else self._broken_off
        return self._rng.choice(("send-held", "discard-held"))

    async def _give(self, hub: app.Hub, answer: str) -> None:
        self._broken_off = answer
        match answer:
            case "confirm-moved-card":
                self._oracle.begin_confirmation()
            case "send-held":
                self._oracle.begin_release()
            case "discard-held":
                self._oracle.begin_discard()
            case _:
                self._expect_reset()
        self.counts[answer] += 1
        stop_at = None
        if self._machine.stop_at is None and self._rng.random() < CUT_SHARE:
            stop_at = self._machine.operations + self._rng.randint(1, CUT_OPERATIONS_MAX)
            self._machine.stop_at = stop_at
        call = asyncio.get_running_loop().create_task(
            hub.assembly.repairs.carry_out(answer, target="", role=Role.OWNER)
        )
        await asyncio.wait({call})
        error = None if call.cancelled() else call.exception()
        if isinstance(error, PowerCut) or self._hub() is not hub:
            self.counts["answers broken off"] += 1
            self._on_power_cut()
            return
        if stop_at is not None and self._machine.stop_at == stop_at:
            self._machine.stop_at = None
        if isinstance(error, ClimahubError):
            self.counts["answers refused"] += 1
        elif error is not None:
            raise error
        elif answer != "reset-copied-card":
            self._broken_off = ""
            self._oracle.check_answered(hub.telemetry.failover.stats().held, self._now_s())
