"""Handlers of hardware tests and live values. Must stay light to import: most hubs are never tested."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from agent.local.hardware import CommissioningReport, IdentifyReport, LiveSensorsReport, RadioScanReport, TestsReport
from agent.local.routes import Handler, LocalRequest, RequestRefused
from agent.port.hardware.identify import Identify
from agent.port.hardware.live_values import LiveValues
from hal.channels import MachineScan

if TYPE_CHECKING:
    from agent.port.hardware.runner import HardwareTestService


def handlers(
    tests: "HardwareTestService | None",
    live: LiveValues,
    own_channel: Callable[[], int],
    identify: Identify | None,
) -> Mapping[str, Handler]:
    """Return the handlers.

    Args:
        tests: Runs one test at a time; `None` where the hub drives nothing.
        live: Reads sensors and scans the radio's channels.
        own_channel: Returns the channel of the hub's network; 0 while it is unknown.
        identify: Lets the LED blink; `None` without one.
    """

    async def get_tests(_: LocalRequest) -> TestsReport:
        report = TestsReport(can_scan=live.can_scan) if tests is None else tests.report()
        return msgspec.structs.replace(report, can_identify=identify is not None)

    async def identify_hub(request: LocalRequest) -> IdentifyReport:
        if identify is None:
            text = "set board.linux.led to one of those in /sys/class/leds: this hub has no LED to blink with"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return await identify.begin(request.body)

    async def get_live_sensors(_: LocalRequest) -> LiveSensorsReport:
        return await live.sensors()

    async def scan_radio(_: LocalRequest) -> RadioScanReport:
        return await live.scan(own_channel)

    async def scan_buses(_: LocalRequest) -> MachineScan:
        return await live.scan_buses()

    always = {each.__name__: each for each in (get_tests, get_live_sensors, scan_radio, scan_buses, identify_hub)}
    return always if tests is None else {**always, **_output_handlers(tests)}


def _output_handlers(tests: "HardwareTestService") -> Mapping[str, Handler]:
    async def test_relay(request: LocalRequest) -> TestsReport:
        return tests.test_relay(request.parameters["output"], request.body)

    async def begin_commissioning(request: LocalRequest) -> TestsReport:
        return tests.begin_commissioning(request.body)

    async def get_commissioning(_: LocalRequest) -> CommissioningReport:
        return tests.commissioning() or CommissioningReport()

    async def renew_test(request: LocalRequest) -> TestsReport:
        return tests.renew(request.body)

    async def stop_test(_: LocalRequest) -> TestsReport:
        return tests.stop()

    return {each.__name__: each for each in (test_relay, begin_commissioning, get_commissioning, renew_test, stop_test)}
