"""The cloud's copy wins, local changes reach it, and nothing invalid comes into force, or back from the disk."""

import asyncio
import errno
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from agent.cloud import contract
from agent.cloud.client import SettingsClient
from agent.cloud.contract import Endpoint
from agent.errors import ClimahubError, CloudUnavailable, ReadFailed, Refused, SettingInvalid, StorageFull, Unauthorized
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.settings.model import DeviceSettings
from agent.settings.sync import FILE_NAME, SettingsSync
from hal.interface import SensorKind


class Cloud:
    """What `SettingsClient` does for the settings; errors are raised in the order given, each once."""

    def __init__(self) -> None:
        self.copy: dict[str, Any] = {"reporting_interval_seconds": 120, "timezone": "UTC"}
        self.errors: list[ClimahubError] = []
        self.puts: list[Mapping[str, Any]] = []
        self.gets = 0
        self.while_answering: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)

    async def ready(self, endpoint: Endpoint) -> None:
        await asyncio.sleep(0)

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def get_settings(self) -> Mapping[str, Any]:
        self.gets += 1
        self._fail()
        answer = dict(self.copy)
        await self.while_answering()
        return answer

    async def put_settings(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        self.puts.append(changes)
        self._fail()
        self.copy |= changes
        return dict(self.copy)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cloud = Cloud()
        self.disk = Disk()
        self.changes: list[DeviceSettings] = []
        self.machine = "board-1"
        self._task: asyncio.Task[None] | None = None

    def make(self) -> SettingsSync:
        sync = SettingsSync(
            self.directory,
            disk=self.disk,
            worker=InlineWorker(),
            client=cast("SettingsClient", self.cloud),
            poll_interval_s=1000,
            rng=random.Random(1),
            label=lambda: self.machine,
            is_elsewhere=lambda machine: machine not in {"", self.machine},
        )
        sync.on_change(self.changes.append)
        return sync

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the loop under test has no event for it
                await asyncio.sleep(0)

    def start(self, sync: SettingsSync) -> None:
        self._task = asyncio.get_running_loop().create_task(sync.run())

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def on_disk(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads((self.directory / FILE_NAME).read_text())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.end()


async def test_the_clouds_copy_comes_into_force_and_survives_a_restart(bench: Bench) -> None:
    sync = bench.make()
    assert sync.current == DeviceSettings()
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert [settings.reporting_interval_seconds for settings in bench.changes] == [120]
    assert bench.make().current == sync.current


async def test_change_in_the_cloud_is_fetched_at_the_next_poll(bench: Bench) -> None:
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: bench.cloud.gets == 1)
    bench.cloud.copy |= {"reporting_interval_seconds": 300, "enabled_sensors": ["iaq"], "new": [1]}
    sync.fetch_now()
    await bench.until(lambda: sync.current.reporting_interval_seconds == 300)
    assert sync.kinds == frozenset({SensorKind.IAQ})
    assert sync.current.unknown == {"new": [1]}


async def test_invalid_cloud_setting_is_named_and_ignored(bench: Bench) -> None:
    bench.cloud.copy |= {"reporting_interval_seconds": 5}
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.problems)
    assert "60 to 3600" in sync.problems[0]
    assert sync.current.reporting_interval_seconds == 60


@pytest.mark.parametrize("error", [CloudUnavailable("down"), Unauthorized("401")])
async def test_fetch_is_retried_until_it_is_answered(bench: Bench, error: ClimahubError) -> None:
    bench.cloud.errors = [error] * 4
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert bench.cloud.gets == 5


async def test_refused_fetch_is_reported_and_retried_at_the_next_poll(bench: Bench) -> None:
    bench.cloud.errors = [Refused("no settings for you", status=403)]
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.problems == ["no settings for you"])
    sync.fetch_now()
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert sync.problems == []


async def test_a_local_change_is_in_force_at_once_and_reaches_the_cloud(bench: Bench) -> None:
    sync = bench.make()
    await sync.change({"reporting_interval_seconds": 240})
    assert sync.current.reporting_interval_seconds == 240
    assert sync.pending == {"reporting_interval_seconds": 240}
    after = bench.make()
    assert after.current.reporting_interval_seconds == 240
    bench.cloud.errors = [CloudUnavailable("down")] * 3
    bench.start(after)
    await bench.until(lambda: bench.cloud.gets and not after.pending)
    assert bench.cloud.copy["reporting_interval_seconds"] == 240
    assert after.current.reporting_interval_seconds == 240
    assert bench.on_disk()["pending"] == {}


async def test_location_is_sent_whole(bench: Bench) -> None:
    bench.cloud.copy["location"] = {"latitude": 50.5, "longitude": 4.4, "name": "attic"}
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.current.location)
    await sync.change({"location": {"name": "cellar"}})
    await bench.until(lambda: bench.cloud.puts)
    assert bench.cloud.puts == [{"location": {"latitude": 50.5, "longitude": 4.4, "name": "cellar"}}]


async def test_a_wrong_local_change_changes_nothing(bench: Bench) -> None:
    sync = bench.make()
    with pytest.raises(SettingInvalid):
        await sync.change({"reporting_interval_seconds": 5, "timezone": "UTC"})
    assert sync.current == DeviceSettings()
    assert sync.pending == {}


async def test_a_refused_local_change_is_dropped_and_reported(bench: Bench) -> None:
    sync = bench.make()
    await sync.change({"reporting_interval_seconds": 240})
    bench.cloud.errors = [Refused("the tenant decides", status=422)]
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert sync.pending == {}
    assert any("the tenant decides" in problem for problem in sync.problems)


async def test_a_change_while_another_is_being_sent_is_not_lost(bench: Bench) -> None:
    sync = bench.make()
    await sync.change({"reporting_interval_seconds": 240})
    bench.start(sync)
    await bench.until(lambda: bench.cloud.puts)
    await sync.change({"reporting_interval_seconds": 300, "timezone": "Europe/Oslo"})
    await bench.until(lambda: bench.cloud.copy["timezone"] == "Europe/Oslo" and not sync.pending)
    assert bench.cloud.copy["reporting_interval_seconds"] == 300
    assert sync.current.reporting_interval_seconds == 300


async def test_older_cloud_answer_does_not_undo_a_local_change(bench: Bench) -> None:
    sync = bench.make()

    async def change() -> None:
        bench.cloud.while_answering = lambda: asyncio.sleep(0)
        await sync.change({"reporting_interval_seconds": 240})

    bench.cloud.while_answering = change
    bench.start(sync)
    await bench.until(lambda: bench.cloud.puts)
    assert bench.changes[0].reporting_interval_seconds == 240
    assert {settings.reporting_interval_seconds for settings in bench.changes} == {240}


async def test_settings_apply_on_a_full_disk(bench: Bench) -> None:
    def full(operation: Operation, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.disk = Disk(full)
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert not (bench.directory / FILE_NAME).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"settings":{"timezone":"\xff"}}',
        b'{"settings":' * 100_000,
        b'{"settings":{"reporting_interval_seconds":"60"}}',
        b'{"settings":{"reporting_interval_seconds":0}}',
        b'{"settings":{"reporting_interval_seconds":-60}}',
        b'{"settings":{"enabled_sensors":["smell"]}}',
        b'{"settings":{"timezone":"Mars"}}',
        b" " * 10_000_000,
    ],
)
async def test_broken_file_is_quarantined_and_defaults_apply(bench: Bench, content: bytes) -> None:
    (bench.directory / FILE_NAME).write_bytes(content)
    sync = bench.make()
    assert sync.current == DeviceSettings()
    assert sync.kinds is None
    assert "could not be read" in sync.problems[0]
    assert (bench.directory / f"{FILE_NAME}.corrupt-1").read_bytes() == content
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)


async def test_invalid_value_in_the_file_does_not_affect_the_others(bench: Bench) -> None:
    content = (
        b'{"settings":{"reporting_interval_seconds":300,"timezone":"Gone/Zone","unknown":{"x":1,"y":1e999}},'
        b'"pending":{"reporting_interval_seconds":300,"timezone":5},"applied":"cmd-1"}'
    )
    (bench.directory / FILE_NAME).write_bytes(content)
    sync = bench.make()
    assert sync.current == DeviceSettings(reporting_interval_seconds=300, unknown={"x": 1})
    assert sync.pending == {"reporting_interval_seconds": 300}
    assert 'timezone is "Gone/Zone"' in sync.problems[0]
    assert (bench.directory / f"{FILE_NAME}.corrupt-1").read_bytes() == content
    bench.start(sync)
    await bench.until((bench.directory / FILE_NAME).exists)
    assert bench.make().problems == []


async def test_unreadable_setting_in_the_file_does_not_affect_the_others(bench: Bench) -> None:
    said = b'{"reporting_interval_seconds":240,"timezone":"Kueche \\ud83c","more":1e999}'
    bench.cloud.copy = dict(contract.parse_settings(said))
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 240)
    assert [problem.partition(" (")[0] for problem in sync.problems] == [
        "timezone cannot be read",
        "more cannot be read",
    ]


async def test_the_file_stays_readable_however_large_the_answer_of_the_cloud(bench: Bench) -> None:
    bench.cloud.copy["new"] = [[[1, 2], [3]]] * 12_000
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    again = bench.make()
    assert again.problems == []
    assert again.current.reporting_interval_seconds == 120


async def changed_on_another_board(bench: Bench) -> SettingsSync:
    """Return the settings of a card with a change that the cloud does not have, in another board and with a new key."""
    await bench.make().change({"reporting_interval_seconds": 300})
    bench.machine = "board-2"
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: bench.cloud.gets)
    return sync


async def test_a_change_made_on_another_board_waits_for_a_person_and_one_made_here_does_not(bench: Bench) -> None:
    sync = await changed_on_another_board(bench)
    await sync.change({"timezone": "Europe/Berlin"})
    await bench.until(lambda: "timezone" not in sync.pending)
    assert (bench.cloud.puts, sync.current.reporting_interval_seconds) == ([{"timezone": "Europe/Berlin"}], 300)
    assert sync.holds_back
    await sync.release_held()
    assert not sync.holds_back
    await bench.until(lambda: not sync.pending)
    assert bench.cloud.puts[1:] == [{"reporting_interval_seconds": 300}]


async def test_a_discarded_change_gives_way_to_the_cloud(bench: Bench) -> None:
    sync = await changed_on_another_board(bench)
    await sync.discard_held()
    await bench.until(lambda: sync.current.reporting_interval_seconds == 120)
    assert (bench.cloud.puts, dict(bench.make().pending)) == ([], {})


async def test_what_was_changed_here_is_not_discarded_also_after_a_restart(bench: Bench) -> None:
    await bench.make().change({"reporting_interval_seconds": 300, "timezone": "Europe/Berlin"})
    bench.machine = "board-2"
    # The time zone is changed on both boards: it is this one's then.
    await bench.make().change({"timezone": "Europe/Paris", "enabled_sensors": ["iaq"]})
    await bench.make().discard_held()
    assert dict(bench.make().pending) == {"timezone": "Europe/Paris", "enabled_sensors": ["iaq"]}
    assert bench.on_disk()["made_on"] == {"timezone": "board-2", "enabled_sensors": "board-2"}


async def test_a_change_of_which_the_board_is_not_known_is_sent(bench: Bench) -> None:
    await bench.make().change({"reporting_interval_seconds": 300})
    document = bench.on_disk()
    del document["made_on"]
    (bench.directory / FILE_NAME).write_text(json.dumps(document))
    bench.machine = "board-2"
    sync = bench.make()
    assert not sync.holds_back
    bench.start(sync)
    await bench.until(lambda: bench.cloud.puts)


async def test_a_change_made_before_the_card_has_a_key_is_sent_from_any_board(bench: Bench) -> None:
    await bench.make().change({"timezone": "Europe/Berlin"})
    label, bench.machine = bench.machine, ""
    await bench.make().change({"reporting_interval_seconds": 300})
    assert bench.on_disk()["made_on"] == {"timezone": label}
    # The same setting changed once more is no longer a change of the board that changed it first.
    await bench.make().change({"timezone": "Europe/Paris"})
    assert bench.on_disk()["made_on"] == {}
    bench.machine = "board-2"
    sync = bench.make()
    assert not sync.holds_back
    bench.start(sync)
    await bench.until(lambda: not sync.pending)


@pytest.mark.parametrize(("boards", "sent"), [("ABA", "reporting_interval_seconds"), ("ABAB", "timezone"), ("ABC", "")])
async def test_each_board_sends_its_own_changes_and_those_of_the_others_wait(
    bench: Bench, boards: str, sent: str
) -> None:
    bench.machine = "A"
    await bench.make().change({"reporting_interval_seconds": 300})
    bench.machine = "B"
    await bench.make().change({"timezone": "Europe/Berlin"})
    bench.machine = boards[-1]
    sync = bench.make()
    bench.start(sync)
    await bench.until(lambda: bench.cloud.gets and sent not in sync.pending)
    assert [name for put in bench.cloud.puts for name in put] == [sent][: len(sent)]
    assert sync.holds_back
    assert len(sync.pending) == 2 - bool(sent)


async def test_nothing_is_discarded_before_the_disk_has_given_what_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.make().change({"reporting_interval_seconds": 300})
    bench.machine = "board-2"

    def read(path: Path, *, bytes_max: int) -> bytes | None:
        raise ReadFailed(f"{path} cannot be read: {bytes_max}")

    with monkeypatch.context() as failing:
        failing.setattr(bench.disk, "read", read)
        sync = bench.make()
    with pytest.raises(StorageFull, match="disk gives"):
        await sync.discard_held()
    with pytest.raises(StorageFull, match="disk gives"):
        await sync.release_held()
    assert dict(bench.make().pending) == {"reporting_interval_seconds": 300}
