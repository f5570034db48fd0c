"""What a home is built of. Types only: a hub that has no home imports nothing of the climate control by it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker

if TYPE_CHECKING:
    from agent.climate.service import ClimateService
    from agent.home.humidity import Channel
    from agent.maintenance.alert_service import MaintenanceAlerts
    from agent.maintenance.assessment import Finding
    from agent.maintenance.machine_readings import EnergyPost, VibrationPost
    from agent.pairing.service import PairingQueries
    from agent.sensors.calibration import Offset
    from agent.telemetry.intake import ChannelState
    from hal.interface import SensorKind


NOT_WATCHED = "this hub drives nothing, so it watches no machine"


class HomeParts(msgspec.Struct, frozen=True, kw_only=True):
    """The components and tools of one home.

    Attributes:
        climate: The control; `None` where the hub drives nothing.
        channels: The state of every sensor channel. It grows as sensors report.
        pairing: Sensors of the radio.
        board_name: The model of the hub.
        directory: Of the files.
        clock: The clocks of the boot.
        disk: Writes the files.
        worker: Runs what blocks.
        new_id: Makes ids of holds, actions and spaces.
        offset_of: Returns the offset of a sensor, from its device, name and kind; `None` where it has none.
        names_follow_spaces: A zone has the name of the space that it is in.
        findings: Returns what predictive maintenance knows about a zone, by its id.
        alerts: Those of predictive maintenance; `None` where the hub drives nothing.
        observe_post: Takes what a client has measured at a machine: the zone's id, the client's id, the measurement,
            the client's name. Returns why it does not count; empty where it does.
    """

    climate: "ClimateService | None"
    channels: "Mapping[Channel, ChannelState]"
    pairing: "PairingQueries"
    board_name: str
    directory: Path
    clock: Clock
    disk: Disk
    worker: Worker
    new_id: Callable[[], str]
    offset_of: "Callable[[str, str, SensorKind], Offset | None]" = lambda *_: None
    names_follow_spaces: bool = False
    findings: "Callable[[str], Sequence[Finding]]" = lambda _: ()
    alerts: "MaintenanceAlerts | None" = None
    observe_post: "Callable[[str, str, EnergyPost | VibrationPost, str], str]" = lambda *_: NOT_WATCHED
