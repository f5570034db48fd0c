"""The state of HomeKit as a person reads it: the problem first, and what to do next."""

import pytest

from agent.cli.homekit import as_text
from agent.local.homekit import HomeKitReport


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (
            HomeKitReport(is_on=False, problem="", addresses=[], controllers=[], code_left_s=None),
            "HomeKit is off: set apis.homekit and apis.homekit_listen (docs/apis.md)",
        ),
        (
            HomeKitReport(is_on=True, problem="install it", addresses=[], controllers=[], code_left_s=None),
            "! install it\nlistens on no address\nnobody is paired: sudo climahub homekit code",
        ),
        (
            HomeKitReport(is_on=True, problem="", addresses=["192.0.2.7:51827"], controllers=[], code_left_s=600.0),
            "listens on 192.0.2.7:51827\nnobody is paired; the setup code is valid for 10 more minutes",
        ),
        (
            HomeKitReport(
                is_on=True, problem="", addresses=["192.0.2.7:51827"], controllers=["8A3F0000"], code_left_s=None
            ),
            "listens on 192.0.2.7:51827\npaired: 8A3F0000",
        ),
    ],
)
def test_the_state_as_text(report: HomeKitReport, text: str) -> None:
    assert as_text(report) == text
