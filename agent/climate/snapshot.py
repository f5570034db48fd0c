"""What of the control room survives a restart, and how it is taken up again. Pure.

A restart switches everything off. What may have run until then has just stopped; what was resting rests on. The home is
not kept waiting for longer than the minimum off times: only a home that really turns from cooling to heating, or back,
needs the rest between them.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import heat_source, short_cycle_protection, thermal_mass
from agent.climate.coordinator import HouseState, just_started
from agent.climate.holds import Program
from agent.climate.model import Mode, Moment
from agent.climate.optimum_start import Learned
from agent.climate.pi_controller import LawState
from agent.climate.sensor_validation import Belief
from agent.climate.settings import ClimateSettings, SourceKind, ZoneSettings
from agent.climate.short_cycle_protection import Absence, Guard, GuardLimits
from agent.climate.stuck_sensor import Stillness
from agent.climate.zone_state import ZoneState
from hal.interface import HvacAction

SHORT_LIFE_S = 900.0
"""An agent that does not live for so long is restarted over and over, or has just begun."""

LOOP_LIVES = 2
"""After so many short lives in a row the next one is part of a loop,"""

LOOP_LIVED_S = 15.0
"""and each of them is taken to have ended so soon after its last note, where the clocks do not say: else no life in a
loop of reboots would ever have rested for long enough to heat. What was switched is written within a second or two."""

NEVER_MS = 24 * 3600 * 1000
"""An output that was never on counts as off for so long: longer than any rest."""


class KeptZone(msgspec.Struct, frozen=True):
    """One zone: what it was told, what it has learned, what its relay has been through, since when it is blind.

    `lost_for_s` is how long its sensors had said nothing when it was written, `frost_for_s` how long frost protection
    had been at work; `None` where they did, and where it was not. `walls_c` is how warm its walls were. `acted_ms` is
    when its output was on last, `learned_ago_s` how long ago its need was learned, `unlearned` see `ZoneState`; `None`
    where an earlier release has not written that.
    """

    program: Program
    learned: Learned = Learned()
    integral: float = 0.0
    direction: HvacAction = HvacAction.HEAT
    mean_duty: float = 0.0
    guard: Guard | None = None
    lost_for_s: float | None = None
    walls_c: float | None = None
    frost_for_s: float | None = None
    acted_ms: int | None = None
    seen_c: float | None = None
    unlearned: float | None = None
    learned_ago_s: float | None = None
    stillness: Stillness = Stillness()


class Kept(msgspec.Struct, frozen=True):
    """Content of the file.

    Attributes:
        boot_id: The boot in which it was written.
        at_ms: Boot time of that.
        zones: By id.
        source: Of the shared source.
        stage2: Of its second stage.
        aux: Of the auxiliary heat.
        beliefs: What each sensor said last that can be, by name.
        utc_ms: The time of day of `at_ms`, where that was known.
        direction: What the home did last, heat or cool; OFF where nobody knows.
        acted_ms: When any output was on last; `None` where nobody knows.
        short_lives: How many lives of the agent in a row, that which wrote it included, were shorter than
            `SHORT_LIFE_S` by then.
    """

    boot_id: str = ""
    at_ms: int = 0
    zones: Mapping[str, KeptZone] = {}
    source: Guard | None = None
    stage2: Guard | None = None
    aux: Guard | None = None
    beliefs: Mapping[str, Belief] = {}
    utc_ms: int | None = None
    direction: HvacAction = HvacAction.OFF
    acted_ms: int | None = None
    short_lives: int = 0


def first_program(settings: ZoneSettings) -> Program:
    """Return what a zone does before anybody has told it anything: heat if it can, else cool."""
    return Program(mode=Mode.HEAT if settings.can_heat else Mode.COOL)


def taken_up(kept: Kept, settings: ClimateSettings, moment: Moment) -> HouseState:
    """Return the home's state after a restart.

    Args:
        kept: From the disk; empty where there is nothing.
        settings: Of the home as it is now configured: zones may have come and gone.
        moment: Now.
    """
    now_ms = moment.now_ms
    is_measured, away_ms = away(kept, moment)
    absence = absence_of(kept, moment)

    def again(saved: Guard | None, limits: GuardLimits, since: Absence = absence) -> Guard:
        if saved is None:
            return short_cycle_protection.just_stopped(now_ms, (now_ms,))
        after = short_cycle_protection.restored(saved, limits, since)
        # Starts of before a power cut of unknown length may be hours old: the home is not to wait an hour for them.
        is_long_ago = not is_measured and kept.short_lives < LOOP_LIVES
        return short_cycle_protection.with_one_start_left(after, limits) if is_long_ago else after

    def last_acted_ms(acted_ms: int | None, *guards: tuple[Guard | None, GuardLimits]) -> int:
        known = [(saved, limits) for saved, limits in guards if saved is not None]
        may_have_run = any(
            saved.is_on or short_cycle_protection.may_have_run(saved, limits, relays_absence) for saved, limits in known
        )
        is_known = acted_ms is not None and known and not may_have_run
        return min(acted_ms + absence.shift_ms, absence.off_ms) if is_known and acted_ms is not None else absence.off_ms

    limits = settings.source.limits
    relays_absence = absence
    if settings.source.kind is not SourceKind.NONE and kept.source is not None and not kept.source.is_on:
        # Without the source no zone's relay is switched on.
        has_rested = not short_cycle_protection.may_have_run(kept.source, limits, absence)
        relays_absence = msgspec.structs.replace(absence, lived_ms=0) if has_rested else absence
    zones = []
    for zone_settings in settings.zones:
        saved = kept.zones.get(zone_settings.zone_id)
        if saved is None:
            zones.append(ZoneState(again(None, zone_settings.limits)))
            continue
        zones.append(
            ZoneState(
                again(saved.guard, zone_settings.limits, relays_absence),
                law=LawState(integral=saved.integral),
                direction=saved.direction,
                acted_ms=last_acted_ms(saved.acted_ms, (saved.guard, zone_settings.limits)),
                mean_duty=saved.mean_duty,
                lost_ms=_since_ms(saved.lost_for_s, away_ms, now_ms),
                seen_c=saved.seen_c,
                # One that an earlier release has never heated has not learned what it needs.
                unlearned=float(saved.mean_duty == 0.0) if saved.unlearned is None else saved.unlearned,
                learned_ms=_since_ms(saved.learned_ago_s, away_ms, now_ms),
                stillness=saved.stillness,
                frost_ms=_since_ms(saved.frost_for_s, away_ms, now_ms),
                is_frost=saved.frost_for_s is not None,
                walls_c=saved.walls_c if _are_walls_known(saved.lost_for_s, away_ms) else None,
            )
        )
    fresh = just_started(settings, now_ms)
    relays = [(kept.zones[zone.zone_id].guard, zone.limits) for zone in settings.zones if zone.zone_id in kept.zones]
    return msgspec.structs.replace(
        fresh,
        zones=tuple(zones),
        # A home that can do only one of them cannot have done the other.
        direction=kept.direction if fresh.direction is HvacAction.OFF else fresh.direction,
        acted_ms=last_acted_ms(kept.acted_ms, *relays),
        source=heat_source.SourceState(
            again(kept.source, limits),
            again(kept.stage2, limits),
            again(kept.aux, limits),
            # Hot water must not be left standing in the boiler.
            stopped_ms=None if kept.source is None else now_ms,
        ),
    )


def away(kept: Kept, moment: Moment) -> tuple[bool, int]:
    """Return whether it is known for how long nobody was there, and for how long, at least."""
    if kept.boot_id == moment.boot_id:
        return True, max(0, moment.now_ms - kept.at_ms)
    if kept.utc_ms is not None and moment.utc_ms is not None and moment.utc_ms - kept.utc_ms >= moment.now_ms:
        return True, moment.utc_ms - kept.utc_ms
    # It was written before this boot.
    return False, moment.now_ms


def absence_of(kept: Kept, moment: Moment) -> Absence:
    """Return what is known of the time since all that was written."""
    now_ms = moment.now_ms
    is_measured, away_ms = away(kept, moment)
    if kept.boot_id == moment.boot_id:
        shift_ms, written_ms = 0, min(kept.at_ms, now_ms)
    else:
        shift_ms, written_ms = now_ms - away_ms - kept.at_ms, now_ms - away_ms
    is_loop = kept.short_lives >= LOOP_LIVES
    lived_ms = away_ms if is_measured else round(LOOP_LIVED_S * 1000) if is_loop else None
    return Absence(shift_ms, now_ms, written_ms, lived_ms)


def aged(state: HouseState, more_ms: int, begun_ms: int, now_ms: int) -> HouseState:
    """Return the home's state once the time is known, which says that the hub was away for longer than it seemed.

    Args:
        state: Of the home.
        more_ms: So much longer.
        begun_ms: When the state was taken up.
        now_ms: Boot time.
    """

    def older(at_ms: int | None) -> int | None:
        return at_ms if at_ms is None or at_ms >= begun_ms else at_ms - more_ms

    def guard_older(after: Guard) -> Guard:
        # Of this boot is what came after its beginning.
        starts = tuple([start_ms - more_ms if start_ms <= 0 else start_ms for start_ms in after.starts_ms])
        return msgspec.structs.replace(after, starts_ms=starts)

    # By now they have followed the air for as long as they are believed.
    are_walls_new = now_ms - begun_ms >= thermal_mass.STILL_KNOWN_S * 1000
    zones = []
    for zone in state.zones:
        lost_s = 0.0 if zone.lost_ms is None else (now_ms - zone.lost_ms) / 1000
        keeps_walls = are_walls_new or _are_walls_known(lost_s, more_ms)
        zones.append(
            msgspec.structs.replace(
                zone,
                guard=guard_older(zone.guard),
                lost_ms=older(zone.lost_ms),
                frost_ms=older(zone.frost_ms),
                learned_ms=older(zone.learned_ms),
                walls_c=zone.walls_c if keeps_walls else None,
            )
        )
    source_state = state.source
    parts = (source_state.guard, source_state.stage2, source_state.aux)
    guards = dict(zip(("guard", "stage2", "aux"), map(guard_older, parts), strict=True))
    return msgspec.structs.replace(state, zones=tuple(zones), source=msgspec.structs.replace(source_state, **guards))


def _since_ms(for_s: float | None, away_ms: int, now_ms: int) -> int | None:
    return None if for_s is None else now_ms - round(for_s * 1000) - away_ms


def _are_walls_known(lost_for_s: float | None, away_ms: int) -> bool:
    return away_ms / 1000 + (lost_for_s or 0.0) < thermal_mass.STILL_KNOWN_S


def to_keep(
    state: HouseState,
    settings: ClimateSettings,
    programs: Mapping[str, Program],
    learned: Mapping[str, Learned],
    beliefs: Mapping[str, Belief],
    moment: Moment,
    short_lives: int,
) -> Kept:
    """Return what is to be written down."""
    counted = {name for zone_settings in settings.zones for name, _ in zone_settings.sensors}
    return Kept(
        boot_id=moment.boot_id,
        at_ms=moment.now_ms,
        zones={
            zone_settings.zone_id: KeptZone(
                program=programs[zone_settings.zone_id],
                learned=learned[zone_settings.zone_id],
                integral=zone.law.integral,
                direction=zone.direction,
                mean_duty=zone.mean_duty,
                guard=zone.guard,
                lost_for_s=None if zone.lost_ms is None else (moment.now_ms - zone.lost_ms) / 1000,
                walls_c=zone.walls_c,
                frost_for_s=None if zone.frost_ms is None else (moment.now_ms - zone.frost_ms) / 1000,
                seen_c=zone.seen_c,
                unlearned=zone.unlearned,
                learned_ago_s=None if zone.learned_ms is None else (moment.now_ms - zone.learned_ms) / 1000,
                stillness=zone.stillness,
                acted_ms=moment.now_ms - NEVER_MS if zone.acted_ms is None else zone.acted_ms,
            )
            for zone_settings, zone in zip(settings.zones, state.zones, strict=True)
        },
        source=state.source.guard,
        stage2=state.source.stage2,
        aux=state.source.aux,
        # A sensor that was taken out of the configuration is of no use any more.
        beliefs={name: beliefs[name] for name in beliefs if name in counted},
        utc_ms=moment.utc_ms,
        direction=state.direction,
        acted_ms=moment.now_ms if any(zone.action is not HvacAction.OFF for zone in state.zones) else state.acted_ms,
        short_lives=short_lives,
    )
