"""Energy beside another law: neither a cooler room nor a pulse before the last minute is a merit or a fault."""

import pytest

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CONTINUOUS, TENTHS
from hal.sim.weather_patterns import COLD_CLEAR, SUMMER_HEAT, WeatherPattern
from lab.comfort import energy
from lab.comfort.energy import RAISED_K, energy_share
from lab.comfort.runner import Case, ConstantResult, Law, run_constant


def result(*, settled_kwh: float, mean_k: float) -> ConstantResult:
    return ConstantResult(
        error_k=0.1,
        mean_k=mean_k,
        starts_per_h=1.0,
        zone_starts_per_h=1.0,
        used_kwh=1.0,
        settled_kwh=settled_kwh,
        degree_hours=1.0,
        coldest_c=20.0,
    )


def test_a_warmer_room_may_use_what_its_warmth_costs() -> None:
    other, raised = result(settled_kwh=100.0, mean_k=-0.1), result(settled_kwh=102.0, mean_k=0.4)
    assert energy_share(result(settled_kwh=100.4, mean_k=0.0), other, raised) == pytest.approx(1.0)
    assert energy_share(result(settled_kwh=100.4, mean_k=-0.1), other, raised) == pytest.approx(1.004)


def test_a_house_whose_output_is_at_its_limit_is_compared_as_it_is() -> None:
    other = result(settled_kwh=100.0, mean_k=-8.0)
    assert energy_share(result(settled_kwh=99.0, mean_k=-8.1), other, other) == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("name", "pattern", "law", "raised_k", "used"),
    [
        ("floor boiler", COLD_CLEAR, Law.HYSTERESIS_03, -0.3, 0.884),
        ("floor boiler", COLD_CLEAR, Law.HYSTERESIS_05, 0.0, 0.966),
        ("split timber", SUMMER_HEAT, Law.HYSTERESIS_03, -0.3, 1.077),
        ("split timber", SUMMER_HEAT, Law.HYSTERESIS_05, 0.0, 0.990),
    ],
)
def test_another_setpoint_or_tolerance_is_no_other_efficiency(
    name: str, pattern: WeatherPattern, law: Law, raised_k: float, used: float
) -> None:
    """The meter shows up to 12 % of difference, all of it another temperature or heat left in the house."""
    case = Case(design=HOUSES[name], pattern=pattern, habit=CONTINUOUS, seed=1, warm_up_days=1, days=1)
    other = run_constant(case, Law.HYSTERESIS_03)
    raised = run_constant(case, Law.HYSTERESIS_03, raised_k=RAISED_K)
    other_law = run_constant(case, law, raised_k=raised_k)
    assert other_law.used_kwh / other.used_kwh == pytest.approx(used, abs=0.001)
    assert energy_share(other_law, other, raised) == pytest.approx(1.0, abs=0.002)


def test_a_line_has_the_energy_as_used_and_at_the_same_mean() -> None:
    case = Case(design=HOUSES["split timber"], pattern=SUMMER_HEAT, habit=TENTHS, seed=1, warm_up_days=0, days=1)
    line = energy.row(case)
    assert line.startswith("split timber       summer heat   1 ")
    used, _, _, at_mean = line.split()[-4:]
    assert (used[-1], at_mean[-1]) == ("%", "%")
    assert abs(float(at_mean[:-1])) < 3.0


def test_the_table_has_a_line_for_each_weather_of_a_house(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["energy", "--houses", "split timber", "timber boiler", "--seeds", "2"])
    monkeypatch.setattr(energy, "row", lambda case: f"{case.design.name}, {case.pattern.name}\n")
    energy.main()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "split timber, cold windy",
        "split timber, summer heat",
        "timber boiler, cold windy",
    ]
