"""What of the control room survives a restart, and how it is taken up again. Pure.

A restart switches everything off. What may have run until then has just stopped; what was resting rests on. The home is
not kept waiting for longer than the minimum off times: only a home that really turns from cooling to heating, or back,
needs the rest between them.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import heat_source, short_cycle_protection, thermal_mass
from agent.climate.coordinator import CoordinatorState, initial_state
from agent.climate.holds import ZoneProgram
from agent.climate.model import Mode
from agent.climate.optimum_start import LearnedDynamics
from agent.climate.pi_controller import PiState
from agent.climate.sensor_validation import ValidationState
from agent.climate.settings import ClimateSettings, HeatSourceKind, ZoneSettings
from agent.climate.short_cycle_protection import Downtime, ShortCycleLimits, ShortCycleState
from agent.climate.stuck_sensor import StuckSensorState
from agent.climate.zone_state import ZoneState
from agent.foundation.clock import Now
from hal.interface import HvacAction

SHORT_RUN_S = 900.0
"""An agent that does not live for so long is restarted over and over, or has just begun."""

RESTART_LOOP_RUNS = 2
"""After so many short lives in a row the next one is part of a loop,"""

RESTART_LOOP_RUN_S = 15.0
"""and each of them is taken to have ended so soon after its last note, where the clocks do not say: else no life in a
loop of reboots would ever have rested for long enough to heat. What was switched is written within a second or two."""

NEVER_MS = 24 * 3600 * 1000
"""An output that was never on counts as off for so long: longer than any rest."""


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
    """One zone: what it was told, what it has learned, what its relay has been through, since when it is blind.

    `lost_for_s` is how long its sensors had said nothing when it was written, `frost_for_s` how long frost protection
    had been at work; `None` where they did, and where it was not. `thermal_mass_c` is how warm its walls were.
    `last_on_ms` is when its output was on last, `learned_ago_s` how long ago its need was learned, `unlearned_share`
    see `ZoneState`; `None` where an earlier release has not written that.
    """

    program: ZoneProgram
    learned: LearnedDynamics = LearnedDynamics()
    integral: float = 0.0
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


class ClimateSnapshot(
    msgspec.Struct,
    frozen=True,
    rename={"heat_source": "source", "validations": "beliefs", "last_on_ms": "acted_ms", "short_runs": "short_lives"},
):
    """Content of the file.

    Attributes:
        boot_id: The boot in which it was written.
        at_ms: Boot time of that.
        zones: By id.
        source: Of the shared source.
        stage2: Of its second stage.
        aux: Of the auxiliary heat.
        validations: What each sensor said last that can be, by name.
        utc_ms: The time of day of `at_ms`, where that was known.
        direction: What the home did last, heat or cool; OFF where nobody knows.
        last_on_ms: When any output was on last; `None` where nobody knows.
        short_runs: How many lives of the agent in a row, that which wrote it included, were shorter than
            `SHORT_RUN_S` by then.
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


def default_program(settings: ZoneSettings) -> ZoneProgram:
    """Return what a zone does before anybody has told it anything: heat if it can, else cool."""
    return ZoneProgram(mode=Mode.HEAT if settings.can_heat else Mode.COOL)


def restore(kept: ClimateSnapshot, settings: ClimateSettings, now: Now) -> CoordinatorState:
    """Return the home's state after a restart.

    Args:
        kept: From the disk; empty where there is nothing.
        settings: Of the home as it is now configured: zones may have come and gone.
        now: Now.
    """
    now_ms = now.now_ms
    is_measured, away_ms = downtime_ms(kept, now)
    absence = measure_downtime(kept, now)

    def again(saved: ShortCycleState | None, limits: ShortCycleLimits, since: Downtime = absence) -> ShortCycleState:
        if saved is None:
            return short_cycle_protection.assume_stopped(now_ms, (now_ms,))
        after = short_cycle_protection.restore(saved, limits, since)
        # Starts of before a power cut of unknown length may be hours old: the home is not to wait an hour for them.
        is_long_ago = not is_measured and kept.short_runs < RESTART_LOOP_RUNS
        return short_cycle_protection.with_one_start_left(after, limits) if is_long_ago else after

    def last_acted_ms(last_on_ms: int | None, *guards: tuple[ShortCycleState | None, ShortCycleLimits]) -> int:
        known = [(saved, limits) for saved, limits in guards if saved is not None]
        may_have_run = any(
            saved.is_on or short_cycle_protection.may_have_started(saved, limits, relays_absence)
            for saved, limits in known
        )
        is_known = last_on_ms is not None and known and not may_have_run
        return (
            min(last_on_ms + absence.clock_offset_ms, absence.off_since_ms)
            if is_known and last_on_ms is not None
            else absence.off_since_ms
        )

    limits = settings.heat_source.limits
    relays_absence = absence
    if (
        settings.heat_source.kind is not HeatSourceKind.NONE
        and kept.heat_source is not None
        and not kept.heat_source.is_on
    ):
        # Without the source no zone's relay is switched on.
        has_rested = not short_cycle_protection.may_have_started(kept.heat_source, limits, absence)
        relays_absence = msgspec.structs.replace(absence, unrecorded_ms=0) if has_rested else absence
    zones = []
    for zone_settings in settings.zones:
        saved = kept.zones.get(zone_settings.zone_id)
        if saved is None:
            zones.append(ZoneState(again(None, zone_settings.limits)))
            continue
        zones.append(
            ZoneState(
                again(saved.relay, zone_settings.limits, relays_absence),
                law=PiState(integral=saved.integral),
                direction=saved.direction,
                last_on_ms=last_acted_ms(saved.last_on_ms, (saved.relay, zone_settings.limits)),
                mean_duty=saved.mean_duty,
                lost_since_ms=_since_ms(saved.lost_for_s, away_ms, now_ms),
                last_known_c=saved.last_known_c,
                # One that an earlier release has never heated has not learned what it needs.
                unlearned_share=float(saved.mean_duty == 0.0)
                if saved.unlearned_share is None
                else saved.unlearned_share,
                learned_at_ms=_since_ms(saved.learned_ago_s, away_ms, now_ms),
                stuck_sensor=saved.stuck_sensor,
                frost_since_ms=_since_ms(saved.frost_for_s, away_ms, now_ms),
                is_frost=saved.frost_for_s is not None,
                thermal_mass_c=saved.thermal_mass_c if _are_walls_known(saved.lost_for_s, away_ms) else None,
            )
        )
    fresh = initial_state(settings, now_ms)
    relays = [(kept.zones[zone.zone_id].relay, zone.limits) for zone in settings.zones if zone.zone_id in kept.zones]
    return msgspec.structs.replace(
        fresh,
        zones=tuple(zones),
        # A home that can do only one of them cannot have done the other.
        direction=kept.direction if fresh.direction is HvacAction.OFF else fresh.direction,
        last_on_ms=last_acted_ms(kept.last_on_ms, *relays),
        heat_source=heat_source.HeatSourceState(
            again(kept.heat_source, limits),
            again(kept.stage2, limits),
            again(kept.aux, limits),
            # Hot water must not be left standing in the boiler.
            stopped_ms=None if kept.heat_source is None else now_ms,
        ),
    )


def downtime_ms(kept: ClimateSnapshot, now: Now) -> tuple[bool, int]:
    """Return whether it is known for how long nobody was there, and for how long, at least."""
    if kept.boot_id == now.boot_id:
        return True, max(0, now.now_ms - kept.at_ms)
    if kept.utc_ms is not None and now.utc_ms is not None and now.utc_ms - kept.utc_ms >= now.now_ms:
        return True, now.utc_ms - kept.utc_ms
    # It was written before this boot.
    return False, now.now_ms


def measure_downtime(kept: ClimateSnapshot, now: Now) -> Downtime:
    """Return what is known of the time since all that was written."""
    now_ms = now.now_ms
    is_measured, away_ms = downtime_ms(kept, now)
    if kept.boot_id == now.boot_id:
        clock_offset_ms, written_ms = 0, min(kept.at_ms, now_ms)
    else:
        clock_offset_ms, written_ms = now_ms - away_ms - kept.at_ms, now_ms - away_ms
    is_loop = kept.short_runs >= RESTART_LOOP_RUNS
    unrecorded_ms = away_ms if is_measured else round(RESTART_LOOP_RUN_S * 1000) if is_loop else None
    return Downtime(clock_offset_ms, now_ms, written_ms, unrecorded_ms)


def extend_downtime(state: CoordinatorState, more_ms: int, begun_ms: int, now_ms: int) -> CoordinatorState:
    """Return the home's state once the time is known, which says that the hub was away for longer than it seemed.

    Args:
        state: Of the home.
        more_ms: So much longer.
        begun_ms: When the state was taken up.
        now_ms: Boot time.
    """

    def older(at_ms: int | None) -> int | None:
        return at_ms if at_ms is None or at_ms >= begun_ms else at_ms - more_ms

    def guard_older(after: ShortCycleState) -> ShortCycleState:
        # Of this boot is what came after its beginning.
        starts = tuple([start_ms - more_ms if start_ms <= 0 else start_ms for start_ms in after.starts_ms])
        return msgspec.structs.replace(after, starts_ms=starts)

    # By now they have followed the air for as long as they are believed.
    are_walls_new = now_ms - begun_ms >= thermal_mass.MEMORY_S * 1000
    zones = []
    for zone in state.zones:
        lost_s = 0.0 if zone.lost_since_ms is None else (now_ms - zone.lost_since_ms) / 1000
        keeps_walls = are_walls_new or _are_walls_known(lost_s, more_ms)
        zones.append(
            msgspec.structs.replace(
                zone,
                relay=guard_older(zone.relay),
                lost_since_ms=older(zone.lost_since_ms),
                frost_since_ms=older(zone.frost_since_ms),
                learned_at_ms=older(zone.learned_at_ms),
                thermal_mass_c=zone.thermal_mass_c if keeps_walls else None,
            )
        )
    source_state = state.heat_source
    parts = (source_state.stage1, source_state.stage2, source_state.aux)
    guards = dict(zip(("stage1", "stage2", "aux"), map(guard_older, parts), strict=True))
    return msgspec.structs.replace(
        state, zones=tuple(zones), heat_source=msgspec.structs.replace(source_state, **guards)
    )


def _since_ms(for_s: float | None, away_ms: int, now_ms: int) -> int | None:
    return None if for_s is None else now_ms - round(for_s * 1000) - away_ms


def _are_walls_known(lost_for_s: float | None, away_ms: int) -> bool:
    return away_ms / 1000 + (lost_for_s or 0.0) < thermal_mass.MEMORY_S


def take_snapshot(
    state: CoordinatorState,
    settings: ClimateSettings,
    programs: Mapping[str, ZoneProgram],
    learned: Mapping[str, LearnedDynamics],
    validations: Mapping[str, ValidationState],
    now: Now,
    short_runs: int,
) -> ClimateSnapshot:
    """Return what is to be written down."""
    counted = {name for zone_settings in settings.zones for name, _ in zone_settings.sensors}
    return ClimateSnapshot(
        boot_id=now.boot_id,
        at_ms=now.now_ms,
        zones={
            zone_settings.zone_id: ZoneSnapshot(
                program=programs[zone_settings.zone_id],
                learned=learned[zone_settings.zone_id],
                integral=zone.law.integral,
                direction=zone.direction,
                mean_duty=zone.mean_duty,
                relay=zone.relay,
                lost_for_s=None if zone.lost_since_ms is None else (now.now_ms - zone.lost_since_ms) / 1000,
                thermal_mass_c=zone.thermal_mass_c,
                frost_for_s=None if zone.frost_since_ms is None else (now.now_ms - zone.frost_since_ms) / 1000,
                last_known_c=zone.last_known_c,
                unlearned_share=zone.unlearned_share,
                learned_ago_s=None if zone.learned_at_ms is None else (now.now_ms - zone.learned_at_ms) / 1000,
                stuck_sensor=zone.stuck_sensor,
                last_on_ms=now.now_ms - NEVER_MS if zone.last_on_ms is None else zone.last_on_ms,
            )
            for zone_settings, zone in zip(settings.zones, state.zones, strict=True)
        },
        heat_source=state.heat_source.stage1,
        stage2=state.heat_source.stage2,
        aux=state.heat_source.aux,
        # A sensor that was taken out of the configuration is of no use any more.
        validations={name: validations[name] for name in validations if name in counted},
        utc_ms=now.utc_ms,
        direction=state.direction,
        last_on_ms=now.now_ms if any(zone.action is not HvacAction.OFF for zone in state.zones) else state.last_on_ms,
        short_runs=short_runs,
    )
