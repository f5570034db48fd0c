"""A heavy room with one sensor, heated minute by minute."""

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import Setpoints
from agent.climate.settings import ClimateSettings, Emitter, ZoneSettings, pi_settings_for
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.interface import HvacAction


class House:
    """A heavy room with its emitter and walls: 65 W/K, or what it is made."""

    def __init__(self, air_c: float, power_w: float, *, slab_j_per_k: float = 6e4, outside_c: float = 0.0) -> None:
        self.air_c = self.wall_c = self.emitter_c = air_c
        self.power_w, self.slab_j_per_k, self.outside_c = power_w, slab_j_per_k, outside_c

    def advance(self, *, is_on: bool, dt_s: float) -> None:
        given = (40.0 if self.slab_j_per_k < 1e6 else 120.0) * (self.emitter_c - self.air_c)
        wall = 220.0 * (self.air_c - self.wall_c)
        self.emitter_c += dt_s * ((self.power_w if is_on else 0.0) - given) / self.slab_j_per_k
        self.air_c += dt_s * (given - wall - 30.0 * (self.air_c - self.outside_c)) / 1.2e6
        self.wall_c += dt_s * (wall - 35.0 * (self.wall_c - self.outside_c)) / 1.2e7


class SingleZoneHome:
    """A zone with one sensor in a house, step by step."""

    def __init__(
        self,
        house: House,
        emitter: Emitter = Emitter.RADIATOR,
        resolution_k: float = 0.1,
        *,
        has_outdoor_sensor: bool = False,
    ) -> None:
        zone = ZoneSettings(
            zone_id="z",
            sensors=(("t", 1.0),),
            law=pi_settings_for(emitter, is_shared=False, min_on_s=180.0),
            emitter=emitter.value,
        )
        self.house, self.resolution_k = house, resolution_k
        settings = ClimateSettings(zones=(zone,), outdoor_sensor="outdoor" if has_outdoor_sensor else "")
        self.control = ClimateController(settings, ClimateSnapshot(), Now("b", 0, None))
        self.outdoor_shows_c: float | None = None
        self.set_program(setpoints=Setpoints(20.0, 30.0))
        self._observed: dict[str, SensorReading] = {}
        self.reason = ""
        self.minute, self.is_on = 0, False
        self.stuck_steps = 0
        self.problems: set[str] = set()
        self.warmest_c = self.coldest_c = house.air_c

    def restart(self) -> None:
        """Let the agent begin anew, with what it has kept."""
        moment = self.now()
        kept = msgspec.json.decode(msgspec.json.encode(self.control.take_snapshot(moment)), type=ClimateSnapshot)
        self.control = ClimateController(self.control.settings, kept, moment)

    def now(self) -> Now:
        """Return now."""
        return Now("b", self.minute * 60_000, None)

    def set_program(self, **changes: object) -> None:
        """Change the program of the zone."""
        program = self.control.zones["z"].program
        self.control.set_program("z", msgspec.structs.replace(program, **changes))

    def run(self, hours: float, frozen_c: float | None = None, *, is_silent: bool = False) -> None:
        """Go on for so long, with a sensor that says always the same, or nothing."""
        for _ in range(round(hours * 60)):
            self.minute += 1
            self.house.advance(is_on=self.is_on, dt_s=60.0)
            reading_c = (
                round(self.house.air_c / self.resolution_k) * self.resolution_k if frozen_c is None else frozen_c
            )
            now = self.now()
            if not is_silent:
                self._observed = {"t": SensorReading(reading_c, now.now_ms)}
            outdoor_c = self.house.outside_c if self.outdoor_shows_c is None else self.outdoor_shows_c
            self._observed["outdoor"] = SensorReading(outdoor_c, now.now_ms)
            made = self.control.step(now, self._observed)
            self.reason = made.reasons[0]
            self.is_on = made.demand.zones["z"] is HvacAction.HEAT
            self.stuck_steps += made.state.zones[0].stuck_sensor.is_stuck
            self.problems |= {made.state.zones[0].problem} - {""}
            self.warmest_c, self.coldest_c = (
                max(self.warmest_c, self.house.air_c),
                min(self.coldest_c, self.house.air_c),
            )
