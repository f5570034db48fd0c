"""All APIs show the same home after each of many random requests through any of them; `soak_apis.py` at length."""

from pathlib import Path

import pytest

from tests.integration.api_differential import driver

STEPS = 150


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_api_shows_what_any_of_them_has_set(tmp_path: Path, seed: int) -> None:
    async with driver(tmp_path, seed) as drive:
        for _ in range(STEPS):
            await drive.step()
    assert sum(drive.tally.commands.values()) == STEPS
    assert 0 < drive.tally.refused < STEPS / 2
