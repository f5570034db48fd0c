"""The part of heating control that survives a restart, and how it is restored. Pure.

A restart switches everything off. Equipment that may have run until then has just stopped; a rest that had begun
continues. The home waits no longer than the minimum off times: the rest between cooling and heating is needed only if
the home really changes from one to the other.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import (
    emitter,
    fault_detection,
    heat_source,
    heating_effect,
    open_window,
    outdoor,
    pi_controller,
    power_draw,
    schedule,
    short_cycle_protection,
    supply_pipe,
)
from agent.climate.coordinator import CoordinatorState, initial_state
from agent.climate.emitter import CycleState
from agent.climate.fault_detection import StuckSensorState
from agent.climate.heating_effect import HeatingEffect
from agent.climate.model import Mode, ZoneProgram
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.pi_controller import PiState
from agent.climate.power_draw import PowerDraw
from agent.climate.sensor_probe import SensorProbe
from agent.climate.sensor_rhythm import SensorRhythm
from agent.climate.sensor_validation import ValidationState
from agent.climate.settings import ClimateSettings, HeatSourceKind, ZoneSettings
from agent.climate.short_cycle_protection import Downtime, ShortCycleLimits, ShortCycleState
from agent.climate.supply_pipe import SupplyPipe
from agent.climate.weather_compensation import OutdoorHistory
from agent.climate.zone_state import ZoneState
from agent.foundation.clock import Now
from hal.interface import HvacAction

SHORT_RUN_S = 900.0
"""A run of the agent that is shorter than this is part of a restart loop, or has just begun."""

INTERVAL_S_MIN = 10.0
INTERVAL_AT_START_S = 60.0
INTERVAL_S = 900.0
"""Snapshots are written this often even without a change, so that durations and owed output survive an agent that
restarts in a loop. The first interval is for runs of less than a minute, the second for runs shorter than
`SHORT_RUN_S`; the third spares the card."""

RESTART_LOOP_RUNS = 2
"""The run after this many short runs in a row is part of a restart loop."""

RESTART_LOOP_RUN_S = 15.0
"""In a restart loop each run is assumed to have ended this long after its last snapshot, if the clocks do not tell.
Otherwise no run in a loop of reboots would ever have rested for long enough to heat. A switch is saved within a second
or two."""

LASTED_S_MAX = 10 * 366 * 86_400.0
"""Nothing has lasted longer: only a damaged file says so."""

NEVER_MS = 24 * 3600 * 1000
"""An output that was never on counts as off for this time, which is longer than any rest."""


class ZoneSnapshot(
    msgspec.Struct,
    frozen=True,
    rename={
        "relay": "guard",
        "thermal_mass_c": "walls_c",
        "last_on_ms": "acted_ms",
        "last_known_c": "seen_c",
        "unlearned_share": "unlearned",
        "stuck_sensor": "stillness",
    },
):
    """One zone. `rename` keeps the names in `climate.json`.

    Attributes:
        program: Of the zone.
        learned: About the zone.
        integral: Of its controller.
        owed_s: Output that is owed to its duty: a run of some minutes sees no pulse of a low duty become due.
        direction: Of its controller.
        mean_duty: Its recent heating duty.
        relay: The switching history of its output.
        lost_for_s: For how long it had had no valid sensor; `None` with one.
        thermal_mass_c: The temperature of its walls.
        frost_for_s: For how long frost protection had been active; `None` if it was not.
        last_on_ms: When its output was on last; `None` in files of earlier releases.
        last_known_c: Its last known temperature.
        unlearned_share: See `ZoneState`; `None` in files of earlier releases.
        learned_ago_s: The age of `mean_duty`; `None` if it was never learned, and in files of earlier releases.
        learned_outdoor_c: The outdoor temperature while it was learned.
        stuck_sensor: Detects stuck sensors.
        cycle: What the cycles of its output have shown of its emitter; absent in files of earlier releases.
        usual_falls_k: What `open_window` has learned; empty in files of earlier releases.
        usual_falls_doubt: How little that is.
        sensor_probe: Finds out whether silent sensors are dead.
        effect: What is known of the effect of its heating.
        supply_pipe: What the thermometer on its supply pipe has shown.
        power_draw: What the meter of its equipment has shown.
    """

    program: ZoneProgram
    learned: LearnedDynamics = LearnedDynamics()
    integral: float = 0.0
    owed_s: float = 0.0
    direction: HvacAction = HvacAction.HEAT
    mean_duty: float = 0.0
    relay: ShortCycleState | None = None
    lost_for_s: float | None = None
    thermal_mass_c: float | None = None
    frost_for_s: float | None = None
    last_on_ms: int | None = None
    last_known_c: float | None = None
    unlearned_share: float | None = None
    learned_ago_s: float | None = None
    stuck_sensor: StuckSensorState = StuckSensorState()
    cycle: CycleState = CycleState()
    usual_falls_k: tuple[tuple[float, float], ...] = ()
    usual_falls_doubt: float = 1.0
    sensor_probe: SensorProbe = SensorProbe()
    effect: HeatingEffect = HeatingEffect()
    supply_pipe: SupplyPipe = SupplyPipe()
    power_draw: PowerDraw = PowerDraw()
    learned_outdoor_c: float | None = None


class ClimateSnapshot(
    msgspec.Struct,
    frozen=True,
    rename={"heat_source": "source", "validations": "beliefs", "last_on_ms": "acted_ms", "short_runs": "short_lives"},
):
    """The content of `climate.json`. `rename` keeps the names in the file.

    Attributes:
        boot_id: The boot in which it was taken.
        at_ms: The boot time at which it was taken.
        zones: By id.
        heat_source: The switching history of the shared heat source.
        stage2: Of its second stage.
        aux: Of the auxiliary heat.
        validations: The validity of each sensor, by name.
        utc_ms: The time of day of `at_ms`, if it was known.
        direction: The last action of the home, heat or cool; OFF if unknown.
        last_on_ms: When any output was on last; `None` if unknown.
        short_runs: How many runs of the agent in a row, the present one included, were shorter than `SHORT_RUN_S`.
        rhythms: How each sensor reports, by name.
        outdoor_mean_c: The mean outdoor temperature of about a week; `None` without an outdoor sensor.
        exercised_utc_ms: When the valve of each zone was last exercised, by zone.
        outdoor_history: The outdoor temperature of some days.
    """

    boot_id: str = ""
    at_ms: int = 0
    zones: Mapping[str, ZoneSnapshot] = {}
    heat_source: ShortCycleState | None = None
    stage2: ShortCycleState | None = None
    aux: ShortCycleState | None = None
    validations: Mapping[str, ValidationState] = {}
    utc_ms: int | None = None
    direction: HvacAction = HvacAction.OFF
    last_on_ms: int | None = None
    short_runs: int = 0
    outdoor_mean_c: float | None = None
    rhythms: Mapping[str, SensorRhythm] = {}
    exercised_utc_ms: Mapping[str, int] = {}
    outdoor_history: OutdoorHistory = OutdoorHistory()


class _Restart(msgspec.Struct, frozen=True):
    """What is known about a restart.

    Attributes:
        now_ms: Boot time.
        downtime: Of equipment that could be switched on independently.
        relay_downtime: Of the relays of the zones: without the heat source none of them is switched on.
        away_ms: How long the hub was down, at least.
        keeps_starts: All recorded starts count.
    """

    now_ms: int
    downtime: Downtime
    relay_downtime: Downtime
    away_ms: int
    keeps_starts: bool

    def switching_history(
        self, saved: ShortCycleState | None, limits: ShortCycleLimits, *, is_relay: bool = False
    ) -> ShortCycleState:
        """Return the switching history of a piece of equipment after the restart."""
        if saved is None:
            return short_cycle_protection.assume_stopped(self.now_ms, (self.now_ms,))
        downtime = self.relay_downtime if is_relay else self.downtime
        after = short_cycle_protection.restore(saved, limits, downtime)
        # Starts before a power cut of unknown length may be hours old: the home must not wait an hour for them.
        return after if self.keeps_starts else short_cycle_protection.with_one_start_left(after, limits)

    def last_on_ms(self, saved_ms: int | None, *relays: tuple[ShortCycleState | None, ShortCycleLimits]) -> int:
        """Return when outputs were on last, at the latest."""
        known = [(saved, limits) for saved, limits in relays if saved is not None]
        may_have_run = any(
            saved.is_on or short_cycle_protection.may_have_started(saved, limits, self.relay_downtime)
            for saved, limits in known
        )
        if saved_ms is None or not known or may_have_run:
            return self.downtime.off_since_ms
        return min(saved_ms + self.downtime.clock_offset_ms, self.downtime.off_since_ms)

    def since_ms(self, for_s: float | None) -> int | None:
        """Return the boot time at which something began that had lasted for a time when the snapshot was taken."""
        if for_s is None:
            return None
        return self.now_ms - round(min(LASTED_S_MAX, max(0.0, for_s)) * 1000) - self.away_ms


def interval_s(run_s: float) -> float:
    """Return the longest time to the next snapshot of a run of the agent that has lasted for ``run_s``.

    A run that ends before it has lost at most half of what it did, or the last minute.
    """
    return INTERVAL_S if run_s >= SHORT_RUN_S else min(INTERVAL_AT_START_S, max(INTERVAL_S_MIN, run_s))


def default_program(settings: ZoneSettings) -> ZoneProgram:
    """Return the program of a new zone: heat if it can, else cool."""
    return ZoneProgram(mode=Mode.HEAT if settings.can_heat else Mode.COOL)


def restore_program(saved: ZoneProgram) -> ZoneProgram:
    """Return a program without the schedules that no zone can follow: only a damaged file has them."""
    schedules = {name: each for name, each in saved.schedules.items() if schedule.can_follow(each)}
    return saved if len(schedules) == len(saved.schedules) else msgspec.structs.replace(saved, schedules=schedules)


def restore(saved: ClimateSnapshot, settings: ClimateSettings, now: Now) -> CoordinatorState:
    """Return the state of the home after a restart.

    Args:
        saved: From the disk; the default without a file.
        settings: Of the home as it is configured now: zones may have come and gone.
        now: The present instant.
    """
    restart = _restart_of(saved, settings, now)
    limits = settings.heat_source.limits
    initial = initial_state(settings, now.now_ms)
    relays = [(saved.zones[zone.zone_id].relay, zone.limits) for zone in settings.zones if zone.zone_id in saved.zones]
    return msgspec.structs.replace(
        initial,
        zones=tuple(_restore_zone(saved.zones.get(zone.zone_id), zone, restart) for zone in settings.zones),
        # A home that can do only one of them cannot have done the other.
        direction=saved.direction if initial.direction is HvacAction.OFF else initial.direction,
        last_on_ms=restart.last_on_ms(saved.last_on_ms, *relays),
        heat_source=heat_source.HeatSourceState(
            restart.switching_history(saved.heat_source, limits),
            restart.switching_history(saved.stage2, limits),
            restart.switching_history(saved.aux, limits),
            # The pump runs on: hot water must not be left in the boiler.
            stopped_ms=None if saved.heat_source is None else now.now_ms,
        ),
    )


def _restart_of(saved: ClimateSnapshot, settings: ClimateSettings, now: Now) -> _Restart:
    is_measured, away_ms = downtime_ms(saved, now)
    downtime = relay_downtime = measure_downtime(saved, now)
    if settings.heat_source.kind is not HeatSourceKind.NONE and saved.heat_source is not None:
        may_have_run = saved.heat_source.is_on or short_cycle_protection.may_have_started(
            saved.heat_source, settings.heat_source.limits, downtime
        )
        if not may_have_run:
            relay_downtime = msgspec.structs.replace(downtime, unrecorded_ms=0)
    keeps_starts = is_measured or saved.short_runs >= RESTART_LOOP_RUNS
    return _Restart(now.now_ms, downtime, relay_downtime, away_ms, keeps_starts)


def _restore_zone(saved: ZoneSnapshot | None, settings: ZoneSettings, restart: _Restart) -> ZoneState:
    if saved is None:
        return ZoneState(restart.switching_history(None, settings.limits))
    # A zone that an earlier release has never heated has not learned the duty that it needs.
    unlearned_share = float(saved.mean_duty == 0.0) if saved.unlearned_share is None else _share(saved.unlearned_share)
    return ZoneState(
        restart.switching_history(saved.relay, settings.limits, is_relay=True),
        law=PiState(integral=_share(saved.integral), owed_s=saved.owed_s),
        direction=saved.direction,
        last_on_ms=restart.last_on_ms(saved.last_on_ms, (saved.relay, settings.limits)),
        mean_duty=_share(saved.mean_duty),
        lost_since_ms=restart.since_ms(saved.lost_for_s),
        last_known_c=saved.last_known_c,
        unlearned_share=unlearned_share,
        learned_outdoor_c=outdoor.plausible_c(saved.learned_outdoor_c),
        learned_at_ms=restart.since_ms(saved.learned_ago_s),
        stuck_sensor=fault_detection.restore_stuck_sensor(saved.stuck_sensor),
        sensor_probe=saved.sensor_probe.restored(),
        heating_monitor=fault_detection.restore(saved.effect),
        supply_pipe=supply_pipe.restore(saved.supply_pipe),
        power_draw=power_draw.restore(saved.power_draw),
        cycle=emitter.forget_cycle(saved.cycle),
        frost_since_ms=restart.since_ms(saved.frost_for_s),
        is_frost=saved.frost_for_s is not None,
        window=open_window.restore(saved.usual_falls_k, saved.usual_falls_doubt),
        thermal_mass_c=saved.thermal_mass_c if _is_thermal_mass_known(saved.lost_for_s, restart.away_ms) else None,
    )


def _share(value: float) -> float:
    """Return a share of a file that may be damaged, within 0 and 1."""
    return min(1.0, max(0.0, value))


def downtime_ms(saved: ClimateSnapshot, now: Now) -> tuple[bool, int]:
    """Return whether the time since a snapshot is known, and that time; its lower bound if it is unknown."""
    if saved.boot_id == now.boot_id:
        return True, max(0, now.now_ms - saved.at_ms)
    if saved.utc_ms is not None and now.utc_ms is not None and now.utc_ms - saved.utc_ms >= now.now_ms:
        return True, now.utc_ms - saved.utc_ms
    # It was taken before this boot.
    return False, now.now_ms


def measure_downtime(saved: ClimateSnapshot, now: Now) -> Downtime:
    """Return what is known about the time since a snapshot."""
    now_ms = now.now_ms
    is_measured, away_ms = downtime_ms(saved, now)
    if saved.boot_id == now.boot_id:
        clock_offset_ms, written_ms = 0, min(saved.at_ms, now_ms)
    else:
        clock_offset_ms, written_ms = now_ms - away_ms - saved.at_ms, now_ms - away_ms
    is_loop = saved.short_runs >= RESTART_LOOP_RUNS
    unrecorded_ms = away_ms if is_measured else round(RESTART_LOOP_RUN_S * 1000) if is_loop else None
    return Downtime(clock_offset_ms, now_ms, written_ms, unrecorded_ms)


def extend_downtime(state: CoordinatorState, more_ms: int, started_ms: int, now_ms: int) -> CoordinatorState:
    """Return the state of the home once the time is known, and with it that the hub was down for longer than assumed.

    Args:
        state: Of the home.
        more_ms: The difference.
        started_ms: When the state was restored.
        now_ms: Boot time.
    """

    def shift(at_ms: int | None) -> int | None:
        return at_ms if at_ms is None or at_ms >= started_ms else at_ms - more_ms

    def shift_starts(history: ShortCycleState) -> ShortCycleState:
        # Positive times are of this boot.
        starts = tuple([start_ms - more_ms if start_ms <= 0 else start_ms for start_ms in history.starts_ms])
        return msgspec.structs.replace(history, starts_ms=starts)

    # After this time the walls have followed the air for as long as their temperature is remembered.
    is_thermal_mass_new = now_ms - started_ms >= pi_controller.THERMAL_MASS_MEMORY_S * 1000
    zones = []
    for zone in state.zones:
        lost_for_s = 0.0 if zone.lost_since_ms is None else (now_ms - zone.lost_since_ms) / 1000
        keeps_thermal_mass = is_thermal_mass_new or _is_thermal_mass_known(lost_for_s, more_ms)
        zones.append(
            msgspec.structs.replace(
                zone,
                relay=shift_starts(zone.relay),
                lost_since_ms=shift(zone.lost_since_ms),
                frost_since_ms=shift(zone.frost_since_ms),
                learned_at_ms=shift(zone.learned_at_ms),
                thermal_mass_c=zone.thermal_mass_c if keeps_thermal_mass else None,
            )
        )
    source = state.heat_source
    shifted_source = msgspec.structs.replace(
        source,
        stage1=shift_starts(source.stage1),
        stage2=shift_starts(source.stage2),
        aux=shift_starts(source.aux),
    )
    return msgspec.structs.replace(state, zones=tuple(zones), heat_source=shifted_source)


def _is_thermal_mass_known(lost_for_s: float | None, away_ms: int) -> bool:
    return away_ms / 1000 + (lost_for_s or 0.0) < pi_controller.THERMAL_MASS_MEMORY_S


def take_snapshot(
    state: CoordinatorState,
    settings: ClimateSettings,
    programs: Mapping[str, ZoneProgram],
    learned: Mapping[str, LearnedDynamics],
    validations: Mapping[str, ValidationState],
    rhythms: Mapping[str, SensorRhythm],
    now: Now,
    short_runs: int,
) -> ClimateSnapshot:
    """Return what must survive a restart."""
    sensors = {name for zone_settings in settings.zones for name, _ in zone_settings.sensors}
    is_on = any(zone.action is not HvacAction.OFF for zone in state.zones)
    return ClimateSnapshot(
        boot_id=now.boot_id,
        at_ms=now.now_ms,
        zones={
            zone_settings.zone_id: _zone_snapshot(
                zone, programs[zone_settings.zone_id], learned[zone_settings.zone_id], now.now_ms
            )
            for zone_settings, zone in zip(settings.zones, state.zones, strict=True)
        },
        heat_source=state.heat_source.stage1,
        stage2=state.heat_source.stage2,
        aux=state.heat_source.aux,
        # Sensors that the configuration no longer names are dropped.
        validations={name: validations[name] for name in validations if name in sensors},
        utc_ms=now.utc_ms,
        direction=state.direction,
        last_on_ms=now.now_ms if is_on else state.last_on_ms,
        short_runs=short_runs,
        rhythms={name: rhythms[name] for name in rhythms if name in sensors},
    )


def _zone_snapshot(zone: ZoneState, program: ZoneProgram, learned: LearnedDynamics, now_ms: int) -> ZoneSnapshot:
    def age_s(at_ms: int | None) -> float | None:
        return None if at_ms is None else (now_ms - at_ms) / 1000

    return ZoneSnapshot(
        program=program,
        learned=learned,
        integral=zone.law.integral,
        owed_s=zone.law.owed_s,
        direction=zone.direction,
        mean_duty=zone.mean_duty,
        relay=zone.relay,
        lost_for_s=age_s(zone.lost_since_ms),
        thermal_mass_c=zone.thermal_mass_c,
        frost_for_s=age_s(zone.frost_since_ms),
        last_known_c=zone.last_known_c,
        unlearned_share=zone.unlearned_share,
        learned_outdoor_c=zone.learned_outdoor_c,
        learned_ago_s=age_s(zone.learned_at_ms),
        stuck_sensor=zone.stuck_sensor,
        cycle=emitter.forget_cycle(zone.cycle),
        usual_falls_k=zone.window.usual_k,
        usual_falls_doubt=zone.window.doubt,
        sensor_probe=zone.sensor_probe,
        effect=heating_effect.restore(zone.heating_monitor.effect),
        supply_pipe=supply_pipe.restore(zone.supply_pipe),
        power_draw=power_draw.restore(zone.power_draw),
        last_on_ms=now_ms - NEVER_MS if zone.last_on_ms is None else zone.last_on_ms,
    )
