"""How much of the quota a backlog of 100,000 readings uses on its way to the cloud, in virtual time. Prints JSON.

The backlog grows while the network is cut. Measured from the first request of the catch-up to the last full batch, with
a travel time of up to 0.5 s a request. Reach: at least 98 % of 60 requests a minute with 100 readings each, no 429.

python tests/bench/bench_catch_up.py [--readings N] [--latency SECONDS]
"""

import argparse
import json
import logging
from collections.abc import Sequence
from itertools import pairwise

from lab.refcloud.records import AcceptedReading
from lab.simulation import options
from lab.simulation import run as simulation_run
from lab.simulation.options import MachineFault, MachineFaultKind, Options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.5)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sensors = 100
    outage_s = arguments.readings / sensors * 60.0
    batches: list[tuple[float, int]] = []
    stored = simulation_run.Simulation._on_readings

    def noted(self: simulation_run.Simulation, name: str, readings: Sequence[AcceptedReading]) -> None:
        batches.append((self._loop.time(), len(readings)))
        stored(self, name, readings)

    simulation_run.Simulation._on_readings = noted  # type: ignore[method-assign]
    options.RATES["none"] = options.FaultRates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, arguments.latency * 2)
    verdict = simulation_run.simulate(
        Options(
            days=(outage_s + 4000.0) / 86_400,
            sensors=sensors,
            faults="none",
            machine_faults=(MachineFault(MachineFaultKind.NETWORK_CUT, at_s=300.0, lasts_s=outage_s),),
        )
    )
    after = [batch for batch in batches if batch[0] > 300.0 + outage_s]
    # The catch-up: from its first request on, requests follow each other within seconds.
    begin = next(i for i, (one, other) in enumerate(pairwise(after)) if other[0] - one[0] < 5 and one[1] == 100)
    end = next((i for i in range(begin + 1, len(after)) if after[i][0] - after[i - 1][0] > 30), len(after))
    caught_up = after[begin:end]
    took_s = caught_up[-1][0] - caught_up[0][0]
    readings = sum(count for _, count in caught_up[:-1])
    print(
        json.dumps(
            {
                "readings": readings,
                "requests": len(caught_up) - 1,
                "took_s": round(took_s, 1),
                "share_of_quota": round(readings / took_s / 100.0, 4),
                "over_quota": verdict.requests.over_quota,
                "violations": len(verdict.violations),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
