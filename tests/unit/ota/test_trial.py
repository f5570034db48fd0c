"""The verdict on a trial: health checks over time, and sensors compared with before."""

from agent.ota.trial import TrialProgress, Verdict, apply_checks, find_sensor_problem, judge


def test_a_release_is_confirmed_by_a_continuous_healthy_period() -> None:
    progress = apply_checks(TrialProgress(0.0), {"a": ""}, 5.0)
    assert judge(progress, 64.9, healthy_s=60, deadline_s=600) == (Verdict.OPEN, "")
    assert judge(progress, 65.0, healthy_s=60, deadline_s=600) == (Verdict.CONFIRMED, "")
    progress = apply_checks(progress, {"a": "broken", "b": ""}, 64.0)
    progress = apply_checks(progress, {"a": ""}, 70.0)
    assert judge(progress, 129.0, healthy_s=60, deadline_s=600)[0] is Verdict.OPEN
    verdict, why = judge(progress, 600.0, healthy_s=1000, deadline_s=600)
    assert verdict is Verdict.FAILED
    assert "a: broken" in why


def test_too_few_sensors_compared_with_before_fail_the_trial() -> None:
    assert find_sensor_problem(0, 0) == ""
    assert find_sensor_problem(4, 5) == ""
    assert "did before" in find_sensor_problem(3, 5)
