"""Builds the control of a hub from its configuration, and finds the sensors, contacts and plugs that it names."""

from collections.abc import Callable, Mapping

from agent.climate import power_draw
from agent.climate.binary_sensors import BinaryLookup
from agent.climate.flow_temperature import flow_settings
from agent.climate.fusion import SensorLookup, SensorState
from agent.climate.power_draw import Powers
from agent.climate.service import ClimateService
from agent.climate.settings import climate_settings
from agent.config import Config
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from hal.interface import HvacOutputs, SensorKind, SensorNetwork
from hal.radio import HasBinarySensors, LimitsSilence, MeasuresPower


def build_climate(
    config: Config,
    *,
    outputs: HvacOutputs | None,
    channels: Mapping[tuple[str, str, SensorKind], SensorState],
    devices: Callable[[], Mapping[str, str]],
    network: SensorNetwork | None,
    timezone: Callable[[], str],
    clock: Clock,
    disk: Disk,
    worker: Worker,
    add_fault: Callable[[str], None],
) -> ClimateService | None:
    """Return the climate control of a hub; `None` where the configuration has no zones.

    Args:
        config: Zones, heat source and state directory.
        outputs: Of the board; `None` where it has none.
        channels: The state of every sensor channel. It grows as sensors report.
        devices: Returns the devices of relayed sensors, by the names that people gave them.
        network: Of relayed sensors; one that limits their silences is asked for the limits.
        timezone: See `ClimateService`, as for the others.
        clock: The clocks of the boot.
        disk: Writes the file.
        worker: Runs what blocks.
        add_fault: Records a fault for the technician.

    Raises:
        ConfigInvalid: The board has no output for a zone.
    """
    settings = climate_settings(
        config.climate, outputs.zones if outputs else (), flow_settings(config.boiler, config.climate)
    )
    if settings is None or outputs is None:
        return None
    names = [name for zone in settings.zones for name, _ in zone.sensors]
    probes = [(zone.floor_sensor, zone.supply_sensor, zone.return_sensor) for zone in settings.zones]
    names += [name for of_zone in probes for name in of_zone if name]
    names += [settings.outdoor_sensor] if settings.outdoor_sensor else []
    meters = [zone.power_meter for zone in settings.zones if zone.power_meter]
    # A plug that only switches its zone measures nothing, and nobody misses it.
    named_meters = [zone.power_meter for zone in config.climate.zones if zone.power_meter]
    limits = network.allowed_silence_s if isinstance(network, LimitsSilence) else None
    sensors = SensorLookup(names, channels=channels, devices=devices, allowed_silence_s=limits)
    told = (lambda: network.binary_states) if isinstance(network, HasBinarySensors) else tuple
    binary = BinaryLookup(names, states=told, devices=devices)

    def powers() -> Powers:
        return power_draw.find_powers(
            meters, network.power_states if isinstance(network, MeasuresPower) else (), devices
        )

    return ClimateService(
        config.storage.state_dir,
        settings=settings,
        outputs=outputs,
        readings=sensors.readings,
        missing_sensors=lambda: [
            *(name for name in sensors.missing() if name not in binary.states()),
            *(name for name in named_meters if name not in powers()),
        ],
        binary_states=binary.states,
        powers=powers,
        devices=devices,
        timezone=timezone,
        clock=clock,
        disk=disk,
        worker=worker,
        add_fault=add_fault,
    )
