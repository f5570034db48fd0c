"""What a technician asks for when a window is to be opened, checked against what is known. Pure."""

import msgspec

from agent.errors import LabelInvalid, PairingRefused
from agent.pairing import labels, transitions
from agent.pairing.lifecycle import JoinWindow, PairingState
from hal.radio import JOIN_WINDOW_S_MAX

KEY_CHARACTERS_MAX = 256


class JoinWindowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A window as a person asks for it.

    Attributes:
        seconds: For how long, 1 to `JOIN_WINDOW_S_MAX`.
        is_many: It stays open when a sensor has joined; else it closes after the first.
        through: The router that alone takes sensors in, by name or IEEE address; empty for all.
        label: The text of the sensor's label or QR code; empty to take whichever joins.
        name: What the sensor is to be called.
        key: The sensor's key. A secret.
        replaces: The sensor whose name and identity the new one takes over, by name or address.
    """

    seconds: int = JOIN_WINDOW_S_MAX
    is_many: bool = False
    through: str = ""
    label: str = ""
    name: str = ""
    key: str = ""
    replaces: str = ""


def build_join_window(request: JoinWindowRequest, state: PairingState, boot_id: str, now_ms: int) -> JoinWindow:
    """Return the window that is asked for.

    Raises:
        PairingRefused, LabelInvalid, UnknownSensor: It cannot be opened so; the message says why.
    """
    if not 1 <= request.seconds <= JOIN_WINDOW_S_MAX:
        raise PairingRefused(f"a window is open for 1 to {JOIN_WINDOW_S_MAX} s, not {request.seconds} s")
    is_for_one = request.label or request.name or request.key or request.replaces
    if request.is_many and is_for_one:
        raise PairingRefused("label, name, key and what is replaced belong to one sensor, not to many")
    label = labels.parse(request.label) if request.label else None
    key = request.key or (label.sensor_key if label else "")
    old = transitions.find_sensor(state, request.replaces) if request.replaces else None
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
    """Return a key as it may be sent.

    Raises:
        PairingRefused: It cannot be one. The message does not repeat it.
    """
    key = key.strip()
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable() or " " in key:
        raise PairingRefused(f"no key: allowed are 1 to {KEY_CHARACTERS_MAX} printable ASCII characters without spaces")
    return key


def _router(called: str, state: PairingState) -> str:
    try:
        return labels.normalise_address(called)
    except LabelInvalid:
        return transitions.find_sensor(state, called).ieee_address
