"""EZSP frames of one protocol version: commands of the host in, responses and callbacks out.

Silicon Labs UG100, "EZSP Reference Guide". Frame ids, field order and field types are the tables of bellows; what is
different between the versions ends here: the rest of the package knows one set of names and one set of statuses. Pure.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import bellows.types as t
import msgspec
from bellows.ezsp.v13.commands import COMMANDS as COMMANDS_V13
from bellows.ezsp.v14.commands import COMMANDS as COMMANDS_V14
from bellows.ezsp.v18.commands import COMMANDS as COMMANDS_V18

Status = t.sl_Status
"""The statuses of v14 and later. The codec turns them into the older ones where a version wants those."""

_TABLES: Final = MappingProxyType({13: COMMANDS_V13, 14: COMMANDS_V14, 18: COMMANDS_V18})
VERSIONS = tuple(_TABLES)
_STACK_VERSIONS: Final = MappingProxyType({13: 0x7540, 14: 0x8020, 18: 0x9020})
"""EmberZNet releases that speak these versions: 7.5.4, 8.0.2 and 9.0.2."""
STACK_TYPE_MESH = 2
_FIRST_WITH_LONG_STATUS = 14

_LEGACY_LENGTH = 4
_LEGACY_VERSION_ID = 0x00
_EXTENDED_LENGTH_MIN = 5
_FORMAT_1 = 0x01
_FRAME_CONTROL_RESPONSE = 0x80
_FRAME_CONTROL_CALLBACK = 0x90
_FRAME_CONTROL_OVERFLOW = 0x01

_RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "type": "message_type",
        "apsFrame": "aps_frame",
        "messageTag": "message_tag",
        "messageContents": "message",
        "indexOrDestination": "nwk",
        "lastHopLqi": "lqi",
        "lastHopRssi": "rssi",
        "sender": "nwk",
        "bindingIndex": "binding_index",
        "addressIndex": "address_index",
        "addressTableIndex": "index",
        "id": "nwk",
    }
)
"""Field names of v13 that are others from v14 on; the newer ones are used here throughout."""


_LEFT_OUT: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"importTransientKey": frozenset({"flags"}), "leaveNetwork": frozenset({"options"})}
)
"""Fields that zigbee-herdsman or bellows leave out at the end of a command, as firmware allows."""


class EzspCommand(msgspec.Struct, frozen=True):
    """A command of the host."""

    sequence: int
    name: str
    arguments: Mapping[str, Any]
    is_legacy: bool = False


class UnknownFrame(msgspec.Struct, frozen=True):
    """A frame that is no command of this version, or whose fields cannot be read."""

    sequence: int
    frame_id: int
    is_malformed: bool


class EzspCallback(msgspec.Struct, frozen=True):
    """A command's name, and its fields by name."""

    name: str
    fields: Mapping[str, Any]


_EMBER_OF: Final = MappingProxyType(
    {
        status: code
        for (kind, code), status in reversed(t.named.SL_STATUS_MAP.items())
        if kind is t.EmberStatus and code is not t.EmberStatus.TABLE_ENTRY_ERASED
    }
)
_EZSP_OF: Final = MappingProxyType(
    {
        Status.OK: t.EzspStatus.SUCCESS,
        Status.INVALID_PARAMETER: t.EzspStatus.ERROR_INVALID_ID,
        Status.INVALID_STATE: t.EzspStatus.ERROR_INVALID_CALL,
        Status.INVALID_RANGE: t.EzspStatus.ERROR_INVALID_VALUE,
        Status.NO_MORE_RESOURCE: t.EzspStatus.ERROR_OUT_OF_MEMORY,
    }
)


class EzspCodec:
    """Reads commands and writes responses of one protocol version."""

    def __init__(self, version: int) -> None:
        """Choose the version.

        Raises:
            ValueError: It is none of `VERSIONS`.
        """
        if version not in _TABLES:
            raise ValueError(f"EZSP version {version} is not emulated; choose one of {', '.join(map(str, VERSIONS))}")
        self.version = version
        self._table = _TABLES[version]
        self._name_of = {entry[0]: name for name, entry in self._table.items()}

    @property
    def stack_version(self) -> int:
        """The EmberZNet release, one digit of it in each nibble."""
        return _STACK_VERSIONS[self.version]

    def decode(self, frame: bytes) -> EzspCommand | UnknownFrame:
        """Read a frame of the host."""
        if len(frame) == _LEGACY_LENGTH and frame[2] == _LEGACY_VERSION_ID:
            return EzspCommand(frame[0], "version", {"desiredProtocolVersion": frame[3]}, is_legacy=True)
        if len(frame) < _EXTENDED_LENGTH_MIN or frame[2] & 0x03 != _FORMAT_1:
            return UnknownFrame(frame[0] if frame else 0, 0, is_malformed=True)
        frame_id = int.from_bytes(frame[3:5], "little")
        name = self._name_of.get(frame_id)
        if name is None:
            return UnknownFrame(frame[0], frame_id, is_malformed=False)
        arguments: dict[str, Any] = {}
        rest = frame[5:]
        try:
            for key, kind in self._table[name][1].items():
                if not rest and key in _LEFT_OUT.get(name, ()):
                    continue
                arguments[_RENAMED.get(key, key)], rest = kind.deserialize(rest)
        except ValueError:
            return UnknownFrame(frame[0], frame_id, is_malformed=True)
        return EzspCommand(frame[0], name, arguments)

    def response(self, request: EzspCommand, fields: Mapping[str, Any], *, is_overflowing: bool = False) -> bytes:
        """Write the answer to a command."""
        control = _FRAME_CONTROL_RESPONSE | (_FRAME_CONTROL_OVERFLOW if is_overflowing else 0)
        body = self._body(request.name, fields)
        if request.is_legacy:
            return bytes((request.sequence, control, _LEGACY_VERSION_ID)) + body
        return self._head(request.sequence, control, request.name) + body

    def refusal(self, unknown: UnknownFrame | EzspCommand) -> bytes:
        """Write the answer to a frame that is no command, or one that the stick does not know."""
        is_malformed = isinstance(unknown, UnknownFrame) and unknown.is_malformed
        reason = t.EzspStatus.ERROR_COMMAND_TOO_LONG if is_malformed else t.EzspStatus.ERROR_INVALID_FRAME_ID
        # Hosts disagree on the width of this status from v14 on; the low byte is the same for all of them.
        width = 1 if self.version < _FIRST_WITH_LONG_STATUS else 4
        head = self._head(unknown.sequence, _FRAME_CONTROL_RESPONSE, "invalidCommand")
        return head + int(reason).to_bytes(width, "little")

    def callback(self, message: EzspCallback, *, sequence: int, is_overflowing: bool = False) -> bytes:
        """Write a callback. ``sequence`` is that of the last answered command, or a host takes it for an answer."""
        control = _FRAME_CONTROL_CALLBACK | (_FRAME_CONTROL_OVERFLOW if is_overflowing else 0)
        return self._head(sequence, control, message.name) + self._body(message.name, message.fields)

    def _head(self, sequence: int, control: int, name: str) -> bytes:
        return bytes((sequence, control, _FORMAT_1)) + int(self._table[name][0]).to_bytes(2, "little")

    def _body(self, name: str, fields: Mapping[str, Any]) -> bytes:
        schema = self._table[name][2]
        if not isinstance(schema, dict):
            # Only getTokenData: the value is there only when the status is OK.
            kinds = {field.name: field.type for field in schema.fields}
            schema = kinds if fields["status"] is Status.OK else {"status": kinds["status"]}
        return b"".join(_serialized(kind, fields[_RENAMED.get(key, key)]) for key, kind in schema.items())


def _serialized(kind: Any, value: Any) -> bytes:  # noqa: ANN401 - the tables of bellows are not typed
    if isinstance(value, Status):
        if kind is t.EmberStatus:
            value = _EMBER_OF.get(value, t.EmberStatus.ERR_FATAL)
        elif kind is t.EzspStatus:
            value = _EZSP_OF.get(value, t.EzspStatus.ERROR_INVALID_VALUE)
    return bytes((value if type(value) is kind else kind(value)).serialize())


def eui64(text: str) -> t.EUI64:
    """Return an address as bellows has it, from lower-case text with colons."""
    return t.EUI64.convert(text)
