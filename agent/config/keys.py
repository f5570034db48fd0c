"""The one table of configuration keys: name, type, default, reason. Everything else about keys is derived from it.

Owns what may stand in a configuration file. Never reads a file; `agent.config` gives the values their typed form.
"""

import msgspec

from agent.config.relays import part_list, relay_list
from agent.config.types import (
    ValueType,
    boolean,
    choice,
    cloud_url,
    credential_name,
    file_path,
    integer,
    maintenance_window,
    number,
    proxy_url,
    radio_channel,
    serial_port,
    socket_name,
    text,
    text_list,
)
from agent.config.zones import EMITTERS, zone_list
from hal.interface import SERIES_MAX, SensorKind

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY_S = 86_400


class Key(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        path: Dotted, as in the file.
        default: As TOML would write it; `None` where there is none.
        reason: One line: what it is for, or why the default is what it is.
        is_required: The file must have it.
        example: For a key without default: what the example file shows.
        is_chosen: Whoever installs a hub has to think about it: it stands in the short example.
    """

    path: str
    type: ValueType
    default: object
    reason: str
    is_required: bool = False
    example: object = None
    is_chosen: bool = False

    @property
    def section(self) -> str:
        """The table the key stands in."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key within its table."""
        return self.path.rpartition(".")[2]


SECTIONS: dict[str, str] = {
    "cloud": "The ClimaSense cloud: where it is, how the hub proves who it is, how often they speak.",
    "board": "What the hub runs on.",
    "board.sim": 'The simulated house (board.name = "sim").',
    "board.replay": 'A recording of a house (board.name = "replay").',
    "board.linux": 'This machine\'s own sensors and relays (board.name = "linux").',
    "sensors": "Which of the board's own sensors are read.",
    "sensors.primary": "Which sensor speaks for the hub where several measure the same kind.",
    "storage": "Where readings wait for the cloud, and how much room they may take.",
    "commands": "What the cloud may tell this hub to do.",
    "ota": "Updates: whose, when, and how a new release has to prove itself.",
    "climate": "Heating and cooling. Without zones the hub drives nothing.",
    "clock": "Whom the hub believes what time it is.",
    "relayed_sensors": "Sensors that speak to the cloud through this hub.",
    "zigbee": "A Zigbee stick; its sensors are relayed. Needs the extra: pip install 'climahub[zigbee]'.",
    "local": "The door for people on this machine.",
    "log": "What is written for the journal.",
}
"""Each table and what it is about, in the order of the example file."""

_SEED_MAX = 2**63 - 1

KEYS: tuple[Key, ...] = (
    Key(
        "cloud.base_url",
        cloud_url(),
        None,
        "root of the API; no default, so that no hub speaks to a cloud nobody chose",
        is_required=True,
        example="http://127.0.0.1:8080",
        is_chosen=True,
    ),
    Key(
        "cloud.api_key_file",
        file_path(),
        None,
        "file with the hub's key, readable by the agent only; comes before the credential",
        example="/etc/climahub/api-key",
        is_chosen=True,
    ),
    Key(
        "cloud.api_key_credential",
        credential_name(),
        "climahub-api-key",
        "systemd credential with the hub's key (LoadCredential= in the unit), taken where no file is named",
    ),
    Key(
        "cloud.ca_file",
        file_path(),
        None,
        "PEM file of further certificate authorities, beside the system's: for a private cloud",
        example="/etc/climahub/ca.pem",
    ),
    Key(
        "cloud.proxy",
        proxy_url(),
        "environment",
        "the way out, never for this machine itself; by default what HTTPS_PROXY and NO_PROXY say",
    ),
    Key("cloud.request_timeout_s", number(1, 300, "s"), 30, "a DSL line under load needs seconds; a dead one must end"),
    Key("cloud.gzip", choice("auto", "off"), "auto", '"auto" compresses until the server refuses it or fails on it'),
    Key(
        "cloud.settings_poll_interval_s",
        number(60, DAY_S, "s"),
        600,
        "how old the hub's copy of the server's settings may get; the quota is 10 a minute",
    ),
    Key(
        "cloud.commands_poll_interval_s",
        number(3, 3600, "s"),
        15,
        "how long a command waits at the longest; 15 s cost 3 MB a day, and the quota is 30 a minute",
    ),
    Key(
        "cloud.metered",
        choice("auto", "yes", "no"),
        "auto",
        'whether the link is paid by volume: polls are then 20 times rarer; "auto" looks whether it is a modem',
    ),
    Key(
        "cloud.batch_linger_s", number(0, 3600, "s"), 120, "wait this long for a batch to fill: fewer, larger requests"
    ),
    Key("cloud.batch_readings_max", integer(1, 100, "readings"), 100, "the API takes at most 100 in a request"),
    Key(
        "board.name",
        choice("sim", "linux", "replay"),
        "sim",
        "needs no hardware, so that the first start works",
        is_chosen=True,
    ),
    Key("board.sim.seed", integer(0, _SEED_MAX), 1, "the same seed gives the same house, weather and faults"),
    Key(
        "board.sim.sensors_count",
        integer(len(SensorKind), SERIES_MAX, "sensors"),
        len(SensorKind),
        "one of each kind on the hub; those above seven are relayed, and each device of them needs a key",
    ),
    Key("board.sim.report_interval_s", number(1, DAY_S - 1, "s"), 60, "how often a relayed sensor reports"),
    Key("board.sim.tenant_thermostat", boolean(), True, "heat the house with a thermostat of its own"),
    Key(
        "board.replay.recording",
        file_path(),
        None,
        "the recording, a CSV file; needed when this board is chosen",
        example="house.csv",
    ),
    Key(
        "board.replay.map",
        file_path(),
        None,
        "which column is which sensor; needed when this board is chosen",
        example="house.toml",
    ),
    Key("board.linux.sysfs_root", file_path(), "/sys", "where the kernel shows its devices; tests give a made-up tree"),
    Key(
        "board.linux.gpio_chip", file_path(), "/dev/gpiochip0", "whose lines the relays hang on (gpiodetect lists them)"
    ),
    Key("board.linux.relays", relay_list(), [], "the relays of the zones, by the numbers of their lines"),
    Key("board.linux.heat_source_lines", part_list(), [], "what the shared source has relays for"),
    Key("board.linux.relays_active_low", boolean(), False, "whether a relay pulls in when its line is low"),
    Key(
        "sensors.disabled",
        text_list('sensor names, such as "hwmon/nvme/Composite"'),
        [],
        "sensors that are never read: a processor's temperature is no room's",
    ),
    *(
        Key(
            f"sensors.primary.{kind}",
            text("the name of a sensor, as `climahub status` shows it"),
            None,
            f"needed only where several sensors measure {kind}",
            example=f"sensor-of-{kind.replace('_', '-')}",
        )
        for kind in SensorKind
    ),
    Key("storage.state_dir", file_path(), "/var/lib/climahub", "outbox and settings: survives a reboot"),
    Key("storage.run_dir", file_path(), "/run/climahub", "sockets: gone after a reboot"),
    Key(
        "storage.outbox_bytes_max",
        integer(64 * KIB, 64 * GIB, "bytes"),
        256 * MIB,
        "256 MiB: months of readings of 50 sensors at 60 s; older ones are downsampled first",
    ),
    Key(
        "storage.disk_free_bytes_min",
        integer(0, 1024 * GIB, "bytes"),
        64 * MIB,
        "64 MiB: what the outbox leaves to everybody else on the disk",
    ),
    Key(
        "storage.commit_interval_s", number(0.1, 300, "s"), 10, "a power cut loses at most this; shorter wears the card"
    ),
    Key(
        "storage.memory_readings_max",
        integer(100, 1_000_000, "readings"),
        20_000,
        "readings held in memory while the disk takes none",
    ),
    Key(
        "storage.dead_letters_max", integer(1, 100_000, "readings"), 1000, "readings the cloud refused, kept for a look"
    ),
    Key("storage.gaps_max", integer(1, 100_000, "gaps"), 1000, "records of what was downsampled or dropped"),
    Key(
        "commands.pending_max",
        integer(1, 10_000, "commands"),
        100,
        "commands kept until they are settled; the cloud keeps what is above",
    ),
    Key(
        "commands.factory_reset_needs_person",
        boolean(),
        False,
        "a factory reset waits 10 minutes for `climahub commands --confirm ID` at the hub",
    ),
    Key(
        "commands.reboot",
        choice("auto", "logind", "simulated"),
        "auto",
        '"simulated" restarts the agent only, as a new boot; "auto" does so on every board but "linux"',
    ),
    Key(
        "ota.keys_dir",
        file_path(),
        "/etc/climahub/update-keys",
        "its *.pub files say whose releases this hub installs; without any, none",
    ),
    Key(
        "ota.allow_unsigned",
        boolean(),
        False,
        "install releases that nobody signed: whoever controls the cloud then controls this home",
    ),
    Key("ota.model", text("a hardware model"), "hub", "a release names the models that it fits"),
    Key(
        "ota.check_interval_s",
        number(60, 7 * DAY_S, "s"),
        6 * 3600,
        "how often the cloud is asked for a release",
    ),
    Key(
        "ota.spread_s",
        number(0, DAY_S, "s"),
        3600,
        "hubs of a batch begin their downloads spread over this time, each at its own point of it",
    ),
    Key(
        "ota.maintenance_window",
        maintenance_window(),
        "02:00-05:00",
        'when the hub may restart into a release, in the time zone of its settings; or "always"',
    ),
    Key(
        "ota.metered",
        choice("never", "window", "always"),
        "window",
        "when a release is downloaded over a metered link",
    ),
    Key(
        "ota.size_bytes_max",
        integer(1, 4 * GIB, "bytes"),
        512 * MIB,
        "512 MiB: a larger release is refused before its first byte",
    ),
    Key("ota.rate_bytes_s_min", integer(0, GIB, "bytes/s"), 512, "a slower server is left alone and tried again later"),
    Key("ota.download_deadline_s", number(60, DAY_S, "s"), 3600, "one request may take so long; the next one goes on"),
    Key("ota.trial_s", number(1, DAY_S, "s"), 600, "how long on end a new release has to be well"),
    Key("ota.trial_deadline_s", number(1, DAY_S, "s"), 1800, "by then it must have been; else the old one returns"),
    Key(
        "ota.trial_starts_max", integer(1, 10, "starts"), 2, "how often a release is started that has not proved itself"
    ),
    Key(
        "climate.zones",
        zone_list(),
        [],
        "each zone is an output of the board, with the sensors that measure it",
    ),
    Key(
        "climate.emitter",
        choice(*EMITTERS),
        "radiator",
        "what heats the rooms: how fast it is decides how it is driven",
    ),
    Key(
        "climate.heat_source",
        choice("none", "boiler", "heat_pump"),
        "none",
        'what makes heat for all zones; "none" where each has its own',
    ),
    Key("climate.heat_source_min_on_s", number(0, 3600, "s"), 300, "a compressor needs minutes to get its oil back"),
    Key("climate.heat_source_min_off_s", number(0, 3600, "s"), 300, "a compressor must not start against its pressure"),
    Key("climate.heat_source_starts_per_hour_max", integer(1, 60, "starts"), 6, "each start wears it"),
    Key("climate.heat_source_stages", integer(1, 2, "stages"), 1, "the second helps where the first does not suffice"),
    Key("climate.auxiliary_heat", boolean(), False, "whether the source has auxiliary heat"),
    Key(
        "climate.reversing_valve",
        choice("cooling", "heating"),
        "cooling",
        "in which of both the valve of a heat pump is energised",
    ),
    Key("climate.pump_overrun_s", number(0, 3600, "s"), 300, "carries the last heat from the source to the rooms"),
    Key("climate.relay_min_on_s", number(0, 3600, "s"), 180, "of each zone's own relay"),
    Key("climate.relay_min_off_s", number(0, 3600, "s"), 180, "of each zone's own relay"),
    Key("climate.relay_starts_per_hour_max", integer(1, 60, "starts"), 6, "of each zone's own relay"),
    Key("climate.frost_c", number(4, 12, "°C"), 6, "below this a zone is heated whatever its mode"),
    Key("climate.over_c", number(20, 40, "°C"), 30, "at or above this nothing is heated"),
    Key("climate.under_c", number(10, 24, "°C"), 16, "at or below this nothing is cooled"),
    Key(
        "climate.sensor_stale_s",
        number(120, DAY_S, "s"),
        1800,
        "an older reading does not count; more where sensors report hourly",
    ),
    Key(
        "climate.fallback_duty_max",
        number(0, 1),
        0.3,
        "how much a zone without any sensor is heated at most, as a share of time",
    ),
    Key(
        "climate.fallback_s_max", number(0, 30 * DAY_S, "s"), 3 * DAY_S, "for how long; then it is only kept from frost"
    ),
    Key("climate.failure_s", number(600, DAY_S, "s"), 7200, "so much heating without a rise is reported as a failure"),
    Key("climate.optimum_start", boolean(), True, "begin before a warmer block, so that it is reached when it starts"),
    Key(
        "clock.trust",
        choice("kernel", "cloud", "system"),
        "kernel",
        '"kernel" believes NTP, else the cloud over TLS or a battery; "cloud" without TLS too; "system" the wall clock',
    ),
    Key(
        "relayed_sensors.sensor_keys_file",
        file_path(),
        None,
        "secret TOML file with the key of each relayed sensor, by its device name or IEEE address",
        example="/etc/climahub/sensor-keys.toml",
    ),
    Key(
        "relayed_sensors.sensor_keys_credential",
        credential_name(),
        "climahub-sensor-keys",
        "systemd credential with the same content; used where it exists",
    ),
    Key(
        "zigbee.port",
        serial_port(),
        "none",
        'where the stick is, by a name that stays (/dev/serial/by-id/...); "auto" goes by its USB identity',
    ),
    Key(
        "zigbee.adapter",
        choice("auto", "ezsp", "znp", "deconz"),
        "auto",
        'what the stick speaks; "auto" goes by its USB identity; znp and deconz need their extras (zigbee-znp, ...)',
    ),
    Key("zigbee.baudrate", integer(9600, 1_000_000, "baud"), 115_200, "what nearly all sticks use"),
    Key(
        "zigbee.flow_control",
        choice("none", "hardware", "software"),
        "none",
        "what nearly all sticks use; a wrong one looks like a dead stick",
    ),
    Key(
        "zigbee.channel",
        radio_channel(),
        0,
        "of a network that is formed anew; 0 takes the quietest",
    ),
    Key(
        "zigbee.take_over",
        boolean(),
        False,
        "a hub without a network refuses a stick that holds one; true takes it over, for a hub that lost its disk",
    ),
    Key(
        "zigbee.quirks",
        boolean(),
        False,
        "use the Zigbee community's device table where zha-quirks is installed (Python 3.12 or newer): docs/zigbee.md",
    ),
    Key(
        "zigbee.report_interval_s_min",
        integer(0, 900, "s"),
        10,
        "the least time between two reports of a value; shorter costs the sensors' batteries",
    ),
    Key(
        "local.socket",
        socket_name(),
        "status.sock",
        "where `climahub status` asks; a name is taken below storage.run_dir",
    ),
    Key("log.level", choice("debug", "info", "warning", "error"), "info", "the least that is written"),
    Key(
        "log.format",
        choice("text", "json", "journal"),
        "text",
        '"journal" writes systemd priorities and leaves the time to the journal',
        is_chosen=True,
    ),
)

BY_PATH: dict[str, Key] = {key.path: key for key in KEYS}

RENAMED: dict[str, str] = {
    "board.linux.source_lines": "board.linux.heat_source_lines",
    "climate.source": "climate.heat_source",
    "climate.source_min_on_s": "climate.heat_source_min_on_s",
    "climate.source_min_off_s": "climate.heat_source_min_off_s",
    "climate.source_starts_per_hour_max": "climate.heat_source_starts_per_hour_max",
    "climate.source_stages": "climate.heat_source_stages",
}
"""Keys of releases before 1.0, and what they are called now."""

REFUSED: dict[str, str] = {
    "ota.window": "this key has a new name: rename it to maintenance_window",
    **{old: f"this key is now called {new}: rename it" for old, new in RENAMED.items()},
    "cloud.api_key": (
        "a secret never stands in the configuration: put it into a file that only the agent can read and set"
        " cloud.api_key_file, or pass it as the systemd credential named in cloud.api_key_credential"
    ),
    "relay": "this table has a new name: rename it to [relayed_sensors]",
    "relayed_sensors.sensor_keys": (
        "secrets never stand in the configuration: put them into a file that only the agent can read and set"
        " relayed_sensors.sensor_keys_file"
    ),
}
"""Keys that people try and that are refused for a reason of their own; their values are never repeated."""
