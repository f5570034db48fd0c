"""Days of a pair of thermometers, for tests."""

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.pipe_record import DAY_MS, PipeRecord, add_reading, complete_day

USUAL_EXCESS_K, USUAL_SPREAD_K = 30.0, 9.0
OUTDOOR_C = 2.0


def pipe_day(
    record: PipeRecord,
    day: int,
    *,
    excess_k: float = USUAL_EXCESS_K,
    spread_k: float = USUAL_SPREAD_K,
    outdoor_c: float | None = OUTDOOR_C,
    readings: int = 6,
) -> PipeRecord:
    """Return what is known after one more day of settled heating; days differ by some percent."""
    odd = 1.0 + 0.01 * (day % 3 - 1)
    record = PipeRecord(record.sensors, drifts=record.drifts, is_swapped=record.is_swapped)
    for _ in range(readings):
        record = add_reading(record, excess_k * odd, spread_k, 1.0, outdoor_c)
    return complete_day(record, SOLSTICE_MS + day * DAY_MS)


def learned(days: int) -> PipeRecord:
    """Return what is known after so many usual days."""
    record = PipeRecord()
    for day in range(days):
        record = pipe_day(record, day)
    return record
