"""What a restart must not undo: the pump's overrun, how long a zone has been without its sensor."""

import msgspec
import pytest

from agent.climate.control import Control, Observed
from agent.climate.guard import Guard
from agent.climate.holds import Program
from agent.climate.kept import Kept, KeptZone, first_program
from agent.climate.law import LawState
from agent.climate.model import Mode, Moment
from agent.climate.settings import ClimateSettings, SourceKind, SourceSettings, ZoneSettings
from agent.climate.source import SourceState
from agent.climate.zone import ZoneState
from hal.interface import HvacAction

H_MS = 3_600_000
UTC_MS = 1_768_400_000_000


def home(source: SourceKind = SourceKind.NONE) -> ClimateSettings:
    return ClimateSettings(
        zones=(ZoneSettings(zone_id="z", sensors=(("t", 1.0),)),), source=SourceSettings(kind=source)
    )


def restarted(control: Control, written: Moment, moment: Moment) -> Control:
    """Return the control room of the next life, from what the last one wrote."""
    data = msgspec.json.encode(control.to_keep(written))
    return Control(control.settings, msgspec.json.decode(data, type=Kept), moment)


def test_the_pump_runs_on_after_a_restart_as_after_any_stop() -> None:
    fresh = Control(home(SourceKind.BOILER), Kept(), Moment("b", 0, None))
    made = fresh.step(Moment("b", 10, None), {"t": Observed(25.0, 0)})
    assert made.demand.source is not None
    assert not made.demand.source.is_pump_on
    overrun_ms = round(fresh.settings.source.pump_overrun_s * 1000)
    for boot in ("b", "next"):
        again = restarted(fresh, Moment("b", 100_000, None), Moment(boot, 110_000, None))
        pumps = []
        for after_ms in (10, overrun_ms - 10, overrun_ms + 10):
            now_ms = 110_000 + after_ms
            demand = again.step(Moment(boot, now_ms, None), {"t": Observed(25.0, now_ms)}).demand.source
            assert demand is not None
            pumps.append(demand.is_pump_on)
        assert pumps == [True, True, False]


@pytest.mark.parametrize(
    ("boot", "is_known", "lost_h"),
    [("next", False, 48.0), ("next", True, 53.0), ("b", False, 53.0)],
    ids=["reboot", "reboot that knows the time", "restart"],
)
def test_how_long_a_sensor_has_been_lost_outlives_a_restart(boot: str, *, is_known: bool, lost_h: float) -> None:
    first_ms = H_MS
    control = Control(home(), Kept(), Moment("b", first_ms, UTC_MS))
    for hours in range(49):
        control.step(Moment("b", first_ms + hours * H_MS, UTC_MS + hours * H_MS), {})
    # Five hours without the agent.
    now_ms = 54 * H_MS if boot == "b" else 20_000
    moment = Moment(boot, now_ms, UTC_MS + 53 * H_MS if is_known else None)
    again = restarted(control, Moment("b", first_ms + 48 * H_MS, UTC_MS + 48 * H_MS), moment)
    lost_ms = again.state.zones[0].lost_ms
    assert lost_ms is not None
    assert (now_ms - lost_ms) / H_MS == lost_h
    reasons = [again.step(Moment(boot, now_ms + round(h * H_MS), None), {}).reasons[0] for h in (0, 72 - lost_h)]
    assert "for 72 h" not in reasons[0]
    assert "for 72 h" in reasons[1]
    # As soon as it speaks it is not lost any more.
    later_ms = now_ms + 30 * H_MS
    again.step(Moment(boot, later_ms, None), {"t": Observed(20.0, later_ms)})
    assert restarted(again, Moment(boot, later_ms, None), Moment("last", 0, None)).state.zones[0].lost_ms is None


@pytest.mark.parametrize(("away_h", "is_known"), [(2, True), (3, False)])
def test_walls_do_not_change_in_a_short_absence(away_h: int, *, is_known: bool) -> None:
    control = Control(home(), Kept(), Moment("b", 0, UTC_MS))
    for minute in range(60):
        value_c = 17.0 if minute == 0 else 21.0
        control.step(Moment("b", minute * 60_000, UTC_MS), {"t": Observed(value_c, minute * 60_000)})
    walls_c = control.state.zones[0].walls_c
    assert walls_c is not None
    assert 17.2 < walls_c < 18.0
    written = Moment("b", H_MS, UTC_MS)
    again = restarted(control, written, Moment("next", 0, UTC_MS + away_h * H_MS))
    assert again.state.zones[0].walls_c == (walls_c if is_known else None)


def test_a_clock_that_was_set_back_makes_no_loss_shorter() -> None:
    control = Control(home(), Kept(), Moment("b", 0, UTC_MS))
    control.step(Moment("b", 0, UTC_MS), {})
    again = restarted(control, Moment("b", H_MS, UTC_MS), Moment("next", 0, UTC_MS - 9 * H_MS))
    assert again.state.zones[0].lost_ms == -H_MS


@pytest.mark.parametrize(("boot", "now_ms", "older_ms"), [("b", 110_000, 0), ("next", 5000, 95_000)])
def test_the_starts_of_every_piece_of_equipment_outlive_a_restart(boot: str, now_ms: int, older_ms: int) -> None:
    heat_pump = home(SourceKind.HEAT_PUMP)
    zones = (msgspec.structs.replace(heat_pump.zones[0], can_cool=True),)
    control = Control(msgspec.structs.replace(heat_pump, zones=zones), Kept(), Moment("b", 0, None))
    zone, source, stage2, aux = (Guard(number % 2 == 0, 90_000, (100 * number, 200 * number)) for number in range(1, 5))
    control.state = msgspec.structs.replace(
        control.state,
        zones=(
            ZoneState(
                zone,
                law=LawState(integral=0.4, owed_s=200.0),
                action=HvacAction.COOL,
                direction=HvacAction.COOL,
                mean_duty=0.2,
            ),
        ),
        source=SourceState(source, stage2, aux, needy_s=900.0, is_valve_on=True),
        direction=HvacAction.COOL,
    )
    after = restarted(control, Moment("b", 100_000, None), Moment(boot, now_ms, None)).state

    def rested(number: int) -> Guard:
        return Guard(False, now_ms, (100 * number - older_ms, 200 * number - older_ms, now_ms))

    (kept,) = after.zones
    assert kept == ZoneState(
        rested(1), law=LawState(integral=0.4), direction=HvacAction.COOL, mean_duty=0.2, acted_ms=None
    )
    # The relays have fallen off, the valve's as well; the pump runs on.
    assert after.source == SourceState(rested(2), rested(3), rested(4), stopped_ms=now_ms)
    # Nobody knows what was on last: a rest comes before either.
    assert (after.direction, after.acted_ms) == (HvacAction.OFF, now_ms)


def test_a_start_that_was_written_with_a_later_time_than_its_file_is_as_new_as_can_be() -> None:
    saved = Kept("b", 1000, {"z": KeptZone(Program(), guard=Guard(False, 9000, (500, 9000)))})
    (zone,) = Control(home(), saved, Moment("next", 2000, None)).state.zones
    assert zone.guard.starts_ms == (1500, 2000, 2000)


def test_a_zone_that_nobody_has_told_anything_does_what_it_can() -> None:
    (zone,) = home().zones
    cools = msgspec.structs.replace(zone, can_heat=False, can_cool=True)
    assert [first_program(each).mode for each in (zone, cools)] == [Mode.HEAT, Mode.COOL]
    made = Control(ClimateSettings(zones=(cools,)), Kept(), Moment("b", 0, None))
    step = [
        made.step(Moment("b", minute * 60_000, None), {"t": Observed(30.0, minute * 60_000)}) for minute in range(9)
    ]
    assert step[-1].demand.zones == {"z": HvacAction.COOL}
