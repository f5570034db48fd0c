"""A lasting problem in the log: its beginning, its changes and its end, not each time that it is met again."""

import logging


class ProblemLog:
    """One thing that may be wrong for long.

    Attributes:
        text: What is wrong now; empty where nothing is.
    """

    def __init__(self, log: logging.Logger, what: str, *, level: int = logging.ERROR) -> None:
        """Begin without a problem.

        Args:
            log: Where it is written.
            what: What suffers, as the beginning of a sentence: "readings stay in memory".
            level: Of its beginning; its end is an information.
        """
        self._log = log
        self._what = what
        self._level = level
        self.text = ""

    def report(self, text: str) -> None:
        """Note that it is so, or still so."""
        if text != self.text:
            self._log.log(self._level, "%s: %s", self._what, text)
            self.text = text

    def clear(self) -> None:
        """Note that it is not so, or no longer."""
        if self.text:
            self._log.info("no longer: %s", self._what)
            self.text = ""
