"""A simulated house as a board, deterministic by seed: runs a hub without hardware."""

from hal.sim.board import SimBoard, SimEnvironment, SimOptions
from hal.sim.faults import Fault, FaultKind, random_faults
from hal.sim.mesh import SimMesh

__all__ = ["Fault", "FaultKind", "SimBoard", "SimEnvironment", "SimMesh", "SimOptions", "random_faults"]
