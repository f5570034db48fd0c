"""The relative air index as a sensor of the hub, where the configuration wants it (`sensors.iaq = "relative"`).

Owns `air_baseline.json`. Must never send an index before a day has passed as a certain one, nor as another maker's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker
from agent.sensors.air_index import AirBaseline, AirState, advance
from hal.channels import Channel, ChannelReader, FindsChannels, Quantity
from hal.errors import HalError, ReadingImplausible, SensorUnavailable
from hal.interface import HUB, Board, Quality, Reading, SensorKind

FILE_NAME = "air_baseline.json"
FILE_BYTES_MAX = 16 * 1024
"""`BASELINES_MAX` sensors take 3 KiB."""

BASELINES_MAX = 16
"""Gas sensors whose baseline is kept; a house has one or two."""

SAVE_INTERVAL_S = 6 * 3600.0
"""The baseline moves by a hundredth in that time; a card wears with each write."""

AIR_AGE_MS_MAX = 600_000
"""How old temperature and humidity of the chip may be: they correct the index by a few per cent."""

UNCERTAIN = "relative air index: uncertain until the sensor has measured for a day"


class AirFile(msgspec.Struct, frozen=True):
    """The file: the baseline of each gas sensor, by the prefix of its channels."""

    baselines: Mapping[str, AirBaseline] = {}


class AirIndexSensor:
    """The index of one gas sensor; implements `hal.interface.Sensor` and `hal.channels.DescribesChannel`.

    Attributes:
        kind: The air index.
        channel: On the bus of its chip, so that it is read after the chip's other channels.
        state: Of the sensor now.
        readers: The chip's channels, by what they measure.
    """

    kind = SensorKind.IAQ

    def __init__(self, prefix: str, gas: Channel, now_ms: Callable[[], int]) -> None:
        """Read nothing yet.

        Args:
            prefix: Begins the names of the chip's channels.
            gas: The channel of the gas sensor.
            now_ms: Boot time.
        """
        self.channel = msgspec.structs.replace(gas, name=f"{prefix}/{Quantity.IAQ}", quantity=Quantity.IAQ, aliases=())
        self.state = AirState()
        self.readers: Mapping[Quantity, ChannelReader] = {}
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._air: dict[Quantity, tuple[float, int]] = {}

    @property
    def name(self) -> str:
        """Such as `i2c-1-0076/bme680/iaq`."""
        return self.channel.name

    def adopt(self, baseline: AirBaseline | None) -> None:
        """Go on with a baseline of earlier, unless it is damaged or younger than the present one."""
        present = self.state.baseline
        if baseline is None or not baseline.is_sound:
            return
        if present is None or present.observed_s < baseline.observed_s:
            self.state = msgspec.structs.replace(self.state, baseline=baseline)

    async def read(self) -> float:
        """Measure, and return the index from 0 (the best air that this sensor has met) to 500.

        Raises:
            SensorUnavailable: The sensor warms up, or does not answer.
            ReadingImplausible: It gives no resistance.
        """
        async with self._lock:
            gas_ohm = await self._reader(Quantity.GAS_RESISTANCE).read()
            if not gas_ohm > 0:
                raise ReadingImplausible(f"{self.name}: {gas_ohm} ohm is no resistance of a gas sensor")
            temperature_c = await self._beside(Quantity.TEMPERATURE)
            humidity_percent = await self._beside(Quantity.HUMIDITY)
            self.state = advance(
                self.state,
                at_ms=self._now_ms(),
                gas_ohm=gas_ohm,
                temperature_c=temperature_c,
                humidity_percent=humidity_percent,
            )
            index = self.state.index
        if index is None:
            raise SensorUnavailable(f"{self.name}: wait ten minutes: the gas sensor warms up")
        return index

    def _reader(self, quantity: Quantity) -> ChannelReader:
        reader = self.readers.get(quantity)
        if reader is None:
            raise SensorUnavailable(f"{self.name}: the chip shows no {quantity} now; check its wiring and supply")
        return reader

    async def _beside(self, quantity: Quantity) -> float:
        """Return a value of the chip; somebody else may be reading it now, then its value of a moment ago will do."""
        try:
            value = await self._reader(quantity).read()
        except HalError:
            value, at_ms = self._air.get(quantity, (0.0, -AIR_AGE_MS_MAX))
            if quantity not in self._air or self._now_ms() - at_ms > AIR_AGE_MS_MAX:
                raise
        else:
            self._air[quantity] = value, self._now_ms()
        return value


class AirQuality:
    """The relative indices of one hub."""

    def __init__(
        self, directory: Path, board: Board, *, is_wanted: bool, clock: Clock, disk: Disk, worker: Worker
    ) -> None:
        """Read the file where the index is wanted. Blocks.

        Args:
            directory: Of `air_baseline.json`.
            board: Has the gas sensors.
            is_wanted: Whether there is any index, by the configuration.
            clock: Of the boot.
            disk: Reads and writes the file.
            worker: Runs what blocks.
        """
        self._board = board if is_wanted and isinstance(board, FindsChannels) else None
        self._clock = clock
        self._sensors: dict[str, AirIndexSensor] = {}
        self._store = JsonStore(
            directory / FILE_NAME,
            AirFile(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the relative air index is uncertain for a day",
        )
        if self._board is not None:
            self._store.load()

    @property
    def sensors(self) -> Sequence[AirIndexSensor]:
        """The index of each gas sensor that the board has now; the same objects as long as the hub runs."""
        channels = {} if self._board is None else {each.channel.name: each for each in self._board.channels}
        found = []
        for name, reader in channels.items():
            if reader.channel.quantity is not Quantity.GAS_RESISTANCE:
                continue
            prefix = name.rpartition("/")[0]
            sensor = self._sensors.get(prefix)
            if sensor is None:
                sensor = self._sensors[prefix] = AirIndexSensor(prefix, reader.channel, self._clock.monotonic_ms)
                sensor.adopt(self._store.value.baselines.get(prefix))
            sensor.readers = {
                quantity: channels[place]
                for quantity in (Quantity.GAS_RESISTANCE, Quantity.TEMPERATURE, Quantity.HUMIDITY)
                if (place := f"{prefix}/{quantity}") in channels
            }
            found.append(sensor)
        return found

    def judge(self, reading: Reading) -> Reading:
        """Return a reading, marked as uncertain where it is an index without a day's baseline."""
        if reading.device != HUB or reading.kind is not SensorKind.IAQ or reading.quality is not Quality.GOOD:
            return reading
        sensor = self._sensors.get(reading.sensor.rpartition("/")[0])
        if sensor is None or sensor.name != reading.sensor:
            return reading
        baseline = sensor.state.baseline
        if baseline is not None and baseline.is_certain:
            return reading
        return msgspec.structs.replace(reading, quality=Quality.SUSPECT, reason=UNCERTAIN)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by the name under which their faults are shown; none where no index is wanted."""
        return {} if self._board is None else {"air quality": self.run}

    async def run(self) -> None:
        """Save the baselines now and then."""
        if self._store.is_unread:
            await self._store.retry_read(lambda _, found: found)
            for prefix, sensor in self._sensors.items():
                sensor.adopt(self._store.value.baselines.get(prefix))
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self.save()

    async def save(self) -> None:
        """Save the baselines, as far as the disk allows."""
        learned = {
            prefix: sensor.state.baseline
            for prefix, sensor in self._sensors.items()
            if sensor.state.baseline is not None
        }
        if learned:
            await self._store.apply(lambda file: AirFile(_latest({**file.baselines, **learned}, learned)))


def _latest(baselines: Mapping[str, AirBaseline], learned: Mapping[str, AirBaseline]) -> Mapping[str, AirBaseline]:
    """Return as many baselines as are kept, those of sensors that are there first."""
    order = sorted(baselines, key=lambda prefix: prefix not in learned)
    return {prefix: baselines[prefix] for prefix in order[:BASELINES_MAX]}
