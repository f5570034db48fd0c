"""Fallback heating for a zone without a trustworthy sensor: a bounded duty, never cooling. Pure.

There are three reasons to heat: the duty that the zone needed recently, frost elsewhere in the home, and that frost in
this zone cannot be ruled out. Every duty is bounded, because nothing measures whether the room gets too warm.
"""

from collections.abc import Sequence

import msgspec

from agent.climate import pi_controller
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import Mode
from agent.climate.pi_controller import PiOutput, PiState
from agent.climate.settings import ZoneSettings

FROST_DUTY_MAX = 0.5
"""Emitters carry a room through the coldest day at a duty of about 0.9, some 33 K above the outside: half of their
output keeps it 18 K above, so from frost and, with frost outside, below 24 °C."""

FROST_DUTY_LATER = 0.35
"""From the second day on: 12 K above the outside. What is wrong about frost may be so in mild weather."""

FROST_DAY_S = 24 * 3600.0

MILD_C = 20.0
"""In a home that is as warm as this in the middle, an unmeasured room does not freeze because another one does."""

FROST_SHARE = 0.65
"""An unmeasured room gets so much of what heated rooms take, to keep it from frost: with those at 20 °C it stays above
4 °C down to 25 K of frost, whatever the size of the emitters, and it never gets warmer than they are."""

DUTY_MEMORY_S = 14 * 24 * 3600.0
"""What a room needed when it was measured is less and less of a guide to what it needs now: autumn becomes winter."""

COOLS_K_PER_H = 1.0
"""No heated home cools faster: a room that was 20 °C when its sensor fell silent is not frozen for half a day. Measured
houses lose about half of that in frost (time constants of 40 to 60 h), leaky ones with the wind on them this much."""

FIRST_READING_WAIT_S = 2 * 3600.0
"""Sensors that were never heard may yet be paired, or report soon: so long nothing is done."""

HOUR_S = 3600.0


class PeerZone(msgspec.Struct, frozen=True):
    """Another zone that is measured and heated: how warm it is, and what duty that takes."""

    value_c: float
    duty: float


def median_duty(peers: Sequence[PeerZone]) -> float | None:
    """Return what a room takes, judged by others; `None` where there are none."""
    duties = sorted(peer.duty for peer in peers)
    return duties[len(duties) // 2] if duties else None


def precautionary_duty(
    settings: ZoneSettings,
    others_c: Sequence[float],
    peers: Sequence[PeerZone],
    *,
    need: float | None = None,
    need_age_s: float = 0.0,
) -> float:
    """Return the frost protection duty of a zone in which frost cannot be ruled out.

    Args:
        settings: Of the zone.
        others_c: The temperatures of the other zones that are known, in order.
        peers: Of those, the ones that are heated.
        need: What it needed itself when it was measured; `None` where that was never learned.
        need_age_s: How long ago that was.
    """
    known = median_duty(peers)
    if known is not None:
        return min(FROST_DUTY_MAX, FROST_SHARE * known)
    if others_c:
        return frost_duty(settings, others_c[len(others_c) // 2], FROST_DAY_S)
    if need is None or need >= FROST_DUTY_LATER:
        return FROST_DUTY_LATER
    return need + (FROST_DUTY_LATER - need) * min(1.0, need_age_s / DUTY_MEMORY_S)


def default_duty(settings: ZoneSettings, others_c: Sequence[float], peers: Sequence[PeerZone]) -> float:
    """Return the duty of a room whose need was never learned, for comfort's sake. See `precautionary_duty`."""
    known = median_duty(peers)
    return precautionary_duty(settings, others_c, peers) if known is None else known


def precaution_delay_s(settings: ZoneSettings, last_known_c: float | None, *, mode: Mode) -> float:
    """Return after how long without a sensor a room may be freezing.

    Args:
        settings: Of the zone.
        last_known_c: How warm it was when that was known last; `None` for never.
        mode: Where it does not heat, the room gets nothing for comfort meanwhile.
    """
    if mode in {Mode.HEAT, Mode.AUTO}:
        return settings.fallback_s_max
    if last_known_c is None:
        return FIRST_READING_WAIT_S
    return min(settings.fallback_s_max, max(0.0, last_known_c - settings.frost_c) / COOLS_K_PER_H * HOUR_S)


def frost_duty(settings: ZoneSettings, middle_c: float, for_s: float = 0.0) -> float:
    """Return the duty that keeps an unmeasured zone from frost when another sensor of the home is in it.

    Args:
        settings: Of the zone.
        middle_c: The middle of the zones that are measured: the colder the home, the more.
        for_s: For how long it has been in frost already.
    """
    share = (MILD_C - middle_c) / (MILD_C - settings.frost_c)
    duty_max = FROST_DUTY_MAX if for_s < FROST_DAY_S else FROST_DUTY_LATER
    return duty_max * min(1.0, max(0.0, share))


def modulate(state: PiState, settings: ZoneSettings, *, duty: float, dt_s: float, was_on: bool) -> PiOutput:
    """Return a duty as whole switchings; what the law has found out is kept for when the zone sees again."""
    # Without an error the law is a mere modulator.
    made = pi_controller.step(
        PiState(0.0, state.owed_s), settings.law, error_k=0.0, dt_s=dt_s, was_on=was_on, feed_forward=duty
    )
    return msgspec.structs.replace(made, state=PiState(state.integral, made.state.owed_s))


def comfort_duty(
    settings: ZoneSettings,
    room: ZoneTemperature,
    *,
    mean_duty: float,
    lost_for_s: float,
    can_act: bool,
    duty_max: float | None = None,
) -> tuple[float, str]:
    """Return the duty that the zone is given for comfort's sake, and why.

    Args:
        settings: Of the zone.
        room: Says what is the matter with the sensors.
        mean_duty: What it needed of late.
        lost_for_s: For how long nothing is known.
        can_act: Its mode and its output let it be heated.
        duty_max: In place of `fallback_duty_max`.
    """
    if not can_act:
        return 0.0, f"off: no usable sensor ({room.problem})"
    if lost_for_s >= settings.fallback_s_max:
        return 0.0, f"off: no usable sensor for {settings.fallback_s_max / 3600:.0f} h ({room.problem})"
    duty = min(mean_duty, settings.fallback_duty_max if duty_max is None else duty_max)
    if duty <= pi_controller.NO_DUTY:
        return 0.0, f"idle: no usable sensor ({room.problem}), and it needed no heat of late"
    return duty, f"heating blindly at {duty:.0%}: no usable sensor ({room.problem})"


class SensorLossInputs(msgspec.Struct, frozen=True):
    """All that is known of a zone without a believable sensor.

    Attributes:
        mode: What it is told to do.
        setpoint_c: To which it is to be heated.
        lost_for_s: For how long its sensors have said nothing.
        mean_duty: What it needed of late.
        unlearned_share: The share of that which stands for a time of which nothing is known.
        need_age_s: How long ago that was learned; `None` for never.
        last_known_c: How warm it was when that was known last; `None` for never.
        stuck_duty: What it needed before its sensor stopped moving; `None` where it did not.
        others_c: The temperatures of the other zones that are known, in order.
        peers: Of those, the ones that are heated.
        frost_c: What the sensor says that is in the frost; `None` where none is.
        frost_middle_c: How warm it is about there.
        frost_for_s: For how long there has been frost.
        may_heat: Its output heats, and no sensor of its own says that it is too hot.
    """

    mode: Mode
    setpoint_c: float
    lost_for_s: float
    mean_duty: float = 0.0
    unlearned_share: float = 1.0
    need_age_s: float | None = None
    last_known_c: float | None = None
    stuck_duty: float | None = None
    others_c: tuple[float, ...] = ()
    peers: tuple[PeerZone, ...] = ()
    frost_c: float | None = None
    frost_middle_c: float = 0.0
    frost_for_s: float = 0.0
    may_heat: bool = True


class FallbackDuty(msgspec.Struct, frozen=True):
    """The duty that an unmeasured zone gets.

    Attributes:
        duty: 0 to 1.
        reason: Why, in words.
        is_urgent: It is about frost, not comfort.
        is_precautionary: Nobody knows how cold it is, and it gets heat for that.
    """

    duty: float
    reason: str
    is_urgent: bool = False
    is_precautionary: bool = False


def choose_duty(settings: ZoneSettings, room: ZoneTemperature, known: SensorLossInputs) -> FallbackDuty:
    """Return what an unmeasured zone gets: for comfort, because nobody knows, or because it freezes elsewhere."""
    choice = _for_comfort(settings, room, known)
    if known.frost_c is not None and settings.can_heat:
        duty = frost_duty(settings, known.frost_middle_c, known.frost_for_s)
        if duty > choice.duty:
            where = "elsewhere" if room.coldest_c is None else "perhaps"
            why = f"frost protection at {duty:.0%}: {known.frost_c:.1f} °C {where}, no usable sensor ({room.problem})"
            choice = FallbackDuty(duty, why, is_urgent=True)
    return _for_safety(settings, room, known, choice)


def _for_comfort(settings: ZoneSettings, room: ZoneTemperature, known: SensorLossInputs) -> FallbackDuty:
    can_act = known.may_heat and known.mode in {Mode.HEAT, Mode.AUTO}
    mean_duty = known.mean_duty
    is_never_heard = known.last_known_c is None and known.stuck_duty is None and mean_duty <= pi_controller.NO_DUTY
    needs_heat = known.last_known_c is not None and known.last_known_c < known.setpoint_c
    if is_never_heard or needs_heat:
        default = default_duty(settings, known.others_c, known.peers)
        mean_duty += (1.0 if is_never_heard else known.unlearned_share) * default
    if is_never_heard and known.lost_for_s < FIRST_READING_WAIT_S:
        mean_duty = 0.0
    duty, reason = comfort_duty(
        settings,
        room,
        mean_duty=mean_duty if known.stuck_duty is None else known.stuck_duty,
        lost_for_s=known.lost_for_s,
        can_act=can_act,
        duty_max=None if known.stuck_duty is None else 1.0,
    )
    if not is_never_heard or not can_act:
        return FallbackDuty(duty, reason)
    if duty > 0.0:
        why = f"heating blindly at {duty:.0%}: no usable sensor ({room.problem}), and its need was never learned"
        return FallbackDuty(duty, why, is_precautionary=True)
    if known.lost_for_s < FIRST_READING_WAIT_S:
        minutes = -(-(FIRST_READING_WAIT_S - known.lost_for_s) // 60)
        return FallbackDuty(0.0, f"idle: no usable sensor ({room.problem}), it is waited for, {minutes:.0f} min to go")
    return FallbackDuty(duty, reason)


def _for_safety(
    settings: ZoneSettings, room: ZoneTemperature, known: SensorLossInputs, choice: FallbackDuty
) -> FallbackDuty:
    """Return the choice, or more where nobody knows that the room does not freeze."""
    # A doubted sensor, or one of two that contradict each other, says at least what may be: see `frost_duty`.
    is_dark = room.coldest_c is None or known.stuck_duty is not None
    after_s = precaution_delay_s(settings, known.last_known_c, mode=known.mode)
    if not settings.can_heat or not known.may_heat or not is_dark or known.lost_for_s < after_s:
        return choice
    need = known.stuck_duty
    if need is None and known.need_age_s is not None:
        need = known.mean_duty + known.unlearned_share * FROST_DUTY_LATER
    duty = precautionary_duty(settings, known.others_c, known.peers, need=need, need_age_s=known.need_age_s or 0.0)
    if duty <= max(choice.duty, pi_controller.NO_DUTY):
        return choice
    why = (
        f"kept from frost at {duty:.0%}: no usable sensor for {known.lost_for_s / HOUR_S:.0f} h ({room.problem}), and"
        " nobody knows how cold it is"
    )
    return FallbackDuty(duty, why, is_urgent=True, is_precautionary=True)
