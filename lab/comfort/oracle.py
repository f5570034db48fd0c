"""The oracle: a controller with a perfect sensor, the true physics and the weather to come. What can be reached at all.

It looks at copies of the house, never at what the other controllers are given. Once in a period it chooses one pulse
for each room, so that it starts equipment no more often than issue 16 allows (boilers 1.5, heat pumps 1.0, floors 0.3
an hour); a pulse and the rest after it are no shorter than the equipment allows. Of the pulses it takes those with the
least mean square of the coming errors: Gauss-Newton steps over the pulse of the period ahead, which is delivered, and
one pulse for all periods after it, with every answer taken from a copy of the house.

`ReachOracle` is another one, for the question in which minutes a house can have its setpoint at all: its output may
have any level at any time, so where even that is at its limit no law could do better.
"""

from collections.abc import Sequence
from typing import Final

from hal.sim.emitters import EmitterKind, SourceKind
from hal.sim.house_model import HouseModel
from lab.comfort.control import Situation

PROBE_SHARE: Final = 0.1
"""A pulse is varied by this share of the period to see what follows."""

ROUNDS: Final = 2
HORIZON_PERIODS: Final = 3
HORIZON_MINUTES_MIN: Final = 180
EFFORT_K2: Final = 1e-4
"""What a pulse of a whole period costs, in squared kelvin: it decides where two pulses are equally good."""


def period_minutes(house: HouseModel) -> int:
    """Return how often equipment may start: 1.5, 1.0 and 0.3 an hour; electric and air equipment thrice an hour."""
    if any(room.emitter is EmitterKind.FLOOR for room in house.design.rooms):
        return 200
    return {SourceKind.BOILER: 40, SourceKind.HEAT_PUMP: 60}.get(house.design.source.kind, 20)


REACH_MINUTES: Final = {
    EmitterKind.AIR: 12,
    EmitterKind.PANEL: 24,
    EmitterKind.RADIATOR: 48,
    EmitterKind.CAST_IRON: 72,
    EmitterKind.FLOOR: 240,
}
"""After this time the air has most of what an emitter was given."""

REACH_PERIODS: Final = 4
"""So often within that time `ReachOracle` chooses its levels anew."""

REACH_ROUNDS: Final = 4
"""So often it corrects them."""


class HouseOracle:
    """What both oracles are: controllers that are given the true house.

    Attributes:
        house: The true house; set it before the first decision. Only copies of it are advanced.
    """

    def __init__(self, *, is_cooling: bool) -> None:
        self.house: HouseModel | None = None
        self._sign = -1.0 if is_cooling else 1.0

    def _given_house(self) -> HouseModel:
        if self.house is None:
            raise ValueError("give the oracle a house first")
        return self.house


class Oracle(HouseOracle):
    """Decides with the true house at hand."""

    def __init__(
        self, rooms: int, *, is_cooling: bool = False, min_on_minutes: float = 3.0, min_off_minutes: float = 3.0
    ) -> None:
        super().__init__(is_cooling=is_cooling)
        self._min_on_minutes = min_on_minutes
        self._min_off_minutes = min_off_minutes
        self._later = [0.3] * rooms
        self._left_minutes = [0.0] * rooms

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute.

        Raises:
            ValueError: It has no house.
        """
        house = self._given_house()
        period = period_minutes(house)
        if situation.minute % period == 0:
            self._plan(house, situation.setpoints_c, period)
        calls = []
        for room, left in enumerate(self._left_minutes):
            share = min(1.0, max(0.0, left))
            self._left_minutes[room] = left - share
            calls.append(self._sign * share)
        return calls

    def _plan(self, house: HouseModel, setpoints_c: Sequence[float], period: int) -> None:
        """Choose the pulses of the period that begins."""
        first, later = self._later.copy(), self._later.copy()
        horizon = max(HORIZON_PERIODS * period, HORIZON_MINUTES_MIN)
        for _ in range(ROUNDS):
            for room, setpoint_c in enumerate(setpoints_c):
                expected = self._expect(house, first, later, room, period, horizon)
                changes = []
                for pulses in (first, later):
                    known = pulses[room]
                    probe = PROBE_SHARE if known <= 0.5 else -PROBE_SHARE  # noqa: PLR2004 - where there is room for it
                    pulses[room] = known + probe
                    varied = self._expect(house, first, later, room, period, horizon)
                    pulses[room] = known
                    changes.append([(after - before) / probe for after, before in zip(varied, expected, strict=True)])
                missing = [setpoint_c - value_c for value_c in expected]
                more_first, more_later = _least_squares(changes[0], changes[1], missing)
                first[room] = min(1.0, max(0.0, first[room] + more_first))
                later[room] = min(1.0, max(0.0, later[room] + more_later))
        self._later = later
        for room, share in enumerate(first):
            self._left_minutes[room] = self.allowed_minutes(share * period, period)

    def allowed_minutes(self, minutes: float, period: int) -> float:
        """Return the pulse that the equipment allows, which begins with its period, nearest to the one that is best."""
        longest = period - self._min_off_minutes
        if minutes > longest:
            return period if minutes > (longest + period) / 2.0 else longest
        if minutes < self._min_on_minutes:
            return self._min_on_minutes if minutes > self._min_on_minutes / 2.0 else 0.0
        return minutes

    def _expect(
        self, house: HouseModel, first: Sequence[float], later: Sequence[float], room: int, period: int, horizon: int
    ) -> list[float]:
        """Return the air temperature of a room minute by minute, on a copy of the house."""
        twin = house.copy()
        values = []
        for minute in range(horizon):
            within = minute % period
            shares = first if minute < period else later
            twin.advance([self._sign * min(1.0, max(0.0, share * period - within)) for share in shares])
            values.append(twin.network.temperatures_c[twin.parts[room].air])
        return values


class ReachOracle(HouseOracle):
    """Chooses for each room the level that brings its air to the setpoint as soon as its emitter can. Starts are free.

    Attributes:
        is_at_limit: For each room, whether its output has been at full or at none since the last choice.
    """

    def __init__(self, rooms: int, *, is_cooling: bool = False) -> None:
        super().__init__(is_cooling=is_cooling)
        self.is_at_limit = [False] * rooms
        self._levels = [0.0] * rooms

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute.

        Raises:
            ValueError: It has no house.
        """
        house = self._given_house()
        horizon = max(REACH_MINUTES[room.emitter] for room in house.design.rooms)
        if situation.minute % (horizon // REACH_PERIODS) == 0:
            self._choose(house, horizon, situation.setpoints_c)
        return [self._sign * level for level in self._levels]

    def _choose(self, house: HouseModel, horizon: int, setpoints_c: Sequence[float]) -> None:
        """Choose the levels by false position in all rooms at once: more water through an emitter gives ever less."""
        rooms = range(len(self._levels))
        low, high = [0.0 for _ in rooms], [1.0 for _ in rooms]
        below_k = self._missing(house, horizon, low, setpoints_c)
        above_k = self._missing(house, horizon, high, setpoints_c)
        self.is_at_limit = [below_k[room] <= 0.0 or above_k[room] >= 0.0 for room in rooms]
        levels = [
            (1.0 if above_k[room] >= 0.0 else 0.0) if self.is_at_limit[room] else self._levels[room] for room in rooms
        ]
        for number in range(REACH_ROUNDS):
            for room in rooms:
                if number and not self.is_at_limit[room]:
                    share = below_k[room] / (below_k[room] - above_k[room])
                    levels[room] = low[room] + share * (high[room] - low[room])
            missing_k = self._missing(house, horizon, levels, setpoints_c)
            for room in rooms:
                if self.is_at_limit[room]:
                    continue
                if missing_k[room] > 0.0:
                    low[room], below_k[room] = levels[room], missing_k[room]
                else:
                    high[room], above_k[room] = levels[room], min(missing_k[room], -1e-9)
        self._levels = levels

    def _missing(
        self, house: HouseModel, horizon: int, levels: Sequence[float], setpoints_c: Sequence[float]
    ) -> list[float]:
        """Return how far each room is from its setpoint at the horizon, positive if it needs a higher level."""
        twin = house.copy()
        calls = [self._sign * level for level in levels]
        for _ in range(horizon):
            twin.advance(calls)
        return [self._sign * (setpoint_c - air_c) for setpoint_c, air_c in zip(setpoints_c, twin.air_c, strict=True)]


def _least_squares(first: Sequence[float], later: Sequence[float], missing: Sequence[float]) -> tuple[float, float]:
    """Return the factors of both in the combination that comes nearest to `missing`."""
    aa = bb = EFFORT_K2 * len(missing)
    ab = am = bm = 0.0
    for a, b, wanted in zip(first, later, missing, strict=True):
        aa += a * a
        bb += b * b
        ab += a * b
        am += a * wanted
        bm += b * wanted
    determinant = aa * bb - ab * ab
    return (am * bb - bm * ab) / determinant, (bm * aa - am * ab) / determinant
