"""Judges what a hub does with the records of another board: nothing of it leaves the hub unless a person has said so.

Knows in which board the card was when each reading was committed, which key is installed, and what a person has
answered. Must never ask a component of the agent.
"""

from collections.abc import Iterable, Mapping, Sequence

from agent.foundation.text import plural
from hal.interface import Reading
from lab.refcloud.records import AcceptedReading
from lab.simulation.reading_oracle import ReadingOracle

Record = tuple[str, str, int]
"""Device, kind and UTC in ms of a reading."""

BOARDS = ("A", "B", "C")

WAITS = "records of another board wait for a person"
WITHHELD = "a key is not used on another board unless a person says so"
DISCARDED = "what a person has discarded is not sent"
ANSWERED = "an answer does what it says"


class CardOracle:
    """Keeps the account of boards, keys and answers.

    Attributes:
        board: The board that the card is in.
    """

    def __init__(self, readings: ReadingOracle, device_of: Mapping[str, str], *, key: str) -> None:
        """Begin.

        Args:
            readings: Deducts what a person discards, and notes each broken promise.
            device_of: The agent's name of each device, by its id in the cloud.
            key: The installed key, in use on the first of `BOARDS`.
        """
        self._readings = readings
        self._device_of = device_of
        self._key = self._bound_key = key
        self.board = self._bound_board = BOARDS[0]
        self._has_used_key = True
        self._boards: dict[Record, str] = {}
        self._discarded: set[Record] = set()

    @property
    def is_withheld(self) -> bool:
        """Whether the installed key belongs to another board, and nobody has confirmed the move."""
        return self._key == self._bound_key and self.board != self._bound_board

    def record_board(self, board: str) -> None:
        """A process starts on the card in a board."""
        self.board = board

    def record_key(self, key: str) -> None:
        """A key is installed: one that is new to the card is used on this board from now on."""
        self._key = key
        if key != self._bound_key:
            self._bound_key, self._bound_board = key, self.board

    def record_key_used(self) -> None:
        """The hub has had time to read its first key: from here on its records belong to its board."""
        self._has_used_key = True

    def record_committed(self, readings: Iterable[Reading], zero_utc_ms: int) -> None:
        """The outbox has committed readings. Before a card has any key its records belong to no board."""
        for each in readings:
            self._boards[each.device, each.kind, each.at_ms + zero_utc_ms] = self.board if self._has_used_key else ""

    def record_request(self, at_s: float) -> None:
        """A request arrived at the cloud."""
        if self.is_withheld:
            self._readings.violate(at_s, WITHHELD, f"a request from {self.board} under the key of {self._bound_board}")

    def record_stored(self, readings: Sequence[AcceptedReading], at_s: float) -> None:
        """The cloud has received readings, though it may have had them before."""
        for each in readings:
            record = self._device_of[each.device_id], each.sensor_type, each.at_ms
            if record in self._discarded:
                self._readings.violate(at_s, DISCARDED, f"{record} was sent")
            elif self._is_held(record):
                self._readings.violate(at_s, WAITS, f"{record} of {self._boards[record]} was sent from {self.board}")

    def _is_held(self, record: Record) -> bool:
        return self._boards.get(record, "") not in {"", self.board}

    def check_held(self, held: int, given_up: int, at_s: float) -> None:
        """Check that nothing that waits for a person is missing or has passed as this board's own.

        Args:
            held: Readings that the hub says it holds back.
            given_up: Readings that it has given up on record.
            at_s: Now.
        """
        expected = sum(map(self._is_held, self._readings.outstanding_records()))
        if expected > held + given_up:
            self._readings.violate(at_s, WAITS, f"{plural(expected, 'reading')} of other boards, {held} held back")

    def begin_release(self) -> None:
        """A person says that the other boards' records are this home's; after a power cut they may be sent as well."""
        for record in filter(self._is_held, list(self._boards)):
            self._boards[record] = ""

    def begin_confirmation(self) -> None:
        """A person says that the card was moved: key and records are this home's."""
        self._bound_board = self.board
        self.begin_release()

    def begin_discard(self) -> None:
        """A person says that the other boards' records are another home's: they are never sent from here on.

        Records of no board may be kept or not: a boot that has got its key since has its board.
        """
        left = set(self._readings.outstanding_records())
        held = set(filter(self._is_held, left))
        self._discarded |= held
        self._readings.record_discarded(held | {each for each in left if not self._boards[each]})

    def check_answered(self, held: int, at_s: float) -> None:
        """Check that an answer which was carried out to its end leaves nothing to decide."""
        if held:
            self._readings.violate(at_s, ANSWERED, f"{plural(held, 'reading')} held back after the answer")

    def record_erased(self) -> None:
        """A factory reset has begun to erase: nothing of another board is sent afterwards, and no key is known."""
        self._discarded |= set(filter(self._is_held, self._readings.outstanding_records()))
        self._bound_key = self._bound_board = ""
        self._has_used_key = False
