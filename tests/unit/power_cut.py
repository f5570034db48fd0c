"""A power cut before a chosen operation of the disk, for tests of what outlives one."""

from agent.foundation.disk import Operation


class PowerCut(BaseException):
    """The power is gone. No code under test may catch it."""


class Cutter:
    """Given to a `Disk`: cuts the power before operation number `at`, and lets nothing happen after it."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.operations = 0

    def __call__(self, operation: Operation, target: str) -> None:
        self.operations += 1
        if self.operations >= self.at:
            raise PowerCut
