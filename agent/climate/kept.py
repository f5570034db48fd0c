"""What of the control room survives a restart, and how it is taken up again. Pure.

What was on when it was written down says nothing about now: everything counts as just stopped.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import guard, source, walls
from agent.climate.belief import Belief
from agent.climate.guard import Guard
from agent.climate.holds import Program
from agent.climate.house import HouseState, just_started
from agent.climate.law import LawState
from agent.climate.model import Mode, Moment
from agent.climate.optimum import Learned
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.zone import ZoneState
from hal.interface import HvacAction


class KeptZone(msgspec.Struct, frozen=True):
    """One zone: what it was told, what it has learned, what its relay has been through, since when it is blind.

    `lost_for_s` is how long its sensors had said nothing when it was written; `None` where they did. `walls_c` is how
    warm its walls were.
    """

    program: Program
    learned: Learned = Learned()
    integral: float = 0.0
    direction: HvacAction = HvacAction.HEAT
    mean_duty: float = 0.0
    guard: Guard | None = None
    lost_for_s: float | None = None
    walls_c: float | None = None


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
    """

    boot_id: str = ""
    at_ms: int = 0
    zones: Mapping[str, KeptZone] = {}
    source: Guard | None = None
    stage2: Guard | None = None
    aux: Guard | None = None
    beliefs: Mapping[str, Belief] = {}
    utc_ms: int | None = None


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
    is_same_boot = kept.boot_id == moment.boot_id
    now_ms = moment.now_ms

    def again(saved: Guard | None) -> Guard:
        if saved is None:
            return guard.just_stopped(now_ms, (now_ms,))
        return guard.restored(saved, saved_ms=kept.at_ms, now_ms=now_ms, is_same_boot=is_same_boot)

    away_s = _away_s(kept, moment)
    zones = []
    for zone_settings in settings.zones:
        saved = kept.zones.get(zone_settings.zone_id)
        if saved is None:
            zones.append(ZoneState(again(None)))
            continue
        zones.append(
            ZoneState(
                again(saved.guard),
                law=LawState(integral=saved.integral),
                direction=saved.direction,
                mean_duty=saved.mean_duty,
                lost_ms=None if saved.lost_for_s is None else now_ms - round((saved.lost_for_s + away_s) * 1000),
                walls_c=saved.walls_c if away_s < walls.STILL_KNOWN_S else None,
            )
        )
    fresh = just_started(settings, now_ms)
    return msgspec.structs.replace(
        fresh,
        zones=tuple(zones),
        source=source.SourceState(
            again(kept.source),
            again(kept.stage2),
            again(kept.aux),
            # Hot water must not be left standing in the boiler.
            stopped_ms=None if kept.source is None else now_ms,
        ),
    )


def _away_s(kept: Kept, moment: Moment) -> float:
    """Return for how long nobody was there, at least: 0 where the clocks do not say."""
    if kept.boot_id == moment.boot_id:
        away_ms = moment.now_ms - kept.at_ms
    elif kept.utc_ms is None or moment.utc_ms is None:
        away_ms = 0
    else:
        away_ms = moment.utc_ms - kept.utc_ms
    return max(0, away_ms) / 1000


def to_keep(
    state: HouseState,
    settings: ClimateSettings,
    programs: Mapping[str, Program],
    learned: Mapping[str, Learned],
    beliefs: Mapping[str, Belief],
    moment: Moment,
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
            )
            for zone_settings, zone in zip(settings.zones, state.zones, strict=True)
        },
        source=state.source.guard,
        stage2=state.source.stage2,
        aux=state.source.aux,
        # A sensor that was taken out of the configuration is of no use any more.
        beliefs={name: beliefs[name] for name in beliefs if name in counted},
        utc_ms=moment.utc_ms,
    )
