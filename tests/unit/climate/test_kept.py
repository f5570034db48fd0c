"""What a restart must not undo: the pump's overrun, how long a zone has been without its sensor."""

import msgspec

from agent.climate.control import Control, Observed
from agent.climate.kept import Kept
from agent.climate.model import Moment
from agent.climate.settings import ClimateSettings, SourceKind, SourceSettings, ZoneSettings

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
