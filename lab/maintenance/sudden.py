"""How soon control reports a sudden fault (burner locked out, pump dead, valve stuck), and how often without one.

Owns the lives of the houses and the counts. The houses are those of `hal.sim.houses`, minute by minute, under the hub's
own control: ten days with what looks like a fault (open windows, setbacks, a holiday), then one fault after the other,
each repaired.

    python -m lab.maintenance.sudden --half held-out --rounds 2
"""

import random
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from math import exp

import msgspec

from agent.climate import heating_effect
from agent.climate.zone_state import ZoneState
from hal.sim.emitters import EmitterKind
from hal.sim.house_design import HouseDesign
from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CHANGE_02, NEAR_EMITTER, OFFSET, TENTHS
from hal.sim.weather_patterns import PATTERNS, SUMMER_HEAT
from lab.comfort.control import HubControl, Situation, constant_program, has_water, settings_for
from lab.comfort.equipment_faults import TOLD_WITHIN_MINUTES, EquipmentFault
from lab.comfort.plugs import Plugs
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, Law, controller_for

TUNING_SEED, HELD_OUT_SEED = 20, 31_415
LEFT_OUT = frozenset({"eight zones"})
"""It costs as much as all others of its half."""

HEALTHY_DAYS = 10
WATCHED_MINUTES = 720
"""A fault that is not reported for so long counts as missed."""

REPAIRED_MINUTES = 720
KEPT_MINUTES = 60
"""A fault stays for so long after its report."""

USED_MINUTES = 60
"""A zone that calls for less heat than this in three hours hardly needs any: its equipment may be off anyway."""

STANDS_MINUTES = 1440
"""A fault is not planted while a report of the one before stands, for at most so long. A report that stands even then
is no report of the next fault: that one counts as missed."""

TRIAL_DAYS = 3
"""The weather of each fault, of its repair and of the waits."""

QUIET_DAYS = 2
"""The first days are without look-alikes, and the last ones before the faults too: the hub learns the house."""

WINDOWS_A_DAY = 2
WINDOW_MINUTES = (5, 20)
LONG_WINDOW_SHARE = 1.0 / 14.0
LONG_WINDOW_MINUTES = (60, 180)
SETBACK_C, AWAY_C = 17.0, 16.0
AWAY_DAYS = range(6, 9)
MORNING, EVENING = 6 * 60, 22 * 60

MINUTES_A_YEAR = 365 * DAY_MINUTES
CONFIDENCE = 0.95
BISECTIONS = 60
HABITS = (TENTHS, CHANGE_02, OFFSET, NEAR_EMITTER)
WINTERS = tuple(pattern for pattern in PATTERNS if pattern is not SUMMER_HEAT)


class Trial(msgspec.Struct, frozen=True):
    """What became of one fault, in minutes; `None` where it did not come.

    Attributes:
        fault: What failed.
        reported_min: Until control reported it.
        heated_min: For how long heat was called for in the time in which it should be reported, by the zone that
            called most of those that it stops. Nobody can notice a fault of what is not used.
        missing_k: By how much it had made the coldest of their rooms colder by then, or by its report: the same house
            without the fault gets the same output.
        needed_k: What sun, people and sensors do within three hours, and what the load grows by from one evening to the
            next, as control reckons them. No thermometer in the room can show less as a fault.
    """

    fault: EquipmentFault
    reported_min: int | None
    heated_min: int = TOLD_WITHIN_MINUTES
    missing_k: float = 0.0
    needed_k: float = 0.0

    @property
    def is_in_time(self) -> bool:
        """Whether it was reported within three hours."""
        return self.reported_min is not None and self.reported_min <= TOLD_WITHIN_MINUTES

    @property
    def is_unused(self) -> bool:
        """Whether it was not reported in time, and hardly any heat was called for."""
        return not self.is_in_time and self.heated_min < USED_MINUTES

    @property
    def is_hidden(self) -> bool:
        """Whether it was not reported in time though heat was called for, and no room could show it."""
        return not (self.is_in_time or self.is_unused) and self.missing_k < self.needed_k


class Life(msgspec.Struct, frozen=True):
    """What became of one house.

    Attributes:
        house: Its name.
        zone_minutes: The time without a fault, of all its zones.
        false_min: How long each report in that time lasted.
        trials: Its faults.
    """

    house: str
    zone_minutes: int
    false_min: list[int]
    trials: list[Trial]


class _Watch:
    """Follows the reports of each zone minute by minute."""

    def __init__(self, control: HubControl) -> None:
        self._control = control
        self.lasting = dict.fromkeys(range(len(control.controller.state.zones)), 0)
        self.ended: list[int] = []

    def look(self, *_: object) -> None:
        """Take one minute."""
        for number, zone in enumerate(self._control.controller.state.zones):
            if zone.is_unheated:
                self.lasting[number] += 1
            elif self.lasting[number]:
                self.ended.append(self.lasting[number])
                self.lasting[number] = 0


def live(
    design: HouseDesign, number: int, seed: int, *, has_pipe_sensors: bool = False, has_plugs: bool = False
) -> Life:
    """Return what becomes of a house; the weather and the habit of the sensors follow from its number."""
    rng = random.Random(f"{seed}/{design.name}/{number}")  # noqa: S311 - no secret
    days = HEALTHY_DAYS + len(EquipmentFault) * TRIAL_DAYS
    case = Case(
        design=design,
        pattern=WINTERS[number % len(WINTERS)],
        habit=HABITS[(number + number // len(WINTERS)) % len(HABITS)],
        seed=seed + number,
        warm_up_days=0,
        days=days,
    )
    settings = settings_for(design, has_pipe_sensors=has_pipe_sensors, has_plugs=has_plugs)
    control = controller_for(Law.HUB, case, settings=settings)
    if not isinstance(control, HubControl):
        raise TypeError("only the hub reports faults")
    plugs = Plugs(number, len(design.rooms)) if has_plugs else None
    home, watch = ComfortHome(case, control, plugs=plugs), _Watch(control)
    for day in range(HEALTHY_DAYS):
        _live_a_day(home, control, watch, rng, day)
    watch.ended += [lasted for lasted in watch.lasting.values() if lasted]
    trials = [try_fault(home, control, fault, rng.randrange(DAY_MINUTES // 2)) for fault in EquipmentFault]
    return Life(design.name, HEALTHY_DAYS * DAY_MINUTES * len(design.rooms), watch.ended, trials)


def _live_a_day(home: ComfortHome, control: HubControl, watch: _Watch, rng: random.Random, day: int) -> None:
    """Run a day with what looks like a fault."""
    rooms, setpoints, windows = home.case.design.rooms, {0: HEAT_SETPOINT_C}, dict[int, frozenset[int]]()
    if day in AWAY_DAYS:
        setpoints = {0: AWAY_C}
    elif day % 2 and day < HEALTHY_DAYS - 1:
        setpoints = {0: SETBACK_C, MORNING: HEAT_SETPOINT_C, EVENING: SETBACK_C}
    if QUIET_DAYS <= day < HEALTHY_DAYS - 1 and day not in AWAY_DAYS:
        for _ in range(WINDOWS_A_DAY):
            at, limits = rng.randrange(MORNING, EVENING), WINDOW_MINUTES
            if rng.random() < LONG_WINDOW_SHARE:
                limits = LONG_WINDOW_MINUTES
            windows[at] = frozenset({rng.randrange(len(rooms))})
            windows[at + rng.randint(*limits)] = frozenset()
    windows[DAY_MINUTES - 1] = frozenset()
    now = 0
    for at in sorted({*setpoints, *windows}):
        until = min(at, DAY_MINUTES)
        home.run(until - now, HEAT_SETPOINT_C, watch.look)
        now = until
        if at in windows:
            home.house.open_windows(windows[at])
        if at in setpoints:
            for room in rooms:
                control.controller.set_program(room.name, constant_program(setpoints[at], is_cooling=False))
    home.run(DAY_MINUTES - now, HEAT_SETPOINT_C, watch.look)


def try_fault(home: ComfortHome, control: HubControl, fault: EquipmentFault, minutes: int) -> Trial:
    """Return how soon a fault is reported; it is repaired at the end, and the house recovers.

    Args:
        home: The house.
        control: Of the house.
        fault: What fails.
        minutes: The time until then, at least: a report that stands has to end first (`STANDS_MINUTES`).
    """
    home.run(minutes, HEAT_SETPOINT_C)
    for _ in range(STANDS_MINUTES):
        if not _is_reported(control, None):
            break
        home.run(1, HEAT_SETPOINT_C)
    stands = _is_reported(control, None)
    twin = home.house.copy()
    fault.plant(home.house)
    reported_min: int | None = None
    heated_min = [0] * len(control.controller.state.zones)
    missing_k = 0.0

    def follow(_: HouseModel, __: Situation, calls: list[float]) -> None:
        twin.advance(calls)

    for minute in range(1, WATCHED_MINUTES + 1):
        home.run(1, HEAT_SETPOINT_C, follow if minute <= TOLD_WITHIN_MINUTES else None)
        if minute <= TOLD_WITHIN_MINUTES:
            rooms = range(len(_stopped(control, fault)))
            missing_k = max(twin.air_c[room] - home.house.air_c[room] for room in rooms)
        for number, zone in enumerate(_stopped(control, fault)):
            heated_min[number] += zone.is_full and minute <= TOLD_WITHIN_MINUTES
        if not stands and _is_reported(control, fault):
            reported_min = minute
            break
    if reported_min is not None:
        home.run(KEPT_MINUTES, HEAT_SETPOINT_C)
    home.house.blocked, home.house.has_source, home.house.has_pump = frozenset(), True, True
    home.run(REPAIRED_MINUTES, HEAT_SETPOINT_C)
    return Trial(fault, reported_min, max(heated_min), missing_k, needed_k(home.case.design))


def needed_k(design: HouseDesign) -> float:
    """Return how much colder a fault has to make a room of a house within three hours to be seen there."""
    is_slow = design.rooms[0].emitter is EmitterKind.FLOOR
    rate_k_per_h = heating_effect.SLOW_RATE_K_PER_H if is_slow else heating_effect.RATE_K_PER_H
    return heating_effect.DISTURBANCE_K + heating_effect.LOAD_GROWTH * rate_k_per_h * TOLD_WITHIN_MINUTES / 60.0


def _stopped(control: HubControl, fault: EquipmentFault | None) -> tuple[ZoneState, ...]:
    """Return the zones that a fault stops; all without one given."""
    zones = control.controller.state.zones
    return zones[:1] if fault is EquipmentFault.VALVE else zones


def _is_reported(control: HubControl, fault: EquipmentFault | None) -> bool:
    """Return whether a zone that a fault stops is reported, or any zone without a fault given."""
    return any(zone.is_unheated for zone in _stopped(control, fault))


def fleet(
    *,
    is_held_out: bool,
    houses: Sequence[str] = (),
    rounds: int = 1,
    has_pipe_sensors: bool = False,
    has_plugs: bool = False,
) -> Iterator[Life]:
    """Yield the lives of one half of the houses.

    Args:
        is_held_out: Which half.
        houses: The names of those that are wanted; all by default.
        rounds: How often each lives, with other weather, other sensors and another seed.
        has_pipe_sensors: Rooms with water have a thermometer on their supply pipe; only such houses live then.
        has_plugs: What heats hangs on plugs that measure it.
    """
    chosen = [each for each in HOUSES.values() if each.is_held_out is is_held_out and each.name not in LEFT_OUT]
    for number, design in enumerate(chosen * rounds):
        if (not houses or design.name in houses) and (not has_pipe_sensors or has_water(design.rooms[0])):
            seed = HELD_OUT_SEED if is_held_out else TUNING_SEED
            yield live(design, number, seed, has_pipe_sensors=has_pipe_sensors, has_plugs=has_plugs)


def largest_mean(count: int) -> float:
    """Return the upper bound of the mean of which a count was seen (exact Poisson bound, one-sided, `CONFIDENCE`)."""

    def likelihood(mean: float) -> float:
        term = total = exp(-mean)
        for number in range(1, count + 1):
            term *= mean / number
            total += term
        return total

    low, high = 0.0, 10.0 * (count + 1)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if likelihood(middle) > 1.0 - CONFIDENCE else (low, middle)
    return high


def as_markdown(lives: Sequence[Life]) -> str:
    """Return the counts as a table for docs/experiments/sudden-faults.md."""
    lines = [
        "| Sudden fault | reported within 3 h | within 12 h | within 3 h, where heat was called for an hour of them |",
        "|---|---|---|---|",
    ]
    trials = [trial for each in lives for trial in each.trials]
    for name, kind in (*((each.value, each) for each in EquipmentFault), ("all", None)):
        chosen = [each for each in trials if kind in {None, each.fault}]
        used = [each for each in chosen if each.heated_min >= USED_MINUTES or each.is_in_time]
        known = sum(each.reported_min is not None for each in chosen)
        in_time = sum(each.is_in_time for each in chosen)
        lines.append(f"| {name} | {in_time} of {len(chosen)} | {known} of {len(chosen)} | {in_time} of {len(used)} |")
    false_min = [lasted for each in lives for lasted in each.false_min]
    years = sum(each.zone_minutes for each in lives) / MINUTES_A_YEAR
    bound = largest_mean(len(false_min)) / years
    lines.append(
        f"\nReports without a fault: {len(false_min)} in {years:.2f} zone-years (below {bound:.1f} a zone-year with a"
        f" confidence of {CONFIDENCE:.0%}); they lasted {false_min} min."
    )
    return "\n".join(lines)


def as_houses_markdown(lives: Sequence[Life]) -> str:
    """Return the faults that were reported within 3 h by house and kind, and why the others could not be."""
    kinds = " | ".join(each.value for each in EquipmentFault)
    lines = [
        f"| House | {kinds} | within 12 h | late: no heat called for | late: hidden from the room | late: else |",
        f"|---|{'---|' * len(EquipmentFault)}---|---|---|---|",
    ]
    for house in dict.fromkeys(each.house for each in lives):
        trials = [trial for each in lives if each.house == house for trial in each.trials]
        in_time = [[trial.is_in_time for trial in trials if trial.fault is kind] for kind in EquipmentFault]
        unused, hidden = sum(trial.is_unused for trial in trials), sum(trial.is_hidden for trial in trials)
        late = sum(not trial.is_in_time for trial in trials) - unused - hidden
        known = sum(trial.reported_min is not None for trial in trials)
        counts = " | ".join(f"{sum(each)} of {len(each)}" for each in in_time)
        lines.append(f"| {house} | {counts} | {known} of {len(trials)} | {unused} | {hidden} | {late} |")
    return "\n".join(lines)


def main() -> None:
    """Print the counts of both halves of the houses, or of one; each life, in minutes, on standard error."""
    parser = ArgumentParser(prog="python -m lab.maintenance.sudden", description=main.__doc__)
    parser.add_argument("--half", choices=("tuning", "held-out"), help="of the houses; by default each in turn")
    parser.add_argument("--rounds", type=int, default=1, help="how often each house lives, by default once")
    parser.add_argument(
        "--pipe-sensors", action="store_true", help="only houses with water, each room with a thermometer on its pipe"
    )
    parser.add_argument("--houses", nargs="+", default=(), metavar="HOUSE", help="only these of the half")
    parser.add_argument("--plugs", action="store_true", help="panels, split units, pumps and furnaces hang on plugs")
    options = parser.parse_args()
    for name in (options.half,) if options.half else ("tuning", "held-out"):
        lives = []
        for life in fleet(
            is_held_out=name == "held-out",
            houses=options.houses,
            rounds=options.rounds,
            has_pipe_sensors=options.pipe_sensors,
            has_plugs=options.plugs,
        ):
            lives.append(life)
            found = ", ".join(
                f"{trial.fault.value} {trial.reported_min} ({trial.heated_min} min, {trial.missing_k:.1f} K)"
                for trial in life.trials
            )
            # In brackets: for how long heat was called for in the first three hours, and what the room missed by then.
            sys.stderr.write(f"{life.house}: {found}; without a fault {life.false_min}\n")
        sys.stdout.write(f"{name}\n\n{as_markdown(lives)}\n\n{as_houses_markdown(lives)}\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
