"""What a technician can do: open a join window, name, key, replace and remove sensors, back up the network.

Every action is saved before it returns. Must never show a key or an install code.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.errors import LabelInvalid, PairingRefused, UnknownSensor
from agent.foundation.clock import Clock
from agent.pairing import transitions
from agent.pairing.lifecycle import JoinWindow, PairingProgress, PairingRecord, PairingState, PairingStepKind
from agent.pairing.loops import PairingLoops
from agent.pairing.registration import Registrar
from agent.pairing.requests import JoinWindowRequest
from agent.pairing.store import PairingStore
from hal.radio import JOIN_WINDOW_S_MAX, PairableNetwork, SensorLink

KEY_CHARACTERS_MAX = 256


class PairingActions:
    """What a technician can do."""

    def __init__(
        self,
        store: PairingStore,
        *,
        clock: Clock,
        loops: PairingLoops,
        registrar: Registrar,
        progress: PairingProgress,
        network_names: Callable[[], Mapping[str, str]],
    ) -> None:
        """Prepare.

        Args:
            store: What is stored about pairing.
            clock: Of the people who pair, for join windows.
            loops: Bring the radio to the stored state.
            registrar: Registers sensors with the cloud.
            progress: Receives each step.
            network_names: Returns the names of the sensors in the network, by device.
        """
        self._store = store
        self._network_names = network_names
        self._clock = clock
        self._loops = loops
        self._registrar = registrar
        self._progress = progress

    async def open_join_window(self, request: JoinWindowRequest) -> None:
        """Let sensors join.

        Raises:
            PairingRefused, LabelInvalid, UnknownSensor: The request is not valid; no window is open.
            NetworkLost, SensorUnavailable: The radio or the router does not answer; no window is open.
            StorageFull: It cannot be saved; no window is open.
        """
        radio = self._require_radio()
        window = build_join_window(request, self._shown_state(), self._clock.boot_id, self._clock.monotonic_ms())
        await self._loops.open_window(radio, window)

    async def close_join_window(self) -> None:
        """Let no more sensors join.

        Raises:
            PairingRefused: There is no radio on this board.
            StorageFull: It cannot be saved; the window stays as it is.
        """
        self._require_radio()
        await self._store.commit(lambda state: transitions.with_window(state, None))

    def _shown_state(self) -> PairingState:
        return with_network_names(self._store.state, self._network_names())

    def _find(self, wanted: str) -> PairingRecord:
        return find_sensor(self._shown_state(), wanted)

    async def rename(self, wanted: str, name: str) -> None:
        """Give a sensor another name; possible on boards without a radio too.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: It keeps its name.
        """
        device = self._find(wanted).device
        await self._store.commit(lambda state: transitions.rename(state, device, name))

    async def give_key(self, wanted: str, key: str) -> None:
        """Give a sensor its ClimaSense key.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: The key was not accepted.
        """
        device = self._find(wanted).device
        key = validate_key(key)
        await self._store.commit(lambda state: transitions.give_key(state, device, key))
        self._registrar.retry(device)
        self._progress.await_reading(device)
        self._progress.add(PairingStepKind.KEYED, device)

    async def replace(self, old: str, new: str) -> None:
        """Transfer name and identity of a sensor to one that has already joined; the old one leaves the network.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: Nothing was changed.
        """
        self._require_radio()
        old_device = self._find(old).device
        new_device = self._find(new).device
        await self._store.commit(lambda state: transitions.replace(state, old_device, new_device))
        self._progress.await_reading(new_device)

    async def remove(self, wanted: str) -> None:
        """Stop relaying a sensor and have it leave the network; any other member, such as a router, leaves too.

        Raises:
            PairingRefused, UnknownSensor, StorageFull: Nothing was changed.
        """
        radio = self._require_radio()
        try:
            device, change = self._find(wanted).device, transitions.begin_removal
        except UnknownSensor:
            device, change = find_member(radio.links, wanted), transitions.begin_member_removal
        if self._loops.is_found(device):
            raise PairingRefused("remove it at the Aqara endpoint: the hub relays every sensor that is listed there")
        await self._store.commit(lambda state: change(state, device))

    async def backup(self) -> bytes:
        """Return the network's settings: a secret.

        Raises:
            PairingRefused: There is no radio on this board.
            NetworkLost: There is nothing to back up now.
        """
        return await self._require_radio().backup()

    async def restore(self, data: bytes) -> None:
        """Write the network of a backup to the stick.

        Raises:
            PairingRefused: There is no radio on this board, or this is no backup.
            NetworkLost: There is no radio now.
        """
        radio = self._require_radio()
        try:
            await radio.restore(data)
        except ValueError as error:
            raise PairingRefused(f"this is no backup of a Zigbee network: {error}") from error
        self._loops.network_replaced()

    def _require_radio(self) -> PairableNetwork:
        if self._loops.radio is None:
            raise PairingRefused("this hub has no radio to pair with: the sensors of its board are built in")
        return self._loops.radio


# Requests, checked against the stored state. Pure.


def build_join_window(request: JoinWindowRequest, state: PairingState, boot_id: str, now_ms: int) -> JoinWindow:
    """Return the join window of a request.

    Raises:
        PairingRefused, LabelInvalid, UnknownSensor: The request is not valid; the message says why.
    """
    if not 1 <= request.seconds <= JOIN_WINDOW_S_MAX:
        raise PairingRefused(f"a window is open for 1 to {JOIN_WINDOW_S_MAX} s, not {request.seconds} s")
    is_for_one = request.label or request.name or request.key or request.replaces
    if request.is_many and is_for_one:
        raise PairingRefused("label, name, key and a replaced sensor belong to one sensor; open a window for one")
    label = None
    if request.label:
        from agent.pairing import labels  # noqa: PLC0415 - a dozen patterns, compiled for the first label

        label = labels.parse(request.label)
    key = request.key or (label.sensor_key if label else "")
    old = find_sensor(state, request.replaces) if request.replaces else None
    if old is not None:
        transitions.check_replaceable(old)
    return JoinWindow(
        boot_id=boot_id,
        until_ms=now_ms + request.seconds * 1000,
        is_many=request.is_many,
        through=_router(request.through, state) if request.through else "",
        ieee_address=label.ieee_address if label else "",
        reversed_address=label.reversed_address if label else "",
        code=label.code.hex() if label else "",
        is_link_key=label.is_link_key if label else False,
        name=transitions.validate_name(state, request.name, old.device if old else "") if request.name else "",
        key=validate_key(key) if key else "",
        replaces=old.device if old else "",
    )


def validate_key(key: str) -> str:
    """Return a key without the spaces around it.

    Raises:
        PairingRefused: It is not valid. The message does not repeat it.
    """
    key = key.strip()
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable() or " " in key:
        raise PairingRefused(f"no key: allowed are 1 to {KEY_CHARACTERS_MAX} printable ASCII characters without spaces")
    return key


def _router(name: str, state: PairingState) -> str:
    try:
        from agent.pairing import labels  # noqa: PLC0415 - as above

        return labels.normalise_address(name)
    except LabelInvalid:
        return find_sensor(state, name).ieee_address


def with_network_names(state: PairingState, names: Mapping[str, str]) -> PairingState:
    """Return the state as people are shown it: a sensor without a name of its own has that of the network.

    Args:
        state: What is stored.
        names: The names of the sensors in the network, by device.
    """
    sensors = {
        device: record if record.name else msgspec.structs.replace(record, name=names.get(device, ""))
        for device, record in state.sensors.items()
    }
    return msgspec.structs.replace(state, sensors=sensors)


def find_sensor(state: PairingState, wanted: str) -> PairingRecord:
    """Return the sensor that a person names: by device, by IEEE address in any form, or by name.

    Raises:
        UnknownSensor: No sensor has this name.
        PairingRefused: Several have it.
    """
    name, address = wanted.strip().casefold(), _as_address(wanted)
    present = [record for record in state.sensors.values() if record.is_relayed]
    exact = [r for r in present if wanted == r.device or address in {r.device.casefold(), r.ieee_address}]
    found = exact or [record for record in present if record.name and record.name.casefold() == name]
    if len(found) > 1:
        devices = ", ".join(record.device for record in found)
        raise PairingRefused(f'several sensors have the name "{wanted}": {devices}; give the address instead')
    if not found:
        raise UnknownSensor(f'there is no sensor "{wanted}"; climahub zigbee list shows them all')
    return found[0]


def find_member(links: Sequence[SensorLink], wanted: str) -> str:
    """Return the device of the member that a person names: by IEEE address in any form, or by vendor and model.

    Raises:
        UnknownSensor: No sensor has this name.
        PairingRefused: Several have it.
    """
    name, address = " ".join(wanted.split()).casefold(), _as_address(wanted)
    found = [link.device for link in links if link.device.casefold() == address] or [
        link.device for link in links if name and f"{link.manufacturer} {link.model}".strip().casefold() == name
    ]
    if len(found) > 1:
        raise PairingRefused(f'several devices have the name "{wanted}": {", ".join(found)}; give the address instead')
    if not found:
        raise UnknownSensor(f'there is no sensor "{wanted}", and no other device; climahub zigbee list shows them all')
    return found[0]


def _as_address(wanted: str) -> str:
    return "0x" + "".join(each for each in wanted.strip().casefold().removeprefix("0x") if each not in ":-")
