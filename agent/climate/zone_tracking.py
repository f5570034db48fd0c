"""The model of one zone beside its readings: what it is doing now, and what each night teaches. No I/O, no clock.

It owns the estimate, the bank of models and the samples of the present night. It decides nothing.
"""

from collections import deque

import msgspec

from agent.climate import zone_identification, zone_model
from agent.climate.zone_identification import SAMPLE_S, SAMPLES_MAX, Member, Window, WindowSample
from agent.climate.zone_model import ZoneDynamics, ZoneEstimate

UPDATE_S = 120.0
UPDATES_PER_SAMPLE = 3
"""The estimate is advanced in steps of this length, of which so many make a sample of a window."""

GAP_S_MAX = 1800.0
"""After a longer time without a temperature the state is unknown."""

RECENT_S = 3 * 3600.0
"""The recent duty is a mean over this time."""

SETTLING_SAMPLES = 5
LATE_SAMPLES = 20
"""A window ends so long after its recovery: it shows how the emitter comes down; after one that was given up, how the
zone gets warm all the same."""

JUDGED_PER_STEP = 1
"""Members of the bank that are judged in one step of the control, so that no step takes long."""


class ZoneTracker:
    """Follows one zone.

    Attributes:
        estimate: Its present state; `None` if unknown.
        updates: How often the estimate has been advanced.
        windows: How many windows have taught the model, those before a restart included.
    """

    def __init__(self, dynamics: ZoneDynamics, windows: int) -> None:
        self.estimate: ZoneEstimate | None = None
        self.updates = 0
        self.windows = windows
        self._dynamics = dynamics
        self._bank = zone_identification.initial_bank(dynamics, windows)
        self._on_s = self._s = self._missing_s = 0.0
        self._is_new = self._has_other_sensors = False
        self._recent_duty: float | None = None
        self._shares: list[float] = []
        self._samples: deque[WindowSample] = deque()
        self._start: WindowSample | None = None
        self._settling: int | None = None
        self._judged: Window | None = None
        self._judged_members: list[Member] = []

    @property
    def dynamics(self) -> ZoneDynamics:
        """The model that explains the zone best."""
        return self._dynamics

    def observe(
        self, *, value_c: float | None, is_new: bool, output: float, duty: float, structure_c: float | None, dt_s: float
    ) -> None:
        """Advance by one step of the control.

        Args:
            value_c: The temperature; `None` if unknown.
            is_new: A sensor has reported since the last step.
            output: The share of full output that heated it since then.
            duty: The duty that the zone needs, as far as the control knows.
            structure_c: The temperature of its walls, as far as the control knows.
            dt_s: Since the last step.
        """
        self._judge_some()
        self._s += dt_s
        self._on_s += dt_s * output
        self._is_new = self._is_new or is_new
        self._missing_s = 0.0 if value_c is not None else self._missing_s + dt_s
        if self._missing_s > GAP_S_MAX:
            self.estimate = None
            self.forget_night()
        if self._s < UPDATE_S or value_c is None:
            return
        share = self._on_s / self._s
        recent = duty if self._recent_duty is None else self._recent_duty
        self._recent_duty = recent + min(1.0, self._s / RECENT_S) * (share - recent)
        if self.estimate is not None and self._has_other_sensors:
            self.estimate = zone_model.shift(self.estimate, value_c)
        self._has_other_sensors = False
        if self.estimate is None:
            self.estimate = zone_model.initial_estimate(
                self._dynamics, value_c=value_c, structure_c=structure_c, duty=self._recent_duty
            )
        else:
            self.estimate = zone_model.track(
                self.estimate, self._dynamics, duty=share, value_c=value_c, is_new=self._is_new, dt_s=self._s
            )
        self.updates += 1
        self._sample(share, value_c)
        self._s = self._on_s = 0.0
        self._is_new = False

    def change_sensors(self) -> None:
        """Forget the night: other sensors count now, and the next temperature is that of another place."""
        self._has_other_sensors = True
        self.forget_night()

    def forget_night(self) -> None:
        """Teach nothing of this night: a window is open."""
        self._start_window(None)

    def begin_window(self, value_c: float) -> None:
        """Begin a window: the setpoint has been lowered."""
        self._finish()
        self._start_window(WindowSample(self._recent_duty or 0.0, value_c))

    def end_window(self, *, was_reached: bool) -> None:
        """End the window after some more samples: a recovery is over."""
        if self._start is not None and self._settling is None:
            self._settling = SETTLING_SAMPLES if was_reached else LATE_SAMPLES

    def _start_window(self, start: WindowSample | None) -> None:
        self._start, self._settling = start, None
        self._shares.clear()
        self._samples.clear()

    def _sample(self, share: float, value_c: float) -> None:
        if self._start is None:
            return
        self._shares.append(share)
        if len(self._shares) < UPDATES_PER_SAMPLE:
            return
        self._samples.append(WindowSample(sum(self._shares) / UPDATES_PER_SAMPLE, value_c))
        self._shares.clear()
        if len(self._samples) > SAMPLES_MAX:
            first = self._samples.popleft()
            weight = SAMPLE_S / RECENT_S
            duty = self._start.duty + weight * (first.duty - self._start.duty)
            self._start = WindowSample(duty, first.value_c)
        if self._settling is not None:
            self._settling -= 1
            if self._settling <= 0:
                self._finish()

    def _finish(self) -> None:
        if self._settling is not None and self._start is not None and self._judged is None:
            window = Window(self._start.value_c, self._start.duty, tuple(self._samples))
            if window.is_telling:
                self._judged, self._judged_members = window, []
        self._start_window(None)

    def _judge_some(self) -> None:
        """Judge the next members of the bank by the last window; once all are judged, the best one is the model."""
        if self._judged is None:
            return
        done = len(self._judged_members)
        for member in self._bank[done : done + JUDGED_PER_STEP]:
            self._judged_members.append(zone_identification.judge(member, self._judged))
        if len(self._judged_members) < len(self._bank):
            return
        self._bank, self._judged, self._judged_members = tuple(self._judged_members), None, []
        before, self._dynamics = self._dynamics, zone_identification.best(self._bank).dynamics
        self.windows += 1
        if self.estimate is not None:
            # The same share of the output: the load is in the measure of the gain.
            scale = self._dynamics.gain_k_per_h / before.gain_k_per_h
            self.estimate = msgspec.structs.replace(self.estimate, load_k_per_h=self.estimate.load_k_per_h * scale)
