"""The board's sensors as the sampler reads them, while they come and go, over restarts."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from agent.config import Config
from agent.config.loading import load
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.telemetry.own_sensors import FILE_NAME, MISSING_S_MAX, OwnSensors
from agent.telemetry.sampling import Sampler
from hal.channels import Channel, ChannelReader, FindsChannels, Quantity
from hal.interface import HvacOutputs, Sensor, SensorKind, SensorNetwork
from hal.linux.board import LinuxSensor
from hal.linux.bus_threads import BusThreads
from hal.plausibility import PlausibilityCheck

TEMPERATURE, HUMIDITY = SensorKind.TEMPERATURE, SensorKind.HUMIDITY
PROBE = "w1-28-0000000000aa/ds18b20/temperature"
ROOM = "i2c-1-0076/bme280/temperature"
DAMP = "i2c-1-0076/bme280/humidity"


class Board:
    """A board whose sensors a test sets."""

    name = "linux"
    network: SensorNetwork | None = None
    outputs: HvacOutputs | None = None

    def __init__(self, *names: str) -> None:
        self.gone: Collection[str] = ()
        self.searched = 0
        self.on_search: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()
        self._sensors: dict[str, LinuxSensor] = {}
        self.find(*names)
        self._changed.clear()

    def find(self, *names: str) -> None:
        for name in names:
            quantity = HUMIDITY if name.endswith("humidity") else TEMPERATURE
            channel = Channel(name, Quantity(quantity.value), lambda: 20.0)
            self._sensors.setdefault(name, LinuxSensor(channel, quantity, BusThreads()))
        self._changed.set()

    def lose(self, *names: str) -> None:
        self.gone = names
        self._changed.set()

    @property
    def sensors(self) -> Sequence[Sensor]:
        return tuple(self._sensors.values())

    @property
    def channels(self) -> Sequence[ChannelReader]:
        return tuple(self._sensors.values())

    async def search(self) -> None:
        self.on_search()
        self.searched += 1

    async def channels_changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def close(self) -> None:
        pass


def nothing() -> None:
    """Take no step."""


class Recorder:
    """In place of a sampler: remembers the primary sensors that it is given."""

    def __init__(self, followed: list[dict[SensorKind, str]]) -> None:
        self._followed = followed

    def follow(self, _: object, *, primary: Mapping[SensorKind, str]) -> None:
        self._followed.append(dict(primary))


class Hub:
    """A hub on a directory, with a sampler that remembers what it is given."""

    boot_id = "boot"

    def __init__(
        self, directory: Path, board: Board, toml: str = "", *, derived: Callable[[], Sequence[Sensor]] = lambda: ()
    ) -> None:
        file = directory / "hub.toml"
        file.write_text(f'[cloud]\nbase_url = "https://cloud.example"\n[storage]\nstate_dir = "{directory}"\n{toml}')
        self.config: Config = load(file, environ={})
        self.board = board
        self.now_ms = 0
        self.followed: list[dict[SensorKind, str]] = []
        self.own = OwnSensors(
            self.config,
            board,
            lambda sensor: PlausibilityCheck(sensor.kind),
            clock=self,
            disk=Disk(),
            worker=InlineWorker(),
            derived=derived,
        )

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return None

    async def run(self, *steps: Callable[[], None]) -> None:
        """Take each step after the sampler has followed the one before."""

        task = asyncio.ensure_future(self.own.follow(self.board, cast("Sampler", Recorder(self.followed))))
        for number, step in enumerate((*steps, nothing)):
            while len(self.followed) <= number:  # noqa: ASYNC110 - the next turn of the loop
                await asyncio.sleep(0)
            step()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nothing_is_chosen_before_the_first_search(tmp_path: Path) -> None:
    board = Board(PROBE)
    board.on_search = lambda: board.find(ROOM, DAMP)
    hub = Hub(tmp_path, board)
    assert isinstance(board, FindsChannels)
    assert hub.own.primary.sensors == {}
    await hub.run()
    assert hub.followed[0] == {TEMPERATURE: ROOM, HUMIDITY: DAMP}


async def test_the_choice_survives_a_restart_and_a_better_sensor(tmp_path: Path) -> None:
    await Hub(tmp_path, Board(PROBE)).run()
    again = Hub(tmp_path, Board(ROOM, DAMP, PROBE))
    await again.run()
    assert again.followed == [{TEMPERATURE: PROBE, HUMIDITY: DAMP}]
    assert "chosen earlier and kept" in again.own.primary.reasons[TEMPERATURE]


async def test_the_place_of_a_missing_sensor_is_kept_for_an_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(tmp_path, Board(ROOM, PROBE))

    def later(seconds: float) -> None:
        hub.now_ms += int(seconds * 1000)
        hub.board.find()

    await hub.run(lambda: hub.board.lose(ROOM), lambda: later(MISSING_S_MAX - 1), lambda: later(1))
    assert [each[TEMPERATURE] for each in hub.followed] == [ROOM, ROOM, ROOM, PROBE]
    assert f"temperature of this hub is now that of {PROBE}; it was that of {ROOM}" in caplog.text
    # It is back: the one that took its place stays.
    hub.followed.clear()
    hub.board.lose()
    await hub.run()
    assert {each[TEMPERATURE] for each in hub.followed} == {PROBE}


async def test_one_that_is_back_within_the_hour_goes_on(tmp_path: Path) -> None:
    hub = Hub(tmp_path, Board(ROOM, PROBE))
    await hub.run(lambda: hub.board.lose(ROOM), hub.board.lose)
    assert [each[TEMPERATURE] for each in hub.followed] == [ROOM] * 3
    assert hub.own.problems == ()


async def test_what_the_configuration_names_is_not_remembered(tmp_path: Path) -> None:
    named = Hub(tmp_path, Board(ROOM, PROBE), f'[sensors.primary]\ntemperature = "{PROBE}"\n')
    await named.run()
    assert named.followed == [{TEMPERATURE: PROBE}]
    free = Hub(tmp_path, Board(ROOM, PROBE))
    await free.run()
    assert free.followed == [{TEMPERATURE: ROOM}]


async def test_a_disabled_sensor_is_not_read_and_a_known_one_keeps_its_check(tmp_path: Path) -> None:
    hub = Hub(tmp_path, Board(ROOM, PROBE), f'[sensors]\ndisabled = ["{PROBE}"]\n')
    [before] = hub.own.checked
    await hub.run(lambda: hub.board.find(DAMP))
    assert [sensor.name for sensor, _ in hub.own.checked] == [ROOM, DAMP]
    assert hub.own.checked[0] is before


async def test_a_damaged_file_lets_the_hub_choose_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    hub = Hub(tmp_path, Board(ROOM, PROBE))
    await hub.run()
    assert hub.followed == [{TEMPERATURE: ROOM}]


async def test_what_is_computed_from_channels_is_read_and_chosen_like_the_board_s_own(tmp_path: Path) -> None:
    air = LinuxSensor(Channel("i2c-1-0077/bme680/iaq", Quantity.IAQ, lambda: 20.0), SensorKind.IAQ, BusThreads())
    hub = Hub(tmp_path, Board(ROOM), derived=lambda: [air])
    await hub.run()
    assert hub.followed == [{TEMPERATURE: ROOM, SensorKind.IAQ: air.name}]
    assert [sensor.name for sensor, _ in hub.own.checked] == [ROOM, air.name]
    assert list(hub.own.computed) == [air]
