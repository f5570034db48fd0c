"""The stored file: secrets, and elements that cannot be read."""

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.pairing.lifecycle import PairingStage
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.store import FILE_NAME, PairingStore
from tests.unit.pairing.conftest import KEY, sensor, stage

Bench = Any
Service = Any


async def test_key_is_stored_privately_and_deleted_after_success(bench: Bench, service: Service) -> None:
    path = bench.directory / FILE_NAME
    bench.cloud.is_up.clear()
    await service.actions.open_join_window(JoinWindowRequest(key=KEY))
    assert KEY in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    bench.radio.join(sensor(1))
    await bench.until(lambda: stage(service) is PairingStage.KEYED)
    bench.cloud.is_up.set()
    await bench.until(lambda: stage(service) is PairingStage.RELAYING)
    assert f'"{KEY}"' not in path.read_text()
    assert KEY not in str(service.queries.steps).replace(f"id-of-{KEY}", "")


@pytest.mark.parametrize(
    ("changes", "stays"),
    [({"kinds": ["temperature", "smell"]}, True), ({"about": 7}, True), ({"stage": "dreaming"}, False), (7, False)],
)
def test_invalid_sensor_in_the_file_does_not_affect_the_others(tmp_path: Path, changes: object, stays: bool) -> None:
    good = {"device": "0xa", "stage": "registered", "sensor_id": "s-a", "name": "attic"}
    bad = {**good, "device": "0xb", "sensor_id": "s-b", **changes} if isinstance(changes, dict) else changes
    document = {"version": 2, "sensors": {"0xa": good, "0xb": bad}}
    (tmp_path / FILE_NAME).write_bytes(msgspec.json.encode(document))
    book = PairingStore(tmp_path, disk=Disk(), worker=InlineWorker())
    assert book.state.sensors["0xa"].sensor_id == "s-a"
    assert ("0xb" in book.state.sensors) is stays
    assert not stays or book.state.sensors["0xb"].sensor_id == "s-b"
    assert "sensors.0xb" in book.file_problem
