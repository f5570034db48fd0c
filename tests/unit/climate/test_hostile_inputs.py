"""Whatever sensors, clocks and clients do, each step of the control ends with a safe decision for every output."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.climate import presence
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Block, Hold, HoldKind, Mode, Schedule, Setpoints, ZoneProgram
from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import Quality
from hal.radio import PowerState
from lab.simulation.safety_oracle import SafetyOracle

ZONES = ("a", "b")
START_MS = 5_000_000
BOOT_MS = 30_000
START_UTC_MS = int(datetime(2026, 3, 28, 20, tzinfo=UTC).timestamp() * 1000)
"""The evening before summer time begins in Berlin."""

WEEK = Schedule("w", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 28.0)))
STEPS_S = (0.0, 0.5, 10.0, 60.0, 600.0, 6 * 3600.0, 40 * 24 * 3600.0)
VALUES_C = (-60.0, -15.0, 3.0, 5.9, 16.5, 17.0, 19.96, 20.0, 20.5, 21.0, 23.0, 29.0, 34.0, 56.0, 125.0)
POWERS_W = (-5.0, 0.0, 1.5, 30.0, 900.0, 1e9, float("nan"))
AGES_MS = (-3_600_000, 0, 0, 0, 1_000, 60_000, 7_300_000, 10**12)
UTC_JUMPS_MS = (-(10**12), -(20 * 3_600_000), -60_000, 3_600_000, 10**11)
WHEN = st.sampled_from(
    ("sensors", "sensors", "sensors", "plug", "time", "restart", "clock", "program", "hold", "report")
)


class Hub:
    """A controller, its clocks, and what its sensors show."""

    def __init__(self, settings: ClimateSettings, timezone: tzinfo) -> None:
        self.settings, self.timezone = settings, timezone
        self.boot, self.now_ms, self.utc_ms = 1, START_MS, START_UTC_MS
        self.is_clock_known = True
        self.true_ms, self.has_clock_jumped = 0, False
        self.oracle = SafetyOracle(settings)
        self.readings: dict[str, SensorReading] = {}
        self.powers: dict[str, PowerState] = {}
        self.control = ClimateController(settings, ClimateSnapshot(), self.now)

    @property
    def now(self) -> Now:
        return Now(f"boot {self.boot}", self.now_ms, self.utc_ms if self.is_clock_known else None)

    @property
    def extremes_c(self) -> dict[str, tuple[float, float]]:
        """What the sensors of each zone show: a room at its limit may end the help of the heat source early."""
        found = {}
        for zone in self.settings.zones:
            values_c = [self.readings[name].value_c for name, _ in zone.sensors if name in self.readings]
            if values_c:
                found[zone.zone_id] = min(values_c), max(values_c)
        return found

    def set_clock(self, by_ms: int) -> None:
        self.utc_ms, self.has_clock_jumped = max(0, self.utc_ms + by_ms), True

    def wait(self, s: float) -> None:
        self.true_ms += round(s * 1000)
        self.now_ms += round(s * 1000)
        self.utc_ms += round(s * 1000)

    def restart(self, *, is_reboot: bool) -> None:
        saved = msgspec.json.encode(self.control.take_snapshot(self.now))
        self.oracle.record_kill(self.true_ms)
        if is_reboot:
            self.wait(BOOT_MS / 1000)
            self.boot, self.now_ms, self.readings = self.boot + 1, BOOT_MS, {}
            self.powers = {}
            if self.has_clock_jumped:
                # How long the hub was down is only known by its clock: equipment may start early after a wrong one.
                self.oracle, self.has_clock_jumped = SafetyOracle(self.settings), False
            self.oracle.record_boot(self.true_ms)
        self.control = ClimateController(self.settings, msgspec.json.decode(saved, type=ClimateSnapshot), self.now)

    def step(self) -> None:
        made = self.control.step(self.now, self.readings, self.timezone, powers=self.powers)
        assert set(made.demand.zones) == set(ZONES)
        assert all(0.0 <= request.duty <= 1.0 and request.reason for request in made.requests)
        self.oracle.check_demand(made.demand, self.true_ms, extremes_c=self.extremes_c)
        assert not self.oracle.broken, self.oracle.examples


def program_of(hub: Hub, zone: str, change: Callable[[ZoneProgram], ZoneProgram]) -> None:
    hub.control.set_program(zone, change(hub.control.zones[zone].program))


def happen(hub: Hub, data: st.DataObject) -> None:
    """Let something happen."""
    draw, zone = data.draw, data.draw(st.sampled_from(ZONES))
    match draw(WHEN):
        case "sensors":
            for name in draw(st.sets(st.sampled_from(("a1", "a2", "b1", "floor", "pipe", "return", "outside")))):
                at_ms = hub.now_ms - draw(st.sampled_from(AGES_MS))
                quality = draw(st.sampled_from((Quality.GOOD, Quality.GOOD, *Quality)))
                silence_s_max = draw(st.sampled_from((None, None, 0.0, 900.0)))
                value_c = draw(st.sampled_from(VALUES_C))
                hub.readings[name] = SensorReading(value_c, at_ms, quality, silence_s_max)
        case "plug":
            at_ms = hub.now_ms - draw(st.sampled_from(AGES_MS))
            hub.powers = {"plug": PowerState("plug", draw(st.sampled_from(POWERS_W)), at_ms)}
        case "time":
            hub.is_clock_known = not hub.is_clock_known
        case "clock":
            hub.set_clock(draw(st.sampled_from(UTC_JUMPS_MS)))
        case "restart":
            hub.restart(is_reboot=draw(st.booleans()))
        case "program":
            made = ZoneProgram(
                mode=draw(st.sampled_from(Mode)),
                setpoints=Setpoints(draw(st.sampled_from((5.0, 17.0, 21.0))), draw(st.sampled_from((24.0, 35.0)))),
                schedules={"w": WEEK},
                schedule=draw(st.sampled_from(("", "w"))),
            )
            hub.control.set_program(zone, made)
        case "hold":
            kind, end_utc_ms = draw(st.sampled_from(HoldKind)), hub.utc_ms + draw(st.sampled_from((-1, 7_200_000)))
            hold = Hold("h", kind, heat_setpoint_c=draw(st.sampled_from((None, 5.0, 23.0))), end_utc_ms=end_utc_ms)
            program_of(hub, zone, lambda program: msgspec.structs.replace(program, holds=(hold,)))
        case _:
            is_window_open, is_present = draw(st.none() | st.booleans()), draw(st.none() | st.booleans())
            program_of(
                hub,
                zone,
                lambda program: msgspec.structs.replace(
                    program,
                    observed=presence.observe(
                        program.observed, hub.now, is_window_open=is_window_open, is_present=is_present
                    ),
                ),
            )


def settings_of(emitter: Emitter, source: HeatSourceKind) -> ClimateSettings:
    is_shared = source is not HeatSourceKind.NONE
    law = pi_settings_for(emitter, is_shared=is_shared, min_on_s=180.0)
    sensors: Mapping[str, tuple[tuple[str, float], ...]] = {"a": (("a1", 1.0), ("a2", 0.5)), "b": (("b1", 1.0),)}
    zones = tuple(
        ZoneSettings(
            zone_id=zone,
            sensors=sensors[zone],
            can_cool=zone == "b",
            law=law,
            floor_sensor="floor" * (zone == "a"),
            supply_sensor="pipe",
            return_sensor="return",
            power_meter="plug",
        )
        for zone in ZONES
    )
    heat_source = HeatSourceSettings(kind=source, stages=2, has_aux=True)
    return ClimateSettings(zones=zones, heat_source=heat_source, outdoor_sensor="outside")


@pytest.mark.no_cover
@given(
    data=st.data(),
    emitter=st.sampled_from(Emitter),
    source=st.sampled_from(HeatSourceKind),
    timezone=st.sampled_from((UTC, ZoneInfo("Europe/Berlin"))),
)
@settings(max_examples=60)
def test_every_step_ends_with_a_safe_decision(
    data: st.DataObject, emitter: Emitter, source: HeatSourceKind, timezone: tzinfo
) -> None:
    hub = Hub(settings_of(emitter, source), timezone)
    for _ in range(data.draw(st.integers(1, 25))):
        happen(hub, data)
        step_s = data.draw(st.sampled_from(STEPS_S))
        for _ in range(data.draw(st.sampled_from((1, 1, 5, 40)))):
            hub.wait(step_s)
            hub.step()
