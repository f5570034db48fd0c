"""A recorded house as a board: `load` checks a CSV file and its map, `ReplayBoard` plays the rows at their instants."""

from hal.replay.board import ReplayBoard, ReplayNetwork
from hal.replay.recording import Recording, load

__all__ = ["Recording", "ReplayBoard", "ReplayNetwork", "load"]
