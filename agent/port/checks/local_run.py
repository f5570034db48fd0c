"""Runs the checks without the agent: for `climahub doctor` on a hub whose agent is dead, or which may not be asked.

Whatever only the agent knows is unknown, with the reason. The configuration may be wrong or unreadable.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from agent.config.loading import resolve, resolve_text
from agent.config.tables import Config
from agent.errors import ConfigInvalid
from agent.foundation import rfc3339, system_info
from agent.foundation.boot_trail import read_trail
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.host import SERVICE_RESULT_FILE
from agent.foundation.start_history import exit_cause_of, read_service_result
from agent.foundation.supervisor import describe_error
from agent.local.boots import BootReport, build_boots
from agent.local.problems import END_TEXTS
from agent.local.status import ClockStatus
from agent.port.checks.facts import Agent, Missing
from agent.port.checks.probes import Machine, machine_probes_of
from agent.port.checks.report import ChecksReport
from agent.port.checks.runner import CheckRunner, Probe, ThreadReads, immediate

_DEFAULTS = '[cloud]\nbase_url = "https://cloud.invalid"\n'
"""For the places of files, where the configuration cannot be used."""

ONLY_THE_AGENT = ("documents", "heating", "port", "radio", "history", "energy")


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
        found.append(reads.probe("boots", lambda: _boots(config.storage.state_dir)))
        found.append(reads.probe("agent", lambda: _agent(agent, config.storage.run_dir)))
        return (*found, immediate("clock", lambda: _clock(clock)))

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


def _boots(state_dir: Path) -> tuple[BootReport, ...]:
    return tuple(build_boots(read_trail(state_dir, Disk())).boots)


def _agent(agent: Agent | Missing, run_dir: Path) -> Agent | Missing:
    """Return whether the agent answers; of a dead one also how it ended, as the service manager reports it.

    An agent that lives and does not answer may have been unable to import what answers: only a visitor has it imported.
    """
    if isinstance(agent, Missing) or not agent.problem:
        return agent
    try:
        importlib.import_module("agent.port.serving")
    except (ImportError, SyntaxError) as error:
        return Agent(f"{agent.problem}; install climahub again: its port cannot be loaded ({describe_error(error)})")
    said = read_service_result(run_dir / SERVICE_RESULT_FILE, Disk())
    if said is None:
        return agent
    end, detail = exit_cause_of(said)
    return Agent(f"{agent.problem}; it {END_TEXTS[end]}" + (f" ({detail})" if detail else ""))


def _clock(clock: SystemClock) -> ClockStatus:
    utc_ms, known = clock.utc_ms(), clock.knowledge()
    return ClockStatus(
        utc_ms is not None,
        rfc3339.render_known(utc_ms),
        clock.boot_id,
        system_info.uptime_s() or 0,
        source=known.source if known else "",
        error_s=known.error_ms / 1000 if known and known.error_ms is not None else None,
    )
