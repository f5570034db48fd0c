"""The simulated house: advances on a grid of one minute and returns true values for any instant in between.

The state at each grid point follows from the seed and the commands before it, never from when it was read. The house
advances only as far as it is asked to. It contains no sensor errors: a probe returns the truth, delayed by the sensor's
lag.
"""

from collections.abc import Callable, Sequence
from math import cos, exp, radians, sin
from typing import Final

from hal.interface import HvacAction, ZoneOutput
from hal.sim.building import (
    AIR_HEAT_WH_PER_M3_K,
    FLAT,
    RADIANT_TO_AIR,
    Building,
    RoomAir,
    ThermalModel,
    humidity_percent,
    vapour_kg_per_m3,
)
from hal.sim.numerics import Noise, rng_for, stream_for
from hal.sim.occupants import (
    PERSON_CO2_M3_S,
    PERSON_MOISTURE_KG_S,
    PERSON_W,
    STANDBY_W_PER_M2,
    Occupants,
    OccupantThermostat,
)
from hal.sim.plant import HEAT_PUMP, HeatGenerator, HeatingPlant, MainsAndBattery
from hal.sim.weather import Weather

GRID_S: Final = 60.0
GRID_MS: Final = 60_000
START_C: Final = 19.0
START_HUMIDITY_SHARE: Final = 0.45
BLINDS_DOWN_C: Final = 23.0
BLINDS_TRANSMITTANCE: Final = 0.25
"""Occupants of a warm room lower the blinds (DIN 4108-2:2013, table 7: shutters closed to three quarters pass 0.30)."""

UTC_OFFSET_S: Final = 3600.0
"""Central European time all year: the occupants' habits ignore summer time."""

Truth = Callable[[int], float]
"""Returns a true value at an instant in simulated milliseconds, not before the house's last step."""


class House:
    """One house; time advances only.

    Attributes:
        thermal: Temperatures and heat balance.
        plant: Heating and cooling, and their energy balance.
        weather: Outdoors.
        power: Mains and battery.
    """

    def __init__(
        self,
        *,
        seed: int,
        start_utc_ms: int,
        building: Building = FLAT,
        generator: HeatGenerator = HEAT_PUMP,
        thermostat: OccupantThermostat | None = None,
    ) -> None:
        """Build the house and its first minute.

        Args:
            seed: Everything random follows from it.
            start_utc_ms: The UTC instant of simulated time 0.
            building: Its rooms; at least the four in which the occupants live.
            generator: Its heat generator.
            thermostat: The occupants' thermostat, active while no hub controls the house.
        """
        self._start_utc_s = start_utc_ms / 1000.0
        self._zones = building.zones
        self._can_cool = generator.cooling_w > 0
        self._thermostat = thermostat
        self._is_driven = False
        self.weather = Weather(rng_for(seed, "weather"), start_utc_s=self._start_utc_s)
        self.thermal = ThermalModel(building, step_s=GRID_S, start_c=START_C)
        self.plant = HeatingPlant(generator, building.zones, step_s=GRID_S)
        self.power = MainsAndBattery(rng_for(seed, "power"), step_s=GRID_S)
        self._occupants = Occupants(Noise(seed), stream_for(seed, "household"))
        vapour = vapour_kg_per_m3(START_C, START_C) * START_HUMIDITY_SHARE
        self.air = tuple(
            RoomAir(volume_m3=zone.volume_m3, air_change_per_h=zone.air_change_per_h, step_s=GRID_S, vapour=vapour)
            for zone in building.zones
        )
        self._walls = tuple(
            (cos(radians(zone.window_azimuth_deg)), sin(radians(zone.window_azimuth_deg)), zone.solar_aperture_m2)
            for zone in building.zones
        )
        self._window_air_changes_per_h = [0.0] * len(building.zones)
        self._actions: Sequence[HvacAction] = [HvacAction.OFF] * len(building.zones)
        self._heat_ms = [0] * len(building.zones)
        self._cool_ms = [0] * len(building.zones)
        self._settled_ms = 0
        self._from_ms = self._to_ms = 0
        self._signals: list[float] = []
        self._probes: dict[tuple[str, float], int] = {}
        self._probe_plans: list[tuple[int, float, float, float]] = []
        self._probe_from: list[float] = []
        self._probe_to: list[float] = []
        self._step()

    @property
    def zones(self) -> tuple[str, ...]:
        """The names of the rooms."""
        return tuple(zone.name for zone in self._zones)

    @property
    def outputs(self) -> tuple[ZoneOutput, ...]:
        """The capability of the plant in each room."""
        return tuple(
            ZoneOutput(zone.name, can_heat=zone.heating_w > 0, can_cool=self._can_cool and zone.cooling_w > 0)
            for zone in self._zones
        )

    @property
    def minute_ms(self) -> int:
        """The start of the present minute, in simulated time."""
        return self._from_ms

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals of probes: "ROOM/temperature", "/humidity" and "/iaq", "outside/...", "pressure", ..."""
        rooms = [f"{zone.name}/{what}" for what in ("temperature", "humidity", "iaq") for zone in self._zones]
        return (*rooms, "outside/temperature", "outside/humidity", "pressure", "mains", "battery")

    def probe(self, signal: str, *, lag_s: float) -> Truth:
        """Return the true value of a signal as an element with first-order lag measures it.

        The lag is solved exactly on the grid, for a signal that is linear between grid points. The returned function is
        valid from the instant the house was last advanced to until the end of that minute.

        Raises:
            ValueError: There is no such signal.
        """
        number = self._probes.get((signal, lag_s))
        if number is None:
            index = self.signals.index(signal)
            kept = exp(-GRID_S / lag_s) if lag_s > 0 else 0.0
            newest = 1.0 - lag_s / GRID_S * (1.0 - kept)
            number = self._probes[signal, lag_s] = len(self._probe_plans)
            self._probe_plans.append((index, kept, 1.0 - kept - newest, newest))
            self._probe_from.append(self._signals[index])
            self._probe_to.append(self._signals[index])
        before, after = self._probe_from, self._probe_to

        def truth(at_ms: int) -> float:
            start = before[number]
            return start + (after[number] - start) * ((at_ms - self._from_ms) / GRID_MS)

        return truth

    def advance_to(self, at_ms: int) -> None:
        """Advance to the minute that contains `at_ms`; an instant in the past changes nothing."""
        while at_ms >= self._to_ms:
            self._step()

    def command(self, at_ms: int, actions: Sequence[HvacAction]) -> None:
        """Command the equipment of each zone from `at_ms` on; this disables the occupants' thermostat.

        Args:
            at_ms: The instant; one before the last command counts as the same.
            actions: One for each zone.
        """
        self.advance_to(at_ms)
        self._settle(at_ms)
        self._actions = tuple(actions)
        self._is_driven = True

    def open_window(self, room: str, air_change_per_h: float) -> None:
        """Open a window from the next minute on, or close it.

        Args:
            room: Its name.
            air_change_per_h: With outdoor air: a tilted window makes some 4, one that is wide open 10 to 30 (EN 15242);
                0 closes it.
        """
        self._window_air_changes_per_h[self.zones.index(room)] = air_change_per_h

    def release(self, at_ms: int) -> None:
        """Switch everything off and enable the occupants' thermostat, if there is one."""
        self.command(at_ms, [HvacAction.OFF] * len(self._zones))
        self._is_driven = False

    def _settle(self, at_ms: int) -> None:
        """Add up how long the present actions have been on in this minute."""
        elapsed_ms = max(0, at_ms - self._settled_ms)
        self._settled_ms += elapsed_ms
        for i, action in enumerate(self._actions):
            if action is HvacAction.HEAT:
                self._heat_ms[i] += elapsed_ms
            elif action is HvacAction.COOL:
                self._cool_ms[i] += elapsed_ms

    def _step(self) -> None:
        """Enter the next minute: compute the state at its end from the demand of the previous minute."""
        start_ms = self._to_ms
        self._settle(start_ms)
        heat = [ms / GRID_MS for ms in self._heat_ms]
        cool = [ms / GRID_MS for ms in self._cool_ms]
        self._heat_ms = [0] * len(heat)
        self._cool_ms = [0] * len(cool)
        utc_s = self._start_utc_s + start_ms / 1000.0
        local_s = utc_s + UTC_OFFSET_S
        if self._thermostat is not None and not self._is_driven:
            self._actions = self._thermostat.decide(
                self.thermal.temperatures_c, self._actions, local_hour=local_s % 86_400 / 3600
            )
        self.weather.advance_to(utc_s + GRID_S)
        self.power.advance()
        self.plant.advance(heat, cool, outside_c=self.weather.outside_c, has_power=self.power.has_mains)
        self._apply_gains(local_s)
        self._from_ms = start_ms
        self._to_ms = start_ms + GRID_MS
        self._update_probes()

    def _apply_gains(self, local_s: float) -> None:
        """Apply sun, people and appliances to the rooms for one step."""
        weather = self.weather
        count = len(self._zones)
        inner_w = [STANDBY_W_PER_M2 * zone.floor_m2 for zone in self._zones]
        moisture_kg_s = [0.0] * count
        people = [0.0] * count
        for habit in self._occupants.at(local_s):
            inner_w[habit.zone] += habit.people * PERSON_W + habit.appliances_w
            moisture_kg_s[habit.zone] += habit.people * PERSON_MOISTURE_KG_S + habit.moisture_kg_s
            people[habit.zone] += habit.people
        air_w, mass_w = [], []
        for i, (north, east, aperture_m2) in enumerate(self._walls):
            # ISO 13790, C.2: half of the internal gains heats the air at once, the rest is radiant like the sun.
            convective_w = 0.5 * inner_w[i]
            sun_w = weather.sun.on_wall(north, east) * aperture_m2
            if self.thermal.temperatures_c[i] > BLINDS_DOWN_C:
                sun_w *= BLINDS_TRANSMITTANCE
            radiant_w = convective_w + sun_w
            air_w.append(self.plant.emitted_w[i] + convective_w + RADIANT_TO_AIR * radiant_w)
            mass_w.append((1.0 - RADIANT_TO_AIR) * radiant_w)
        for i, air_change_per_h in enumerate(self._window_air_changes_per_h):
            if air_change_per_h:
                air_w[i] += self._window_w(i, air_change_per_h)
        self.thermal.advance(air_w + mass_w, weather.outside_c)
        outdoor_vapour = vapour_kg_per_m3(weather.dew_point_c, weather.outside_c)
        self._outside_humidity_percent = humidity_percent(outdoor_vapour, weather.outside_c)
        for i, air in enumerate(self.air):
            air.advance(
                outdoor_vapour=outdoor_vapour,
                moisture_kg_s=moisture_kg_s[i],
                co2_m3_s=people[i] * PERSON_CO2_M3_S,
                window_air_change_per_h=self._window_air_changes_per_h[i],
                temperature_c=self.thermal.temperatures_c[i],
            )

    def _window_w(self, number: int, air_change_per_h: float) -> float:
        """Return the heat that the air of a room gets through an open window over one step; negative in winter."""
        ventilation_w_per_k = AIR_HEAT_WH_PER_M3_K * air_change_per_h * self._zones[number].volume_m3
        capacity_w_per_k = self.thermal.capacities_j_per_k[number] / GRID_S
        # The exchange within the step, exactly for the air alone: a storm cools it to outdoors and no further.
        exchanged_w_per_k = capacity_w_per_k * (1.0 - exp(-ventilation_w_per_k / capacity_w_per_k))
        return exchanged_w_per_k * (self.weather.outside_c - self.thermal.temperatures_c[number])

    def _read_signals(self) -> list[float]:
        """Return the signals of the last step, in the order of `signals`."""
        weather = self.weather
        values = self.thermal.temperatures_c[: len(self._zones)]
        values += [air.humidity_percent for air in self.air]
        values += [air.iaq for air in self.air]
        values += [weather.outside_c, self._outside_humidity_percent, weather.pressure_hpa]
        values += [1.0 if self.power.has_mains else 0.0, self.power.battery_percent]
        return values

    def _update_probes(self) -> None:
        """Advance the probes to the end of the new minute."""
        earlier, later = self._signals, self._read_signals()
        before, after = self._probe_from, self._probe_to
        for i, (signal, kept, old, new) in enumerate(self._probe_plans):
            seen = before[i] = after[i]
            after[i] = kept * seen + old * earlier[signal] + new * later[signal]
        self._signals = later
