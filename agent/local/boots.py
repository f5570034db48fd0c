"""The document of the trail of boots. Reads only.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.foundation import rfc3339
from agent.foundation.boot_trail import BootRecord
from agent.local.routes import Handler, LocalRequest


class BootReport(msgspec.Struct, frozen=True):
    """One boot of the machine.

    Attributes:
        boot_id: Its identifier.
        reason: Why the machine had booted: "power_on", "watchdog", "restart" or "unknown".
        began: When it began, in UTC, where the time was known in it.
        seen_s: The time since the boot when the agent last noted that it runs: to the hour, where the end was sudden.
        end: "running", "restarted", "power_lost", "machine_watchdog" or "unknown".
        agent_starts: How many processes of the agent it has seen.
        agent_ends: How often they ended in it, by cause: "stopped", "crashed", "watchdog", "out_of_memory", "killed".
        versions: Of the agent, the latest last.
        power_problems: "under_voltage", "frequency_capped", "throttled", "soft_temperature_limit", as far as seen.
    """

    boot_id: str
    reason: str
    began: str | None
    seen_s: int
    end: str
    agent_starts: int
    agent_ends: Mapping[str, int] = {}
    versions: tuple[str, ...] = ()
    power_problems: tuple[str, ...] = ()


class BootsReport(msgspec.Struct, frozen=True):
    """The boots, newest first; empty on a hub that keeps no trail."""

    boots: list[BootReport]


def build_boots(records: Sequence[BootRecord]) -> BootsReport:
    """Return the document of a trail."""
    return BootsReport([_report(boot) for boot in reversed(records)])


def _report(boot: BootRecord) -> BootReport:
    return BootReport(
        boot_id=boot.boot_id,
        reason=boot.reason,
        began=rfc3339.render_known(boot.at_utc_ms),
        seen_s=boot.seen_s,
        end=boot.end.value,
        agent_starts=boot.agent_starts,
        agent_ends=boot.agent_ends,
        versions=boot.versions,
        power_problems=boot.power_problems,
    )


def handlers(records: Callable[[], Sequence[BootRecord]]) -> Mapping[str, Handler]:
    """Return the handler of the trail of boots."""

    async def get_boots(_: LocalRequest) -> BootsReport:
        return build_boots(records())

    return {"get_boots": get_boots}
