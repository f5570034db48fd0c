"""The tables of the hardware: boards, the hub's own and relayed sensors, the Zigbee stick. Declared as in `tables`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.config.schema import key, table
from agent.config.types import (
    credential_name,
    ebusd_fields,
    endpoint_url,
    file_path,
    gateway_address,
    integer,
    led_name,
    number,
    radio_channel,
    serial_port,
    text,
    text_list,
)
from agent.config.zones import PartLine, RelayLines, part_list, relay_list
from hal.interface import SERIES_MAX, SensorKind

DAY_S = 86_400
_SEED_MAX = 2**63 - 1


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.sim]`."""

    seed: Annotated[
        int, key("the same seed gives the same house, weather and faults", integer(0, _SEED_MAX), edit="file")
    ] = 1
    sensors_count: Annotated[
        int,
        key(
            "one of each kind on the hub; those above seven are relayed, and each device of them needs a key",
            integer(len(SensorKind), SERIES_MAX, "sensors"),
            edit="file",
        ),
    ] = len(SensorKind)
    report_interval_s: Annotated[
        float, key("how often a relayed sensor reports", number(1, DAY_S - 1, "s"), edit="file")
    ] = 60
    tenant_thermostat: Annotated[bool, key("heat the simulated house with a thermostat of the tenant", edit="file")] = (
        True
    )


class ReplayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.replay]`; both paths are set when that board is chosen."""

    recording: Annotated[
        Path | None,
        key("the recording, a CSV file; needed when this board is chosen", file_path(), example="house.csv"),
    ] = None
    map: Annotated[
        Path | None,
        key("which column is which sensor; needed when this board is chosen", file_path(), example="house.toml"),
    ] = None


class LinuxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board.linux]`."""

    sysfs_root: Annotated[
        Path, key("where the kernel lists its devices; tests use an artificial tree", file_path())
    ] = Path("/sys")
    gpio_chip: Annotated[Path, key("the GPIO chip of the relay lines (gpiodetect lists them)", file_path())] = Path(
        "/dev/gpiochip0"
    )
    relays: Annotated[tuple[RelayLines, ...], key("the relays of the zones, by line", relay_list(), edit="file")] = ()
    heat_source_lines: Annotated[
        tuple[PartLine, ...], key("the relays of the shared heat source, by line", part_list(), edit="file")
    ] = ()
    mains_line: Annotated[
        int | None,
        key(
            "the line by which a UPS shows whether the mains is on; if left out, drivers of the kernel tell",
            integer(0, 511),
            example=6,
            edit="file",
        ),
    ] = None
    mains_active_low: Annotated[
        bool, key("whether that line is low while the mains is on: read the board's manual", edit="file")
    ] = False
    led: Annotated[
        str,
        key(
            "the LED that blinks on request, so that a person finds this hub among others (ls /sys/class/leds)",
            led_name(),
        ),
    ] = "none"
    status_led: Annotated[
        bool, key("show on that LED how the hub is, by flashes every five seconds (docs/hardware.md)")
    ] = False
    button_line: Annotated[
        int | None,
        key(
            "the line of a button: held 3 s it lets sensors join, 10 s it asks for a factory reset",
            integer(0, 511),
            example=17,
            edit="file",
        ),
    ] = None
    button_active_low: Annotated[
        bool, key("whether that line is low while the button is pressed: it connects the line to ground", edit="file")
    ] = True
    relays_active_low: Annotated[
        bool, key("whether a relay on the GPIO chip switches on when its line is low", edit="file")
    ] = False
    expanders_active_low: Annotated[
        bool,
        key("the same of relays on I2C expanders, whose lines are high after power-on and sink current", edit="file"),
    ] = True


class UpsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[ups]`."""

    power_off_percent: Annotated[
        float,
        key(
            "with the mains off, power the machine off at this charge; it must start again by itself; 0 for never",
            number(0, 30, "%"),
        ),
    ] = 0
    meter_cells: Annotated[
        int,
        key(
            "an INA219 measures this battery, of so many lithium cells in series (Waveshare: 1 or 2); 0: none",
            integer(0, 4, "cells"),
        ),
    ] = 0


class BoilerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[boiler]`; `driver` is "none" where relays drive the heat source."""

    driver: Annotated[
        Literal["none", "otgw", "ebusd"],
        key('what takes the flow temperature: an OpenTherm Gateway (extra "opentherm") or ebusd', edit="file"),
    ] = "none"
    address: Annotated[
        str, key("its serial port, by a name that stays, or its network port", gateway_address(), edit="file")
    ] = "none"
    flow_c_max: Annotated[
        float | None,
        key(
            "no higher flow is ever asked for; if left out, 70 for radiators, 55 for air, 45 for floors",
            number(25, 80, "°C"),
            example=55,
        ),
    ] = None
    ebusd_message: Annotated[
        str,
        key(
            "what sets the boiler's flow: circuit, message and fields, {off} is 1 for no heating",
            ebusd_fields(),
            edit="file",
        ),
    ] = "-c bai SetModeOverride 0;{flow_c};-;-;{off};0;0;0;0;0"


class BoardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[board]`."""

    name: Annotated[
        Literal["sim", "linux", "replay"],
        key("the simulation needs no hardware, so the first start works", is_chosen=True, edit="file"),
    ] = "sim"
    sim: Annotated[SimConfig, table('The simulated house (board.name = "sim").')]
    replay: Annotated[ReplayConfig, table('A recording of a house (board.name = "replay").')]
    linux: Annotated[LinuxConfig, table('This machine\'s own sensors and relays (board.name = "linux").')]


class SensorsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[sensors]`; `primary` has only the kinds that the file names."""

    disabled: Annotated[
        tuple[str, ...],
        key(
            "sensors that are never read, such as the temperature of a processor",
            text_list('sensor names, such as "hwmon/nvme/Composite"'),
        ),
    ] = ()
    in_case: Annotated[
        tuple[str, ...],
        key(
            "thermometers in the hub's own case: its warmth is learned and taken off",
            text_list('sensor names, such as "i2c-1-0076/bme280/temperature"'),
        ),
    ] = ()
    iaq: Annotated[
        Literal["none", "relative"],
        key('"relative" makes an air index of a BME680\'s gas sensor, against the best air that it has met'),
    ] = "none"
    primary: Annotated[
        Mapping[SensorKind, str],
        table(
            "The sensor whose readings are the hub's, where several measure the same kind.",
            {
                kind: key(
                    f"if left out, the hub chooses where several sensors measure {kind}",
                    text("the name of a sensor, as `climahub status` shows it"),
                    example=f"sensor-of-{kind.replace('_', '-')}",
                )
                for kind in SensorKind
            },
        ),
    ]


class RelayedSensorsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[relayed_sensors]`. `sensor_keys_file` is the file or credential with the keys; `None` without one."""

    sensor_keys_file: Annotated[
        Path | None,
        key(
            "secret TOML file with the key of each relayed sensor, by its device name or IEEE address",
            file_path(),
            example="/etc/climahub/sensor-keys.toml",
        ),
    ] = None
    sensor_keys_credential: Annotated[
        str, key("systemd credential with the same content; used where it exists", credential_name(), edit="file")
    ] = "climahub-sensor-keys"


class AqaraConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[aqara]`; `url` is "none" where no endpoint is read."""

    url: Annotated[
        str,
        key("the endpoint: Aqara's cloud, or another hub's /aqara/open/api", endpoint_url(), edit="file"),
    ] = "none"
    token_file: Annotated[
        Path | None,
        key(
            "a file with the token for the endpoint, readable for this user only; read again at each request",
            file_path(),
            example="/etc/climahub/aqara-token",
            edit="file",
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        key(
            "trust these certificates (PEM) in place of the system's: for another hub with its own",
            file_path(),
            example="/etc/climahub/other-hub.pem",
            edit="file",
        ),
    ] = None
    poll_interval_s: Annotated[
        int, key("how often the device list is fetched; a cloud may count requests", integer(10, 3600, "s"))
    ] = 60


class ZigbeeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Table `[zigbee]`; `port` is "none" where there is no radio, `channel` 0 where the quietest is to be chosen."""

    port: Annotated[
        str,
        key(
            'where the stick is, by a name that stays (/dev/serial/by-id/...); "auto" goes by its USB identity',
            serial_port(),
        ),
    ] = "none"
    adapter: Annotated[
        Literal["auto", "ezsp", "znp", "deconz"],
        key(
            'what the stick speaks; "auto" goes by its USB identity; znp and deconz need their extras (zigbee-znp, ...)'
        ),
    ] = "auto"
    baudrate: Annotated[int, key("what nearly all sticks use", integer(9600, 1_000_000, "baud"))] = 115_200
    flow_control: Annotated[
        Literal["auto", "none", "hardware", "software"],
        key('"auto" suits nearly all sticks: software for ezsp, else none; with a wrong one a stick does not respond'),
    ] = "auto"
    channel: Annotated[int, key("of a new network; 0 chooses the quietest channel", radio_channel())] = 0
    take_over: Annotated[
        bool,
        key("a hub without a network refuses a stick that has one; true takes it over, after a lost disk"),
    ] = False
    quirks: Annotated[
        bool,
        key("use the community's device table where zha-quirks is installed (Python 3.12 or newer): docs/zigbee.md"),
    ] = False
    report_interval_s_min: Annotated[
        int,
        key(
            "the minimum time between two reports of a value; shorter drains the sensors' batteries",
            integer(0, 900, "s"),
        ),
    ] = 10
