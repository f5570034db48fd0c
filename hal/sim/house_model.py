"""The physics of a house of the catalogue, a minute a step: weather, people, and the heat's way to the rooms.

Owns the state of one house. It decides nothing: the caller gives for each room the share of the minute in which heat
(or, negative, cold) is called for. State follows from the design, the weather and the calls alone.

Sources: gains of people and appliances: 5 W/m2 on average for dwellings (EN 16798-1:2019, annex C; here 2 W/m2 all the
time, people, and cooking). Half of inner gains is radiant (ISO 13790, C.2).
"""

from collections.abc import Sequence
from math import exp
from typing import Final, Self

from hal.sim.building import RADIANT_TO_AIR
from hal.sim.house import BLINDS_DOWN_C, BLINDS_TRANSMITTANCE
from hal.sim.house_design import HouseDesign, HouseRoom
from hal.sim.house_network import GROUND_C, STEP_S, NetworkBuilder, RoomNodes
from hal.sim.numerics import Noise, stream_for
from hal.sim.occupants import PERSON_W
from hal.sim.plant import COOLING_PERFORMANCE
from hal.sim.weather import Sunshine
from hal.sim.weather_patterns import SAMPLE_S, Outdoors

BASE_GAIN_W_PER_M2: Final = 2.0
COOKING_W: Final = 500.0
OPEN_WINDOW_W_PER_K: Final = 90.0
"""A tilted window of 1.2 m2 in winter: some 250 m3/h (single-sided ventilation, EN 16798-7:2017, 6.4.3.5.4)."""

PIPE_FED_KEPT: Final = exp(-STEP_S / 90.0)
"""A thermometer that is strapped on a copper pipe below its insulation follows the water within minutes."""

PIPE_STILL_KEPT: Final = exp(-STEP_S / 3600.0)
"""Water that stands still in a pipe of 22 mm cools with a time constant of half an hour bare, two hours insulated to
0.2 W/(m K): 1.5 kJ/(m K) of water and copper."""


class HouseModel:
    """A house and its state, advanced a minute at a time.

    Attributes:
        design: Of the house.
        network: Its temperatures and heat balance.
        minute: The minutes since the start.
        drawn_j: Heat that the source gave to the emitters.
        consumed_j: Fuel or electricity for it, cooling included.
        has_source: The source makes heat.
        has_pump: Water (or air) carries it to the rooms.
        blocked: Rooms whose valve is stuck closed.
        flow_c: The flow temperature that a modulating boiler makes; `None` for that of the design.
        pipe_c: What a thermometer on the supply pipe of each room shows, close to the room; the air without a pipe.
    """

    def __init__(
        self, design: HouseDesign, weather: Sequence[Outdoors], *, seed: int, start_c: float, has_gains: bool = True
    ) -> None:
        """Build a house in the steady state that holds `start_c` in the first weather.

        Args:
            design: Of the house.
            weather: One sample for each `SAMPLE_S`; the last one goes on for ever.
            seed: Of people's habits.
            start_c: The temperature of all rooms.
            has_gains: Sun, people and appliances heat the rooms.
        """
        self.design = design
        self._weather = weather
        self._noise = Noise(seed)
        self._has_gains = has_gains
        self._streams = tuple(stream_for(seed, f"gains {room.name}") for room in design.rooms)
        self.minute = 0
        self.drawn_j = 0.0
        self.consumed_j = 0.0
        self.has_source = self.has_pump = True
        self.blocked: frozenset[int] = frozenset()
        self.flow_c: float | None = None
        self._open_windows: frozenset[int] = frozenset()
        self._window_w_per_k = OPEN_WINDOW_W_PER_K
        self._running_s = 0.0
        self._sample = -1
        builder = NetworkBuilder(design)
        self.parts = builder.rooms
        self._attics = tuple(builder.attics)
        self._doors = builder.doors
        outside_c = weather[0].outside_c
        self.network = builder.network(outside_c)
        held = [part.air for part in self.parts]
        for node in held:
            self.network.temperatures_c[node] = start_c
        self.network.settle(held, (outside_c, GROUND_C))
        self.pipe_c = [start_c for _ in held]
        self._steps = 1
        self._gains_w: list[float] = []
        self._enter_sample(0)

    def copy(self) -> Self:
        """Return an independent house in the same state, with the same weather and people ahead."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.network = self.network.copy()
        twin.pipe_c = self.pipe_c.copy()
        return twin

    def open_windows(self, rooms: frozenset[int], w_per_k: float = OPEN_WINDOW_W_PER_K) -> None:
        """Open one window in each of these rooms, tilted or by the loss that it adds, and close all others."""
        self._open_windows, self._window_w_per_k = rooms, w_per_k
        self._enter_sample(self._sample)

    def open_doors(self, doors: frozenset[int], w_per_k: float = 0.0) -> None:
        """Open these doors, by their place in the design's couplings, and close all others.

        Args:
            doors: Their numbers.
            w_per_k: What an open one exchanges in addition.
        """
        conductances = self.network.conductances_w_per_k
        for number, (link, (_, _, closed_w_per_k)) in enumerate(zip(self._doors, self.design.couplings, strict=True)):
            conductances[link] = closed_w_per_k + (w_per_k if number in doors else 0.0)
        self._steps = self.network.steps_in()

    @property
    def air_c(self) -> list[float]:
        """The true air temperature of each room."""
        values = self.network.temperatures_c
        return [values[part.air] for part in self.parts]

    @property
    def outside_c(self) -> float:
        """The outdoor temperature."""
        return self._weather[self._sample].outside_c

    @property
    def sun(self) -> Sunshine:
        """The sun's radiation."""
        return self._weather[self._sample].sun

    def emitter_excess_k(self, room: int) -> float:
        """Return how much warmer a room's emitter (of a floor, its surface) is than its air."""
        part = self.parts[room]
        values = self.network.temperatures_c
        return values[part.top] - values[part.air]

    def advance(self, calls: Sequence[float]) -> None:
        """Advance by one minute.

        Args:
            calls: For each room, the share of the minute in which heat is called for; negative for cooling.
        """
        sample = min(len(self._weather) - 1, int(self.minute * STEP_S // SAMPLE_S))
        if sample != self._sample:
            self._enter_sample(sample)
        heat = self._gains_w.copy()
        share = self._supply(calls, heat)
        self._warm_pipes(calls, share)
        network = self.network
        values, conductances = network.temperatures_c, network.conductances_w_per_k
        for part in self.parts:
            if part.exponent != 1.0:
                excess = max(0.02, (values[part.emitter] - values[part.air]) / part.design_excess_k)
                factor = excess ** (part.exponent - 1.0)
                for number, conductance in part.emitter_links:
                    conductances[number] = conductance * factor
        network.advance(heat, (self.outside_c, GROUND_C), self._steps)
        self.minute += 1

    def _warm_pipes(self, calls: Sequence[float], share: float) -> None:
        """Move the temperatures of the supply pipes by a minute.

        Args:
            calls: Of the rooms.
            share: Of the heat that the emitters would take which the source gives.
        """
        values, flow_c = self.network.temperatures_c, self._flow_c()
        for i, (part, call, pipe_c) in enumerate(zip(self.parts, calls, self.pipe_c, strict=True)):
            if call > 0.0 and part.intake_w_per_k and self.has_pump and i not in self.blocked:
                # The water comes back with the temperature of the emitter, and takes up what the source gives.
                fed_c = values[part.emitter] + share * max(0.0, flow_c - values[part.emitter])
                kept = PIPE_FED_KEPT
            else:
                fed_c, kept = values[part.air], PIPE_STILL_KEPT
            self.pipe_c[i] = fed_c + (pipe_c - fed_c) * kept

    def _flow_c(self) -> float:
        """Return the flow temperature in this weather."""
        source = self.design.source
        return source.flow_now_c(self.outside_c) if self.flow_c is None else min(self.flow_c, source.flow_c)

    def _supply(self, calls: Sequence[float], heat: list[float]) -> float:
        """Add the heat of this minute to the emitters; return which share of what they would take they got."""
        design, values = self.design, self.network.temperatures_c
        source, outside_c = design.source, self.outside_c
        wanted: list[tuple[int, float]] = []
        total_w = cooled_w = 0.0
        flow_c = self._flow_c()
        is_on = False
        for i, (part, room, call) in enumerate(zip(self.parts, design.rooms, calls, strict=True)):
            if call < 0.0:
                cold_w = -call * room.cooling_w
                heat[part.air] -= cold_w
                cooled_w += cold_w
            elif call > 0.0:
                is_on = True
                if i in self.blocked:
                    continue
                if part.intake_w_per_k:
                    power_w = max(0.0, (flow_c - values[part.emitter]) * part.intake_w_per_k)
                else:
                    power_w = room.design_output_w
                wanted.append((part.emitter, call * power_w))
                total_w += call * power_w
        self.consumed_j += cooled_w / COOLING_PERFORMANCE * STEP_S
        if not is_on:
            self._running_s = 0.0
            return 0.0
        share = min(1.0, max(0.0, (self._running_s + STEP_S - source.start_s) / STEP_S)) if source.start_s else 1.0
        self._running_s += STEP_S
        if total_w <= 0.0 or not self.has_source or not self.has_pump:
            return 0.0
        if source.is_shared:
            share *= min(1.0, design.source_w * source.capacity_share(outside_c) / total_w)
        for node, power_w in wanted:
            heat[node] += power_w * share
        self.drawn_j += total_w * share * STEP_S
        self.consumed_j += total_w * share / source.performance(outside_c) * STEP_S
        return share

    def _enter_sample(self, sample: int) -> None:
        """Take over the weather and people's gains of the next ten minutes."""
        self._sample = sample
        weather = self._weather[sample]
        conductances = self.network.conductances_w_per_k
        gains = [0.0] * len(self.network.capacities_j_per_k)
        for i, (part, room) in enumerate(zip(self.parts, self.design.rooms, strict=True)):
            window = self._window_w_per_k if i in self._open_windows else 0.0
            vent = part.vent_w_per_k * weather.wind_factor + room.window_m2 * room.window_w_per_m2_k + window
            conductances[part.vent_link] = vent
            if not self._has_gains:
                continue
            inner_w = self._inner_gains_w(i, room, sample)
            north, east, aperture_m2 = part.sun
            sun_w = weather.sun.on_wall(north, east) * aperture_m2
            if self.network.temperatures_c[part.air] > BLINDS_DOWN_C:
                sun_w *= BLINDS_TRANSMITTANCE
            radiant_w = 0.5 * inner_w + sun_w
            gains[part.air] += 0.5 * inner_w + RADIANT_TO_AIR * radiant_w
            self._radiate(part, (1.0 - RADIANT_TO_AIR) * radiant_w, gains)
        if self._has_gains:
            for attic, area_m2 in self._attics:
                gains[attic] += weather.sun.global_w_per_m2 * area_m2
        self._gains_w = gains
        self._steps = self.network.steps_in()

    def _radiate(self, part: RoomNodes, radiant_w: float, gains: list[float]) -> None:
        """Share radiation out: half to inner walls and floor, the rest to the outer walls."""
        gains[part.inner] += 0.5 * radiant_w
        for node in part.surfaces:
            gains[node] += 0.5 * radiant_w / len(part.surfaces)

    def _inner_gains_w(self, number: int, room: HouseRoom, sample: int) -> float:
        """Return the heat of people and appliances in ten minutes."""
        hour = sample * SAMPLE_S / 3600 % 24
        noise, stream = self._noise, self._streams[number]
        day = sample * SAMPLE_S // 86_400
        watts = BASE_GAIN_W_PER_M2 * room.floor_m2
        if number == 0:
            # Awake from about half past six, at home from about five, dinner at about six.
            wake_h, home_h = 6.5 + 0.5 * noise.at(stream, 8 * day), 17.0 + noise.at(stream, 8 * day + 1)
            if wake_h <= hour < wake_h + 1.5 or home_h <= hour < 22.5:  # noqa: PLR2004 - habits, not parameters
                watts += 2.0 * PERSON_W + 50.0
            cook_h = 18.0 + 0.7 * noise.at(stream, 8 * day + 2)
            if cook_h <= hour < cook_h + 0.7:
                watts += COOKING_W
        elif hour >= 22.5 or hour < 6.5:  # noqa: PLR2004 - likewise
            watts += 2.0 * PERSON_W / max(1, len(self.design.rooms) - 1)
        return watts
