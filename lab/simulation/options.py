"""What a simulation is asked to do. Values only."""

from pathlib import Path

import msgspec

from lab.simulation.fault_schedule import CALM_S, FaultProfile, MachineFault, MachineFaultKind
from lab.simulation.planned_commands import PlannedCommand


class Options(msgspec.Struct, frozen=True):
    """One simulation.

    Attributes:
        board: "sim", or "replay".
        recording: The CSV file of a replay.
        map: Its map.
        days: How long, before the calm at the end; `None` for a day, or for the whole of a recording.
        sensors: Series of a simulated house.
        seed: Everything random follows from it.
        faults: How much goes wrong.
        stop_at: Stop the world before this durable operation, once.
        stop_by: How: the power is cut, or the process is killed.
        faults: These, in place of those that `faults` would draw.
        orders: These commands, in place of those that `faults` would draw.
        releases: Let the cloud offer releases, as often as `faults` says.
        calm_s: The time without faults at the end, in which everything has to be delivered.
        config_text: TOML that is added after `[cloud]` and its `base_url`.
        boxed: How many relayed sensors of the simulated house a technician has yet to pair, name, replace and remove.
        report_interval_s: How often a relayed sensor of the simulated house reports.
    """

    board: str = "sim"
    recording: Path | None = None
    map: Path | None = None
    days: float | None = None
    sensors: int = 15
    seed: int = 1
    faults: FaultProfile = "default"
    stop_at: int | None = None
    stop_by: MachineFaultKind = MachineFaultKind.POWER_CUT
    machine_faults: tuple[MachineFault, ...] | None = None
    commands: tuple[PlannedCommand, ...] | None = None
    releases: bool = True
    calm_s: float = CALM_S
    config_text: str = ""
    boxed: int = 0
    report_interval_s: float = 60.0


PAIRING = Options(days=0.25, sensors=187, boxed=50, report_interval_s=300.0)
"""Fifty boxed sensors, which have 180 series beside the hub's seven: they are paired, leave, die, and come back."""
