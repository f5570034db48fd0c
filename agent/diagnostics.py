"""What a diagnostics command can report of this hub, by section: the status of the rooms and the kernel's word.

A façade like the status, for somebody far away. Reads only; the command bounds its size and blacks out secrets.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.cloud.client import CloudClient
from agent.cloud.data_usage import TRANSPORT_OVERHEAD_BYTES
from agent.cloud.endpoints import Endpoint
from agent.foundation import system_info
from agent.local.climate import build_climate
from agent.local.status import HubStatus
from agent.local.updates import UpdateReport, build_slots, build_updates
from agent.local.zigbee import ZigbeeReport
from agent.ota.service import UpdateService

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

DAY_S = 86_400
STARTS_TOLD_MAX = 10


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
        status: What the hub says of itself.
        client: For what requests cost.
        state_dir: Whose disk is meant.
        poll_interval_s: Between two polls for commands.
        is_metered: Whether the link is paid by volume.
        updates: Returns those of the hub; `None` where nothing can ever be updated.
        climate: Returns the control; `None` where the hub drives nothing.
        radio: Returns the sensors' network and its members; `None` where the board has none.
    """

    def sensors() -> Any:  # noqa: ANN401 (any JSON)
        return [
            {
                "device": sensor.device,
                "source": sensor.sensor,
                "kind": sensor.kind,
                "value": sensor.value,
                "unit": sensor.unit,
                "age_s": sensor.age_s,
                "quality": sensor.quality,
                "problem": sensor.problem or sensor.reason,
            }
            for sensor in status().sensors
        ]

    def polling() -> Any:  # noqa: ANN401 (any JSON)
        traffic = client.data_usage[Endpoint.COMMANDS_PENDING]
        per_poll = traffic.bytes / traffic.requests + TRANSPORT_OVERHEAD_BYTES if traffic.requests else None
        interval_s = poll_interval_s()
        return {
            "interval_s": interval_s,
            "is_metered": is_metered(),
            "bytes_per_poll": None if per_poll is None else round(per_poll),
            "bytes_per_day": None if per_poll is None else round(per_poll * DAY_S / interval_s),
        }

    def control() -> Any:  # noqa: ANN401 (any JSON)
        found = climate()
        return None if found is None else build_climate(found)

    def update() -> UpdateReport | None:
        room = updates()
        return None if room is None else build_updates(room)

    def trust() -> Any:  # noqa: ANN401 (any JSON)
        if (report := update()) is None:
            return None
        return {
            "trusted_keys": report.trusted_keys,
            "revoked_keys": report.revoked_keys,
            "floor": report.floor,
            "warning": report.warning,
        }

    return MappingProxyType(
        {
            "system": lambda: {"uptime_s": system_info.uptime_s(), "boot_reason": system_info.boot_reason()},
            "starts": lambda: status().starts[:STARTS_TOLD_MAX],
            "versions": lambda: {"climahub": __version__, "board": status().board, **system_info.versions()},
            "slots": lambda: build_slots(updates()),
            "updates": update,
            "trust": trust,
            "memory": system_info.memory,
            "disk": lambda: system_info.disk(state_dir),
            "temperatures": system_info.temperatures,
            "link": lambda: {"cloud": status().link, "interfaces": system_info.interfaces()},
            "clock": lambda: status().clock,
            "climate": control,
            "radio": radio,
            "sensors": sensors,
            "relayed": lambda: status().relayed_sensors,
            "outbox": lambda: status().outbox,
            "quotas": lambda: status().quotas,
            "settings": lambda: status().settings,
            "polling": polling,
            "errors": lambda: status().faults,
        }
    )
