"""Any Linux machine as a board: hwmon temperatures, mains and batteries, wireless signal."""

from hal.linux.board import LinuxBoard

__all__ = ["LinuxBoard"]
