"""Measures heating control: accuracy, comparison with hysteresis, optimum start, time. Prints JSON.

Accuracy is in the manner of EN 15500: a constant load of 10, 50 and 90 % of what each zone's equipment gives, heating
and cooling; spread is half of what lies between the 5th and the 95th percentile of the true temperature, offset the
distance of its mean from the setpoint (without the sensor's own constant error, which no controller can know of).
Mornings, and rooms that are turned up, are decided for every 10 s as in the hub; the fortnight every 60 s, by
hysteresis and by our law alike.
"""

import argparse
import json
import time
import tracemalloc
from datetime import UTC, datetime
from statistics import fmean, quantiles
from zoneinfo import ZoneInfo

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Block, Mode, Schedule, Setpoints, ZoneProgram
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
from hal.interface import HvacAction
from hal.sim.building import FLAT, ThermalModel
from hal.sim.numerics import Noise
from hal.sim.plant import HeatGenerator, HeatingPlant
from lab.simulation.heating import HeatedHome, HeatedHomeOptions
from lab.simulation.safety_oracle import SafetyOracle

ROOMS = tuple(zone.name for zone in FLAT.zones)
HEAT_PUMP = HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP)
WINTER_MS = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp() * 1000)
BERLIN = ZoneInfo("Europe/Berlin")
DAY_MS = 86_400_000
H_MS = 3_600_000
TICK_S = 10


def climate(heat_source: HeatSourceSettings, *, has_optimum_start: bool = True) -> ClimateSettings:
    """Return the settings of a home with a zone in each room, all at their defaults."""
    zones = tuple(
        ZoneSettings(
            zone_id=zone.name,
            sensors=((zone.name, 1.0),),
            can_cool=zone.cooling_w > 0,
            law=pi_settings_for(
                Emitter.RADIATOR, is_shared=heat_source.kind is not HeatSourceKind.NONE, min_on_s=180.0
            ),
            has_optimum_start=has_optimum_start,
        )
        for zone in FLAT.zones
    )
    return ClimateSettings(zones=zones, heat_source=heat_source)


def accuracy(load: float, mode: Mode, hours: int) -> dict[str, object]:
    """Return how well each zone keeps its setpoint at a constant load."""
    settings = climate(HeatSourceSettings())
    setpoint_c = 20.0 if mode is Mode.HEAT else 24.0
    setpoints = Setpoints(20.0, 30.0) if mode is Mode.HEAT else Setpoints(15.0, 24.0)
    sign = -1.0 if mode is Mode.HEAT else 1.0
    thermal = ThermalModel(FLAT, step_s=60.0, start_c=setpoint_c)
    plant = HeatingPlant(HeatGenerator(heating_w=1e6, cooling_w=1e6, lag_s=900.0), FLAT.zones, step_s=60.0)
    noise = Noise(1)
    now_ms = 10_000_000
    control = ClimateController(settings, ClimateSnapshot(), Now("boot", now_ms, None))
    for room in ROOMS:
        control.set_program(room, ZoneProgram(mode=mode, setpoints=setpoints))
    oracle = SafetyOracle(settings)
    load_w = [sign * load * (zone.heating_w if mode is Mode.HEAT else zone.cooling_w) for zone in FLAT.zones]
    sensed = [setpoint_c] * len(ROOMS)
    seen: dict[str, list[float]] = {room: [] for room in ROOMS}
    starts: dict[str, int] = {}
    warm_up = hours * 60 // 3
    for minute in range(hours * 60):
        heat, cool = [0.0] * len(ROOMS), [0.0] * len(ROOMS)
        for _ in range(60 // TICK_S):
            now_ms += TICK_S * 1000
            observed = {
                room: SensorReading(round(sensed[i] + 0.04 * noise.at(i, now_ms), 2), now_ms)
                for i, room in enumerate(ROOMS)
            }
            made = control.step(Now("boot", now_ms, None), observed)
            oracle.check_demand(made.demand, now_ms)
            for i, room in enumerate(ROOMS):
                heat[i] += (made.demand.zones[room] is HvacAction.HEAT) * TICK_S / 60
                cool[i] += (made.demand.zones[room] is HvacAction.COOL) * TICK_S / 60
        plant.advance(heat, cool, outside_c=setpoint_c, has_power=True)
        air_w = [emitted + constant for emitted, constant in zip(plant.emitted_w, load_w, strict=True)]
        thermal.advance(air_w + [0.0] * len(ROOMS), setpoint_c)
        for i, room in enumerate(ROOMS):
            # A case of plastic lags by three minutes.
            sensed[i] += (thermal.temperatures_c[i] - sensed[i]) * (1 - 2.718281828 ** (-60 / 180))
            if minute >= warm_up:
                seen[room].append(thermal.temperatures_c[i])
        if minute == warm_up:
            starts = dict(oracle.starts)
    rooms = {}
    for zone in FLAT.zones:
        if mode is Mode.COOL and not zone.cooling_w:
            continue
        values = seen[zone.name]
        cuts = quantiles(values, n=20)
        spread, offset = (cuts[-1] - cuts[0]) / 2, abs(fmean(values) - setpoint_c)
        cycles = (oracle.starts[zone.name] - starts.get(zone.name, 0)) / (hours - warm_up / 60)
        rooms[zone.name] = {
            "spread_k": round(spread, 3),
            "offset_k": round(offset, 3),
            "sum_k": round(spread + offset, 3),
            "cycles_per_h": round(cycles, 2),
        }
    return {"load": load, "mode": mode.value, "rooms": rooms, "rules_broken": oracle.summary()}


def fourteen_days(days: int, seed: int, tolerance_k: float | None) -> dict[str, object]:
    """Return what a constant 20 °C cost and gave, by hysteresis or by our law, in the same house and weather."""
    home = HeatedHome(HeatedHomeOptions(settings=climate(HEAT_PUMP), seed=seed, start_utc_ms=WINTER_MS))
    calls = dict.fromkeys(ROOMS, False)
    zone_starts = source_starts = 0
    was_running = False
    errors: list[float] = []
    below: list[float] = []
    consumed_j = 0.0
    if tolerance_k is not None:
        home.control = None
    for minute in range(1440 * (days + 1)):
        if tolerance_k is None:
            home.run(home.at_ms + 60_000)
            actions = {
                room: zone.action is HvacAction.HEAT
                for room, zone in zip(ROOMS, home.control.state.zones, strict=True)  # type: ignore[union-attr] # it lives
            }
        else:
            home.at_ms += 60_000
            home.house.advance_to(home.at_ms)
            home._look()
            actions = {}
            for room in ROOMS:
                value_c = home.observed[room].value_c
                edge_c = 20.0 + tolerance_k if calls[room] else 20.0 - tolerance_k
                actions[room] = value_c < edge_c if calls[room] else value_c <= edge_c
            home._command({room: HvacAction.HEAT if on else HvacAction.OFF for room, on in actions.items()})
        if minute >= 1440:
            zone_starts += sum(on and not calls[room] for room, on in actions.items())
            source_starts += any(actions.values()) and not was_running
            errors += [abs(home.truth_c(room) - 20.0) for room in ROOMS]
            below += [max(0.0, 20.0 - home.truth_c(room)) for room in ROOMS]
        else:
            consumed_j = home.house.plant.consumed_j
        calls = actions
        was_running = any(actions.values())
    return {
        "controller": "ours" if tolerance_k is None else f"hysteresis {tolerance_k} K",
        "seed": seed,
        "mean_absolute_error_k": round(fmean(errors), 3),
        "mean_shortfall_k": round(fmean(below), 3),
        "source_starts_per_h": round(source_starts / days / 24, 2),
        "zone_starts_per_h": round(zone_starts / days / 24 / len(ROOMS), 2),
        "electricity_kwh": round((home.house.plant.consumed_j - consumed_j) / 3.6e6, 1),
        "rules_broken": home.oracle.summary(),
    }


def recoveries(
    seed: int, days: int, learning_days: int, fixed_lead_s: float | None, *, is_shared: bool = False
) -> dict[str, object]:
    """Return when the setpoint of 06:00 was reached, by the thermostat's own sensor, and what all nights cost.

    Args:
        seed: Of the house.
        days: After those of learning.
        learning_days: How many there are.
        fixed_lead_s: Begin so long before, in place of the optimum start.
        is_shared: On one heat pump for all rooms, in place of equipment of their own.
    """
    start_h = 6.0 - (fixed_lead_s or 0.0) / 3600
    begin = f"{int(start_h):02}:{round(start_h % 1 * 60):02}"
    week = Schedule("w", (Block("Day", begin, "22:00", 21.0, 26.0), Block("Night", "22:00", begin, 17.0, 26.0)))
    start_ms = WINTER_MS - H_MS  # midnight in Berlin
    home = HeatedHome(
        HeatedHomeOptions(
            settings=climate(HEAT_PUMP if is_shared else HeatSourceSettings(), has_optimum_start=fixed_lead_s is None),
            seed=seed,
            start_utc_ms=start_ms,
            programs={room: ZoneProgram(schedules={"w": week}, schedule="w") for room in ROOMS},
            zone=BERLIN,
            tick_s=TICK_S,
        )
    )
    reached_min: list[float] = []
    home.run(learning_days * DAY_MS)
    before_j = home.house.plant.consumed_j
    for day in range(learning_days, learning_days + days):
        due_ms = day * DAY_MS + 6 * H_MS
        at: dict[str, float] = {}

        def look(home: HeatedHome, at: dict[str, float] = at, due_ms: int = due_ms) -> None:
            if home.at_ms < due_ms - 4 * H_MS or home.control is None:
                return
            for room, zone in home.control.zones.items():
                if room not in at and zone.temperature.value_c is not None and zone.temperature.value_c >= 20.75:
                    at[room] = (home.at_ms - due_ms) / 60_000

        home.run(due_ms + 2 * H_MS, look)
        reached_min += [at.get(room, 120.0) for room in ROOMS]
        home.run((day + 1) * DAY_MS)
    return {
        "seed": seed,
        "source": "shared" if is_shared else "own",
        "start": "optimum" if fixed_lead_s is None else f"fixed, {fixed_lead_s / 3600:g} h before",
        "within_10_min": round(sum(abs(minutes) <= 10 for minutes in reached_min) / len(reached_min), 3),
        "within_15_min": round(sum(abs(minutes) <= 15 for minutes in reached_min) / len(reached_min), 3),
        "median_min": sorted(reached_min)[len(reached_min) // 2],
        "electricity_kwh": round((home.house.plant.consumed_j - before_j) / 3.6e6, 1),
        "rules_broken": home.oracle.summary(),
    }


def turned_up(seed: int, *, is_shared: bool) -> dict[str, object]:
    """Return how rooms at 17 °C follow when all are told 21 at 20:00, and how far they stray in the next four hours."""
    home = HeatedHome(
        HeatedHomeOptions(
            settings=climate(HEAT_PUMP if is_shared else HeatSourceSettings()),
            seed=seed,
            start_utc_ms=WINTER_MS,
            programs={room: ZoneProgram(setpoints=Setpoints(17.0, 26.0)) for room in ROOMS},
            tick_s=TICK_S,
        )
    )
    told_ms = 2 * DAY_MS + 20 * H_MS
    home.run(told_ms)
    for room in ROOMS:
        home.set_program(room, ZoneProgram(setpoints=Setpoints(21.0, 26.0)))
    minutes: dict[str, float] = {}
    most = dict.fromkeys(ROOMS, 0.0)
    least = dict.fromkeys(ROOMS, 0.0)

    def look(home: HeatedHome) -> None:
        for room in ROOMS:
            off_k = home.truth_c(room) - 21.0
            if room not in minutes and off_k >= -0.25:
                minutes[room] = (home.at_ms - told_ms) / 60_000
            if room in minutes:
                most[room], least[room] = max(most[room], off_k), min(least[room], off_k)

    home.run(told_ms + 4 * H_MS, look)
    return {
        "seed": seed,
        "source": "shared" if is_shared else "own",
        "rooms": {
            room: {
                "minutes": round(minutes.get(room, -1.0)),
                "above_k": round(most[room], 2),
                "below_k": round(-least[room], 2),
            }
            for room in ROOMS
        },
    }


def decisions(count: int) -> dict[str, float]:
    """Return what one decision costs, and what the heap grows by."""
    zones = tuple(
        ZoneSettings(zone_id=f"z{i}", sensors=((f"t{i}", 1.0), (f"u{i}", 1.0)), can_cool=True) for i in range(8)
    )
    settings = ClimateSettings(zones=zones, heat_source=HEAT_PUMP)
    week = Schedule("w", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 26.0)))
    now = Now("boot", 10_000_000, WINTER_MS)
    control = ClimateController(settings, ClimateSnapshot(), now)
    for zone in zones:
        control.set_program(zone.zone_id, ZoneProgram(schedules={"w": week}, schedule="w"))
    noise = Noise(1)

    def run(first: int, last: int) -> float:
        spent_s = 0.0
        for number in range(first, last):
            now_ms = 10_000_000 + number * 10_000
            observed = {
                f"{letter}{i}": SensorReading(20.0 + noise.at(i, number), now_ms) for i in range(8) for letter in "tu"
            }
            here = msgspec.structs.replace(now, now_ms=now_ms, utc_ms=WINTER_MS + number * 10_000)
            began_s = time.process_time()
            control.step(here, observed, BERLIN)
            spent_s += time.process_time() - began_s
        return spent_s

    run(0, 100)
    spent_s = run(100, 100 + count)
    tracemalloc.start()
    run(100 + count, 200 + count)
    before = tracemalloc.get_traced_memory()[0]
    run(200 + count, 1200 + count)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return {
        "zone_decision_us": round(spent_s / count / 8 * 1e6, 1),
        "home_of_eight_zones_us": round(spent_s / count * 1e6, 1),
        "heap_growth_bytes_in_1000": grown,
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a slice of each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of house and weather (1 2 3)")
    options = parser.parse_args()
    quick = options.quick
    seeds = options.seeds[:1] if quick else options.seeds
    hours = 24 if quick else 72
    days = 3 if quick else 14
    print(
        json.dumps(
            {
                "decision": decisions(500 if quick else 5000),
                "accuracy": [
                    accuracy(load, mode, hours) for mode in (Mode.HEAT, Mode.COOL) for load in (0.1, 0.5, 0.9)
                ],
                "comparison": [fourteen_days(days, seed, kind) for seed in seeds for kind in (0.3, 0.5, None)],
                "optimum_start": [
                    recoveries(seed, 3 if quick else 20, 5, lead_s, is_shared=is_shared)
                    for is_shared in (False, True)
                    for seed in seeds
                    for lead_s in (None, 7200.0)
                ],
                "turned_up": [turned_up(seed, is_shared=is_shared) for is_shared in (False, True) for seed in seeds],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
