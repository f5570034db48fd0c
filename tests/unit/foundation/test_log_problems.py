import logging

import pytest

from agent.foundation.log import ProblemLog


def test_a_lasting_problem_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = ProblemLog(logging.getLogger("test"), "readings stay in memory")
    log.clear()
    for _ in range(3):
        log.report("the disk is full")
    log.report("the disk is read-only")
    assert log.text == "the disk is read-only"
    log.clear()
    log.clear()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "readings stay in memory: the disk is full"),
        ("ERROR", "readings stay in memory: the disk is read-only"),
        ("INFO", "no longer: readings stay in memory"),
    ]
