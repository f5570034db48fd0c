"""The weather compensation of one zone: the hours in which its law kept one setpoint, and what they teach. No I/O.

Only heated floors have it: radiators answer before the weather has changed. An hour in which the law could not regulate
teaches nothing: a zone that is off, a warm room in summer and a room whose source is dead do not show what duty the
weather needs.
"""

from agent.climate import pi_controller, weather_compensation
from agent.climate.model import HEATING_MODES, Mode
from agent.climate.settings import Emitter, ZoneSettings
from agent.climate.weather_compensation import DUTY_PER_K_OF_ERROR, HOUR_S, LAG_HOURS, OutdoorHistory, WeatherResponse
from agent.climate.zone_state import ZoneRequest, ZoneState
from hal.interface import HvacAction

REGULATED_DUTY_MIN, REGULATED_DUTY_MAX = 0.05, 0.95
"""Of an hour with a mean duty beyond these the law was at its bound: less or more may have been needed."""

REGULATED_K_MAX = pi_controller.FAR_K
"""A room that is further off is not kept at its setpoint, whatever bounds its duty."""

KNOWN_SHARE_MIN = 0.9
"""Of `OutdoorHistory.known_share`: after more than 38 min without an outdoor temperature nothing is learned."""


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
        # Of the last hours; `None` for one in which the law did not regulate.
        self._duties: tuple[float | None, ...] = ()
        self._begin_hour()

    def _begin_hour(self) -> None:
        self._s = self._duty_s = self._error_s = self._above_s = 0.0

    def duty(self, history: OutdoorHistory, utc_ms: int | None) -> float:
        """Return the duty that the weather adds now; negative if it is warmer than usual."""
        return weather_compensation.compensation_duty(self.response, history, utc_ms) if self._is_slow else 0.0

    def learn(
        self,
        history: OutdoorHistory,
        after: ZoneState,
        wanted: ZoneRequest,
        *,
        mode: Mode,
        setpoint_c: float,
        dt_s: float,
    ) -> None:
        """Learn from a step of the control.

        Args:
            history: Of the outdoor temperature.
            after: The state of the zone after the step.
            wanted: What the zone requested in it.
            mode: Of the zone.
            setpoint_c: Its heating setpoint.
            dt_s: Since the last step.
        """
        if not self._is_slow:
            return
        is_disturbed = after.is_ramp or after.is_frost or after.window.is_open or after.is_floor_hot
        is_heating = mode in HEATING_MODES and after.direction is HvacAction.HEAT
        is_known = after.lost_since_ms is None and history.known_share >= KNOWN_SHARE_MIN
        is_kept = is_heating and is_known and not is_disturbed
        if not is_kept or setpoint_c != self._setpoint_c:
            self._forget(setpoint_c if is_kept else None)
            return
        self._s += dt_s
        self._duty_s += wanted.duty * dt_s
        self._error_s += wanted.error_k * dt_s
        self._above_s += history.above_k * dt_s
        if self._s < HOUR_S:
            return
        duty, error_k, above_k = self._duty_s / self._s, self._error_s / self._s, self._above_s / self._s
        is_regulated = REGULATED_DUTY_MIN <= duty <= REGULATED_DUTY_MAX and abs(error_k) <= REGULATED_K_MAX
        duties = (*self._duties, duty if is_regulated else None)
        self._duties = duties[-LAG_HOURS:]
        self._begin_hour()
        given = duties[0] if len(duties) > LAG_HOURS else None
        if is_regulated and given is not None:
            needed_duty = given + DUTY_PER_K_OF_ERROR * error_k
            self.response = weather_compensation.learn_hour(self.response, needed_duty=needed_duty, above_k=above_k)
