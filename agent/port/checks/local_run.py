"""Runs the checks without the agent: for `climahub doctor` on a hub whose agent is dead, or which may not be asked.

Whatever only the agent knows is unknown, with the reason. The configuration may be wrong or unreadable.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from agent.config.loading import resolve, resolve_text
from agent.config.tables import Config
from agent.errors import ConfigInvalid
from agent.foundation import rfc3339, system_info
from agent.foundation.clock import SystemClock
from agent.local.status import ClockStatus
from agent.port.checks.facts import Agent, Missing
from agent.port.checks.probes import Machine, machine_probes_of
from agent.port.checks.report import ChecksReport
from agent.port.checks.runner import CheckRunner, Probe, ThreadReads, immediate

_DEFAULTS = '[cloud]\nbase_url = "https://cloud.invalid"\n'
"""For the places of files, where the configuration cannot be used."""

ONLY_THE_AGENT = ("documents", "boots", "heating", "port", "radio", "history")


async def run_here(
    config_file: Path, environ: Mapping[str, str], agent: Agent | Missing, *, with_network: bool
) -> ChecksReport:
    """Run what can be run without the agent.

    Args:
        config_file: The configuration.
        environ: Of this process.
        agent: Whether the agent answers.
        with_network: Also try the way to the cloud.
    """
    config, problem = _config(config_file, environ)
    clock = SystemClock(trust_wall_clock=config.clock.trust == "system")
    machine = Machine(
        config=config,
        config_file=config_file,
        at_start=None,
        environ=environ,
        utc_ms=clock.utc_ms,
        home_zone=lambda: "",
    )
    reason = agent.reason if isinstance(agent, Missing) else agent.problem or "only the agent knows this"
    skipped = {"cloud": "the hub itself has tried it"} if not with_network else {}
    if problem:
        skipped["cloud"] = "the configuration cannot be used"

    def probes() -> tuple[Probe, ...]:
        found = [probe for probe in machine_probes_of(machine, reads) if probe.fact not in skipped]
        found += [immediate(fact, lambda fact=fact: Missing(skipped[fact])) for fact in skipped]  # type: ignore[misc]
        found += [immediate(fact, lambda: Missing(reason)) for fact in ONLY_THE_AGENT]
        return (*found, immediate("agent", lambda: agent), immediate("clock", lambda: _clock(clock)))

    reads = ThreadReads()
    return await CheckRunner(probes).run()


def _config(file: Path, environ: Mapping[str, str]) -> tuple[Config, str]:
    """Return the configuration, or the defaults and why it cannot be used."""
    try:
        if os.access(file, os.R_OK):
            return resolve(file, environ=environ).config, ""
        problem = f"{file} cannot be read"
    except ConfigInvalid as error:
        problem = str(error)
    return resolve_text(_DEFAULTS, file=str(file), directory=file.parent.absolute(), environ={}).config, problem


def _clock(clock: SystemClock) -> ClockStatus:
    utc_ms, known = clock.utc_ms(), clock.knowledge()
    return ClockStatus(
        utc_ms is not None,
        None if utc_ms is None else rfc3339.render(utc_ms),
        clock.boot_id,
        system_info.uptime_s() or 0,
        source=known.source if known else "",
        error_s=known.error_ms / 1000 if known and known.error_ms is not None else None,
    )
