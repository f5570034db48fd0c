"""The commands of the laboratory, which `climahub` finds by the entry point in lab/pyproject.toml.

Must stay quick to import: `climahub --help` and shell completion read the table.
"""

from collections.abc import Mapping
from types import MappingProxyType

from agent.cli.root import DEVELOPER, FLEET, HOME, TECHNICIAN, Entry

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "demo": Entry("lab.cli.demo:demo", "Watch a hub and its cloud live through outages, in this terminal.", HOME),
        "cloud": Entry("lab.cli.cloud:cloud", "Run a reference ClimaSense cloud, or operate a running one.", FLEET),
        "simulate": Entry(
            "lab.cli.simulate:simulate",
            "Simulate days of a hub's life in seconds, with faults, and check what it must never do.",
            DEVELOPER,
        ),
        "api check": Entry("lab.cli.api_check:api_check", "Check a server against the contract of its API.", FLEET),
        "maintenance analyse": Entry(
            "lab.cli.maintenance:analyse", "Analyse a recording of an accelerometer, offline.", TECHNICIAN
        ),
        "ncp": Entry(
            "lab.cli.ncp:ncp", "Emulate a Zigbee coordinator and its sensors on a pseudo terminal.", DEVELOPER
        ),
    }
)
