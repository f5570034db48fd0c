"""The confidence of what is posted about machines: fitted on one simulated fleet, held to its promise on another."""

from agent.maintenance.assessment import NEEDED, FindingState
from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import DAY_MS, MachineRecord, find
from agent.maintenance.machine_calibration import MACHINE_MODELS
from agent.maintenance.machine_readings import Channel, MachineIndicator
from lab.maintenance import machine_calibration
from lab.maintenance.machine_calibration import (
    CALIBRATED,
    render_machines,
)
from lab.maintenance.machine_faults import MACHINE_FAULTS, MachineFault, rate_of
from lab.maintenance.machines import MACHINES_FITTED, run_machine
from tests.unit.maintenance.machines import energy_day, power_day, vibration_day


def test_a_machine_runs_the_same_for_a_seed_and_otherwise_for_another() -> None:
    one, again, other = (list(run_machine(seed, 4, MACHINES_FITTED, years=1)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(one) == 365
    assert {each.channel for day in one for each in day.bands} >= {Channel.CURRENT}


def test_a_fault_grows_shows_where_it_acts_and_is_repaired() -> None:
    fault = MachineFault(100.0, 50.0, "refrigerant loss", ((Channel.CURRENT, -0.4),))
    assert [fault.change_on(day, Channel.CURRENT) for day in (99, 125, 150, int(fault.ends))] == [0, -0.2, -0.4, 0]
    assert fault.shows_in(125, MachineIndicator.LOW_CURRENT)
    assert not fault.shows_in(102, MachineIndicator.LOW_CURRENT)
    assert not any(fault.shows_in(125, each) for each in MachineIndicator if each is not MachineIndicator.LOW_CURRENT)


def test_every_kind_of_fault_has_a_rate_and_an_indicator_that_shows_it() -> None:
    assert len(MACHINE_FAULTS) == 7
    assert all(kind.a_year > 0.0 and kind.machines and kind.effects for kind in MACHINE_FAULTS)
    assert all(0.05 <= rate_of(each) <= 0.2 for each in MachineIndicator)


def test_the_generated_file_is_what_the_command_writes() -> None:
    assert machine_calibration.TARGET.read_text() == render_machines(MACHINE_MODELS)
    assert set(MACHINE_MODELS) == set(CALIBRATED)


def test_posts_of_a_slow_fault_reach_the_threshold_and_what_is_not_calibrated_never_does() -> None:
    """By posts, not by the fast model: what the hub does with its own coefficients."""
    record = MachineRecord("living", "client")
    for day in range(90):
        worse = 1.0 + 0.01 * max(0, day - 30)
        record = energy_day(record, day, 4.0 / worse)
        record = vibration_day(record, day, 0.1 * worse**2)
        record = power_day(record, day, 1000.0 / worse)
        if day == 30:
            usual = find(record, MACHINE_MODELS, SOLSTICE_MS + day * DAY_MS)
            assert {each.state for each in usual} == {FindingState.USUAL, FindingState.UNKNOWN}
    found = {each.indicator: each for each in find(record, MACHINE_MODELS, SOLSTICE_MS + 90 * DAY_MS)}
    for indicator in CALIBRATED:
        assert (found[indicator].confidence or 0.0) >= NEEDED
        assert found[indicator].state is FindingState.NEEDED
    for day in range(90):
        record = energy_day(record, 200 + day, 4.0 * (1.0 + 0.01 * max(0, day - 30)))
    current = find(record, MACHINE_MODELS, SOLSTICE_MS + 290 * DAY_MS)[0]
    assert (current.indicator, current.state) == (MachineIndicator.CURRENT, FindingState.UNKNOWN)
    assert "not calibrated" in current.evidence
