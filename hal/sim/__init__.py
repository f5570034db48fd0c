"""A simulated house as a board, deterministic by seed: what a hub can be run against where there is no hardware."""

from hal.sim.board import SimBoard, SimOptions, World
from hal.sim.faults import Fault, FaultKind, random_faults
from hal.sim.mesh import Mesh

__all__ = ["Fault", "FaultKind", "Mesh", "SimBoard", "SimOptions", "World", "random_faults"]
