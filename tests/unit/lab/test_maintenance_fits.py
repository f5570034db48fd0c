"""The whole fits for machines and for supply and return: the same file again, and a confidence that holds elsewhere."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.maintenance.assessment import NEEDED
from lab.maintenance import machine_calibration, pipe_calibration
from lab.maintenance.faults import YEARS
from lab.maintenance.judgement import Judgement
from lab.maintenance.logistic import calibration_error, reliability

PAGE = Path(__file__).parents[3] / "docs" / "experiments" / "maintenance-confidence.md"

Fit = tuple[
    Callable[[], Mapping[Any, Any]],
    Callable[[Mapping[Any, Any]], str],
    Callable[[Mapping[Any, Any]], Mapping[Any, Judgement]],
    Callable[[Mapping[Any, Judgement], int], str],
]
MACHINES: Fit = (
    machine_calibration.calibrate_machines,
    machine_calibration.render_machines,
    machine_calibration.judge_machines,
    machine_calibration.machines_as_markdown,
)
PIPES: Fit = (
    pipe_calibration.calibrate_pipes,
    pipe_calibration.render_pipes,
    pipe_calibration.judge_pipes,
    pipe_calibration.pipes_as_markdown,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("fit", "target", "calibrated", "years"),
    [
        pytest.param(
            MACHINES,
            machine_calibration.TARGET,
            machine_calibration.CALIBRATED,
            machine_calibration.JUDGE_MACHINES * YEARS,
            id="machines",
        ),
        pytest.param(
            PIPES,
            pipe_calibration.TARGET,
            pipe_calibration.CALIBRATED,
            pipe_calibration.JUDGE_ZONES * YEARS,
            id="pipes",
        ),
    ],
)
def test_the_whole_fit_writes_the_same_file_and_its_confidence_holds_on_a_fleet_that_it_has_not_seen(
    fit: Fit, target: Path, calibrated: tuple[Any, ...], years: int
) -> None:
    calibrate, render, judge, as_markdown = fit
    # All models are judged, from one fit; those of the generated file have to hold.
    models = calibrate()
    assert render(models) == target.read_text()
    found = judge(models)
    assert years > 1000
    for indicator in calibrated:
        alerts, true = found[indicator].alerts
        assert calibration_error(reliability(found[indicator].points)) <= 0.05
        assert alerts > 10
        assert true / alerts >= NEEDED
        assert (alerts - true) / years <= 0.2
    assert as_markdown(found, years) in PAGE.read_text()
