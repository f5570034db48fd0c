"""EPA's own program for the savings of connected thermostats, asked about the days of some homes.

Runs in an environment of its own, as the package `thermostat` needs old versions of others: `make energy-star`. Reads
JSON from standard input, a list of homes: `{"runtime_h": [one a day], "inside_c": [one an hour], "outside_c": [...]}`.
Writes a list of `{"offset_k", "comfort_c", "savings_share"}`.
"""

import json
import sys

import pandas as pd
from thermostat.core import Thermostat

WITHOUT_COOLING = 4
START = "2024-01-01"


def fahrenheit(values_c: list[float]) -> list[float]:
    return [value_c * 1.8 + 32.0 for value_c in values_c]


def judge(home: dict[str, list[float]]) -> dict[str, float]:
    days = pd.date_range(START, periods=len(home["runtime_h"]), freq="D")
    hours = pd.date_range(START, periods=len(home["inside_c"]), freq="H")
    inside = pd.Series(fahrenheit(home["inside_c"]), index=hours)
    thermostat = Thermostat(
        "home",
        WITHOUT_COOLING,
        zipcode=None,
        station=None,
        temperature_in=inside,
        temperature_out=pd.Series(fahrenheit(home["outside_c"]), index=hours),
        cooling_setpoint=None,
        heating_setpoint=inside,
        cool_runtime=None,
        heat_runtime=pd.Series([value * 60.0 for value in home["runtime_h"]], index=days),
        auxiliary_heat_runtime=None,
        emergency_heat_runtime=None,
    )
    (core,) = thermostat.get_core_heating_days()
    demand, offset_f, *_ = thermostat.get_heating_demand(core)
    comfort_f = thermostat.get_core_heating_day_baseline_setpoint(core)
    baseline = thermostat.get_baseline_heating_demand(core, comfort_f, offset_f)
    return {
        "offset_k": offset_f / 1.8,
        "comfort_c": (comfort_f - 32.0) / 1.8,
        "savings_share": 1.0 - demand.sum() / baseline.sum(),
    }


json.dump([judge(home) for home in json.load(sys.stdin)], sys.stdout)
