"""Chooses the primary sensor of each kind: the cloud stores the readings of one of the hub's own sensors.

Pure: matches the board's sensors with the configuration and with the choice of earlier. A mismatch is reported and must
not keep the hub from heating: a sensor that is missing today, or one too many, is no reason to stop. Must never choose
the temperature of the machine itself, nor exchange a primary sensor for one that is new.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.config.types import nearest_hint
from hal.interface import SensorKind
from hal.machine_chips import MACHINE_CHIPS


def is_machine_part(sensor: str) -> bool:
    """Return whether a sensor measures the machine instead of a room: a CPU is some 20 to 40 K warmer."""
    parts = sensor.split("/")
    return len(parts) > 2 and parts[0] == "hwmon" and parts[1].lower().startswith(MACHINE_CHIPS)  # noqa: PLR2004


_WARM_CHIPS = ("bme68", "ens160", "scd", "sgp")
"""Prefixes of chips that heat themselves to measure gas (their data sheets): their temperature is a little high."""

_CLOCK_CHIPS = ("ds1307", "ds3231", "max17", "pcf85", "rv3")
"""Prefixes of clocks and battery gauges: they measure their own board."""


class PrimarySensors(msgspec.Struct, frozen=True):
    """The primary sensors.

    Attributes:
        sensors: The primary sensor of each kind that has one.
        problems: For people: why other kinds have none, and which configured names match no sensor.
        reasons: For people: why each primary sensor is it.
        missing: Primary sensors of earlier that are not there, by kind: their places are kept.
    """

    sensors: Mapping[SensorKind, str]
    problems: tuple[str, ...] = ()
    reasons: Mapping[SensorKind, str] = {}
    missing: Mapping[SensorKind, str] = {}


def choose_primary(
    sensors: Sequence[tuple[str, SensorKind]],
    *,
    primary: Mapping[SensorKind, str],
    disabled: Collection[str],
    before: Mapping[SensorKind, str] = MappingProxyType({}),
    gone: Collection[str] = (),
) -> PrimarySensors:
    """Return the primary sensor of each kind that the board measures.

    The configuration decides first. Then the sensor stays that was primary before: what is plugged in later, or is
    found in another order after a restart, changes nothing in the cloud. Else a sensor of a room comes before a probe.
    Other sensors of the kind are read and shown on the hub, but not sent to the cloud. A sensor of the machine itself
    is primary only where it is named.

    Args:
        sensors: The board's sensors: name and kind.
        primary: `[sensors.primary]` of the configuration.
        disabled: `sensors.disabled` of the configuration: these sensors are not there.
        before: The primary sensors of earlier, as they were chosen without the configuration.
        gone: Names of sensors that were there earlier; one that the configuration names stays primary.
    """
    kinds_of: dict[str, set[SensorKind]] = {}
    for sensor, kind in sensors:
        kinds_of.setdefault(sensor, set()).add(kind)
    errors = [_unknown("sensors.disabled", sensor, kinds_of) for sensor in disabled if sensor not in kinds_of]
    chosen: dict[SensorKind, str] = {}
    reasons: dict[SensorKind, str] = {}
    missing: dict[SensorKind, str] = {}
    with_humidity = {_chip(sensor) for sensor, kind in sensors if kind is SensorKind.HUMIDITY}
    for kind in SensorKind:
        known = [sensor for sensor, measured in sensors if measured is kind and sensor not in disabled]
        present = [sensor for sensor in known if sensor not in gone]
        wanted, kept = primary.get(kind), before.get(kind, "")
        able = [sensor for sensor in present if not is_machine_part(sensor)]
        if wanted is not None:
            if wanted in known:
                chosen[kind], reasons[kind] = wanted, f"named in sensors.primary.{kind}"
            else:
                errors.append(_refused(kind, wanted, present, kinds_of, disabled))
        elif kept in present:
            chosen[kind], reasons[kind] = kept, _reason(kept, kind, able, with_humidity, is_kept=True)
        elif kept and kept not in disabled:
            chosen[kind], missing[kind] = kept, kept
            others = f", or set this key to {_listed(able)}" if able else ""
            errors.append(f'sensors.primary.{kind}: connect "{kept}" again{others}: the primary sensor is missing')
        elif able:
            beside = _beside(chosen.get(SensorKind.TEMPERATURE, ""), able)
            best = beside or min(able, key=lambda sensor: (_rank(sensor, with_humidity)[0], able.index(sensor)))
            chosen[kind], reasons[kind] = best, _reason(best, kind, able, with_humidity, is_beside=bool(beside))
        elif present:
            errors.append(
                f"sensors.primary.{kind}: set this key to {_listed(present)} to use it all the same, or name it in"
                " sensors.disabled: it measures the machine itself and not a room, so it is not sent to the cloud"
            )
    return PrimarySensors(chosen, tuple(errors), reasons, missing)


def _listed(sensors: Sequence[str]) -> str:
    return ", ".join(f'"{sensor}"' for sensor in sensors)


def _chip(sensor: str) -> str:
    return sensor.rpartition("/")[0]


def _rank(sensor: str, with_humidity: Collection[str]) -> tuple[int, str]:
    """Return how late a sensor is chosen, and what it is: a room's sensor first."""
    chip = _chip(sensor)
    model = chip.rpartition("/")[2].lower()
    if model.startswith(_CLOCK_CHIPS):
        return 5, "it measures the board of a clock or battery"
    if sensor.startswith("w1-") or "/w1_slave_temp@" in sensor:
        return 4, "a 1-Wire probe may be on a pipe"
    if model.startswith(_WARM_CHIPS):
        return 2, "it measures a room, and heats itself a little"
    if chip in with_humidity:
        return 0, "it measures temperature and humidity: a sensor for rooms"
    return (3, "a chip of the machine's board") if sensor.startswith("hwmon/") else (1, "a sensor on a bus")


def _reason(
    sensor: str,
    kind: SensorKind,
    able: Sequence[str],
    with_humidity: Collection[str],
    *,
    is_kept: bool = False,
    is_beside: bool = False,
) -> str:
    if len(able) < 2:  # noqa: PLR2004 - nothing to choose from
        return f"the only sensor of {kind}"
    if is_beside:
        return "on the chip of the primary temperature"
    what = f" ({_rank(sensor, with_humidity)[1]})" if kind is SensorKind.TEMPERATURE else ""
    if is_kept:
        return f"chosen earlier and kept{what}; to change it, set sensors.primary.{kind}"
    return f"chosen{what or ' as the first'}; to change it, set sensors.primary.{kind}"


def _beside(temperature: str, able: Sequence[str]) -> str:
    """Return the only sensor on the same chip as the primary temperature; empty where there is none."""
    chip = temperature.rpartition("/")[0]
    beside = [sensor for sensor in able if chip and sensor.rpartition("/")[0] == chip]
    return beside[0] if len(beside) == 1 and beside[0] != temperature else ""


def _refused(
    kind: SensorKind,
    wanted: str,
    able: Sequence[str],
    kinds_of: Mapping[str, set[SensorKind]],
    disabled: Collection[str],
) -> str:
    key = f"sensors.primary.{kind}"
    allowed = _listed(able) or "none: this board has no other"
    if wanted not in kinds_of:
        unknown = _unknown(key, wanted, kinds_of)
        return f"{unknown} Allowed: {allowed}" if unknown.endswith("?") else f"{unknown}; allowed: {allowed}"
    if wanted in disabled:
        return f'{key}: "{wanted}" is named in sensors.disabled too: take it out of one of them'
    measured = ", ".join(sorted(kinds_of[wanted]))
    return f'{key}: "{wanted}" measures {measured}, not {kind}; allowed: {allowed}'


def _unknown(key: str, sensor: str, known: Collection[str]) -> str:
    hint = nearest_hint(sensor, tuple(known))
    return f'{key}: this board has no sensor "{sensor}"{"; " + hint if hint else ""}'


def case_problems(sensors: Sequence[tuple[str, SensorKind]], in_case: Sequence[str]) -> list[str]:
    """Return, in words, which names of `sensors.in_case` are no thermometers that the hub can correct.

    Args:
        sensors: The board's sensors: name and kind.
        in_case: `sensors.in_case` of the configuration.
    """
    thermometers = [name for name, kind in sensors if kind is SensorKind.TEMPERATURE and not is_machine_part(name)]
    problems = [_unknown("sensors.in_case", name, thermometers) for name in in_case if name not in thermometers]
    if in_case and not any(is_machine_part(name) for name, kind in sensors if kind is SensorKind.TEMPERATURE):
        problems.append(
            "sensors.in_case: the processor's temperature cannot be read here, so its sensors are not corrected"
        )
    return problems


def machine_parts_named(primary: Mapping[SensorKind, str], zones: Mapping[str, Sequence[str]]) -> list[str]:
    """Return, in words, where the configuration uses the machine's own temperature for a room.

    Args:
        primary: `[sensors.primary]` of the configuration.
        zones: The sensors of each zone, by its id.
    """
    found = [(f"sensors.primary.{kind}", sensor) for kind, sensor in primary.items()]
    found += [(f"climate.zones ({zone})", sensor) for zone, sensors in zones.items() for sensor in sensors]
    return [
        f'{where}: "{sensor}" is the temperature of the machine, not of a room; it is used because it is named here'
        for where, sensor in found
        if is_machine_part(sensor)
    ]
