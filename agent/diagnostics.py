"""The sections of the cloud's diagnostics command: the status of the components, and facts of the operating system.

Reads only. The command limits the size of the result and redacts secrets.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.cloud.client import CloudClient
from agent.cloud.contract import Endpoint
from agent.cloud.session import TRANSPORT_OVERHEAD_BYTES
from agent.foundation import system_info
from agent.local.climate import ClimateReport, build_climate
from agent.local.status import HubStatus, SensorReport
from agent.local.updates import UpdateReport, build_slots, build_updates
from agent.local.zigbee import ZigbeeReport
from agent.ota.service import UpdateService

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

DAY_S = 86_400
STARTS_MAX = 10


def diagnostic_sections(
    *,
    status: Callable[[], HubStatus],
    client: CloudClient,
    state_dir: Path,
    poll_interval_s: Callable[[], float],
    is_metered: Callable[[], bool],
    updates: Callable[[], UpdateService | None],
    climate: Callable[[], "ClimateService | None"],
    radio: Callable[[], ZigbeeReport | None],
) -> Mapping[str, Callable[[], Any]]:
    """Return the sections, in the order of the report.

    Args:
        status: Makes the status document.
        client: Counts the bytes of requests.
        state_dir: A directory on the disk whose free space is reported.
        poll_interval_s: Returns the time between two polls for commands.
        is_metered: Tells whether the link is paid by volume.
        updates: Returns the updates; `None` where nothing can ever be updated.
        climate: Returns the control; `None` where the hub drives nothing.
        radio: Returns the sensors' network and its members; `None` where the board has none.
    """
    return MappingProxyType(
        {
            "system": lambda: {"uptime_s": system_info.uptime_s(), "boot_reason": system_info.boot_reason()},
            "starts": lambda: status().starts[:STARTS_MAX],
            "versions": lambda: {"climahub": __version__, "board": status().board, **system_info.versions()},
            "slots": lambda: build_slots(updates()),
            "updates": lambda: _updates(updates()),
            "trust": lambda: _trust(_updates(updates())),
            "memory": system_info.memory,
            "disk": lambda: system_info.disk(state_dir),
            "temperatures": system_info.temperatures,
            "link": lambda: {"cloud": status().link, "interfaces": system_info.interfaces()},
            "clock": lambda: status().clock,
            "climate": lambda: _climate(climate()),
            "radio": radio,
            "sensors": lambda: [_sensor(each) for each in status().sensors],
            "relayed": lambda: status().relayed_sensors,
            "outbox": lambda: status().outbox,
            "quotas": lambda: status().quotas,
            "settings": lambda: status().settings,
            "polling": lambda: _polling(client, poll_interval_s(), is_metered=is_metered()),
            "errors": lambda: status().faults,
        }
    )


def _updates(updates: UpdateService | None) -> UpdateReport | None:
    return None if updates is None else build_updates(updates)


def _trust(report: UpdateReport | None) -> Mapping[str, object] | None:
    if report is None:
        return None
    return {
        "trusted_keys": report.trusted_keys,
        "revoked_keys": report.revoked_keys,
        "floor": report.floor,
        "warning": report.warning,
    }


def _climate(climate: "ClimateService | None") -> ClimateReport | None:
    return None if climate is None else build_climate(climate)


def _sensor(sensor: SensorReport) -> Mapping[str, object]:
    return {
        "device": sensor.device,
        "source": sensor.sensor,
        "kind": sensor.kind,
        "value": sensor.value,
        "unit": sensor.unit,
        "age_s": sensor.age_s,
        "quality": sensor.quality,
        "problem": sensor.problem or sensor.reason,
    }


def _polling(client: CloudClient, interval_s: float, *, is_metered: bool) -> Mapping[str, object]:
    """Return what polling for commands costs, from the bytes of the requests so far."""
    usage = client.data_usage[Endpoint.COMMANDS_PENDING]
    per_poll = usage.bytes / usage.requests + TRANSPORT_OVERHEAD_BYTES if usage.requests else None
    return {
        "interval_s": interval_s,
        "is_metered": is_metered,
        "bytes_per_poll": None if per_poll is None else round(per_poll),
        "bytes_per_day": None if per_poll is None else round(per_poll * DAY_S / interval_s),
    }
