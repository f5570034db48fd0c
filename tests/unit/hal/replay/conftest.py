"""Recordings as tests need them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hal.replay import Recording, load

REPOSITORY = Path(__file__).parents[4]
DATA = REPOSITORY / "tests" / "data"

MAP = """\
time.column = "time"
relayed = [{ device = "A", columns = { temperature = "a_c", humidity = "a_rh" } }]
hub.columns = { pressure = "p_hpa" }
"""


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Recording]:
    """Write a recording and its map, and load them."""

    def write_and_load(rows: str | bytes, *, recording_map: str = MAP) -> Recording:
        (tmp_path / "house.csv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
        (tmp_path / "house.toml").write_text(recording_map)
        return load(tmp_path / "house.csv", tmp_path / "house.toml")

    return write_and_load


@pytest.fixture(scope="session")
def three_rooms() -> Recording:
    return load(DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml")


@pytest.fixture(scope="session")
def nine_rooms_csv() -> Path:
    directories = [REPOSITORY.parent / "shared" / "data"]
    if named := os.environ.get("CLIMAHUB_RECORDINGS"):
        directories.insert(0, Path(named))
    for directory in directories:
        if (path := directory / "house-zigbee-9rooms.csv").exists():
            return path
    pytest.skip("house-zigbee-9rooms.csv is not here; name its directory in CLIMAHUB_RECORDINGS")


@pytest.fixture(scope="session")
def nine_rooms(nine_rooms_csv: Path) -> Recording:
    return load(nine_rooms_csv, DATA / "house-zigbee-9rooms.toml")
