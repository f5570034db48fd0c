"""The probes of machine, files and network, which the hub and the command line both use."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.config.network import ProxyRules
from agent.config.tables import Config
from agent.port.checks import machine_probes
from agent.port.checks.cloud_probe import CloudTarget, client_files, probe_cloud
from agent.port.checks.facts import Configuration, Missing
from agent.port.checks.machine_probes import Roots
from agent.port.checks.runner import CLOUD_S_MAX, Probe, ThreadReads

SECRET_FILES = ("api-key", "sensor-keys.toml")
SECRET_STATE_FILES = (
    "zigbee-network.json",
    "relayed.json",
    "certificate.json",
    "credentials.json",
    "config-changes.json",
    "api-clients.json",
    "aurra-home.json",
    "aurra-home-keys.json",
    "homekit.json",
    "webhooks.json",
)
"""Files of the state directory that hold keys."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the probes of the machine look at.

    Attributes:
        config: The configuration in force, or that of the file.
        config_file: The file; `None` where there is none (a demo).
        at_start: Returns what the file held when the hub started; `None` where this process is not the hub.
        environ: Of the process.
        utc_ms: This machine's time; `None` while it is not known.
        home_zone: Returns the time zone of the home.
        roots: The trees to read.
    """

    config: Config
    config_file: Path | None
    at_start: Callable[[], Config] | None
    environ: Mapping[str, str]
    utc_ms: Callable[[], int | None]
    home_zone: Callable[[], str]
    roots: Roots = Roots()


def machine_probes_of(machine: Machine, reads: ThreadReads) -> Sequence[Probe]:
    """Return the probes of machine, files and network."""
    config, roots = machine.config, machine.roots
    state_dir, run_dir = config.storage.state_dir, config.storage.run_dir
    target = CloudTarget(
        config.cloud.base_url,
        ProxyRules(config.cloud.proxy, machine.environ),
        reads,
        str(config.cloud.ca_file) if config.cloud.ca_file else None,
        client_certificate=client_files(config.cloud),
    )
    is_service = machine.at_start is not None
    return (
        reads.probe("throttling", lambda: machine_probes.throttling(roots)),
        reads.probe("supplies", lambda: machine_probes.supplies(roots)),
        reads.probe("disk", lambda: machine_probes.disk(state_dir, config.storage.disk_free_bytes_min)),
        reads.probe("wear", lambda: machine_probes.wear(roots, state_dir)),
        reads.probe("mounts", lambda: machine_probes.mounts((state_dir, run_dir), is_service=is_service)),
        reads.probe("memory", lambda: machine_probes.memory(roots)),
        reads.probe("temperatures", lambda: machine_probes.temperatures(roots)),
        reads.probe("load", lambda: machine_probes.load(roots)),
        reads.probe("time_zones", lambda: machine_probes.time_zones(roots, machine.home_zone())),
        reads.probe("watchdogs", lambda: machine_probes.watchdogs(roots)),
        reads.probe("network", lambda: machine_probes.local_network(roots)),
        reads.probe("secrets", lambda: machine_probes.secrets(_secret_files(machine), (state_dir,))),
        reads.probe("unit", lambda: machine_probes.unit(roots)),
        reads.probe("stores", lambda: machine_probes.stores(state_dir, machine.utc_ms())),
        reads.probe("configuration", lambda: _configuration(machine)),
        Probe("cloud", lambda: probe_cloud(target, machine.utc_ms), CLOUD_S_MAX),
    )


def _configuration(machine: Machine) -> Configuration | Missing:
    if machine.config_file is None:
        return Missing("this hub was started without a configuration file")
    at_start = machine.at_start() if machine.at_start else None
    return machine_probes.configuration(machine.config_file, machine.environ, at_start)


def _secret_files(machine: Machine) -> Sequence[Path]:
    config = machine.config
    named = [config.cloud.api_key_file, config.relayed_sensors.sensor_keys_file]
    if machine.config_file is not None:
        named += [machine.config_file.parent / name for name in SECRET_FILES]
    named += [config.storage.state_dir / name for name in SECRET_STATE_FILES]
    return tuple(dict.fromkeys(path for path in named if path is not None))
