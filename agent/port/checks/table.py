"""All checks, in the order in which a technician reads them."""

from collections.abc import Sequence
from typing import Any

from agent.port.checks import (
    heating_checks,
    hub_checks,
    machine_checks,
    network_checks,
    power_checks,
    sensor_checks,
    zigbee_checks,
)
from agent.port.checks.facts import Facts
from agent.port.checks.model import Check, result_of
from agent.port.checks.report import CheckResult

CHECKS: Sequence[Check[Any]] = (
    *power_checks.CHECKS,
    *machine_checks.CHECKS,
    *network_checks.CHECKS,
    *hub_checks.CHECKS,
    *sensor_checks.CHECKS,
    *zigbee_checks.CHECKS,
    *heating_checks.CHECKS,
)


def judge(facts: Facts) -> list[CheckResult]:
    """Return what every check finds in these facts."""
    return [result_of(check, check.run(facts)) for check in CHECKS]
