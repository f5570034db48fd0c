"""The surroundings of a simulated hub: a simulated house or a recording, each reporting to the oracle.

A scenario goes on while the hub is down.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.errors import ConfigInvalid
from hal import replay, sim
from hal.interface import HUB, Board, Reading, SensorKind
from lab.refcloud.admin import Admin, NewDevice
from lab.refcloud.records import DeviceKind
from lab.simulation.machine import Machine
from lab.simulation.options import COARSE_REPORT_S, FaultRates, Options
from lab.simulation.reading_oracle import ReadingOracle

SIM_START_UTC_MS = 1_768_000_000_000
"""2026-01-09: deep winter, when the heating works most."""

SIM_DAYS = 1.0

LEAD_MS = 60_000
"""How long before a recording's first instant the simulation begins, to register its sensors."""


class Scenario(Protocol):
    """The surroundings of the hub."""

    @property
    def start_utc_ms(self) -> int:
        """The true UTC of the simulation's beginning."""
        ...

    @property
    def duration_s(self) -> float:
        """How long the scenario lasts."""
        ...

    @property
    def sensors(self) -> int:
        """The number of series."""
        ...

    @property
    def devices(self) -> Sequence[str]:
        """The relayed sensors, as `Reading.device` names them."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Probable mistakes in a recording and its map."""
        ...

    @property
    def mesh(self) -> sim.SimMesh | None:
        """The simulated Zigbee network, where there is one."""
        ...

    def board(self, machine: Machine, oracle: ReadingOracle) -> Board:
        """Return the board for a new process of the hub."""
        ...


class SimScenario:
    """A simulated house."""

    def __init__(self, options: Options, rates: FaultRates, rng: random.Random) -> None:
        self.start_utc_ms = SIM_START_UTC_MS if options.start_utc_ms is None else options.start_utc_ms
        self.duration_s = 86_400.0 * (options.days if options.days is not None else SIM_DAYS)
        self.sensors = options.sensors
        plain = sim.SimOptions(
            seed=options.seed, start_utc_ms=self.start_utc_ms, sensors_count=options.sensors, reports_max=4096
        )
        faults: tuple[sim.Fault, ...] = ()
        # A sensor that is being paired fails in ways of its own.
        if rates.sensor_faults and not options.boxed:
            faults = sim.random_faults(
                rng, plain.series, duration_s=self.duration_s, faults_per_day=rates.sensor_faults
            )
        is_coarse = options.profile == "coarse"
        self._world = sim.SimEnvironment(
            sim.SimOptions(
                seed=options.seed,
                start_utc_ms=self.start_utc_ms,
                sensors_count=options.sensors,
                faults=faults,
                reports_max=4096,
                unpaired_count=options.boxed,
                report_interval_s=COARSE_REPORT_S if is_coarse else options.report_interval_s,
                reports_together=is_coarse,
            )
        )
        self.mesh = self._world.mesh
        self.warnings: Sequence[str] = ()
        self.devices = [sensor.device for sensor in plain.relayed]

    def board(self, machine: Machine, oracle: ReadingOracle) -> Board:
        """Boot a hub in the house as it is now."""
        zero_ms = machine.utc_of(0)

        def handed_out(device: str, source: str, kind: SensorKind, value: float, at_ms: int) -> None:
            del source
            oracle.record_provided(device, kind, value, at_ms + zero_ms)

        return sim.SimBoard(
            self._world,
            monotonic_ms=machine.clock.monotonic_ms,
            utc_ms=lambda: machine.start_utc_ms + machine.now_ms(),
            on_value=handed_out,
        )


class ReplayScenario:
    """A recording; readings that the hub had not committed when it died are provided again."""

    def __init__(self, options: Options) -> None:
        if options.recording is None or options.map is None:
            raise ConfigInvalid("a replay needs a recording and its map: --board replay:FILE --map FILE")
        self._recording = replay.load(options.recording, options.map)
        instants_ms = self._recording.instants_ms
        self.start_utc_ms = instants_ms[0] - LEAD_MS
        whole_s = (instants_ms[-1] - self.start_utc_ms) / 1000 + 1
        self.duration_s = whole_s if options.days is None else min(whole_s, options.days * 86_400)
        self.sensors = len(self._recording.channels)
        self.devices = sorted({channel.device for channel in self._recording.channels if channel.device})
        self._board: replay.ReplayBoard | None = None
        self.mesh: sim.SimMesh | None = None
        self.warnings: Sequence[str] = self._recording.warnings

    def board(self, machine: Machine, oracle: ReadingOracle) -> Board:
        """Return the one board, positioned after the last commit."""
        first_ms = self._recording.instants_ms[0] - machine.utc_of(0)
        if self._board is None:

            def handed_out(reading: Reading) -> None:
                oracle.record_provided(reading.device, reading.kind, reading.value, reading.at_ms + machine.utc_of(0))

            self._board = replay.ReplayBoard(
                self._recording,
                monotonic_ms=machine.clock.monotonic_ms,
                start_ms=first_ms,
                on_value=handed_out,
            )
        else:
            self._board.restart(first_ms)
        return self._board


def make_scenario(options: Options, rates: FaultRates, rng: random.Random) -> Scenario:
    """Return the scenario of the options.

    Raises:
        RecordingInvalid: The recording or its map cannot be used.
        ConfigInvalid: A replay without recording or map.
    """
    return ReplayScenario(options) if options.board == "replay" else SimScenario(options, rates, rng)


def provision(cloud: Admin, devices: Iterable[str], *, hub_key: str) -> tuple[dict[str, str], dict[str, str]]:
    """Provision a hub and its relayed sensors in the cloud; return names by cloud id, and the sensors' keys."""
    hub = cloud.provision(NewDevice(name="hub", api_key=hub_key))
    device_of = {hub.device.device_id: HUB}
    keys = {}
    for device in devices:
        made = cloud.provision(NewDevice(name=device, kind=DeviceKind.SENSOR))
        device_of[made.device.device_id] = device
        keys[device] = made.api_key
    return device_of, keys
