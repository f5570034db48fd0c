"""Posts of a machine day by day, for tests of what is learned of them."""

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import DAY_MS, MachineRecord, observe_post
from agent.maintenance.machine_readings import EnergyPost, PowerPost, VibrationPost, ZoneState

POST_MS = 300_000
"""AURRA's clients send energy every five minutes."""


def energy_day(
    record: MachineRecord,
    day: int,
    current_a: float = 4.0,
    *,
    voltage_v: float = 230.0,
    run_minutes: int = 5,
    posts: int = 12,
    inrush_a: float | None = None,
    state: ZoneState | None = None,
) -> MachineRecord:
    """Return what is known after the posts of a day, counted from the solstice."""
    for number in range(posts):
        at = SOLSTICE_MS + day * DAY_MS + number * POST_MS
        scatter = 1.0 + 0.01 * ((number + day) % 3 - 1)
        post = EnergyPost(at, run_minutes, voltage_v, current_a * scatter, inrush_a)
        record = observe_post(record, post, state or ZoneState(1, 5.0), at + POST_MS)
    return record


def vibration_day(record: MachineRecord, day: int, amplitude_g: float, frequency_hz: float = 50.0) -> MachineRecord:
    """Return what is known after the vibration posts of a day."""
    for number in range(12):
        at = SOLSTICE_MS + day * DAY_MS + number * POST_MS
        scatter = 1.0 + 0.02 * ((number + day) % 3 - 1)
        record = observe_post(record, VibrationPost(at, amplitude_g * scatter, frequency_hz), ZoneState(1), at)
    return record


def power_day(record: MachineRecord, day: int, watts: float, outdoor_c: float | None = 5.0) -> MachineRecord:
    """Return what is known after a day of a plug's values."""
    for number in range(12):
        at = SOLSTICE_MS + day * DAY_MS + number * POST_MS
        scatter = 1.0 + 0.01 * ((number + day) % 3 - 1)
        record = observe_post(record, PowerPost(at, watts * scatter), ZoneState(1, outdoor_c), at)
    return record
