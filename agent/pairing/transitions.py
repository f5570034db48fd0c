"""What each event changes in the state of pairing: pure functions from one state to the next.

Decides which sensor gets the name and key of a join window, which sensor takes over whose identity, and which names are
free. Must never give one identity to two sensors.
"""

from collections.abc import Sequence

import msgspec

from agent.errors import PairingRefused, UnknownSensor
from agent.pairing.lifecycle import (
    GONE,
    UNFINISHED,
    JoinWindow,
    PairingEvent,
    PairingRecord,
    PairingStage,
    PairingState,
    display_name,
    transition,
)
from hal.interface import RelayedSensor

SENSORS_MAX = 256
"""Sensors that are not removed: far more than a coordinator can hold."""

REMOVED_MAX = 256
"""Removed sensors whose identity is kept; the oldest is dropped first."""

NAME_CHARACTERS_MAX = 64


def with_records(state: PairingState, *records: PairingRecord) -> PairingState:
    """Return the state with records added or replaced, and without the oldest removed sensors above the limit."""
    sensors = {**state.sensors, **{record.device: record for record in records}}
    removed = [device for device, record in sensors.items() if record.stage is PairingStage.REMOVED]
    for device in removed[: max(0, len(removed) - REMOVED_MAX)]:
        del sensors[device]
    return msgspec.structs.replace(state, sensors=sensors)


def with_window(state: PairingState, window: JoinWindow | None) -> PairingState:
    """Return the state with another join window, or none."""
    return msgspec.structs.replace(state, window=window)


def require_sensor(state: PairingState, device: str) -> PairingRecord:
    """Return a sensor that is not removed.

    Raises:
        UnknownSensor: There is none.
    """
    record = state.sensors.get(device)
    if record is None or not record.is_relayed:
        raise UnknownSensor(f'there is no sensor "{device}"; climahub zigbee list shows them all')
    return record


def join(state: PairingState, device: str, *, is_seen: bool = True) -> PairingState:
    """Return the state after a sensor has joined: it is new, or it returns and keeps its identity.

    Args:
        state: Before.
        device: The sensor.
        is_seen: It joined just now. A sensor that joined unnoticed, while the hub was down, does not get what the join
            window holds for the next one, unless the window names it.
    """
    record = state.sensors.get(device)
    is_new = record is None or record.is_away or record.stage in {PairingStage.JOINED, PairingStage.REMOVED}
    if record is None:
        if len(state.sensors) - _removed_count(state) >= SENSORS_MAX:
            return state
        record = PairingRecord(device)
    elif record.stage is not PairingStage.LEAVING:
        record = transition(_without_lost_identity(state, record), PairingEvent.JOIN, is_away=False, problem="")
    else:
        return state
    window = state.window
    if window is None or not _is_expected(window, record, is_new=is_new and is_seen):
        return with_records(state, record)
    plan = {
        name: value
        for name, value in (("name", window.name), ("key", window.key), ("replaces", window.replaces))
        if value
    }
    if record.stage is PairingStage.INTERVIEWED and window.key:
        record = transition(record, PairingEvent.KEY)
    elif record.sensor_id:
        plan.pop("key", None)
    record = msgspec.structs.replace(record, **plan)
    if not window.is_many:
        window = msgspec.structs.replace(window, device=device, name="", key="", replaces="", code="")
    return with_window(with_records(state, record), window)


def _without_lost_identity(state: PairingState, record: PairingRecord) -> PairingRecord:
    """Return a removed sensor without the identity and name that another sensor has taken over since."""
    if record.stage is not PairingStage.REMOVED:
        return record
    names = {other.name.casefold() for other in state.sensors.values() if other.is_relayed}
    if identity_owner(state, record.sensor_id) is not None:
        record = msgspec.structs.replace(record, sensor_id="", serial_number="")
    return msgspec.structs.replace(record, name="") if record.name.casefold() in names else record


def identity_owner(state: PairingState, sensor_id: str, *, but: str = "") -> PairingRecord | None:
    """Return the relayed sensor with this identity, other than the device ``but``; `None` for none."""
    for record in state.sensors.values():
        if sensor_id and record.sensor_id == sensor_id and record.is_relayed and record.device != but:
            return record
    return None


def _is_expected(window: JoinWindow, record: PairingRecord, *, is_new: bool) -> bool:
    """Tell whether a joining sensor is the one that the window was opened for."""
    if window.device:
        return window.device == record.device
    if window.ieee_address:
        return bool(
            {window.ieee_address, window.reversed_address or window.ieee_address} & {record.device, record.ieee_address}
        )
    # A known sensor has only rejoined, as sensors do after a power cut.
    return not window.is_many and is_new and record.stage in UNFINISHED and not record.key


def interview(state: PairingState, sensor: RelayedSensor, about: str = "") -> PairingState:
    """Return the state after an interview.

    A known identity is kept; the identity of a replaced sensor is taken over; a key from the join window is used.
    """
    state = join(state, sensor.device, is_seen=False) if sensor.device not in state.sensors else state
    record = state.sensors.get(sensor.device)
    if record is None or record.stage in GONE:
        return state
    record = msgspec.structs.replace(
        record,
        kinds=sensor.kinds,
        ieee_address=sensor.ieee_address,
        about=about or record.about,
        problem="",
        is_away=False,
    )
    if record.stage is PairingStage.JOINED:
        record = transition(record, PairingEvent.RECOGNISE if record.sensor_id else PairingEvent.INTERVIEW)
    if record.stage is PairingStage.INTERVIEWED and record.key:
        record = transition(record, PairingEvent.KEY)
    state = with_records(state, record)
    if record.replaces:
        state = _take_over(state, record)
    if state.window is not None and state.window.device == sensor.device and not state.window.is_many:
        state = with_window(state, None)
    return state


def configure(state: PairingState, sensor: RelayedSensor) -> PairingState:
    """Return the state after a sensor was configured: it measures the kinds that it answered for."""
    record = state.sensors.get(sensor.device)
    if record is None or record.kinds == sensor.kinds:
        return state
    return with_records(state, msgspec.structs.replace(record, kinds=sensor.kinds))


def forget_non_sensor(state: PairingState, device: str) -> PairingState:
    """Return the state after an interview found a device, such as a router, that measures nothing.

    Its record is deleted, and the name and key of the join window go to the next device that joins.
    """
    record, window = state.sensors.get(device), state.window
    if record is None or record.stage is not PairingStage.JOINED or record.sensor_id:
        return state
    if window is not None and window.device == device and not window.is_many:
        window = msgspec.structs.replace(window, device="", name=record.name, key=record.key, replaces=record.replaces)
    others = {name: other for name, other in state.sensors.items() if name != device}
    return msgspec.structs.replace(state, sensors=others, window=window)


def add_members(state: PairingState, sensors: Sequence[RelayedSensor]) -> PairingState:
    """Return the state with the members of the network added: they have joined and are interviewed."""
    for sensor in sensors:
        record = state.sensors.get(sensor.device)
        if record is None or record.stage is PairingStage.JOINED:
            state = interview(state, sensor)
    return state


def _take_over(state: PairingState, record: PairingRecord) -> PairingState:
    """Return the state after a new sensor took over the identity of the old one, which leaves."""
    old = state.sensors.get(record.replaces)
    new = msgspec.structs.replace(record, replaces="")
    is_free = old is not None and identity_owner(state, old.sensor_id, but=old.device) is None
    may_adopt = record.stage in {PairingStage.INTERVIEWED, PairingStage.KEYED}
    if old is None or not old.sensor_id or not is_free or not may_adopt:
        reason = "it has an identity of its own" if record.sensor_id else "that sensor is gone"
        problem = f"did not replace {record.replaces}: {reason}"
        return with_records(state, msgspec.structs.replace(new, problem=problem))
    new = transition(
        new,
        PairingEvent.ADOPT,
        name=record.name or old.name,
        sensor_id=old.sensor_id,
        serial_number=old.serial_number,
        key="",
        problem="",
    )
    # The old one keeps the identity as well: its readings until now still go to the cloud under it.
    if old.stage is not PairingStage.REMOVED:
        old = transition(old, PairingEvent.REMOVE, problem=f"replaced by {new.device}")
    return with_records(state, old, new)


def replace(state: PairingState, old_device: str, new_device: str) -> PairingState:
    """Return the state after a sensor that has already joined took over the identity of another.

    Raises:
        UnknownSensor: One of them does not exist.
        PairingRefused: The old one has no identity, or the new one has one, or is not interviewed.
    """
    old, new = require_sensor(state, old_device), require_sensor(state, new_device)
    check_replaceable(old)
    if new.sensor_id:
        raise PairingRefused(
            f"{display_name(new)} has an identity of its own already; remove it first, then pair it anew"
        )
    if new.stage is PairingStage.JOINED:
        raise PairingRefused(f"{display_name(new)} is not interviewed yet; wait, or press its button again")
    return _take_over(state, msgspec.structs.replace(new, replaces=old.device))


def check_replaceable(old: PairingRecord) -> None:
    """Refuse to replace a sensor without an identity.

    Raises:
        PairingRefused: The old sensor has no identity.
    """
    if not old.sensor_id:
        raise PairingRefused(
            f"{display_name(old)} was never registered, so it has no identity to carry over; remove it"
        )


def give_key(state: PairingState, device: str, key: str) -> PairingState:
    """Return the state after a technician gave a sensor its key.

    Raises:
        UnknownSensor: There is no such sensor.
        PairingRefused: It is registered already.
    """
    record = require_sensor(state, device)
    if record.sensor_id:
        raise PairingRefused(f"{display_name(record)} is registered already and needs no key")
    if record.stage is PairingStage.JOINED:
        return with_records(state, msgspec.structs.replace(record, key=key, problem=""))
    return with_records(state, transition(record, PairingEvent.KEY, key=key, problem=""))


def rename(state: PairingState, device: str, name: str) -> PairingState:
    """Return the state after a sensor was renamed.

    Raises:
        UnknownSensor: There is no such sensor.
        PairingRefused: The name is not valid, or another sensor has it.
    """
    record = require_sensor(state, device)
    return with_records(state, msgspec.structs.replace(record, name=validate_name(state, name, device)))


def validate_name(state: PairingState, name: str, device: str = "") -> str:
    """Return a name with its spaces normalised.

    Raises:
        PairingRefused: It is empty, too long, not printable, or another sensor has it.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise PairingRefused(f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters")
    for other in state.sensors.values():
        if other.is_relayed and other.device != device and name.casefold() in {other.name.casefold(), other.device}:
            raise PairingRefused(f'"{name}" is the name of {other.device}; choose another')
    return name


def begin_removal(state: PairingState, device: str) -> PairingState:
    """Return the state after a technician removed a sensor: it is no longer relayed and has to leave the network.

    Raises:
        UnknownSensor: There is no such sensor.
    """
    return with_records(state, transition(require_sensor(state, device), PairingEvent.REMOVE, key="", problem=""))


def begin_member_removal(state: PairingState, device: str) -> PairingState:
    """Return the state after a technician removed a member of the network, with or without a record here.

    A router has no record; a removed sensor that missed the request to leave is still a member.
    """
    record = state.sensors.get(device) or PairingRecord(device)
    return with_records(state, transition(record, PairingEvent.REMOVE, key="", problem=""))


def finish_removal(state: PairingState, device: str) -> PairingState:
    """Return the state after a sensor left the network for good; its identity is kept if it has one."""
    record = transition(state.sensors[device], PairingEvent.FORGET, is_away=False)
    if record.sensor_id:
        return with_records(state, record)
    left = {name: each for name, each in state.sensors.items() if name != device}
    return msgspec.structs.replace(state, sensors=left)


def register(state: PairingState, device: str, *, sensor_id: str, serial_number: str) -> PairingState:
    """Return the state after the cloud registered a sensor; the same write deletes its key.

    A sensor that was removed meanwhile keeps the identity, for its unsent readings. If another relayed sensor has the
    identity, somebody has mixed up keys: only the problem changes.
    """
    record = state.sensors[device]
    if other := identity_owner(state, sensor_id, but=device):
        return with_problem(state, device, f"its key is that of {display_name(other)}; check both against their labels")
    named = {"sensor_id": sensor_id, "serial_number": serial_number, "key": "", "problem": ""}
    if record.stage in GONE:
        return with_records(state, msgspec.structs.replace(record, **named))
    return with_records(state, transition(record, PairingEvent.REGISTER, **named))


def mark_away(state: PairingState, device: str) -> PairingState:
    """Return the state after a sensor left the network by itself: it keeps identity, name and key."""
    record = state.sensors.get(device)
    if record is None or record.stage in GONE:
        return state
    return with_records(state, msgspec.structs.replace(record, is_away=True))


def with_problem(state: PairingState, device: str, problem: str) -> PairingState:
    """Return the state with a problem of a sensor."""
    record = state.sensors.get(device)
    if record is None or record.problem == problem:
        return state
    return with_records(state, msgspec.structs.replace(record, problem=problem))


def _removed_count(state: PairingState) -> int:
    return sum(record.stage is PairingStage.REMOVED for record in state.sensors.values())
