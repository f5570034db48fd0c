"""A hub in its case: how the load of the processor warms a sensor in there. Pure; steps of any length.

Two first-order parts: the die above the board (seconds), and the air in the case above the room (minutes). What the
hub's correction assumes is linear; natural convection is not, and neither is that here (rise ~ power^0.9), so that the
correction is tried on something it does not describe exactly.
"""

from math import exp

import msgspec


class HubCase(msgspec.Struct, frozen=True):
    """A case and the board in it.

    Attributes:
        idle_w: What the hub turns into heat without load.
        load_w: What full load adds.
        die_k_per_w: The processor above the air in the case.
        die_lag_s: Its lag.
        case_k: The rise of the air at the sensor at one watt.
        case_lag_s: Its lag: the thermal mass of case and board.
    """

    idle_w: float = 2.3
    load_w: float = 3.4
    die_k_per_w: float = 5.5
    die_lag_s: float = 40.0
    case_k: float = 1.0
    case_lag_s: float = 1100.0

    def steady(self, load: float) -> "CaseState":
        """Return the state in which a load of 0 to 1 ends."""
        watts = self.idle_w + self.load_w * load
        return CaseState(self.die_k_per_w * watts, self.case_k * watts**0.9)

    def advance(self, state: "CaseState", load: float, dt_s: float) -> "CaseState":
        """Return the state after a load of 0 to 1 for some time."""
        end = self.steady(load)
        die, case = exp(-dt_s / self.die_lag_s), exp(-dt_s / self.case_lag_s)
        return CaseState(end.die_k + (state.die_k - end.die_k) * die, end.rise_k + (state.rise_k - end.rise_k) * case)


class CaseState(msgspec.Struct, frozen=True):
    """The processor above the air in the case, and this air above the room, in kelvins."""

    die_k: float
    rise_k: float

    def board_c(self, room_c: float) -> float:
        """Return what a sensor in the case measures."""
        return room_c + self.rise_k

    def cpu_c(self, room_c: float) -> float:
        """Return the temperature of the processor."""
        return room_c + self.rise_k + self.die_k
