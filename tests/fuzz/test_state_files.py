"""Each value of a state file is changed to each of a few extremes: the hub starts, and does its work."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.foundation.durable_file import strip_checksum
from agent.maintenance import machine_watch, service
from agent.maintenance.drift import Drift, add_day
from agent.maintenance.indicators import SOLSTICE_MS, Indicator, Measured
from agent.maintenance.machine_drift import BASELINE_DAYS
from agent.maintenance.signature import SIGNATURES
from tests.fuzz.climate_borders import KEPT, heated_steps
from tests.fuzz.hostile_files import with_extremes
from tests.unit.maintenance import test_machine_watch as machines
from tests.unit.maintenance import test_service as zones

HEATED_STEPS_MIN = 3
"""Of a dozen: doubts about the sensor, and rests of the equipment, may take a part of the two hours."""

DAYS = 30
"""A usual behaviour is known, and judged, after so many."""

DAY_MS = 86_400_000


@pytest.mark.slow
@pytest.mark.parametrize("boot", ["b", "next"], ids=["same boot", "next boot"])
def test_no_value_of_the_climate_file_keeps_the_home_from_being_heated(boot: str) -> None:
    changed = 0
    for change, document in with_extremes(KEPT):
        try:
            heated = heated_steps(msgspec.json.encode(document), boot)
        except Exception as error:
            raise AssertionError(change) from error
        if heated is not None:
            changed += 1
            # What people set may well be colder: that is theirs.
            assert heated >= HEATED_STEPS_MIN or ".program" in change, change
    assert changed > 500


@pytest.mark.slow
def test_no_value_of_the_maintenance_file_stops_predictive_maintenance(tmp_path: Path) -> None:
    zones.Hub(tmp_path).run(DAYS * 86_400.0)
    file = tmp_path / service.FILE_NAME
    for change, document in with_extremes(msgspec.json.decode(strip_checksum(file.read_bytes()))):
        file.write_bytes(msgspec.json.encode(document))
        hub = zones.Hub(tmp_path, began_utc_ms=SOLSTICE_MS + (DAYS + 1) * DAY_MS)
        try:
            hub.run(3600.0)
            assert hub.service.findings().keys() == {"living"}
        except Exception as error:
            raise AssertionError(change) from error


@pytest.mark.parametrize("indicator", [Indicator.WARMTH, Indicator.RUN_TIME])
def test_whatever_a_file_says_of_a_zone_its_next_days_are_counted(indicator: Indicator) -> None:
    signature, day = SIGNATURES[indicator], Measured(0.4, 16.0, 0.5)

    def with_days(drift: Drift, numbers: range) -> Drift:
        for number in numbers:
            drift = add_day(drift, day, SOLSTICE_MS + number * DAY_MS, signature)
        return drift

    kept = msgspec.to_builtins(with_days(Drift(), range(DAYS)))
    changed = 0
    for change, document in with_extremes(kept):
        try:
            drift = msgspec.convert(document, Drift)
        except msgspec.ValidationError:
            continue
        changed += 1
        after = with_days(drift, range(DAYS, DAYS + 2))
        assert msgspec.json.decode(msgspec.json.encode(after), type=Drift) == after, change
    assert changed > 40


@pytest.mark.slow
def test_no_value_of_the_machines_file_stops_predictive_maintenance(tmp_path: Path) -> None:
    async def live(hub: machines.Hub, days: int) -> None:
        await hub.watch.load()
        hub.days(days)
        hub.watch.findings()
        await hub.watch.save()

    asyncio.run(live(machines.Hub(tmp_path), DAYS))
    file = tmp_path / machine_watch.FILE_NAME
    for change, document in with_extremes(msgspec.json.decode(strip_checksum(file.read_bytes()))):
        file.write_bytes(msgspec.json.encode(document))
        hub = machines.Hub(tmp_path)
        hub.now_ms = SOLSTICE_MS + (DAYS + 1) * DAY_MS
        try:
            asyncio.run(live(hub, 2))
        except Exception as error:
            raise AssertionError(change) from error


@pytest.mark.slow
def test_no_value_of_supply_and_return_in_the_maintenance_file_stops_predictive_maintenance(tmp_path: Path) -> None:
    zones.Hub(tmp_path, pair=zones.PAIR).run((BASELINE_DAYS + 4) * 86_400.0)
    file, later = tmp_path / service.FILE_NAME, SOLSTICE_MS + (BASELINE_DAYS + 5) * DAY_MS
    changed = 0
    for change, document in with_extremes(msgspec.json.decode(strip_checksum(file.read_bytes()))):
        if ".pipes" not in change:
            continue
        changed += 1
        file.write_bytes(msgspec.json.encode(document))
        hub = zones.Hub(tmp_path, began_utc_ms=later, pair=zones.PAIR)
        try:
            hub.run(3600.0)
            assert hub.service.findings().keys() == {"living"}
        except Exception as error:
            raise AssertionError(change) from error
    assert changed > 100
