"""Contacts and motion sensors of a zone: which window is open, and since when nobody has moved. Pure.

They are named among the sensors of their zone, as thermometers are; what a device reports decides what it is used for.
A sensor that is silent for longer than its rhythm allows says nothing: a contact that died open leaves no room cold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.climate import presence
from agent.climate.model import Observation
from agent.foundation.clock import Now
from hal.radio import BinaryKind, BinaryState

BinaryStates = Mapping[str, Sequence[BinaryState]]
"""What contacts and motion sensors say, by the names that the configuration gives them."""

NO_BINARY_STATES: BinaryStates = MappingProxyType({})

ACTIVE_S_MAX = 7200.0
"""A room counts as occupied for this long after the last report of it: some motion sensors never report the end, and
one that is configured by the hub repeats its report each hour."""


class BinaryLookup:
    """Finds the states of the contacts and motion sensors that the configuration names."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        states: Callable[[], Sequence[BinaryState]],
        devices: Callable[[], Mapping[str, str]],
    ) -> None:
        """Prepare.

        Args:
            names: The names in the configuration.
            states: Returns the states of all contacts and motion sensors.
            devices: Returns the devices of relayed sensors, by the names that people gave them.
        """
        self._names = tuple(dict.fromkeys(names))
        self._states = states
        self._devices = devices

    def states(self) -> BinaryStates:
        """Return the states of each device that has any, by name."""
        by_device: dict[str, list[BinaryState]] = {}
        for state in self._states():
            by_device.setdefault(state.device, []).append(state)
        if not by_device:
            return {}
        devices = self._devices()
        found = {name: by_device.get(devices.get(name, name), []) for name in self._names}
        return {name: states for name, states in found.items() if states}


def open_contact(names: Iterable[str], states: BinaryStates) -> str:
    """Return the name of the first contact of a zone that is open; empty for none."""
    return next((name for name, state in _of(names, states, BinaryKind.CONTACT) if state.is_active), "")


def observe(observed: Observation, names: Iterable[str], states: BinaryStates, now: Now) -> Observation:
    """Return what is known about presence in a zone, from clients and from its motion sensors.

    Somebody is there while any motion sensor says so. Once none does, nobody has been there since the last one did, or
    since a client said so, whichever is longer ago.

    Args:
        observed: What clients have reported.
        names: The sensors of the zone.
        states: Of all contacts and motion sensors.
        now: The present instant.
    """
    last_ms: int | None = None
    for _, state in _of(names, states, BinaryKind.OCCUPANCY):
        if state.is_active is None:
            continue
        is_recent = now.now_ms - state.heard_ms <= ACTIVE_S_MAX * 1000
        if state.is_active and is_recent:
            return msgspec.structs.replace(observed, is_absent=False) if observed.is_absent else observed
        left_ms = state.heard_ms if state.is_active else state.since_ms
        last_ms = left_ms if last_ms is None else max(last_ms, left_ms)
    reported_s = presence.absent_for_s(observed, now)
    if last_ms is None or (reported_s is not None and reported_s * 1000 >= now.now_ms - last_ms):
        return observed
    return msgspec.structs.replace(observed, is_absent=True, absent_ms=last_ms, absent_boot=now.boot_id)


def describe(names: Iterable[str], states: BinaryStates) -> tuple[str, ...]:
    """Return what each contact and motion sensor of a zone says, for people."""
    return tuple(f"{name}: {state.text}" for name in names for state in states.get(name, ()))


def _is_known(state: BinaryState) -> bool:
    return state.is_online and state.is_active is not None


def _of(names: Iterable[str], states: BinaryStates, kind: BinaryKind) -> Iterable[tuple[str, BinaryState]]:
    for name in names:
        for state in states.get(name, ()):
            if state.kind is kind and _is_known(state):
                yield name, state
