"""What an event means for all that the room knows: each function takes the content and returns the next. Pure.

Owns the decisions about who takes a window's name and key, who takes over whose identity, and which names are free.
Must never ask the radio or the cloud, and never give one sensor two identities.
"""

from collections.abc import Sequence

import msgspec

from agent.errors import PairingRefused, UnknownSensor
from agent.pairing.lifecycle import GONE, UNFINISHED, Content, Event, Record, Stage, Window, after, called
from hal.interface import RelayedSensor
from hal.radio import SensorLink

SENSORS_MAX = 256
"""Sensors on the way to the cloud or relaying: far more than a coordinator can hold."""

REMOVED_MAX = 256
"""Removed sensors whose identity is remembered; the oldest makes room."""

NAME_CHARACTERS_MAX = 64


def put(content: Content, *records: Record) -> Content:
    """Return the content with records added or replaced; the oldest removed sensors make room."""
    sensors = {**content.sensors, **{record.device: record for record in records}}
    removed = [device for device, record in sensors.items() if record.stage is Stage.REMOVED]
    for device in removed[: max(0, len(removed) - REMOVED_MAX)]:
        del sensors[device]
    return msgspec.structs.replace(content, sensors=sensors)


def set_window(content: Content, window: Window | None) -> Content:
    """Return the content with another window, or none."""
    return msgspec.structs.replace(content, window=window)


def get(content: Content, device: str) -> Record:
    """Return a sensor that is not removed.

    Raises:
        UnknownSensor: There is none.
    """
    record = content.sensors.get(device)
    if record is None or not record.is_relayed:
        raise UnknownSensor(f'there is no sensor "{device}"; climahub zigbee list shows them all')
    return record


def find(content: Content, wanted: str) -> Record:
    """Return the one sensor that a person means: by device, by IEEE address in any form, or by name.

    Raises:
        UnknownSensor: None is called so.
        PairingRefused: Several are.
    """
    name, address = wanted.strip().casefold(), _as_address(wanted)
    present = [record for record in content.sensors.values() if record.is_relayed]
    exact = [r for r in present if wanted == r.device or address in {r.device.casefold(), r.ieee_address}]
    found = exact or [record for record in present if record.name and record.name.casefold() == name]
    if len(found) > 1:
        devices = ", ".join(record.device for record in found)
        raise PairingRefused(f'several sensors are called "{wanted}": {devices}; say which by its address')
    if not found:
        raise UnknownSensor(f'there is no sensor "{wanted}"; climahub zigbee list shows them all')
    return found[0]


def find_member(links: Sequence[SensorLink], wanted: str) -> str:
    """Return the one member of the network that a person means: by IEEE address in any form, or by maker and model.

    Raises:
        UnknownSensor: None is called so.
        PairingRefused: Several are.
    """
    name, address = " ".join(wanted.split()).casefold(), _as_address(wanted)
    found = [link.device for link in links if link.device.casefold() == address] or [
        link.device for link in links if name and f"{link.manufacturer} {link.model}".strip().casefold() == name
    ]
    if len(found) > 1:
        raise PairingRefused(f'several devices are called "{wanted}": {", ".join(found)}; say which by its address')
    if not found:
        raise UnknownSensor(f'there is no sensor "{wanted}", and no other device; climahub zigbee list shows them all')
    return found[0]


def _as_address(wanted: str) -> str:
    return "0x" + "".join(each for each in wanted.strip().casefold().removeprefix("0x") if each not in ":-")


def joined(content: Content, device: str, *, is_seen: bool = True) -> Content:
    """Return the content after a sensor has joined: it is new, or it comes back and stays who it was.

    Args:
        content: Before.
        device: The sensor.
        is_seen: It joined just now. One that must have joined at some time, while the hub was down say, does not take
            what the window has for the next to join, unless the window names it.
    """
    record = content.sensors.get(device)
    is_new = record is None or record.is_away or record.stage in {Stage.JOINED, Stage.REMOVED}
    if record is None:
        if len(content.sensors) - _removed(content) >= SENSORS_MAX:
            return content
        record = Record(device)
    elif record.stage is not Stage.LEAVING:
        record = after(_stranger(content, record), Event.JOIN, is_away=False, problem="")
    else:
        return content
    window = content.window
    if window is None or not _is_meant(window, record, is_new=is_new and is_seen):
        return put(content, record)
    plan = {
        name: value
        for name, value in (("name", window.name), ("key", window.key), ("replaces", window.replaces))
        if value
    }
    if record.stage is Stage.INTERVIEWED and window.key:
        record = after(record, Event.KEY)
    elif record.sensor_id:
        plan.pop("key", None)
    record = msgspec.structs.replace(record, **plan)
    if not window.is_many:
        window = msgspec.structs.replace(window, device=device, name="", key="", replaces="", code="")
    return set_window(put(content, record), window)


def _stranger(content: Content, record: Record) -> Record:
    """Return a removed sensor without the identity and the name that others have taken over since."""
    if record.stage is not Stage.REMOVED:
        return record
    names = {other.name.casefold() for other in content.sensors.values() if other.is_relayed}
    if owner_of(content, record.sensor_id) is not None:
        record = msgspec.structs.replace(record, sensor_id="", serial_number="")
    return msgspec.structs.replace(record, name="") if record.name.casefold() in names else record


def owner_of(content: Content, sensor_id: str, *, but: str = "") -> Record | None:
    """Return the sensor that is relayed under an identity, other than the device ``but``; `None` where none is."""
    for record in content.sensors.values():
        if sensor_id and record.sensor_id == sensor_id and record.is_relayed and record.device != but:
            return record
    return None


def _is_meant(window: Window, record: Record, *, is_new: bool) -> bool:
    """Tell whether a sensor that joins is the one that the window was opened for."""
    if window.device:
        return window.device == record.device
    if window.ieee_address:
        return bool(
            {window.ieee_address, window.or_address or window.ieee_address} & {record.device, record.ieee_address}
        )
    # One that is in the network already has merely come back, as sensors do after a power cut.
    return not window.is_many and is_new and record.stage in UNFINISHED and not record.key


def interviewed(content: Content, sensor: RelayedSensor, about: str = "") -> Content:
    """Return the content after an interview: a known identity is kept, another's taken over, a given key used."""
    content = joined(content, sensor.device, is_seen=False) if sensor.device not in content.sensors else content
    record = content.sensors.get(sensor.device)
    if record is None or record.stage in GONE:
        return content
    record = msgspec.structs.replace(
        record,
        kinds=sensor.kinds,
        ieee_address=sensor.ieee_address,
        about=about or record.about,
        problem="",
        is_away=False,
    )
    if record.stage is Stage.JOINED:
        record = after(record, Event.RECOGNISE if record.sensor_id else Event.INTERVIEW)
    if record.stage is Stage.INTERVIEWED and record.key:
        record = after(record, Event.KEY)
    content = put(content, record)
    if record.replaces:
        content = _take_over(content, record)
    if content.window is not None and content.window.device == sensor.device and not content.window.is_many:
        content = set_window(content, None)
    return content


def configured(content: Content, sensor: RelayedSensor) -> Content:
    """Return the content after a sensor was set up: it measures what it has answered for."""
    record = content.sensors.get(sensor.device)
    if record is None or record.kinds == sensor.kinds:
        return content
    return put(content, msgspec.structs.replace(record, kinds=sensor.kinds))


def measures_nothing(content: Content, device: str) -> Content:
    """Return the content after an interview has shown that a device is no sensor, but a router, say.

    It is forgotten, and what it took of the window waits for the next to join.
    """
    record, window = content.sensors.get(device), content.window
    if record is None or record.stage is not Stage.JOINED or record.sensor_id:
        return content
    if window is not None and window.device == device and not window.is_many:
        window = msgspec.structs.replace(window, device="", name=record.name, key=record.key, replaces=record.replaces)
    others = {name: other for name, other in content.sensors.items() if name != device}
    return msgspec.structs.replace(content, sensors=others, window=window)


def met(content: Content, sensors: Sequence[RelayedSensor]) -> Content:
    """Return the content after a look at the network: what it knows has joined and is interviewed."""
    for sensor in sensors:
        record = content.sensors.get(sensor.device)
        if record is None or record.stage is Stage.JOINED:
            content = interviewed(content, sensor)
    return content


def _take_over(content: Content, record: Record) -> Content:
    """Return the content after a new sensor has become the old one, who leaves."""
    old = content.sensors.get(record.replaces)
    new = msgspec.structs.replace(record, replaces="")
    is_free = old is not None and owner_of(content, old.sensor_id, but=old.device) is None
    if old is None or not old.sensor_id or not is_free or record.stage not in {Stage.INTERVIEWED, Stage.KEYED}:
        why = "it has an identity of its own" if record.sensor_id else "that one is gone"
        return put(content, msgspec.structs.replace(new, problem=f"did not replace {record.replaces}: {why}"))
    new = after(
        new,
        Event.ADOPT,
        name=record.name or old.name,
        sensor_id=old.sensor_id,
        serial_number=old.serial_number,
        key="",
        problem="",
    )
    # The old one keeps the identity too: what it measured until now still goes to the cloud under it.
    left = after(old, Event.REMOVE, problem=f"replaced by {new.device}") if old.stage is not Stage.REMOVED else old
    return put(content, left, new)


def replaced(content: Content, old_device: str, new_device: str) -> Content:
    """Return the content after a sensor that has joined already has taken over from another.

    Raises:
        UnknownSensor: One of them does not exist.
        PairingRefused: The old one has no identity, or the new one has one, or is not interviewed.
    """
    old, new = get(content, old_device), get(content, new_device)
    check_replaceable(old)
    if new.sensor_id:
        raise PairingRefused(f"{called(new)} has an identity of its own already; remove it first, then pair it anew")
    if new.stage is Stage.JOINED:
        raise PairingRefused(f"{called(new)} is not interviewed yet; wait, or press its button again")
    return _take_over(content, msgspec.structs.replace(new, replaces=old.device))


def check_replaceable(old: Record) -> None:
    """Refuse to carry over what is not there.

    Raises:
        PairingRefused: The old sensor has no identity.
    """
    if not old.sensor_id:
        raise PairingRefused(f"{called(old)} was never registered, so there is nothing to carry over; remove it")


def keyed(content: Content, device: str, key: str) -> Content:
    """Return the content after a technician has given a sensor its key.

    Raises:
        UnknownSensor: There is no such sensor.
        PairingRefused: It needs no key any more.
    """
    record = get(content, device)
    if record.sensor_id:
        raise PairingRefused(f"{called(record)} is registered already and needs no key")
    if record.stage is Stage.JOINED:
        return put(content, msgspec.structs.replace(record, key=key, problem=""))
    return put(content, after(record, Event.KEY, key=key, problem=""))


def renamed(content: Content, device: str, name: str) -> Content:
    """Return the content after a sensor got another name.

    Raises:
        UnknownSensor: There is no such sensor.
        PairingRefused: The name is unusable, or another's.
    """
    record = get(content, device)
    return put(content, msgspec.structs.replace(record, name=checked_name(content, name, device)))


def checked_name(content: Content, name: str, device: str = "") -> str:
    """Return a name as it may be given.

    Raises:
        PairingRefused: It is empty, too long, not printable, or another sensor's.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise PairingRefused(f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters")
    for other in content.sensors.values():
        if other.is_relayed and other.device != device and name.casefold() in {other.name.casefold(), other.device}:
            raise PairingRefused(f'"{name}" is the name of {other.device}; choose another')
    return name


def removing(content: Content, device: str) -> Content:
    """Return the content after a technician has said that a sensor is to go: it is relayed no longer.

    Raises:
        UnknownSensor: There is no such sensor.
    """
    return put(content, after(get(content, device), Event.REMOVE, key="", problem=""))


def expelled(content: Content, device: str) -> Content:
    """Return the content after a technician has said that a member of the network is to go, known here or not.

    A router has no record, and a removed sensor that never heard of it is still a member.
    """
    record = content.sensors.get(device) or Record(device)
    return put(content, after(record, Event.REMOVE, key="", problem=""))


def forgotten(content: Content, device: str) -> Content:
    """Return the content after the network has forgotten a sensor; its identity is kept where it has one."""
    record = after(content.sensors[device], Event.FORGET, is_away=False)
    if record.sensor_id:
        return put(content, record)
    left = {name: each for name, each in content.sensors.items() if name != device}
    return msgspec.structs.replace(content, sensors=left)


def registered(content: Content, device: str, *, sensor_id: str, serial_number: str) -> Content:
    """Return the content after the cloud has named a sensor: its key is gone with the same write.

    One that was removed meanwhile keeps the name, for the readings that wait. Where another sensor is relayed under it,
    somebody has mixed up keys: nothing changes but the problem.
    """
    record = content.sensors[device]
    if other := owner_of(content, sensor_id, but=device):
        return troubled(content, device, f"its key is that of {called(other)}; check both against their labels")
    named = {"sensor_id": sensor_id, "serial_number": serial_number, "key": "", "problem": ""}
    if record.stage in GONE:
        return put(content, msgspec.structs.replace(record, **named))
    return put(content, after(record, Event.REGISTER, **named))


def away(content: Content, device: str) -> Content:
    """Return the content after a sensor has left by itself: it keeps identity, name and key."""
    record = content.sensors.get(device)
    if record is None or record.stage in GONE:
        return content
    return put(content, msgspec.structs.replace(record, is_away=True))


def troubled(content: Content, device: str, problem: str) -> Content:
    """Return the content with a problem noted."""
    record = content.sensors.get(device)
    if record is None or record.problem == problem:
        return content
    return put(content, msgspec.structs.replace(record, problem=problem))


def _removed(content: Content) -> int:
    return sum(record.stage is Stage.REMOVED for record in content.sensors.values())
