"""The configuration as the hub uses it: one struct for each table of the file, one field for each key.

The one declaration of every key: its type, bounds, default and reason (`agent.config.schema`). Paths are absolute and
no secret is in it: `agent.config.secrets` reads those. The daemon imports this module, so it imports little.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.config.hardware_tables import (
    AqaraConfig,
    BoardConfig,
    BoilerConfig,
    RelayedSensorsConfig,
    SensorsConfig,
    UpsConfig,
    ZigbeeConfig,
)
from agent.config.port_tables import ApisConfig, LocalApiConfig, PortConfig
from agent.config.schema import key, keys_of, table, tables_of
from agent.config.types import (
    cloud_url,
    credential_name,
    daily_window,
    file_path,
    integer,
    number,
    proxy_url,
    text,
)
from agent.config.zones import ZoneConfig, zone_list

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY_S = 86_400


class CloudConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[cloud]`. `api_key_file` is where the key is, be it a file or a credential; `None` if nowhere."""

    base_url: Annotated[
        str,
        key(
            "root of the API; no default, so that no hub connects to a cloud that was not chosen",
            cloud_url(),
            example="http://127.0.0.1:8080",
            is_chosen=True,
        ),
    ]
    api_key_file: Annotated[
        Path | None,
        key(
            "file with the hub's key, readable by the agent only; takes precedence over the credential",
            file_path(),
            example="/etc/climahub/api-key",
            is_chosen=True,
        ),
    ] = None
    api_key_credential: Annotated[
        str,
        key(
            "systemd credential with the hub's key (LoadCredential= in the unit), used where no file is named",
            credential_name(),
            edit="file",
        ),
    ] = "climahub-api-key"
    ca_file: Annotated[
        Path | None,
        key(
            "PEM file of certificate authorities in addition to the system's: for a private cloud",
            file_path(),
            example="/etc/climahub/ca.pem",
        ),
    ] = None
    client_certificate_file: Annotated[
        Path | None,
        key(
            "PEM file of a certificate that the hub shows to the cloud's servers, for a gateway that asks for one",
            file_path(),
            example="/etc/climahub/client.pem",
            edit="file",
        ),
    ] = None
    client_key_file: Annotated[
        Path | None,
        key("PEM file of its private key, not encrypted", file_path(), example="/etc/climahub/client.key", edit="file"),
    ] = None
    proxy: Annotated[
        str,
        key("proxy for all requests except to this machine; by default HTTPS_PROXY and NO_PROXY decide", proxy_url()),
    ] = "environment"
    request_timeout_s: Annotated[
        float, key("a DSL line under load needs seconds; a dead one must time out", number(1, 300, "s"))
    ] = 30
    gzip: Annotated[Literal["auto", "off"], key('"auto" compresses until the server refuses it or fails on it')] = (
        "auto"
    )
    settings_poll_interval_s: Annotated[
        float,
        key(
            "the maximum age of the hub's copy of the server's settings; the quota is 10 a minute",
            number(60, DAY_S, "s"),
        ),
    ] = 600
    commands_poll_interval_s: Annotated[
        float,
        key(
            "the longest delay of a command for an hour after one, or after a person at the port; 15 s cost 3 MB a day",
            number(3, 3600, "s"),
        ),
    ] = 15
    commands_idle_poll_interval_s: Annotated[
        float, key("the longest delay of a command at all other times", number(3, 3600, "s"))
    ] = 60
    metered: Annotated[
        Literal["auto", "yes", "no"],
        key('whether the link is paid by volume: polls are then 20 times rarer; "auto" looks whether it is a modem'),
    ] = "auto"
    batch_linger_s: Annotated[
        float, key("wait this long for a batch to fill: fewer, larger requests", number(0, 3600, "s"))
    ] = 120
    batch_readings_max: Annotated[int, key("the API takes at most 100 in a request", integer(1, 100, "readings"))] = 100


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[storage]`."""

    state_dir: Annotated[Path, key("outbox, settings and other state: survives a reboot", file_path())] = Path(
        "/var/lib/climahub"
    )
    run_dir: Annotated[Path, key("sockets and other runtime files: removed by a reboot", file_path())] = Path(
        "/run/climahub"
    )
    outbox_bytes_max: Annotated[
        int,
        key(
            "256 MiB: months of readings of 50 sensors at 60 s; older ones are downsampled first",
            integer(64 * KIB, 64 * GIB, "bytes"),
        ),
    ] = 256 * MIB
    disk_free_bytes_min: Annotated[
        int, key("64 MiB: free space that the outbox leaves to other programs", integer(0, 1024 * GIB, "bytes"))
    ] = 64 * MIB
    commit_interval_s: Annotated[
        float, key("a power cut loses at most this; shorter wears the card", number(0.1, 300, "s"))
    ] = 10
    memory_readings_max: Annotated[
        int, key("readings kept in memory while the disk refuses writes", integer(100, 1_000_000, "readings"))
    ] = 20_000
    dead_letters_max: Annotated[
        int, key("refused readings that are kept for inspection", integer(1, 100_000, "readings"))
    ] = 1000
    gaps_max: Annotated[int, key("records of what was downsampled or dropped", integer(1, 100_000, "gaps"))] = 1000


class CommandsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[commands]`."""

    pending_max: Annotated[
        int, key("commands kept until they are settled; further ones stay in the cloud", integer(1, 10_000, "commands"))
    ] = 100
    factory_reset_needs_confirmation: Annotated[
        bool, key("a factory reset waits 10 minutes for `climahub commands --confirm ID` at the hub")
    ] = False
    reboot: Annotated[
        Literal["auto", "logind", "simulated"],
        key('"simulated" restarts the agent only, as a new boot; "auto" does so on every board but "linux"'),
    ] = "auto"


class OtaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[ota]`."""

    keys_dir: Annotated[
        Path, key("the *.pub files of the signers whose releases are installed; without any, none is", file_path())
    ] = Path("/etc/climahub/update-keys")
    allow_unsigned: Annotated[
        bool, key("install unsigned releases: whoever controls the cloud then controls this home", edit="file")
    ] = False
    model: Annotated[str, key("a release lists the models that it supports", text("a hardware model"), edit="file")] = (
        "hub"
    )
    check_interval_s: Annotated[
        float, key("how often the cloud is polled for a release", number(60, 7 * DAY_S, "s"))
    ] = 6 * 3600
    spread_s: Annotated[
        float,
        key(
            "downloads of a batch are spread over this time, at a fixed point of it for each hub",
            number(0, DAY_S, "s"),
        ),
    ] = 3600
    maintenance_window: Annotated[
        str,
        key(
            'when the hub may restart into a release, in the time zone of its settings; or "always"',
            daily_window(),
        ),
    ] = "02:00-05:00"
    metered: Annotated[
        Literal["never", "window", "always"], key("when a release is downloaded over a metered link")
    ] = "window"
    size_bytes_max: Annotated[
        int, key("512 MiB: a larger release is refused before its first byte", integer(1, 4 * GIB, "bytes"))
    ] = 512 * MIB
    rate_bytes_s_min: Annotated[
        int, key("a slower download is aborted and tried again later", integer(0, GIB, "bytes/s"))
    ] = 512
    download_deadline_s: Annotated[
        float, key("the longest time of one request; the next one resumes the download", number(60, DAY_S, "s"))
    ] = 3600
    trial_s: Annotated[
        float, key("how long a new release must be healthy without interruption", number(1, DAY_S, "s"))
    ] = 600
    trial_deadline_s: Annotated[
        float, key("the time limit for that; after it the old release returns", number(1, DAY_S, "s"))
    ] = 1800
    trial_starts_max: Annotated[int, key("how often a release on trial is started", integer(1, 10, "starts"))] = 2


class ClimateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[climate]`; no zones, no control."""

    zones: Annotated[
        tuple[ZoneConfig, ...],
        key("each zone is an output of the board, with the sensors that measure it", zone_list()),
    ] = ()
    emitter: Annotated[
        Literal["radiator", "floor", "air"], key("what heats the rooms; its speed determines the control parameters")
    ] = "radiator"
    heat_source: Annotated[
        Literal["none", "boiler", "heat_pump"], key('what makes heat for all zones; "none" where each has its own')
    ] = "none"
    zone_equipment: Annotated[
        Literal["auto", "boiler", "heat_pump", "furnace", "electric", "valve"],
        key('what a zone\'s output drives if zones share no heat source; "auto" goes by the emitter'),
    ] = "auto"
    heat_source_min_on_s: Annotated[
        float, key("a compressor needs minutes to get its oil back", number(0, 3600, "s"))
    ] = 300
    heat_source_min_off_s: Annotated[
        float, key("a compressor must not start against its pressure", number(0, 3600, "s"))
    ] = 300
    heat_source_starts_per_hour_max: Annotated[int, key("each start wears it", integer(1, 60, "starts"))] = 6
    heat_source_stages: Annotated[
        int, key("the second stage runs when the first is not enough", integer(1, 2, "stages"))
    ] = 1
    auxiliary_heat: Annotated[bool, key("whether the source has auxiliary heat")] = False
    reversing_valve: Annotated[
        Literal["cooling", "heating"], key("the mode in which the reversing valve of a heat pump is energised")
    ] = "cooling"
    pump_overrun_s: Annotated[
        float, key("carries the last heat from the source to the rooms", number(0, 3600, "s"))
    ] = 300
    relay_min_on_s: Annotated[
        float | None,
        key("of each zone's own relay; if left out, 60 to 600 s by what it drives", number(0, 3600, "s"), example=180),
    ] = None
    relay_min_off_s: Annotated[float, key("of each zone's own relay", number(0, 3600, "s"))] = 180
    relay_starts_per_hour_max: Annotated[int, key("of each zone's own relay", integer(1, 60, "starts"))] = 6
    frost_c: Annotated[float, key("below this a zone is heated whatever its mode", number(4, 12, "°C"))] = 6
    over_c: Annotated[float, key("at or above this nothing is heated", number(20, 40, "°C"))] = 30
    under_c: Annotated[float, key("at or below this nothing is cooled", number(10, 24, "°C"))] = 16
    sensor_stale_s: Annotated[
        float,
        key(
            "the longest silence of a sensor that has shown no longer one; the hub learns how each reports",
            number(120, DAY_S, "s"),
        ),
    ] = 7200
    fallback_duty_max: Annotated[
        float, key("the maximum share of time for which a zone without any sensor is heated", number(0, 1))
    ] = 0.3
    fallback_s_max: Annotated[
        float, key("for how long; after that, frost protection only", number(0, 30 * DAY_S, "s"))
    ] = 3 * DAY_S
    failure_s: Annotated[
        float,
        key(
            "cooling for this long without effect is a failure; heating for six times as long, if what the zone has"
            " needed before does not show it sooner",
            number(600, DAY_S, "s"),
        ),
    ] = 7200
    optimum_start: Annotated[bool, key("begin before a warmer block, so that it is reached when it starts")] = True
    setback_limit: Annotated[
        bool, key("raise a setback from which a zone does not get warm in time, as far as its last mornings show")
    ] = False
    absence_setback_k: Annotated[
        float, key("a zone that is reported empty is heated less by this, and cooled less", number(0, 10, "K"))
    ] = 3
    absence_delay_s: Annotated[float, key("for how long it must be empty before that", number(0, DAY_S, "s"))] = 1800
    window_pause_s_max: Annotated[
        float,
        key(
            "the longest pause for an open window that only the temperature shows; 0 for none", number(0, 4 * 3600, "s")
        ),
    ] = 1800
    outdoor_sensor: Annotated[
        str, key("a sensor outdoors and in the shade, which helps the control", text('"none", or the name of a sensor'))
    ] = "none"


class ClockConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[clock]`."""

    trust: Annotated[
        Literal["kernel", "cloud", "system"],
        key(
            '"kernel" takes NTP, else the cloud over TLS or a battery; "cloud" without TLS too;'
            ' "system" the wall clock',
            edit="file",
        ),
    ] = "kernel"


class MaintenanceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[maintenance]`."""

    alert_threshold: Annotated[
        float,
        key(
            "from which probability of a fault on a finding is an alert; it ends 0.22 below",
            number(0.5, 0.99, ""),
        ),
    ] = 0.72

    base_rate_factor: Annotated[
        float,
        key(
            "how much more often the heating fails here than in the fleets of docs/maintenance.md",
            number(0.05, 20, "times"),
        ),
    ] = 1.0


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[log]`."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], key("the lowest level that is written", edit="live")
    ] = "info"
    format: Annotated[
        Literal["text", "json", "journal"],
        key('"journal" writes systemd priorities and leaves the time to the journal', is_chosen=True, edit="file"),
    ] = "text"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration: checked, defaults filled in, relative paths made absolute."""

    cloud: Annotated[
        CloudConfig, table("The ClimaSense cloud: its address, the hub's credentials, and how often they communicate.")
    ]
    board: Annotated[BoardConfig, table("The hardware.")]
    sensors: Annotated[SensorsConfig, table("Which of the board's own sensors are read.")]
    storage: Annotated[StorageConfig, table("Where state and readings are stored, and how much space they may use.")]
    commands: Annotated[CommandsConfig, table("Commands from the cloud.")]
    ota: Annotated[OtaConfig, table("Updates: accepted signers, schedule, and the trial of a new release.")]
    climate: Annotated[ClimateConfig, table("Heating and cooling. Without zones the hub controls nothing.")]
    maintenance: Annotated[MaintenanceConfig, table("Predictive maintenance: how sure a finding has to be.")]
    boiler: Annotated[
        BoilerConfig, table("A boiler behind a gateway, as the heat source: it modulates (docs/hardware.md).")
    ]
    ups: Annotated[UpsConfig, table("A battery that feeds the hub while the mains is off (docs/hardware.md).")]
    clock: Annotated[ClockConfig, table("Accepted sources of time.")]
    relayed_sensors: Annotated[RelayedSensorsConfig, table("Sensors whose readings this hub forwards to the cloud.")]
    zigbee: Annotated[
        ZigbeeConfig, table("A Zigbee stick; its sensors are relayed. Needs the extra: pip install 'climahub[zigbee]'.")
    ]
    aqara: Annotated[
        AqaraConfig,
        table("An endpoint that speaks the Aqara Open API; its sensors are relayed, beside those of a Zigbee stick."),
    ]
    local_api: Annotated[LocalApiConfig, table("The local API: HTTP over a Unix socket, for people on this machine.")]
    port: Annotated[PortConfig, table("The technician's port: the local API and its page over the network.")]
    apis: Annotated[
        ApisConfig,
        table("APIs that other programs know, answered by the hub on the port; each client has a credential."),
    ]
    log: Annotated[LogConfig, table("The log.")]


KEYS = tuple(keys_of(Config))
"""Every key, in the order of the example file."""

BY_PATH = {key.path: key for key in KEYS}

TABLES = dict(tables_of(Config))
"""Every table by its dotted path, and what it is about, in the order of the example file."""
