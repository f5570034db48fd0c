"""Checks the outputs of a home and how cold its rooms get, and counts every violated rule.

Must not trust the climate control: it keeps its own record of what was on when, over restarts and reboots, in true
time.
"""

from collections import Counter, deque
from collections.abc import Collection, Container, Mapping, Sequence

import msgspec

from agent.climate.settings import ClimateSettings, HeatSourceKind, ZoneSettings
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand

HOUR_MS = 3_600_000
EXAMPLES_MAX = 20
TWO_STAGES = 2

COLD_C = 4.0
"""A room must not get colder than this while its heat source works: pipes in its corners would freeze."""

OUTAGE_MS = 600_000
"""An outage of at least this time excuses a cold room; a hub that is down for a minute does not."""

RECOVERY_MS = 12 * HOUR_MS
"""How long a room may take to get warm after an outage."""

EXERCISE_MS = 7 * 24 * HOUR_MS
"""A valve may be exercised after its source has rested for this long, and as rarely."""

EXERCISE_MS_MAX = 1_200_000
"""No exercise is longer."""

BLIND_STARTS_MAX = 2
"""A boot without UTC may start once more than its record allows; at most this many such starts count in an hour."""

TRUTH_MARGIN_K = 1.5
"""A sensor that is off by its tolerance, or behind its room by its lag, excuses so much of a limit."""

DAY_MS = 24 * HOUR_MS

UNMEASURED_SHARE_MAX = 0.55
"""So much of a day, from the second on, may a zone without any temperature be heated: the highest fallback duty
(`sensor_loss.FROST_DUTY_MAX`) and the rest of a pulse."""


def _json(value: object) -> str:
    # A demand's mappings may be read-only views, which msgspec does not know.
    return msgspec.json.encode(value, enc_hook=dict).decode()


class _Switch:
    """The true history of one relay."""

    __slots__ = ("changed_ms", "is_on", "starts_ms")

    def __init__(self) -> None:
        self.is_on = False
        self.changed_ms: int | None = None
        self.starts_ms: deque[int] = deque()


class _UnmeasuredTime:
    """How a zone is heated since its temperature is unknown."""

    __slots__ = ("at_ms", "is_first_day", "judged_ms", "on_ms")

    def __init__(self, at_ms: int) -> None:
        self.at_ms = self.judged_ms = at_ms
        self.on_ms = 0
        self.is_first_day = True


class BrokenRule(msgspec.Struct, frozen=True):
    """A violated rule: which one, when (true milliseconds), and how."""

    rule: str
    at_ms: int
    text: str


class SafetyOracle:
    """The record of one home.

    Attributes:
        broken: How often each rule was violated.
        examples: The first violations.
        starts: How often each relay was started.
        steps: How many demands were checked.
        coldest_c: The lowest temperature of any room while its heat source worked; `None` before the first check.
    """

    def __init__(self, settings: ClimateSettings) -> None:
        self._settings = settings
        self._switches = {zone.zone_id: _Switch() for zone in settings.zones} | {
            name: _Switch() for name in ("source", "stage2", "aux")
        }
        self._direction = HvacAction.OFF
        self._acted_ms: int | None = None
        self._is_acting = False
        self._is_valve_on = False
        self._exercised_ms: dict[str, int] = {}
        self._actions: dict[str, HvacAction] = {}
        self._unmeasured: dict[str, _UnmeasuredTime] = {}
        self._was_exercised = ""
        self._blind_boots_ms: deque[int] = deque(maxlen=BLIND_STARTS_MAX)
        self._without_heat_ms: dict[str, int] = {}
        self._excused_ms: dict[str, int] = {}
        self.coldest_c: float | None = None
        self.broken: Counter[str] = Counter()
        self.examples: list[BrokenRule] = []
        self.starts: Counter[str] = Counter()
        self.steps = 0

    def check_demand(
        self,
        demand: HvacDemand,
        at_ms: int,
        rooms_c: Mapping[str, float] | None = None,
        extremes_c: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Check a demand.

        Args:
            demand: The demand on the outputs.
            at_ms: True time: it goes on while the hub is down.
            rooms_c: Each room's temperature by its trustworthy sensors; without it, limits are not checked. A room that
                is not in it has no known temperature.
            extremes_c: The lowest and the highest value of a room's sensors, where there are several.
        """
        self.steps += 1
        if self._is_acting:
            # The last demand was in force until now.
            self._acted_ms = at_ms
        exercised = self._exercised(demand)
        actions = {action for zone_id, action in demand.zones.items() if zone_id != exercised}
        actions |= {demand.heat_source.action} if demand.heat_source else set()
        if {HvacAction.HEAT, HvacAction.COOL} <= actions:
            self._violate("heat and cool together", at_ms, _json(demand))
        for action in actions - {HvacAction.OFF}:
            rest_ms = round(self._settings.heat_source.changeover_s * 1000)
            if (
                self._acted_ms is not None
                and action is not self._direction
                and self._direction is not HvacAction.OFF
                and at_ms - self._acted_ms < rest_ms
            ):
                self._violate("rest between heat and cool", at_ms, f"{at_ms - self._acted_ms} ms")
            self._direction, self._acted_ms = action, at_ms
        self._is_acting = bool(actions - {HvacAction.OFF})
        for zone in self._settings.zones:
            action = demand.zones.get(zone.zone_id, HvacAction.OFF)
            self._switch(
                zone.zone_id,
                # An exercise ends at once: see docs/decisions/0015-exercise.md.
                0.0 if zone.zone_id == self._was_exercised else zone.limits.min_on_s,
                zone.limits.min_off_s,
                zone.limits.starts_per_hour_max,
                is_on=action is not HvacAction.OFF,
                at_ms=at_ms,
            )
            if (action is HvacAction.HEAT and not zone.can_heat) or (action is HvacAction.COOL and not zone.can_cool):
                self._violate("a zone does what it cannot", at_ms, zone.zone_id)
        self._was_exercised = exercised
        known_c = {room: (value_c, value_c) for room, value_c in (rooms_c or {}).items()}
        self._check_source(demand, at_ms, known_c | dict(extremes_c or {}), exercised)
        if rooms_c is not None:
            self._check_unmeasured(rooms_c.keys() | (extremes_c or {}).keys(), at_ms)
            self._check_limits(demand, rooms_c, at_ms)
        self._actions = dict(demand.zones)

    def record_kill(self, at_ms: int) -> None:
        """Note that the hub stopped, was killed or lost its power: all outputs fall off, minimum times or not."""
        if self._is_acting:
            self._is_acting, self._acted_ms = False, at_ms
        for switch in self._switches.values():
            if switch.is_on:
                switch.is_on = False
                switch.changed_ms = at_ms
        self._is_valve_on = False
        self._actions = {}

    def record_boot(self, at_ms: int) -> None:
        """Note that a machine booted that may not know the time."""
        self._blind_boots_ms.append(at_ms)

    def felt(self, rooms_c: Mapping[str, float], without_heat: Container[str], at_ms: int) -> None:
        """Look at how cold the rooms really are.

        Args:
            rooms_c: The true temperature of each room.
            without_heat: Rooms that can have no heat now: the source or their relay has failed, or the hub is down.
            at_ms: True time.
        """
        for room, value_c in rooms_c.items():
            if room in without_heat:
                since_ms = self._without_heat_ms.setdefault(room, at_ms)
                if at_ms - since_ms >= OUTAGE_MS:
                    self._excused_ms[room] = at_ms + RECOVERY_MS
            else:
                self._without_heat_ms.pop(room, None)
            if at_ms < self._excused_ms.get(room, 0):
                continue
            self.coldest_c = value_c if self.coldest_c is None else min(self.coldest_c, value_c)
            if value_c < COLD_C:
                self._violate("a cold room", at_ms, f"{room} {value_c:.1f} °C")

    def check_truth(self, rooms_c: Mapping[str, float], floors_c: Mapping[str, float], at_ms: int) -> None:
        """Look at the outputs beside the true temperatures.

        Args:
            rooms_c: Of rooms whose sensors work, or are silent: what one that lies does to its room is another matter.
            floors_c: Of those that have a probe.
            at_ms: True time.
        """
        for zone in self._settings.zones:
            room, action = zone.zone_id, self._actions.get(zone.zone_id, HvacAction.OFF)
            if room not in rooms_c or not self._has_run_long(zone, at_ms):
                continue
            room_c, floor_c = rooms_c[room], floors_c.get(room)
            # A room that nobody can measure is heated a little in summer as well: see `_check_unmeasured`.
            is_hot = room_c >= zone.over_c + TRUTH_MARGIN_K and room not in self._unmeasured
            if action is HvacAction.HEAT and is_hot:
                self._violate("heated a hot room", at_ms, f"{room} {room_c:.1f} °C")
            if action is HvacAction.COOL and room_c <= zone.under_c - TRUTH_MARGIN_K:
                self._violate("cooled a cold room", at_ms, f"{room} {room_c:.1f} °C")
            is_frost = room_c <= zone.frost_c + TRUTH_MARGIN_K
            if action is HvacAction.HEAT and floor_c is not None and floor_c >= zone.floor_c_max and not is_frost:
                self._violate("heated a hot floor", at_ms, f"{room} {floor_c:.1f} °C")

    def _has_run_long(self, zone: ZoneSettings, at_ms: int) -> bool:
        """Return whether a zone has run for longer than the minimum times, which stand above the limits."""
        has_run_ms = at_ms - (self._switches[zone.zone_id].changed_ms or 0)
        return has_run_ms > 1000 * max(zone.limits.min_on_s, self._settings.heat_source.limits.min_on_s)

    def _exercised(self, demand: HvacDemand) -> str:
        """Return the zone whose valve alone is open without heat; empty for none."""
        source = demand.heat_source
        if source is None or source.action is not HvacAction.OFF or not source.is_pump_on:
            return ""
        is_open = [zone_id for zone_id, action in demand.zones.items() if action is not HvacAction.OFF]
        return is_open[0] if len(is_open) == 1 and demand.zones[is_open[0]] is HvacAction.HEAT else ""

    def _check_exercise(self, zone_id: str, at_ms: int) -> None:
        """Check an open valve without heat: see docs/decisions/0015-exercise.md."""
        source = self._switches["source"]
        if source.is_on or (source.changed_ms is not None and at_ms - source.changed_ms < EXERCISE_MS):
            self._violate("exercise in the heating season", at_ms, zone_id)
        begun_ms = self._exercised_ms.get(zone_id)
        if begun_ms is None or at_ms - begun_ms >= EXERCISE_MS - HOUR_MS:
            self._exercised_ms[zone_id] = at_ms
        elif at_ms - begun_ms > EXERCISE_MS_MAX:
            self._violate("exercise too long or too often", at_ms, zone_id)

    def _check_source(
        self, demand: HvacDemand, at_ms: int, extremes_c: Mapping[str, tuple[float, float]], exercised: str
    ) -> None:
        settings = self._settings.heat_source
        if settings.kind is HeatSourceKind.NONE:
            if demand.heat_source is not None:
                self._violate("a source that is not there", at_ms, _json(demand.heat_source))
            return
        heat_source = demand.heat_source
        if heat_source is None:
            self._violate("no demand on the heat source", at_ms, "")
            return
        is_on = heat_source.action is not HvacAction.OFF
        is_called = any(action is not HvacAction.OFF for action in demand.zones.values())
        if exercised:
            self._check_exercise(exercised, at_ms)
        elif is_on != is_called:
            self._violate("source and zones", at_ms, f"source {heat_source.action}, zones {_json(demand.zones)}")
        if is_on and not heat_source.is_pump_on:
            self._violate("source without pump", at_ms, _json(heat_source))
        self._check_helpers(heat_source, at_ms)
        self._check_valve(heat_source, at_ms)
        # A room at its limit may end what helps the source before its time.
        is_excused = any(
            extremes_c[zone.zone_id][0] <= zone.under_c or extremes_c[zone.zone_id][1] >= zone.over_c
            for zone in self._settings.zones
            if zone.zone_id in extremes_c
        )
        parts = {"source": is_on, "stage2": heat_source.stage >= TWO_STAGES, "aux": heat_source.is_aux_on}
        for name, is_part_on in parts.items():
            self._switch(
                name,
                0.0 if is_excused and name != "source" else settings.limits.min_on_s,
                settings.limits.min_off_s,
                settings.limits.starts_per_hour_max,
                is_on=is_part_on,
                at_ms=at_ms,
            )

    def _check_helpers(self, heat_source: HeatSourceDemand, at_ms: int) -> None:
        """Check the second stage, auxiliary heat and the flow temperature: all need the heat source."""
        settings = self._settings.heat_source
        is_on = heat_source.action is not HvacAction.OFF
        found = {
            "a stage without the source": not is_on and heat_source.stage > 0,
            "the source at no stage": is_on and heat_source.stage < 1,
            "a stage that is not there": heat_source.stage > settings.stages,
            "auxiliary heat without the source": heat_source.is_aux_on and not is_on,
            "auxiliary heat with cooling": heat_source.is_aux_on and heat_source.action is HvacAction.COOL,
            "auxiliary heat that is not there": heat_source.is_aux_on and not settings.has_aux,
        }
        is_heating, flow_c = heat_source.action is HvacAction.HEAT, heat_source.flow_c
        found |= {
            "a flow temperature without heating": flow_c is not None and not is_heating,
            "heating without a flow temperature": settings.flow is not None and is_heating and flow_c is None,
            "a flow temperature above its maximum": flow_c is not None
            and (settings.flow is None or flow_c > settings.flow.flow_c_max),
        }
        for rule, is_broken in found.items():
            if is_broken:
                self._violate(rule, at_ms, _json(heat_source))

    def _check_valve(self, heat_source: HeatSourceDemand, at_ms: int) -> None:
        """Check the reversing valve: its position is right, and it turns only while the compressor rests."""
        settings = self._settings.heat_source
        is_on = heat_source.action is not HvacAction.OFF
        is_right = heat_source.is_valve_on == (
            (heat_source.action is HvacAction.HEAT) == settings.is_valve_on_in_heating
        )
        if settings.kind is HeatSourceKind.HEAT_PUMP and is_on and not is_right:
            self._violate("the reversing valve stands wrong", at_ms, _json(heat_source))
        # The switch is of the demand before: a valve that turns as the compressor stops turns under pressure as well.
        if heat_source.is_valve_on != self._is_valve_on and (is_on or self._switches["source"].is_on):
            self._violate("the reversing valve turned under pressure", at_ms, _json(heat_source))
        self._is_valve_on = heat_source.is_valve_on

    def _check_unmeasured(self, known: Collection[str], at_ms: int) -> None:
        """Check that a zone without a known temperature is not heated for too much of a day."""
        for zone in self._settings.zones:
            if zone.zone_id in known:
                self._unmeasured.pop(zone.zone_id, None)
                continue
            unmeasured = self._unmeasured.setdefault(zone.zone_id, _UnmeasuredTime(at_ms))
            if self._actions.get(zone.zone_id) is HvacAction.HEAT:
                unmeasured.on_ms += at_ms - unmeasured.at_ms
            unmeasured.at_ms = at_ms
            if at_ms - unmeasured.judged_ms < DAY_MS:
                continue
            share = unmeasured.on_ms / (at_ms - unmeasured.judged_ms)
            # The first day keeps what the zone needed before.
            if not unmeasured.is_first_day and share > UNMEASURED_SHARE_MAX:
                self._violate("heated much without a temperature", at_ms, f"{zone.zone_id} {share:.0%} of a day")
            unmeasured.judged_ms, unmeasured.on_ms, unmeasured.is_first_day = at_ms, 0, False

    def _check_limits(self, demand: HvacDemand, rooms_c: Mapping[str, float], at_ms: int) -> None:
        for zone in self._settings.zones:
            room_c = rooms_c.get(zone.zone_id)
            action = demand.zones.get(zone.zone_id, HvacAction.OFF)
            # Minimum times are minutes, and a room's temperature takes longer.
            if not self._has_run_long(zone, at_ms):
                continue
            if room_c is None:
                if action is HvacAction.COOL:
                    self._violate("cooled without a temperature", at_ms, zone.zone_id)
                continue
            if action is HvacAction.HEAT and room_c >= zone.over_c:
                self._violate("heated above the limit", at_ms, f"{zone.zone_id} {room_c:.1f}")
            if action is HvacAction.COOL and room_c <= zone.under_c:
                self._violate("cooled below the limit", at_ms, f"{zone.zone_id} {room_c:.1f}")

    def _switch(
        self, name: str, min_on_s: float, min_off_s: float, starts_max: int, *, is_on: bool, at_ms: int
    ) -> None:
        switch = self._switches[name]
        if is_on == switch.is_on:
            return
        since_ms = None if switch.changed_ms is None else at_ms - switch.changed_ms
        if is_on:
            if since_ms is not None and since_ms < min_off_s * 1000:
                self._violate("minimum off time", at_ms, f"{name} after {since_ms} ms")
            while switch.starts_ms and switch.starts_ms[0] <= at_ms - HOUR_MS:
                switch.starts_ms.popleft()
            switch.starts_ms.append(at_ms)
            self.starts[name] += 1
            spare = sum(boot_ms > at_ms - HOUR_MS for boot_ms in self._blind_boots_ms)
            if len(switch.starts_ms) > starts_max + spare:
                self._violate("starts an hour", at_ms, f"{name}: {len(switch.starts_ms)}")
        elif since_ms is not None and since_ms < min_on_s * 1000:
            self._violate("minimum on time", at_ms, f"{name} after {since_ms} ms")
        switch.is_on = is_on
        switch.changed_ms = at_ms

    def _violate(self, rule: str, at_ms: int, text: str) -> None:
        self.broken[rule] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(BrokenRule(rule, at_ms, text))

    def summary(self) -> Sequence[str]:
        """Return the broken rules in words."""
        return [f"{rule}: {count} times" for rule, count in sorted(self.broken.items())]
