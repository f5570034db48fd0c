import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agent.local.status import (
    ClockStatus,
    HubStatus,
    LinkReport,
    OutboxReport,
    QuotaReport,
    RelayedReport,
    SensorReport,
    SettingsReport,
)


def sensor(**changes: object) -> SensorReport:
    plain = SensorReport(
        device="", sensor="sim/temperature", kind="temperature", value=20.5, unit="°C", quality="good", reason="",
        age_s=30.0, good=10, bad=0, failures=0, problem="",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def status() -> HubStatus:
    return HubStatus(
        version="1.2.3",
        board="sim",
        clock=ClockStatus(synchronised=True, utc="2026-01-15T12:00:00Z", boot_id="b", uptime_s=11_520),
        link=LinkReport(state="up", reason="", since_s=600, outages=2, compression="proven"),
        quotas={"telemetry": QuotaReport(3, 60, 60), "ota_check": QuotaReport(0, 10, 60)},
        outbox=OutboxReport(
            pending=12, in_memory=3, fresh=12, unregistered=0, unanchored=0, retrying=0, used_bytes=14_336,
            oldest_age_s=20, committed=13_220, accepted=13_205, unconfirmed=0, downsampled=0, dropped=0, dead_letters=0,
            problem="", last_refusal="",
        ),
        sensors=[
            sensor(),
            sensor(device="0x01", sensor="k", kind="humidity", unit="%", value=45.0, age_s=None),
        ],
        relayed_sensors=[RelayedReport("0x01", "kitchen 1", "id", "")],
        settings=SettingsReport(in_force={"reporting_interval_seconds": 60}, pending={}, problems=[]),
        faults=[],
    )  # fmt: skip


@pytest.fixture
def closed_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the databases that a power cut has left open: Python 3.13 complains of each that nobody closes."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*arguments: Any, **named: Any) -> sqlite3.Connection:  # noqa: ANN401 - as sqlite3 takes them
        opened.append(connect(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", kept)
    yield
    for connection in opened:
        connection.close()
