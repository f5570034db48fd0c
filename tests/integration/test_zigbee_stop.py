"""An orderly stop of a hub with a stick: what the stick had delivered is in the outbox afterwards."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("bellows")

from agent.telemetry.outbox.store import FILE_NAME
from hal.radio import RadioState
from hal.zigbee import ZigbeeNetwork, network
from lab.ncp.coordinator import JoinOutcome
from tests.integration.conftest import MakeHub, RunningHub, until
from tests.integration.zigbee_bench import Stand

NOBODY = "http://127.0.0.1:1"
NEVER_S = 3600.0


def radio_of(running: RunningHub) -> ZigbeeNetwork:
    zigbee = running.hub.environment.board.network
    assert isinstance(zigbee, ZigbeeNetwork)
    return zigbee


def gathered(zigbee: ZigbeeNetwork) -> Sequence[float]:
    """Return what the stick has delivered and the hub has not fetched yet."""
    return [reading.value for reading in tuple(zigbee._events.readings._items)]


def in_outbox(state_dir: Path) -> int:
    with contextlib.closing(sqlite3.connect(state_dir / FILE_NAME)) as database:
        readings: int = database.execute("SELECT sum(readings) FROM blobs").fetchone()[0]
        return readings


async def test_report_delivered_just_before_the_stop_is_stored(
    tmp_path: Path, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "GATHER_S", NEVER_S)
    async with Stand(tmp_path / "stick").plugged_in() as sensors:
        text = f'[zigbee]\nport = "{tmp_path}/stick/port"\nchannel = 15\nreport_interval_s_min = 0\n'
        running = make_hub(NOBODY, config_text=text)
        running.start()
        zigbee = radio_of(running)
        await until(lambda: zigbee.radio.state is RadioState.UP)
        await zigbee.open_join_window(60)
        assert sensors.press("bedroom") is JoinOutcome.JOINED
        await until(lambda: any(known.is_configured for known in zigbee._registry.devices()))
        last = (20.7, 20.9, 21.1)
        for value in last:
            sensors.set_values("bedroom", {"temperature_c": value})
            await until(lambda: value in gathered(zigbee))  # noqa: B023 - awaited in the loop
        assert not {*last} & {reading.value for reading in running.committed}
        await running.end()
    kept = [reading.value for reading in running.committed]
    assert [value for value in kept if value in last] == [*last]
    assert in_outbox(tmp_path / "state") == len(kept)
