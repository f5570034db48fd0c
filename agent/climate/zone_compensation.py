"""The weather compensation of one zone: the hours in which its law kept one setpoint, and what they teach. No I/O.

Only heated floors have it: radiators answer before the weather has changed.
"""

from agent.climate import weather_compensation
from agent.climate.settings import Emitter, ZoneSettings
from agent.climate.weather_compensation import DUTY_PER_K_OF_ERROR, HOUR_S, LAG_HOURS, OutdoorHistory, WeatherResponse
from agent.climate.zone_state import ZoneRequest, ZoneState
from hal.interface import HvacAction


class ZoneCompensation:
    """Learns how the duty of a zone follows the weather.

    Attributes:
        response: What is known.
    """

    def __init__(self, settings: ZoneSettings, response: WeatherResponse) -> None:
        self.response = weather_compensation.restore_response(response)
        self._is_slow = settings.emitter == Emitter.FLOOR
        self._forget(None)

    def _forget(self, setpoint_c: float | None) -> None:
        self._setpoint_c = setpoint_c
        self._duties: tuple[float, ...] = ()
        self._begin_hour()

    def _begin_hour(self) -> None:
        self._s = self._duty_s = self._error_s = self._above_s = 0.0

    def duty(self, history: OutdoorHistory, utc_ms: int | None) -> float:
        """Return the duty that the weather adds now; negative if it is warmer than usual."""
        return weather_compensation.compensation_duty(self.response, history, utc_ms) if self._is_slow else 0.0

    def learn(
        self, history: OutdoorHistory, after: ZoneState, wanted: ZoneRequest, *, setpoint_c: float, dt_s: float
    ) -> None:
        """Learn from a step of the control.

        Args:
            history: Of the outdoor temperature.
            after: The state of the zone after the step.
            wanted: What the zone requested in it.
            setpoint_c: Its heating setpoint.
            dt_s: Since the last step.
        """
        if not self._is_slow or history.mean_c is None:
            return
        is_disturbed = after.is_ramp or after.is_frost or after.window.is_open or after.is_floor_hot
        is_kept = not is_disturbed and after.lost_since_ms is None and after.direction is HvacAction.HEAT
        if not is_kept or setpoint_c != self._setpoint_c:
            self._forget(setpoint_c if is_kept else None)
            return
        self._s += dt_s
        self._duty_s += wanted.duty * dt_s
        self._error_s += wanted.error_k * dt_s
        self._above_s += history.above_k * dt_s
        if self._s < HOUR_S:
            return
        duties = (*self._duties, self._duty_s / self._s)
        needed_duty = duties[0] + DUTY_PER_K_OF_ERROR * self._error_s / self._s
        above_k = self._above_s / self._s
        self._duties = duties[-LAG_HOURS:]
        self._begin_hour()
        if len(duties) > LAG_HOURS:
            self.response = weather_compensation.learn_hour(self.response, needed_duty=needed_duty, above_k=above_k)
