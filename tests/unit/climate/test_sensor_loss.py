"""An unmeasured room is neither frozen nor overheated, whatever happens in the others."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import fusion, sensor_loss
from agent.climate.effective_setpoint import EffectiveSetpoint, SetpointReason
from agent.climate.fault_detection import StuckSensorState
from agent.climate.model import Mode, Setpoints
from agent.climate.pi_controller import PiState
from agent.climate.sensor_loss import FallbackDuty
from agent.climate.settings import ZoneSettings
from agent.climate.short_cycle_protection import assume_stopped
from agent.climate.zone_state import PeerZone, ZoneInputs, ZoneState

ZONE = ZoneSettings(zone_id="z")
FULL_LIFT_K = 36.0
"""What full output keeps a room above the outside: see `sensor_loss.FROST_DUTY_MAX`."""


@pytest.mark.parametrize(("middle_c", "duty"), [(-5.0, 0.5), (6.0, 0.5), (13.0, 0.25), (20.0, 0.0), (26.0, 0.0)])
def test_frost_duty_rises_as_the_home_gets_colder(middle_c: float, duty: float) -> None:
    assert sensor_loss.frost_duty(ZONE, middle_c) == pytest.approx(duty)


def test_frost_duty_is_lower_from_the_second_day() -> None:
    assert sensor_loss.frost_duty(ZONE, 5.0, 86_399.0) == 0.5
    assert sensor_loss.frost_duty(ZONE, 5.0, 86_400.0) == 0.35


@given(st.floats(-20.0, 40.0))
def test_frost_duty_never_overheats_a_room(middle_c: float) -> None:
    warmest_c = middle_c + FULL_LIFT_K * sensor_loss.frost_duty(ZONE, middle_c)
    assert warmest_c <= max(24.0, middle_c) + 1e-9


def test_fallback_keeps_the_integral_and_does_not_use_it() -> None:
    made = sensor_loss.modulate(PiState(0.4, 10.0, is_far=True), ZONE, duty=0.2, dt_s=60.0, was_on=False)
    assert made.duty == 0.2
    assert (made.state.integral, made.state.owed_s) == (0.4, 22.0)


@pytest.mark.parametrize(("lost_for_s", "duty"), [(0.0, 0.25), (72 * 3600.0 - 1.0, 0.25), (72 * 3600.0, 0.0)])
def test_recent_duty_is_applied_for_three_days(lost_for_s: float, duty: float) -> None:
    made = sensor_loss.comfort_duty(ZONE, fusion.NO_READING, recent_duty=0.25, lost_for_s=lost_for_s, can_heat=True)
    assert made.duty == duty


@pytest.mark.parametrize(("mean_duty", "duty"), [(0.9, 0.3), (0.3, 0.3), (0.021, 0.021), (0.02, 0.0)])
def test_comfort_duty_is_bounded_and_tiny_duties_are_zero(mean_duty: float, duty: float) -> None:
    made = sensor_loss.comfort_duty(ZONE, fusion.NO_READING, recent_duty=mean_duty, lost_for_s=0.0, can_heat=True)
    assert made.duty == duty
    assert made.reason.startswith("fallback heating" if duty else "idle: no usable sensor")


H_S = 3600.0


def choice(
    mode: Mode,
    lost_h: float,
    *,
    settings: ZoneSettings = ZONE,
    stuck_duty: float | None = None,
    need_age_s: float | None = None,
    others_c: tuple[float, ...] = (),
    peers: tuple[PeerZone, ...] = (),
    outdoor_c: float | None = None,
    **state: object,
) -> FallbackDuty:
    """Return the duty of a zone without a sensor that is to be heated to 20 °C."""
    now_ms = 10**10
    learned_at_ms = None if need_age_s is None else now_ms - round(need_age_s * 1000)
    stuck = (
        StuckSensorState() if stuck_duty is None else StuckSensorState((19.0,), usual_duty=stuck_duty, is_stuck=True)
    )
    zone = msgspec.structs.replace(
        ZoneState(assume_stopped(0)), learned_at_ms=learned_at_ms, stuck_sensor=stuck, **state
    )
    effective = EffectiveSetpoint(
        mode, Setpoints(20.0, 26.0), SetpointReason.DEFAULT, "", None, False, (), "no schedule"
    )
    inputs = ZoneInputs(fusion.NO_READING, effective, 20.0, others_c=others_c, peers=peers, outdoor_c=outdoor_c)
    return sensor_loss.choose_duty(zone, settings, inputs, now_ms=now_ms, lost_for_s=lost_h * H_S)


@pytest.mark.parametrize("mode", Mode)
def test_zone_waits_for_its_first_reading_then_gets_frost_precaution(mode: Mode) -> None:
    assert [choice(mode, lost_h).duty for lost_h in (0.0, 1.9)] == [0.0, 0.0]
    assert choice(mode, 73.0).duty == 0.35
    assert choice(mode, 73.0).is_precautionary
    assert choice(mode, 73.0).is_urgent
    # Where it is to be warm it gets what rooms usually need; where it is not, nothing else will ever come.
    by_day = {Mode.HEAT: 0.3, Mode.AUTO: 0.3, Mode.OFF: 0.35, Mode.COOL: 0.35}
    assert choice(mode, 2.0).duty == by_day[mode]


def test_zone_without_learned_duty_uses_the_duty_of_other_zones() -> None:
    peers = (PeerZone(20.0, 0.2), PeerZone(21.0, 0.25), PeerZone(15.0, 0.0))
    known = choice(Mode.HEAT, 3.0, peers=peers, others_c=(15.0, 20.0, 21.0))
    assert known.duty == pytest.approx(0.2)
    assert "never learned" in known.reason
    # In summer no zone needs any.
    assert choice(Mode.HEAT, 3.0, peers=(PeerZone(25.0, 0.0),), others_c=(25.0,)).duty == 0.0
    assert choice(Mode.HEAT, 3.0, others_c=(25.0,)).duty == 0.0
    assert "waiting for its first reading, 30 min to go" in choice(Mode.HEAT, 1.5).reason


@pytest.mark.parametrize(
    ("last_known_c", "lost_h", "duty"),
    [(20.0, 13.9, 0.0), (20.0, 14.1, 0.35), (8.0, 1.9, 0.0), (8.0, 2.1, 0.35), (3.0, 0.0, 0.35)],
)
def test_switched_off_zone_gets_frost_precaution_once_it_may_have_cooled(
    last_known_c: float, lost_h: float, duty: float
) -> None:
    """A garage went on to cool: its only sensor was lost while it was off."""
    assert choice(Mode.OFF, lost_h, last_known_c=last_known_c).duty == duty


@pytest.mark.parametrize(
    ("peers", "others_c", "duty"),
    [
        ((), (), 0.35),
        ((), (6.0,), 0.35),
        ((), (13.0,), 0.175),
        ((), (20.0,), 0.0),
        ((PeerZone(20.0, 0.9),), (20.0,), 0.5),
        ((PeerZone(20.0, 0.4),), (20.0,), 0.26),
        ((PeerZone(15.0, 0.1), PeerZone(20.0, 0.4), PeerZone(21.0, 0.5)), (20.0,), 0.26),
        ((PeerZone(25.0, 0.0),), (25.0,), 0.0),
    ],
)
@pytest.mark.parametrize("mode", Mode)
def test_the_frost_precaution_follows_the_duty_of_the_heated_zones(
    mode: Mode, peers: tuple[PeerZone, ...], others_c: tuple[float, ...], duty: float
) -> None:
    made = choice(mode, 100.0, last_known_c=20.0, mean_duty=0.2, peers=peers, others_c=others_c)
    assert made.duty == pytest.approx(duty)
    assert made.is_precautionary is (duty > 0.0)
    assert ("the temperature is unknown" in made.reason) is (duty > 0.0)


@given(
    mode=st.sampled_from(Mode),
    lost_h=st.floats(0.0, 1000.0),
    mean_duty=st.floats(0.0, 1.0),
    unlearned_share=st.floats(0.0, 1.0),
    last_known_c=st.none() | st.floats(-10.0, 40.0),
    peers=st.lists(st.builds(PeerZone, st.floats(-10.0, 40.0), st.floats(0.0, 1.0)), max_size=3),
    outdoor_c=st.none() | st.floats(-50.0, 55.0),
    learned_outdoor_c=st.none() | st.floats(-50.0, 55.0),
)
def test_fallback_duty_is_bounded(
    mode: Mode,
    lost_h: float,
    mean_duty: float,
    unlearned_share: float,
    last_known_c: float | None,
    peers: list[PeerZone],
    outdoor_c: float | None,
    learned_outdoor_c: float | None,
) -> None:
    made = choice(
        mode,
        lost_h,
        mean_duty=mean_duty,
        unlearned_share=unlearned_share,
        last_known_c=last_known_c,
        peers=tuple(peers),
        outdoor_c=outdoor_c,
        learned_outdoor_c=learned_outdoor_c,
    )
    needed_duty = min(1.0, mean_duty * sensor_loss.COLD_SHARE_MAX)
    keeps = lost_h * H_S < 2.0 * sensor_loss.KEEPS_DUTY_S
    assert 0.0 <= made.duty <= max(sensor_loss.FROST_DUTY_MAX, needed_duty if keeps else 0.0)
    assert made.reason
    if not made.is_urgent and not keeps:
        assert made.duty <= ZONE.fallback_duty_max
    cools = ZoneSettings(zone_id="c", can_heat=False)
    assert choice(mode, lost_h, settings=cools).duty == 0.0


@pytest.mark.parametrize(("lost_h", "duty"), [(1.0, 0.6), (12.0, 0.6), (18.0, 0.45), (24.0, 0.3), (71.0, 0.3)])
def test_what_a_zone_needed_itself_counts_for_half_a_day(lost_h: float, duty: float) -> None:
    """It was cut to 30 % at once: a house that needed half of its output lost five kelvins in a day."""
    known = choice(Mode.HEAT, lost_h, last_known_c=20.0, mean_duty=0.6, unlearned_share=0.0)
    assert known.duty == pytest.approx(duty)


def test_unlearned_share_of_the_duty_is_filled_with_the_usual_duty() -> None:
    known = choice(Mode.HEAT, 1.0, last_known_c=18.0, mean_duty=0.02, unlearned_share=0.5)
    assert known.duty == pytest.approx(0.02 + 0.5 * 0.35)
    # A room that was warm enough asks for nothing more.
    assert choice(Mode.HEAT, 1.0, last_known_c=21.0, mean_duty=0.02, unlearned_share=0.5).duty == 0.0


def test_stuck_sensor_uses_the_duty_from_before_without_the_comfort_limit() -> None:
    assert choice(Mode.HEAT, 1.0, last_known_c=18.0, mean_duty=0.9, stuck_duty=0.6).duty == 0.6
    assert choice(Mode.HEAT, 80.0, last_known_c=18.0, mean_duty=0.9, stuck_duty=0.6).duty == 0.35


@pytest.mark.parametrize(
    ("need", "age_days", "duty"),
    [(0.1, 0.0, 0.1), (0.1, 7.0, 0.225), (0.1, 14.0, 0.35), (0.1, 60.0, 0.35), (0.6, 0.0, 0.35), (0.0, 1.0, 0.025)],
)
def test_learned_duty_is_trusted_less_each_day(need: float, age_days: float, duty: float) -> None:
    """A home with large emitters was heated to 41 °C by the 35 % that another one needs."""
    made = choice(
        Mode.OFF, 100.0, last_known_c=20.0, mean_duty=need, unlearned_share=0.0, need_age_s=age_days * 24 * H_S
    )
    assert made.duty == pytest.approx(duty)
    # What was learned in an hour or two is hardly any.
    assert choice(Mode.OFF, 100.0, last_known_c=20.0, mean_duty=need, unlearned_share=0.9, need_age_s=0.0).duty > 0.31


@pytest.mark.parametrize(
    ("outdoor_c", "duty"), [(None, 0.35), (-30.0, 0.5), (-3.0, 0.49), (5.0, 0.273), (12.0, 0.175), (30.0, 0.175)]
)
def test_frost_precaution_of_a_room_that_was_never_measured_follows_the_weather(
    outdoor_c: float | None, duty: float
) -> None:
    assert choice(Mode.OFF, 100.0, outdoor_c=outdoor_c).duty == pytest.approx(duty, abs=0.001)
    assert choice(Mode.HEAT, 3.0, outdoor_c=outdoor_c).duty == pytest.approx(min(0.3, duty), abs=0.001)


@pytest.mark.parametrize(
    ("learned_c", "outdoor_c", "share"),
    [(0.0, 10.0, 0.5), (0.0, -5.0, 1.25), (0.0, -40.0, 1.5), (0.0, 30.0, 0.5), (13.0, -5.0, 1.0), (None, -5.0, 1.0)],
)
def test_learned_duty_follows_the_weather(learned_c: float | None, outdoor_c: float, share: float) -> None:
    """By as much as the room is colder outdoors than when it was learned, where it was cold enough to tell."""
    known = choice(Mode.HEAT, 1.0, outdoor_c=outdoor_c, learned_outdoor_c=learned_c, mean_duty=0.6, unlearned_share=0.0)
    assert known.duty == pytest.approx(0.6 * share)


def test_frost_outdoors_brings_the_frost_precaution_forward_to_when_the_learned_duty_ends() -> None:
    def duty(lost_h: float, outdoor_c: float | None) -> float:
        return choice(Mode.HEAT, lost_h, mean_duty=0.6, need_age_s=lost_h * H_S, unlearned_share=0.0, last_known_c=20.0,
                      outdoor_c=outdoor_c).duty  # fmt: skip

    assert [duty(lost_h, None) for lost_h in (30.0, 80.0)] == [0.3, 0.35]
    assert [duty(lost_h, 6.0) for lost_h in (30.0, 80.0)] == [0.3, pytest.approx(9 / sensor_loss.K_PER_DUTY)]
    assert [duty(lost_h, -8.0) for lost_h in (11.0, 30.0, 80.0)] == [0.6, 0.5, 0.5]
