"""A hub's files, and what a backup of them holds."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from agent.backup.archive import FORMAT, Backup, ConfigFile
from agent.foundation.durable_file import add_checksum

NETWORK = {
    "phase": "formed",
    "settings": {"ieee": "00", "extended_pan_id": "11", "key": "22" * 16},
    "backups": [
        {"network_key": {"key": "22" * 16, "sequence_number": 0, "frame_counter": 100}, "devices": []},
        {
            "metadata": {"internal": {"network": {"tc_link_key": {"key": "33" * 16, "frame_counter": 7}}}},
            "network_key": {"key": "22" * 16, "sequence_number": 0, "frame_counter": 1000},
            "devices": [
                {"ieee_address": "aa", "link_key": {"key": "44" * 16, "tx_counter": 5, "rx_counter": 6}},
                {"ieee_address": "bb"},
            ],
        },
    ],
}

STATE = {
    "climate.json": add_checksum(b'{"zones":{"living":{}}}'),
    "relayed.json": add_checksum(b'{"sensors":[]}'),
    "zigbee-network.json": add_checksum(json.dumps(NETWORK).encode()),
    "keyring.json": add_checksum(b'{"floor":3}'),
}

CONFIG = b'[storage]\nstate_dir = "state"\nrun_dir = "run"\n'
KEY = b"cs_dev_" + b"a" * 32 + b"\n"


@pytest.fixture
def backup() -> Backup:
    return Backup(
        format=FORMAT,
        version="0.1.0",
        made_utc_ms=1_700_000_000_000,
        config=ConfigFile(CONFIG, mode=0o644),
        config_files={"api-key": ConfigFile(KEY, mode=0o600), "update-keys/one.pub": ConfigFile(b"pub", mode=0o646)},
        state={**STATE, "facts.db": database(b"fact")},
    )


def database(content: bytes) -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE facts (text BLOB)")
        connection.execute("INSERT INTO facts VALUES (?)", (content,))
        connection.commit()
        return connection.serialize()


def used_state(directory: Path) -> Path:
    """Return a state directory that another hub has used."""
    directory.mkdir()
    for name in (
        "climate.json",
        "climate.json.copy",
        "settings.json",
        "outbox.db",
        "facts.db",
        "facts.db-wal",
        "launcher.json",
        "launcher.json.copy",
        "unprovisioned",
        "boots.json",
        "history-1.seg",
    ):
        (directory / name).write_text(f"old {name}")
    (directory / "slots").mkdir()
    (directory / "slots" / "a").write_text("a release")
    return directory
