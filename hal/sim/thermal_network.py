"""A network of heat capacities and conductances, advanced by short explicit steps.

Owns temperatures and the balance of energy. It knows no rooms, weather or equipment. Explicit steps allow conductances
that change (a window, wind, a radiator's exponent) and cost time in proportion to the number of links, where an exact
propagator of a whole house would cost its square. What leaves one node enters another, so energy is conserved to
rounding.
"""

from collections.abc import Sequence
from math import ceil
from typing import Final, Self

import msgspec

STABILITY_MAX: Final = 0.25
"""Step times conductance over capacity of any node. Explicit steps are stable below 1; at a quarter, the fastest mode
(minutes) is followed to some per cent, and the slow ones (hours) to better than a tenth of a per cent."""


class Link(msgspec.Struct, frozen=True):
    """A conductance between two nodes."""

    first: int
    second: int
    w_per_k: float


class ThermalNetwork:
    """Nodes with capacity, then boundary nodes whose temperature is given.

    Attributes:
        temperatures_c: Of all nodes, boundaries last.
        conductances_w_per_k: Of the links, in their order; the caller may change them between steps.
        gained_j: Heat given to the nodes since the start.
        lost_j: Heat that went to the boundaries since the start.
    """

    def __init__(
        self, capacities_j_per_k: Sequence[float], boundary_c: Sequence[float], links: Sequence[Link], *, step_s: float
    ) -> None:
        """Build a network; every node starts at the first boundary's temperature.

        Args:
            capacities_j_per_k: Of the nodes, each above 0.
            boundary_c: Temperatures of the boundaries.
            links: Between nodes and boundaries, by number; boundaries are numbered after the nodes.
            step_s: The length of `advance`; it is divided as stability demands.
        """
        self.capacities_j_per_k = tuple(capacities_j_per_k)
        self._pairs = tuple((link.first, link.second) for link in links)
        self.conductances_w_per_k = [link.w_per_k for link in links]
        self.temperatures_c = [boundary_c[0]] * len(self.capacities_j_per_k) + list(boundary_c)
        self._none_w = (0.0,) * len(boundary_c)
        self._step_s = step_s
        self.gained_j = 0.0
        self.lost_j = 0.0

    def copy(self) -> Self:
        """Return an independent network in the same state."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.temperatures_c = self.temperatures_c.copy()
        twin.conductances_w_per_k = self.conductances_w_per_k.copy()
        return twin

    @property
    def stored_j(self) -> float:
        """The heat in the nodes above 0 °C."""
        total = 0.0
        for capacity, value_c in zip(self.capacities_j_per_k, self.temperatures_c, strict=False):
            total += capacity * value_c
        return total

    def steps_in(self) -> int:
        """Return into how many parts stability divides a step, at the present conductances."""
        sums = [0.0] * len(self.temperatures_c)
        for (i, j), conductance in zip(self._pairs, self.conductances_w_per_k, strict=True):
            sums[i] += conductance
            sums[j] += conductance
        fastest = max(total / capacity for total, capacity in zip(sums, self.capacities_j_per_k, strict=False))
        return max(1, ceil(self._step_s * fastest / STABILITY_MAX))

    def advance(self, heat_w: Sequence[float], boundary_c: Sequence[float], steps: int) -> None:
        """Advance by one step with inputs constant over it.

        Args:
            heat_w: Heat given to each node.
            boundary_c: Temperatures of the boundaries.
            steps: Into how many parts to divide it, see `steps_in`.
        """
        values, pairs, conductances = self.temperatures_c, self._pairs, self.conductances_w_per_k
        nodes = len(self.capacities_j_per_k)
        values[nodes:] = boundary_c
        part_s = self._step_s / steps
        given = [*heat_w, *self._none_w]
        for _ in range(steps):
            flow = given.copy()
            for (i, j), conductance in zip(pairs, conductances, strict=True):
                heat = (values[i] - values[j]) * conductance
                flow[i] -= heat
                flow[j] += heat
            for k, capacity in enumerate(self.capacities_j_per_k):
                values[k] += flow[k] * part_s / capacity
            for lost_w in flow[nodes:]:
                self.lost_j += lost_w * part_s
        for gained_w in heat_w:
            self.gained_j += gained_w * self._step_s

    def settle(self, held: Sequence[int], boundary_c: Sequence[float]) -> None:
        """Set all nodes to their steady state, with the nodes `held` at their present temperature and no heat given.

        Gauss-Seidel iteration: the matrix is diagonally dominant, so it converges.
        """
        nodes = len(self.capacities_j_per_k)
        self.temperatures_c[nodes:] = boundary_c
        around: list[list[tuple[int, float]]] = [[] for _ in range(nodes)]
        for (i, j), conductance in zip(self._pairs, self.conductances_w_per_k, strict=True):
            for here, there in ((i, j), (j, i)):
                if here < nodes:
                    around[here].append((there, conductance))
        fixed = frozenset(held)
        free = [k for k in range(nodes) if k not in fixed]
        for _ in range(SETTLE_ROUNDS_MAX):
            moved_k = 0.0
            for k in free:
                total = weighted = 0.0
                for there, conductance in around[k]:
                    total += conductance
                    weighted += conductance * self.temperatures_c[there]
                value_c = weighted / total
                moved_k = max(moved_k, abs(value_c - self.temperatures_c[k]))
                self.temperatures_c[k] = value_c
            if moved_k < SETTLED_K:
                return


SETTLE_ROUNDS_MAX: Final = 2000
SETTLED_K: Final = 1e-6
