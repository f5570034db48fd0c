"""The attributes of one emulated device: their values and reporting rules, and the commands that every cluster has.

Zigbee Cluster Library, section 2.5. Pure. Must never know a cluster's own commands, or how a message travels.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from lab.ncp import models, zcl
from lab.ncp.memory import ReportingRule
from lab.ncp.models import Model
from lab.ncp.reporting import Key, Reporting

_DIRECTION_SEND = 0x00


class Attributes:
    """All attributes of a device, by endpoint, cluster and id."""

    def __init__(
        self, model: Model, values: Mapping[str, zcl.Value | None], rules: Iterable[ReportingRule], now_s: float
    ) -> None:
        self._model = model
        self._known: dict[Key, models.Attribute] = {
            (endpoint.id, cluster.id, attribute.id): attribute
            for endpoint in model.endpoints
            for cluster in endpoint.servers
            for attribute in cluster.attributes
        }
        self._values: dict[Key, zcl.Value] = {key: attribute.value for key, attribute in self._known.items()}
        for text, value in values.items():
            if (key := _key(text)) in self._known:
                self._values[key] = math.nan if value is None else _typed(self._known[key].kind, value)
        self.reporting = Reporting(rules, self._values, now_s)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def __getitem__(self, key: Key) -> zcl.Value:
        return self._values[key]

    def __setitem__(self, key: Key, value: zcl.Value) -> None:
        """Change a value, which may make a report due."""
        self._values[key] = value = _typed(self._known[key].kind, value)
        self.reporting.changed(key, value)

    def number(self, key: Key) -> int:
        """Return a value that is a whole number by its type."""
        value = self._values[key]
        return value if isinstance(value, int) else 0

    def kind(self, key: Key) -> zcl.Kind:
        """Return the data type of an attribute."""
        return self._known[key].kind

    def manufacturer(self, key: Key) -> int | None:
        """Return whose attribute it is; `None` for one of the standard."""
        return self._known[key].manufacturer

    def reset(self, key: Key) -> None:
        """Give an attribute the value that it left the factory with."""
        if key in self._known:
            self._values[key] = self._known[key].value

    def forget_rules(self, now_s: float) -> None:
        """Take back all that was configured."""
        self.reporting = Reporting((), {}, now_s)

    def keys_of(self, cluster: int, attribute: int) -> list[Key]:
        """Return where an attribute occurs on the device."""
        return [key for key in self._known if key[1:] == (cluster, attribute)]

    def measured(self) -> list[Key]:
        """Return the attributes that can be reported."""
        return [key for key, attribute in self._known.items() if attribute.is_reportable]

    def changed_values(self) -> Mapping[str, zcl.Value | None]:
        """Return what differs from the factory's values, to be kept in a file; `None` for "not a number"."""
        return {
            _text(key): None if isinstance(value, float) and math.isnan(value) else value
            for key, value in self._values.items()
            if value != self._known[key].value
        }

    def record(self, key: Key) -> bytes:
        """Return id, type and value, as reports carry them."""
        kind = self._known[key].kind
        return struct.pack("<HB", key[2], kind) + zcl.encode(kind, self._values[key])

    def run(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes] | None:
        """Carry out a command that every cluster has and return the answer to it; an empty one is not sent.

        Returns:
            `None` where the command is none of these.

        Raises:
            zcl.Malformed: The command cannot be read.
            struct.error: It ends too early.
            IndexError: It ends too early.
        """
        handler = _HANDLERS.get(frame.command)
        return None if handler is None else handler(self, endpoint, cluster, frame, now_s)

    def _seen(self, key: Key, frame: zcl.Frame) -> models.Attribute | None:
        attribute = self._known.get(key)
        return attribute if attribute and attribute.manufacturer in {None, frame.manufacturer} else None

    def read(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes]:
        """Answer Read Attributes."""
        del now_s
        answer = b""
        for (wanted,) in struct.iter_unpack("<H", frame.payload):
            key = (endpoint, cluster, wanted)
            attribute = self._seen(key, frame)
            if attribute is None:
                answer += struct.pack("<HB", wanted, zcl.Status.UNSUPPORTED_ATTRIBUTE)
            else:
                value = zcl.encode(attribute.kind, self._values[key])
                answer += struct.pack("<HBB", wanted, zcl.Status.SUCCESS, attribute.kind) + value
        return zcl.Command.READ_RESPONSE, answer

    def write(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes]:
        """Carry out the three kinds of Write Attributes."""
        del now_s
        written: dict[Key, zcl.Value] = {}
        refused = b""
        rest = frame.payload
        while rest:
            wanted, kind = struct.unpack_from("<HB", rest)
            value, rest = zcl.decode(kind, rest[3:])
            key = (endpoint, cluster, wanted)
            attribute = self._seen(key, frame)
            if attribute is None:
                refused += struct.pack("<BH", zcl.Status.UNSUPPORTED_ATTRIBUTE, wanted)
            elif not attribute.is_writable:
                refused += struct.pack("<BH", zcl.Status.READ_ONLY, wanted)
            elif attribute.kind != kind:
                refused += struct.pack("<BH", zcl.Status.INVALID_DATA_TYPE, wanted)
            else:
                written[key] = value
        if not (refused and frame.command == zcl.Command.WRITE_UNDIVIDED):
            for key, value in written.items():
                self[key] = value
        if frame.command == zcl.Command.WRITE_NO_RESPONSE:
            return zcl.Command.WRITE_RESPONSE, b""
        return zcl.Command.WRITE_RESPONSE, refused or bytes((zcl.Status.SUCCESS,))

    def configure(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes]:
        """Answer Configure Reporting."""
        refused = b""
        rest = frame.payload
        while rest:
            direction, wanted = struct.unpack_from("<BH", rest)
            key = (endpoint, cluster, wanted)
            if direction != _DIRECTION_SEND:
                rest = rest[5:]
                refused += struct.pack("<BBH", zcl.Status.UNREPORTABLE_ATTRIBUTE, direction, wanted)
                continue
            kind, shortest_s, longest_s = struct.unpack_from("<BHH", rest, 3)
            rest = rest[8:]
            change: zcl.Value = 0
            if kind in _KINDS and zcl.is_analog(zcl.Kind(kind)):
                change, rest = zcl.decode(kind, rest)
            status = self._reportable(key, kind, frame)
            if status is zcl.Status.SUCCESS:
                threshold = float(change) if isinstance(change, int | float) else 0.0
                rule = ReportingRule(endpoint, cluster, wanted, shortest_s, longest_s, threshold)
                self.reporting.configure(rule, self._values[key], now_s)
            else:
                refused += struct.pack("<BBH", status, direction, wanted)
        return zcl.Command.CONFIGURE_REPORTING_RESPONSE, refused or bytes((zcl.Status.SUCCESS,))

    def _reportable(self, key: Key, kind: int, frame: zcl.Frame) -> zcl.Status:
        attribute = self._seen(key, frame)
        if attribute is None:
            return zcl.Status.UNSUPPORTED_ATTRIBUTE
        if not attribute.is_reportable or self._model.dialect is not models.Dialect.NONE:
            return zcl.Status.UNREPORTABLE_ATTRIBUTE
        return zcl.Status.SUCCESS if attribute.kind == kind else zcl.Status.INVALID_DATA_TYPE

    def tell_rules(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes]:
        """Answer Read Reporting Configuration."""
        del now_s
        answer = b""
        for direction, wanted in struct.iter_unpack("<BH", frame.payload):
            key = (endpoint, cluster, wanted)
            rule = self.reporting.rule(key)
            if rule is None or direction != _DIRECTION_SEND:
                answer += struct.pack("<BBH", zcl.Status.NOT_FOUND, direction, wanted)
                continue
            kind = self._known[key].kind
            intervals = struct.pack("<BHH", kind, rule.interval_s_min, rule.interval_s_max)
            answer += struct.pack("<BBH", zcl.Status.SUCCESS, direction, wanted) + intervals
            answer += zcl.encode(kind, rule.change) if zcl.is_analog(kind) else b""
        return zcl.Command.READ_REPORTING_RESPONSE, answer

    def discover(self, endpoint: int, cluster: int, frame: zcl.Frame, now_s: float) -> tuple[zcl.Command, bytes]:
        """Answer Discover Attributes."""
        del now_s
        first, count = struct.unpack_from("<HB", frame.payload)
        found = sorted(
            key
            for key in self._known
            if key[:2] == (endpoint, cluster) and key[2] >= first and self._seen(key, frame) is not None
        )
        is_complete = len(found) <= count
        rows = b"".join(struct.pack("<HB", key[2], self._known[key].kind) for key in found[:count])
        return zcl.Command.DISCOVER_RESPONSE, bytes((is_complete,)) + rows


def _typed(kind: zcl.Kind, value: zcl.Value) -> zcl.Value:
    """Return a value as its type holds it: in a file and in an order every number may be a float."""
    is_whole = isinstance(value, float) and kind is not zcl.Kind.SINGLE and math.isfinite(value)
    return int(value) if is_whole else value


_KINDS = frozenset(zcl.Kind)
_Handler = Callable[[Attributes, int, int, zcl.Frame, float], tuple[zcl.Command, bytes]]
_HANDLERS: Mapping[int, _Handler] = MappingProxyType(
    {
        zcl.Command.READ: Attributes.read,
        zcl.Command.WRITE: Attributes.write,
        zcl.Command.WRITE_UNDIVIDED: Attributes.write,
        zcl.Command.WRITE_NO_RESPONSE: Attributes.write,
        zcl.Command.CONFIGURE_REPORTING: Attributes.configure,
        zcl.Command.READ_REPORTING: Attributes.tell_rules,
        zcl.Command.DISCOVER: Attributes.discover,
    }
)


def _text(key: Key) -> str:
    return f"{key[0]}/{key[1]:04x}/{key[2]:04x}"


def _key(text: str) -> Key:
    endpoint, cluster, attribute = text.split("/")
    return int(endpoint), int(cluster, 16), int(attribute, 16)
