"""Reports of clients: an empty zone is heated less after a time, and an open window pauses it at once."""

from datetime import UTC

import msgspec
import pytest

from agent.climate import requests
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import HoldKind, Mode, Observation, Setpoints, ZoneProgram
from agent.climate.presence import WINDOW_S_MAX, lower_upcoming, lowered_c, observe, open_window
from agent.climate.recovery import UpcomingSetpoint
from agent.climate.requests import ClimateRequest, HoldRequest, ReportRequest
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction

ZONE = ZoneSettings(zone_id="z", sensors=(("t", 1.0),), can_cool=True)
PROGRAM = ZoneProgram(mode=Mode.AUTO, setpoints=Setpoints(21.0, 25.0))
DAY_S = 86_400.0


def at(seconds: float, boot: str = "b") -> Now:
    return Now(boot, round(seconds * 1000), 1_790_000_000_000 + round(seconds * 1000))


class Home:
    """One zone at a temperature that a test prescribes."""

    def __init__(self, settings: ZoneSettings = ZONE) -> None:
        self.control = ClimateController(ClimateSettings(zones=(settings,)), ClimateSnapshot(), at(0))
        self.control.set_program("z", PROGRAM)

    def ask(self, request: ClimateRequest, seconds: float) -> None:
        zone = self.control.zones["z"]
        self.control.set_program("z", requests.apply(zone.program, request, at(seconds), UTC, new_id="hold"))

    def setpoints(self, now: Now) -> tuple[float, float]:
        setpoints = self.control.zones["z"].resolve_setpoint(now, UTC).setpoints
        return setpoints.heat_setpoint_c, setpoints.cool_setpoint_c

    def step(self, seconds: float, value_c: float) -> tuple[HvacAction, str]:
        made = self.control.step(at(seconds), {"t": SensorReading(value_c, round(seconds * 1000))})
        return made.demand.zones["z"], made.reasons[0]


def test_an_empty_zone_is_heated_and_cooled_less_after_a_time_and_as_before_at_once() -> None:
    home = Home()
    home.ask(ReportRequest(is_present=False), 1000)
    assert home.setpoints(at(1000 + 1799)) == (21.0, 25.0)
    assert home.setpoints(at(1000 + 1800)) == (18.0, 28.0)
    assert home.control.zones["z"].resolve_setpoint(at(2800), UTC).text == "no schedule, nobody there"
    # A second report of the same does not begin the time anew.
    home.ask(ReportRequest(is_present=False), 2800)
    assert home.setpoints(at(2801)) == (18.0, 28.0)
    home.ask(ReportRequest(is_present=True), 2802)
    assert home.setpoints(at(2802)) == (21.0, 25.0)


def test_what_a_person_has_chosen_for_now_stays() -> None:
    home = Home()
    home.ask(ReportRequest(is_present=False), 0)
    for kind in HoldKind:
        home.ask(HoldRequest(kind=kind, heat_setpoint_c=22.0), 4000)
        assert home.setpoints(at(4000))[0] == 22.0
        home.ask(requests.ResumeRequest(), 4000)
    assert home.setpoints(at(4000))[0] == 18.0


def test_an_absence_goes_on_over_a_reboot() -> None:
    home = Home()
    home.ask(ReportRequest(is_present=False), 4000)
    assert home.setpoints(at(10, "another boot")) == (18.0, 28.0)


@pytest.mark.parametrize(("heat_c", "less_k", "expected_c"), [(21.0, 3.0, 18.0), (7.0, 3.0, 6.0), (5.0, 3.0, 5.0)])
def test_nothing_is_lowered_below_frost_protection(heat_c: float, less_k: float, expected_c: float) -> None:
    assert lowered_c(heat_c, less_k, ZONE) == expected_c


def test_no_block_is_heated_for_in_an_empty_zone() -> None:
    coming = (UpcomingSetpoint(1, 21.0),)
    assert lower_upcoming(coming, Observation(), ZONE, at(0)) == coming
    absent = observe(Observation(), at(0), is_present=False)
    assert lower_upcoming(coming, absent, ZONE, at(1800)) == (UpcomingSetpoint(1, 18.0),)


def test_without_a_setback_an_absence_changes_nothing() -> None:
    home = Home(msgspec.structs.replace(ZONE, absence_setback_k=0.0))
    home.ask(ReportRequest(is_present=False), 0)
    assert home.setpoints(at(DAY_S)) == (21.0, 25.0)


@pytest.mark.parametrize("value_c", [18.0, 28.0], ids=["heating", "cooling"])
def test_a_window_that_is_reported_open_pauses_the_zone_until_it_is_closed(value_c: float) -> None:
    home = Home()
    for minute in range(60):
        action, _ = home.step(minute * 60, value_c + 0.01 * (minute % 2))
    assert action is not HvacAction.OFF
    home.ask(ReportRequest(is_window_open=True), 3600)
    actions = [home.step(3600 + minute * 60, value_c) for minute in range(6)]
    assert actions[-1] == (HvacAction.OFF, "paused: the window is open (no schedule)")
    home.ask(ReportRequest(is_window_open=False), 4000)
    assert any(
        home.step(4000 + minute * 60, value_c + 0.01 * (minute % 2))[0] is not HvacAction.OFF for minute in range(15)
    )


def test_frost_protection_goes_on_with_an_open_window() -> None:
    home = Home()
    home.ask(ReportRequest(is_window_open=True), 0)
    for minute in range(10):
        action, reason = home.step(minute * 60, 4.0 + 0.01 * (minute % 2))
    assert action is HvacAction.HEAT
    assert reason.startswith("frost protection")


def test_a_report_of_a_window_counts_for_a_day_and_for_its_boot() -> None:
    observed = observe(Observation(), at(0), is_window_open=True)
    assert open_window(observed, at(WINDOW_S_MAX - 1)) == "the window"
    assert open_window(observed, at(WINDOW_S_MAX)) == ""
    assert open_window(observed, at(10, "another boot")) == ""
    assert open_window(observe(observed, at(20), is_window_open=False), at(20)) == ""


def test_a_report_leaves_alone_what_it_does_not_name() -> None:
    observed = observe(observe(Observation(), at(0), is_window_open=True), at(5), is_present=False)
    assert (observed.is_window_open, observed.is_absent) == (True, True)
    assert requests.decode(b'{"do": "report", "is_present": false}') == ReportRequest(is_present=False)
