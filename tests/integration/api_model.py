"""What a zone should show after requests through any API: a model that shares no code with the hub.

Written from docs/apis.md and the contracts. A zone has its own mode and setpoints, at most one hold without an end, and
eco. `Refused` says that the hub must refuse a request; nothing changes then.
"""

from dataclasses import dataclass, field, replace

GAP_K = 1.0
"""Between both setpoints."""
AURRA_F = (40, 90)
AURRA_BAND_F = 2
AURRA_ECO_F = (62, 78)


class Refused(Exception):
    """The hub must refuse this."""


@dataclass(frozen=True)
class Hold:
    """A hold: what it leaves open is the zone's own."""

    heat: float | None = None
    cool: float | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Zone:
    """One zone; temperatures in degrees Celsius.

    `schedule` has the setpoints of the only block of the schedule that the zone follows; `None` for no schedule.
    """

    mode: str = "heat"
    heat: float = 20.0
    cool: float = 26.0
    eco: bool = False
    eco_heat: float = 16.7
    eco_cool: float = 25.6
    hold: Hold | None = None
    schedule: tuple[float, float] | None = None

    @property
    def shown_mode(self) -> str:
        """The mode in force."""
        return (self.hold and self.hold.mode) or self.mode

    @property
    def wanted(self) -> tuple[float, float]:
        """Both setpoints in force, before eco."""
        heat, cool = self.schedule or (self.heat, self.cool)
        keep_cool = False
        if self.hold:
            keep_cool = self.hold.cool is not None and self.hold.heat is None
            heat = heat if self.hold.heat is None else self.hold.heat
            cool = cool if self.hold.cool is None else self.hold.cool
        return apart(heat, cool, keep_cool=keep_cool)

    @property
    def shown(self) -> tuple[float, float]:
        """Both setpoints in force, bounded by eco."""
        heat, cool = self.wanted
        return (min(heat, self.eco_heat), max(cool, self.eco_cool)) if self.eco else (heat, cool)


def apart(heat: float, cool: float, *, keep_cool: bool) -> tuple[float, float]:
    """Return both setpoints with the gap between them."""
    if cool - heat >= GAP_K:
        return heat, cool
    return (cool - GAP_K, cool) if keep_cool else (heat, heat + GAP_K)


def celsius(value_f: float, present: float | None) -> float:
    """Return degrees Celsius; what a client was shown means what it was shown for."""
    if present is not None and round(present * 9 / 5 + 32) == value_f:
        return present
    return (value_f - 32) * 5 / 9


def own_setpoints(zone: Zone, heat: float | None, cool: float | None) -> Zone:
    """Return a zone with other setpoints of its own; the one that was not given makes room."""
    if heat is not None and cool is not None:
        if cool - heat < GAP_K:
            raise Refused
        return replace(zone, heat=heat, cool=cool)
    if heat is not None:
        heat, cool = apart(heat, zone.cool, keep_cool=False)
    elif cool is not None:
        heat, cool = apart(zone.heat, cool, keep_cool=True)
    else:
        return zone
    return replace(zone, heat=heat, cool=cool)


def held(zone: Zone, hold: Hold) -> Zone:
    """Return a zone with a hold that begins now; one that would change nothing is refused."""
    if hold.heat is not None and hold.cool is not None and hold.cool - hold.heat < GAP_K:
        raise Refused
    after = replace(zone, hold=hold)
    mode = after.shown_mode
    if hold.mode is None:
        if mode == "off" or (mode == "heat" and hold.heat is None) or (mode == "cool" and hold.cool is None):
            raise Refused
        heats = mode in ("heat", "auto") and hold.heat is not None
        cools = mode in ("cool", "auto") and hold.cool is not None
        useful = (heats and (hold.heat or 0) <= zone.eco_heat) or (cools and (hold.cool or 0) >= zone.eco_cool)
        if zone.eco and not useful:
            raise Refused
    return after


def aurra_setpoint(zone: Zone, value_f: int, mode: str) -> Zone:
    """AURRA Home: a turn of the dial."""
    heat, cool = zone.shown
    if mode == "auto":
        new_heat: float | None = celsius(max(AURRA_F[0], value_f - AURRA_BAND_F), heat)
        new_cool: float | None = celsius(value_f + AURRA_BAND_F, cool)
    elif mode == "cool":
        new_heat, new_cool = None, celsius(value_f, cool)
    else:
        new_heat, new_cool = celsius(value_f, heat), None
    if zone.schedule and mode != "off":
        return held(replace(zone, mode=mode, hold=None), Hold(new_heat, new_cool, mode))
    return replace(own_setpoints(replace(zone, mode=mode), new_heat, new_cool), hold=None)


def aurra_eco(zone: Zone, enabled: bool, heat_f: int | None, cool_f: int | None) -> Zone:
    """AURRA Home: eco with its limits, or the contract's."""
    heat_f, cool_f = heat_f or AURRA_ECO_F[0], cool_f or AURRA_ECO_F[1]
    if heat_f >= cool_f:
        raise Refused
    heat, cool = celsius(heat_f, zone.eco_heat), celsius(cool_f, zone.eco_cool)
    if cool - heat < GAP_K:
        raise Refused
    return replace(zone, eco=enabled, eco_heat=heat, eco_cool=cool)


def amps_push(zone: Zone, command: str, heat: float | None, cool: float | None) -> Zone:
    """Amps: a hold until another push or its release."""
    if command == "follow_schedule":
        return replace(zone, hold=None)
    return held(replace(zone, hold=None), Hold(heat, cool, "off" if command == "idle" else command))


def aqara_mode(zone: Zone, mode: str) -> Zone:
    """Aqara: a written mode; a hold with another one ends, and leaves its setpoints where it kept the zone off."""
    if zone.shown_mode == mode:
        return zone
    hold = None if zone.hold and zone.hold.mode not in (None, mode) else zone.hold
    if zone.hold and zone.hold.mode == "off" and (zone.hold.heat, zone.hold.cool) != (None, None):
        hold = Hold(zone.hold.heat, zone.hold.cool)
    return replace(zone, mode=mode, hold=hold)


def aqara_setpoint(zone: Zone, heat: float | None, cool: float | None) -> Zone:
    """Aqara: a written setpoint; it becomes part of a hold where there is one, or a schedule."""
    if heat == zone.shown[0] or cool == zone.shown[1]:
        return zone
    if zone.eco and ((heat is not None and heat > zone.eco_heat) or (cool is not None and cool < zone.eco_cool)):
        raise Refused
    if not zone.schedule and zone.hold is None:
        return own_setpoints(zone, heat, cool)
    mode = None
    if zone.hold:
        mode = zone.hold.mode
        both = (zone.hold.heat if heat is None else heat, zone.hold.cool if cool is None else cool)
        if None in both or (both[1] or 0) - (both[0] or 0) >= GAP_K:
            heat, cool = both
    return held(replace(zone, hold=None), Hold(heat, cool, mode))


def page_set(zone: Zone, mode: str | None, heat: float | None, cool: float | None) -> Zone:
    """The hub's own API: the mode, which ends a hold with another one, and setpoints for times without a schedule."""
    hold = None if mode and zone.hold and zone.hold.mode not in (None, mode) else zone.hold
    return own_setpoints(replace(zone, mode=mode or zone.mode, hold=hold), heat, cool)


@dataclass
class Tally:
    """What has been tried."""

    commands: dict[str, int] = field(default_factory=dict)
    refused: int = 0

    def add(self, name: str, *, refused: bool) -> None:
        """Count one."""
        self.commands[name] = self.commands.get(name, 0) + 1
        self.refused += refused
