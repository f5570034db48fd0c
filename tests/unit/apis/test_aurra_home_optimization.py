import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.apis.aurra_home.optimization import HEAT_F_MIN, SETBACK_F_MAX, OptimizeMode, propose, week_heat_h
from agent.climate.model import Block, Schedule
from agent.climate.optimum_start import LearnedDynamics
from agent.home.temperatures import from_fahrenheit, to_fahrenheit

LEARNED = LearnedDynamics(2.0, 0.4, 600.0, 5)


def week(*heat_f: int) -> Schedule:
    starts = [f"{24 * number // len(heat_f):02d}:00" for number in range(len(heat_f))]
    blocks = zip(starts, [*starts[1:], starts[0]], heat_f, strict=True)
    return Schedule(
        "Week", tuple(Block(f"B{start}", start, end, from_fahrenheit(each), 30.0) for start, end, each in blocks)
    )


def test_a_constant_temperature_needs_what_it_loses() -> None:
    # At 20 C the zone loses 0.4 K an hour and gains 2 K: a fifth of the time.
    constant = Schedule("C", (Block("All day", "00:00", "00:00", 20.0, 30.0),))
    assert week_heat_h(constant, LEARNED) == pytest.approx(168 * 0.4 / 2.0, rel=0.01)
    cooler = Schedule("C", (Block("All day", "00:00", "00:00", 15.0, 30.0),))
    assert week_heat_h(cooler, LEARNED) == pytest.approx(168 * 0.3 / 2.0, rel=0.01)


def test_a_setback_saves_and_says_how_much() -> None:
    schedule = week(66, 70, 68, 70)
    proposal = propose(schedule, LEARNED, "efficiency", can_heat=True)
    before, after = week_heat_h(schedule, LEARNED), week_heat_h(proposal.schedule, LEARNED)
    assert proposal.savings_percent == round(100 * (1 - after / before)) > 0
    assert proposal.schedule.name == "Week (efficiency)"
    assert propose(proposal.schedule, LEARNED, "efficiency", can_heat=True).schedule.name == "Week (efficiency)"


def test_the_more_comfort_is_given_the_more_is_saved() -> None:
    modes: tuple[OptimizeMode, ...] = ("comfort", "balanced", "efficiency")
    saved = [propose(week(66, 70, 66, 70), LEARNED, mode, can_heat=True).savings_percent for mode in modes]
    assert saved == sorted(saved)
    assert saved[0] < saved[-1]


@pytest.mark.parametrize(
    ("learned", "can_heat", "reason"),
    [
        (LearnedDynamics(), True, "has not learned yet"),
        (msgspec.structs.replace(LEARNED, loss_k_per_h=0.0), True, "has not learned yet"),
        (LEARNED, False, "how a zone warms"),
    ],
)
def test_where_nothing_is_known_nothing_is_promised(learned: LearnedDynamics, can_heat: bool, reason: str) -> None:
    schedule = week(60, 70)
    proposal = propose(schedule, learned, "efficiency", can_heat=can_heat)
    assert (proposal.schedule, proposal.savings_percent) == (schedule, 0)
    assert reason in proposal.reason


def test_a_zone_that_warms_slowly_is_lowered_less() -> None:
    slow = msgspec.structs.replace(LEARNED, rate_k_per_h=0.5)

    def lowest(learned: LearnedDynamics) -> int:
        blocks = propose(week(69, 70), learned, "efficiency", can_heat=True).schedule.blocks
        return min(to_fahrenheit(block.heat_setpoint_c) for block in blocks)

    assert lowest(slow) > lowest(LEARNED)


@given(
    st.lists(st.integers(40, 85), min_size=2, max_size=6),
    st.floats(0.3, 15.0),
    st.floats(0.01, 5.0),
    st.sampled_from(("comfort", "balanced", "efficiency")),
)
def test_a_proposal_never_heats_more_and_stays_within_its_bounds(
    heat_f: list[int], rate: float, loss: float, mode: OptimizeMode
) -> None:
    schedule = week(*heat_f)
    learned = LearnedDynamics(rate, loss, 600.0, 3)
    proposal = propose(schedule, learned, mode, can_heat=True)
    assert 0 <= proposal.savings_percent <= 100
    for old, new in zip(schedule.blocks, proposal.schedule.blocks, strict=True):
        before, after = to_fahrenheit(old.heat_setpoint_c), to_fahrenheit(new.heat_setpoint_c)
        assert min(before, HEAT_F_MIN) <= after <= before
        assert before - after <= SETBACK_F_MAX[mode] + 1
        assert msgspec.structs.replace(new, heat_setpoint_c=old.heat_setpoint_c) == old


def test_the_milder_the_week_outside_the_larger_the_share_that_a_setback_saves() -> None:
    schedule = Schedule(
        "week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 19.0, 27.0))
    )
    saved = [
        propose(schedule, LEARNED, "efficiency", can_heat=True, outdoor_c=outdoor_c).savings_percent
        for outdoor_c in (-10.0, 0.0, 10.0)
    ]
    assert saved == sorted(saved)
    assert saved[0] < saved[2]
    assert propose(schedule, LEARNED, "efficiency", can_heat=True).savings_percent == saved[1]
    assert propose(schedule, LEARNED, "efficiency", can_heat=True, outdoor_c=30.0).savings_percent > 0
