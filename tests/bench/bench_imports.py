"""What the daemon and each of its dependencies cost: memory and CPU time of a fresh interpreter that imports them.

python tests/bench/bench_imports.py
"""

import json
import statistics
import subprocess
import sys

import service

ROUNDS = 7

DAEMON = "from agent.foundation.lazy_imports import import_libraries; import_libraries(); import agent.daemon"

SUBJECTS = {
    "an empty interpreter": "",
    "asyncio, ssl, sqlite3 (standard library)": "import asyncio, ssl, sqlite3",
    "msgspec": "import msgspec",
    "aiohttp (client and server)": "import aiohttp, aiohttp.web",
    "tzdata": "import tzdata",
    "dbus-fast": "import dbus_fast.aio",
    "pyserial (finding ports)": "import serial.tools.list_ports",
    "zigpy and bellows": "import zigpy.application, bellows.zigbee.application",
    "zigpy and bellows, as the hub imports them": (
        "from hal.zigbee import import_stubs; import_stubs.import_zigpy(); import bellows.zigbee.application"
    ),
    "pyotgw": "import pyotgw",
    "smbus2": "import smbus2",
    "HAP-python": "import pyhap.accessory_driver",
    "prometheus_client": "import prometheus_client",
    "click": "import click",
    "rich (what the demo uses)": "import rich.console, rich.live, rich.panel, rich.table, rich.text",
    "segno": "import segno",
    "async-solipsism": "import async_solipsism",
    "numpy": "import numpy",
    "distributed": "import distributed",
    "the daemon without a board": DAEMON,
    "the daemon, all of it": f"{DAEMON}, hal.linux.board",
    "the daemon with the simulated house of bench_daemon": (
        f"{DAEMON}, hal.sim.network; from hal.sim.board import SimEnvironment, SimOptions; "
        "house = SimEnvironment(SimOptions(seed=1, start_utc_ms=0, sensors_count=50))"
    ),
    "a certificate, made in the process": (
        "from agent.port.http.certificate_maker import make_certificate; make_certificate(['hub'], None)"
    ),
    "a certificate, as the hub makes it": (
        "from agent.port.http.certificate_maker import make_apart; make_apart(['hub'], None)"
    ),
    "climahub version": "import agent.cli.root, agent.cli.program",
}

PROBE = """
import json, resource
{statement}
usage = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:
    rss_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
print(json.dumps([rss_kib / 1024, 1000 * (usage.ru_utime + usage.ru_stime)]))
"""


def measure(statement: str) -> dict[str, float]:
    results = []
    for _ in range(ROUNDS):
        printed = subprocess.run(
            [sys.executable, "-c", PROBE.format(statement=statement)],
            check=True,
            capture_output=True,
            text=True,
            env=service.environment(),
        ).stdout
        results.append(json.loads(printed))
    rss_mib, cpu_ms = (statistics.median(column) for column in zip(*results, strict=True))
    return {"rss_mib": round(rss_mib, 1), "cpu_ms": round(cpu_ms)}


if __name__ == "__main__":
    print(json.dumps({name: measure(statement) for name, statement in SUBJECTS.items()}, indent=2))
