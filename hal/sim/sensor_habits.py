"""Room thermometers with the reporting habits that people's sensors have, deterministic by seed.

A sensor is a first-order lag, an offset, noise, a resolution, and a rule for when it reports. It knows no hub: it turns
the true temperature of each minute into reports.

Sources: attribute reporting by minimum interval, maximum interval and reportable change: Zigbee Cluster Library
revision 8, 2.5.7. Common settings as devices ship: Aqara reports on a change of 0.5 K and hourly, Sonoff SNZB-02 on
0.2 K and hourly, Tuya displays at each step or not at all. A time constant of minutes is that of a plastic case, half
an hour that of a sensor in a corner behind furniture.
"""

from collections import deque
from math import exp
from statistics import NormalDist
from typing import Final

import msgspec

from hal.sim.numerics import Noise, stream_for

MINUTE_S: Final = 60.0


class SensorHabit(msgspec.Struct, frozen=True, kw_only=True):
    """How a thermometer measures and when it reports.

    Attributes:
        name: For tables.
        lag_s: Its time constant.
        step_k: Its resolution.
        noise_k: Standard deviation from value to value.
        offset_k: Standard deviation of its constant error from piece to piece.
        interval_s: It looks this often ...
        change_k: ... and reports when the value has moved this far from the last reported one; 0 reports each time.
        heartbeat_s: It reports at the latest after this time; `None` for never without a change.
        lost_share: Reports that do not arrive.
        delay_s: Reports arrive this much later.
        emitter_share: The share of the emitter's excess temperature that it measures in place of the air.
    """

    name: str
    lag_s: float = 180.0
    step_k: float = 0.01
    noise_k: float = 0.0
    offset_k: float = 0.0
    interval_s: float = 60.0
    change_k: float = 0.0
    heartbeat_s: float | None = None
    lost_share: float = 0.0
    delay_s: float = 0.0
    emitter_share: float = 0.0

    @property
    def silence_s(self) -> float | None:
        """Return the longest time between two reports that its rule allows; `None` for no limit."""
        return self.heartbeat_s if self.change_k else self.interval_s


CONTINUOUS: Final = SensorHabit(name="continuous", noise_k=0.01)
TENTHS: Final = SensorHabit(name="tenths", step_k=0.1, noise_k=0.03)
CHANGE_02: Final = SensorHabit(name="change 0.2", change_k=0.2, heartbeat_s=3600.0, noise_k=0.02)
CHANGE_02_ONLY: Final = SensorHabit(name="change 0.2 only", change_k=0.2, noise_k=0.02)
CHANGE_05: Final = SensorHabit(name="change 0.5", change_k=0.5, heartbeat_s=3600.0, noise_k=0.02)
CHANGE_05_ONLY: Final = SensorHabit(name="change 0.5 only", change_k=0.5, noise_k=0.02)
HOURLY: Final = SensorHabit(name="hourly", step_k=0.1, interval_s=3600.0, noise_k=0.02)
SLOW_CORNER: Final = SensorHabit(name="slow corner", lag_s=1500.0, step_k=0.1, noise_k=0.02)
HALF_DEGREES: Final = SensorHabit(name="half degrees", step_k=0.5, interval_s=300.0, noise_k=0.03)
LOSSY: Final = SensorHabit(name="lossy", step_k=0.1, interval_s=300.0, noise_k=0.03, lost_share=0.2)
OFFSET: Final = SensorHabit(name="offset", step_k=0.1, noise_k=0.1, offset_k=0.4)
NEAR_EMITTER: Final = SensorHabit(name="near emitter", step_k=0.1, noise_k=0.03, emitter_share=0.03)
DELAYED: Final = SensorHabit(name="delayed", step_k=0.1, noise_k=0.03, delay_s=420.0)
HABITS: Final = (
    CONTINUOUS, TENTHS, CHANGE_02, CHANGE_02_ONLY, CHANGE_05, CHANGE_05_ONLY, HOURLY, SLOW_CORNER, HALF_DEGREES, LOSSY,
    OFFSET, NEAR_EMITTER, DELAYED,
)  # fmt: skip


class HabitualSensor:
    """One thermometer, looked at once a minute.

    Attributes:
        offset_k: Its constant error.
        measured_c: What its element has, without noise and steps; `None` before the first minute.
    """

    def __init__(self, habit: SensorHabit, *, noise: Noise, seed: int, name: str) -> None:
        self.habit = habit
        self._noise = noise
        self._stream = stream_for(seed, f"habit {name}")
        self._phase = self._stream % max(1, round(habit.interval_s / MINUTE_S))
        self.offset_k = habit.offset_k * noise.at(self._stream, -1)
        self._moved = 1.0 - exp(-MINUTE_S / habit.lag_s) if habit.lag_s > 0 else 1.0
        self._lost_below = NormalDist().inv_cdf(habit.lost_share) if habit.lost_share > 0 else None
        self.measured_c: float | None = None
        self._reported_c: float | None = None
        self._reported_minute = 0
        self._under_way: deque[tuple[int, float]] = deque()

    def advance(self, minute: int, air_c: float, emitter_excess_k: float) -> float | None:
        """Return the value that arrives in this minute; `None` for none.

        Args:
            minute: Since the start, each once and in order.
            air_c: The true temperature of the room's air.
            emitter_excess_k: How much warmer its emitter is.
        """
        habit = self.habit
        true_c = air_c + habit.emitter_share * emitter_excess_k
        known_c = self.measured_c
        self.measured_c = measured_c = true_c if known_c is None else known_c + (true_c - known_c) * self._moved
        if (value_c := self._report(minute, measured_c)) is not None:
            self._under_way.append((minute + round(habit.delay_s / MINUTE_S), value_c))
        arrived_c = None
        while self._under_way and self._under_way[0][0] <= minute:
            arrived_c = self._under_way.popleft()[1]
        return arrived_c

    def _report(self, minute: int, measured_c: float) -> float | None:
        """Return what leaves the sensor and is not lost."""
        habit = self.habit
        if (minute + self._phase) % max(1, round(habit.interval_s / MINUTE_S)) and self._reported_c is not None:
            return None
        value_c = measured_c + self.offset_k + habit.noise_k * self._noise.at(self._stream, minute)
        value_c = round(round(value_c / habit.step_k) * habit.step_k, 2)
        known_c = self._reported_c
        if known_c is not None and habit.change_k:
            is_due = habit.heartbeat_s is not None and (minute - self._reported_minute) * MINUTE_S >= habit.heartbeat_s
            if abs(value_c - known_c) < habit.change_k and not is_due:
                return None
        self._reported_c, self._reported_minute = value_c, minute
        is_lost = self._lost_below is not None and self._noise.at(self._stream + 1, minute) < self._lost_below
        return None if is_lost and known_c is not None else value_c
