"""What a diagnostics command can report of this hub, by section: the status of the rooms and the kernel's word.

A façade like the status, for somebody far away. Reads only; the command bounds its size and blacks out secrets.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent import __version__
from agent.cloud.client import CloudClient
from agent.cloud.endpoints import Endpoint
from agent.cloud.traffic import TRANSPORT_BYTES
from agent.foundation import vitals
from agent.local.status import Status

DAY_S = 86_400


def diagnostic_sections(
    *,
    status: Callable[[], Status],
    client: CloudClient,
    state_dir: Path,
    poll_interval_s: Callable[[], float],
    is_metered: Callable[[], bool],
    slots: Callable[[], Any],
) -> Mapping[str, Callable[[], Any]]:
    """Return the sections, in the order of the report.

    Args:
        status: What the hub says of itself.
        client: For what requests cost.
        state_dir: Whose disk is meant.
        poll_interval_s: Between two polls for commands.
        is_metered: Whether the link is paid by volume.
        slots: Which release runs, and which others there are.
    """

    def sensors() -> Any:  # noqa: ANN401 (any JSON)
        return [
            {
                "device": sensor.device,
                "source": sensor.source,
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
        traffic = client.traffic[Endpoint.COMMANDS_PENDING]
        per_poll = traffic.bytes / traffic.requests + TRANSPORT_BYTES if traffic.requests else None
        interval_s = poll_interval_s()
        return {
            "interval_s": interval_s,
            "is_metered": is_metered(),
            "bytes_per_poll": None if per_poll is None else round(per_poll),
            "bytes_per_day": None if per_poll is None else round(per_poll * DAY_S / interval_s),
        }

    return MappingProxyType(
        {
            "system": lambda: {"uptime_s": vitals.uptime_s(), "boot_reason": vitals.boot_reason()},
            "versions": lambda: {"climahub": __version__, "board": status().board, **vitals.versions()},
            "slots": slots,
            "memory": vitals.memory,
            "disk": lambda: vitals.disk(state_dir),
            "temperatures": vitals.temperatures,
            "link": lambda: {"cloud": status().link, "interfaces": vitals.interfaces()},
            "clock": lambda: status().clock,
            "sensors": sensors,
            "relayed": lambda: status().relayed,
            "outbox": lambda: status().outbox,
            "quotas": lambda: status().quotas,
            "settings": lambda: status().settings,
            "polling": polling,
            "errors": lambda: status().faults,
        }
    )
