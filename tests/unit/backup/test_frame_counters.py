"""No frame counter of the restored network was used before."""

import json

import pytest

from agent.backup.errors import BackupRefused
from agent.backup.frame_counters import COUNTER_MAX, FRAMES_A_DAY_MAX, SPARE_DAYS, advance
from agent.foundation.durable_file import add_checksum, strip_checksum
from tests.unit.backup.conftest import NETWORK


@pytest.mark.parametrize("age_days", [0, 1, 400])
def test_every_counter_of_the_last_backup_is_advanced_by_its_age(age_days: int) -> None:
    file = add_checksum(json.dumps(NETWORK).encode())
    (last,) = json.loads(strip_checksum(advance(file, age_days)))["backups"]
    frames = (age_days + SPARE_DAYS) * FRAMES_A_DAY_MAX
    assert last["network_key"]["frame_counter"] == 1000 + frames
    assert last["metadata"]["internal"]["network"]["tc_link_key"]["frame_counter"] == 7 + frames
    assert last["devices"][0]["link_key"] == {"key": "44" * 16, "tx_counter": 5 + frames, "rx_counter": 6}
    assert last["network_key"]["key"] == "22" * 16


def test_a_network_that_was_only_planned_has_no_counter() -> None:
    file = json.dumps(NETWORK | {"backups": []}).encode()
    assert advance(file, 30) == file


def test_a_counter_at_its_end_is_refused() -> None:
    days = COUNTER_MAX // FRAMES_A_DAY_MAX
    with pytest.raises(BackupRefused, match="form a new network"):
        advance(json.dumps(NETWORK).encode(), days)
    advance(json.dumps(NETWORK).encode(), days - SPARE_DAYS - 1)
