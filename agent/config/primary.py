"""Chooses the primary sensor of each kind: the cloud stores the readings of one of the hub's own sensors.

Pure: matches the board's sensors with the configuration and never guesses between two. A mismatch is reported and must
not keep the hub from heating: a sensor that is missing today, or one too many, is no reason to stop.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from agent.config.types import nearest_hint
from hal.interface import SensorKind
from hal.machine_chips import MACHINE_CHIPS


def is_machine_part(sensor: str) -> bool:
    """Return whether a sensor measures the machine instead of a room: a CPU is some 20 to 40 K warmer."""
    parts = sensor.split("/")
    return len(parts) > 2 and parts[0] == "hwmon" and parts[1].lower().startswith(MACHINE_CHIPS)  # noqa: PLR2004


class PrimarySensors(msgspec.Struct, frozen=True):
    """The primary sensors.

    Attributes:
        sensors: The primary sensor of each kind that has one.
        problems: For people: why other kinds have none, and which configured names match no sensor.
    """

    sensors: Mapping[SensorKind, str]
    problems: tuple[str, ...] = ()


def choose_primary(
    sensors: Sequence[tuple[str, SensorKind]], *, primary: Mapping[SensorKind, str], disabled: Collection[str]
) -> PrimarySensors:
    """Return the primary sensor of each kind that the board measures.

    The only sensor of a kind needs no configuration, nor does the one on the chip of the primary temperature. Other
    sensors of the kind are read and shown on the hub, but not sent to the cloud. A sensor of the machine itself is
    primary only where it is named.

    Args:
        sensors: The board's sensors: name and kind.
        primary: `[sensors.primary]` of the configuration.
        disabled: `sensors.disabled` of the configuration: these sensors are not there.
    """
    kinds_of: dict[str, set[SensorKind]] = {}
    for sensor, kind in sensors:
        kinds_of.setdefault(sensor, set()).add(kind)
    errors = [_unknown("sensors.disabled", sensor, kinds_of) for sensor in disabled if sensor not in kinds_of]
    chosen: dict[SensorKind, str] = {}
    for kind in SensorKind:
        present = [sensor for sensor, measured in sensors if measured is kind and sensor not in disabled]
        wanted = primary.get(kind)
        able = present if wanted is not None else [sensor for sensor in present if not is_machine_part(sensor)]
        if wanted is not None:
            if wanted in able:
                chosen[kind] = wanted
            else:
                errors.append(_refused(kind, wanted, able, kinds_of, disabled))
        elif present and not able:
            names = ", ".join(f'"{sensor}"' for sensor in present)
            errors.append(
                f"sensors.primary.{kind}: set this key to {names} to use it all the same, or name it in"
                " sensors.disabled: it measures the machine itself and not a room, so it is not sent to the cloud"
            )
        elif len(able) == 1:
            chosen[kind] = able[0]
        elif beside := _beside(chosen.get(SensorKind.TEMPERATURE, ""), able):
            chosen[kind] = beside
        elif able:
            names = ", ".join(f'"{sensor}"' for sensor in able)
            errors.append(
                f"sensors.primary.{kind}: {len(able)} sensors measure {kind}: {names}; set this key to the"
                " primary one, or name the others in sensors.disabled: until then none is sent to the cloud"
            )
    return PrimarySensors(chosen, tuple(errors))


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
    allowed = ", ".join(f'"{sensor}"' for sensor in able) or "none: this board has no other"
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
