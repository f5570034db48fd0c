"""How long a command takes from the operator to its ack while 100,000 readings drain behind it, in virtual time.

The backlog grows while the network is cut; once it is back, a command is queued every few seconds until the backlog is
gone. Prints JSON. Reach: p50 at most half the poll interval + 0.5 s, p99 at most the interval + 1 s, nothing unsettled.

python tests/bench/bench_commands.py [--readings N] [--latency SECONDS]
"""

import argparse
import json
import logging
import random
import statistics
import tempfile
from pathlib import Path

from lab.simulation.options import RATES, FaultRates, MachineFault, MachineFaultKind, Options, PlannedCommand
from lab.simulation.run import Simulation
from lab.simulation.virtual_loop import VirtualLoop

SENSORS = 100
CUT_AT_S = 300.0
SETTLE_S = 70.0
"""After the network is back: the hub's back-off and its random pause are over, and the backlog flows."""

PERIOD_S = 8.0
INTERVAL_S = 15.0
READINGS_PER_S = 100.0
"""What the quota of telemetry lets through."""


def orders(first_s: float, last_s: float) -> tuple[PlannedCommand, ...]:
    rng = random.Random(1)
    kinds = [
        ("diagnostics", None),
        ("config_update", {"timezone": "Asia/Kolkata"}),
        ("config_update", {"timezone": "UTC"}),
    ]
    made = []
    at_s = first_s
    while at_s < last_s:
        type_, payload = rng.choice(kinds)
        made.append(PlannedCommand(at_s, type_, payload))
        at_s += rng.expovariate(1 / PERIOD_S)
    return tuple(made)


def measure(readings: int, latency_s: float) -> dict[str, object]:
    outage_s = readings / SENSORS * 60.0
    back_s = CUT_AT_S + outage_s
    drained_s = back_s + SETTLE_S + readings / READINGS_PER_S
    RATES["none"] = FaultRates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, latency_s * 2)
    options = Options(
        days=drained_s / 86_400,
        sensors=SENSORS,
        faults="none",
        commands=orders(back_s + SETTLE_S, drained_s),
        machine_faults=(MachineFault(MachineFaultKind.NETWORK_CUT, at_s=CUT_AT_S, lasts_s=outage_s),),
        config_text=f"commands_poll_interval_s = {INTERVAL_S}\ncommands_idle_poll_interval_s = {INTERVAL_S}\n",
    )
    loop = VirtualLoop()
    with tempfile.TemporaryDirectory() as scratch:
        simulation = Simulation(options, Path(scratch), loop)
        loop.run_until_complete(simulation.run())
        loop.close()
    latencies_s = sorted(simulation.commands.latencies_s)
    cuts = statistics.quantiles(latencies_s, n=100)
    verdict = simulation.verdict(1.0)
    return {
        "commands": len(latencies_s),
        "p50_s": round(statistics.median(latencies_s), 2),
        "p50_s_reach": INTERVAL_S / 2 + 0.5,
        "p99_s": round(cuts[98], 2),
        "p99_s_reach": INTERVAL_S + 1.0,
        "longest_s": round(latencies_s[-1], 2),
        "readings_accepted": verdict.readings.accepted,
        "unsettled": verdict.commands.unsettled,
        "over_quota": verdict.requests.over_quota,
        "violations": len(verdict.violations),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.2)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(json.dumps(measure(arguments.readings, arguments.latency), indent=2))


if __name__ == "__main__":
    main()
