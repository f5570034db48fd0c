"""The attributes of one emulated device, the general commands on them, and the schedule of their reports.

Zigbee Cluster Library, sections 2.5 and 2.5.11: an attribute is reported on a change that is large enough, at the
earliest after its shortest interval and at the latest after its longest. Pure. Must not contain commands of single
clusters, nor how a message travels.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from lab.ncp import models, zcl
from lab.ncp.memory import ReportingRule
from lab.ncp.models import DeviceModel
from lab.ncp.zcl import Value

NEVER = 0xFFFF
"""As the longest interval: this attribute is not reported."""

AttributeKey = tuple[int, int, int]
"""Endpoint, cluster, attribute."""


class ReportingSchedule:
    """The rules of one device, and what it has reported by them."""

    def __init__(self, rules: Iterable[ReportingRule], values: Mapping[AttributeKey, Value], now_s: float) -> None:
        self._rules: dict[AttributeKey, ReportingRule] = {}
        self._sent: dict[AttributeKey, tuple[Value | None, float]] = {}
        self._waiting: set[AttributeKey] = set()
        self._next_s: float | None = None
        self._is_next_known = False
        for rule in rules:
            self.configure(rule, values.get((rule.endpoint, rule.cluster, rule.attribute)), now_s)

    @property
    def rules(self) -> tuple[ReportingRule, ...]:
        """The rules in force."""
        return tuple(self._rules.values())

    def rule(self, key: AttributeKey) -> ReportingRule | None:
        """Return the rule of an attribute, if it has one."""
        return self._rules.get(key)

    def configure(self, rule: ReportingRule, value: Value | None, now_s: float) -> None:
        """Take a new rule; changes count from the present ``value``. `NEVER` as the longest interval ends reporting."""
        key = (rule.endpoint, rule.cluster, rule.attribute)
        self._is_next_known = False
        self._waiting.discard(key)
        if rule.interval_s_max == NEVER:
            self._rules.pop(key, None)
            return
        self._rules[key] = rule
        self._sent[key] = (value, now_s)

    def changed(self, key: AttributeKey, value: Value) -> None:
        """Note a new value; it becomes due when it differs enough from the one reported last."""
        rule = self._rules.get(key)
        if rule is None:
            return
        self._is_next_known = False
        if self._is_enough(rule, self._sent[key][0], value):
            self._waiting.add(key)
        else:
            self._waiting.discard(key)

    def reported(self, key: AttributeKey, value: Value, now_s: float) -> None:
        """Note that a value has been sent, for whatever reason."""
        self._is_next_known = False
        self._waiting.discard(key)
        if key in self._rules:
            self._sent[key] = (value, now_s)

    def due(self) -> Mapping[AttributeKey, float]:
        """Return when each attribute is next to be reported, for those where that is known."""
        return {key: at_s for key in self._rules if (at_s := self._due_s(key)) is not None}

    def due_s(self) -> float | None:
        """Return when the first of them is to be reported. Cached, because every turn needs it."""
        if not self._is_next_known:
            self._next_s = min(self.due().values(), default=None)
            self._is_next_known = True
        return self._next_s

    def _due_s(self, key: AttributeKey) -> float | None:
        rule, sent_at_s = self._rules[key], self._sent[key][1]
        if key in self._waiting:
            return sent_at_s + rule.interval_s_min
        return sent_at_s + rule.interval_s_max if rule.interval_s_max else None

    @staticmethod
    def _is_enough(rule: ReportingRule, old: Value | None, new: Value) -> bool:
        if isinstance(old, int | float) and isinstance(new, int | float) and rule.change:
            return abs(new - old) >= rule.change or (new != new) != (old != old)  # noqa: PLR0124 - NaN is no number
        return new != old


_DIRECTION_SEND = 0x00


class AttributeTable:
    """All attributes of a device, by endpoint, cluster and id; with a method for each general command."""

    def __init__(
        self, model: DeviceModel, values: Mapping[str, zcl.Value | None], rules: Iterable[ReportingRule], now_s: float
    ) -> None:
        self._model = model
        self._known: dict[AttributeKey, models.AttributeModel] = {
            (endpoint.id, cluster.id, attribute.id): attribute
            for endpoint in model.endpoints
            for cluster in endpoint.servers
            for attribute in cluster.attributes
        }
        self._values: dict[AttributeKey, zcl.Value] = {key: attribute.value for key, attribute in self._known.items()}
        for text, value in values.items():
            if (key := _key(text)) in self._known:
                self._values[key] = math.nan if value is None else _typed(self._known[key].kind, value)
        self.reporting = ReportingSchedule(rules, self._values, now_s)

    def __contains__(self, key: AttributeKey) -> bool:
        return key in self._known

    def __getitem__(self, key: AttributeKey) -> zcl.Value:
        return self._values[key]

    def __setitem__(self, key: AttributeKey, value: zcl.Value) -> None:
        """Change a value, which may make a report due."""
        self._values[key] = value = _typed(self._known[key].kind, value)
        self.reporting.changed(key, value)

    def number(self, key: AttributeKey) -> int:
        """Return a value that is a whole number by its type."""
        value = self._values[key]
        return value if isinstance(value, int) else 0

    def kind(self, key: AttributeKey) -> zcl.DataType:
        """Return the data type of an attribute."""
        return self._known[key].kind

    def manufacturer(self, key: AttributeKey) -> int | None:
        """Return the manufacturer code of an attribute; `None` for a standard one."""
        return self._known[key].manufacturer

    def reset(self, key: AttributeKey) -> None:
        """Reset an attribute to its factory value."""
        if key in self._known:
            self._values[key] = self._known[key].value

    def forget_rules(self, now_s: float) -> None:
        """Remove all configured rules."""
        self.reporting = ReportingSchedule((), {}, now_s)

    def keys_of(self, cluster: int, attribute: int) -> list[AttributeKey]:
        """Return where an attribute occurs on the device."""
        return [key for key in self._known if key[1:] == (cluster, attribute)]

    def measured(self) -> list[AttributeKey]:
        """Return the attributes that can be reported."""
        return [key for key, attribute in self._known.items() if attribute.is_reportable]

    def changed_values(self) -> Mapping[str, zcl.Value | None]:
        """Return the values that differ from the factory's, for a file; `None` for "not a number"."""
        return {
            _text(key): None if isinstance(value, float) and math.isnan(value) else value
            for key, value in self._values.items()
            if value != self._known[key].value
        }

    def record(self, key: AttributeKey) -> bytes:
        """Return id, type and value, as reports carry them."""
        kind = self._known[key].kind
        return struct.pack("<HB", key[2], kind) + zcl.encode(kind, self._values[key])

    def run(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> tuple[zcl.GeneralCommand, bytes] | None:
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

    def _seen(self, key: AttributeKey, frame: zcl.ZclFrame) -> models.AttributeModel | None:
        attribute = self._known.get(key)
        return attribute if attribute and attribute.manufacturer in {None, frame.manufacturer} else None

    def read(self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float) -> tuple[zcl.GeneralCommand, bytes]:
        """Respond to Read Attributes."""
        del now_s
        answer = b""
        for (wanted,) in struct.iter_unpack("<H", frame.payload):
            key = (endpoint, cluster, wanted)
            attribute = self._seen(key, frame)
            if attribute is None:
                answer += struct.pack("<HB", wanted, zcl.ZclStatus.UNSUPPORTED_ATTRIBUTE)
            else:
                value = zcl.encode(attribute.kind, self._values[key])
                answer += struct.pack("<HBB", wanted, zcl.ZclStatus.SUCCESS, attribute.kind) + value
        return zcl.GeneralCommand.READ_RESPONSE, answer

    def write(self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float) -> tuple[zcl.GeneralCommand, bytes]:
        """Carry out the three kinds of Write Attributes."""
        del now_s
        written: dict[AttributeKey, zcl.Value] = {}
        refused = b""
        rest = frame.payload
        while rest:
            wanted, kind = struct.unpack_from("<HB", rest)
            value, rest = zcl.decode(kind, rest[3:])
            key = (endpoint, cluster, wanted)
            attribute = self._seen(key, frame)
            if attribute is None:
                refused += struct.pack("<BH", zcl.ZclStatus.UNSUPPORTED_ATTRIBUTE, wanted)
            elif not attribute.is_writable:
                refused += struct.pack("<BH", zcl.ZclStatus.READ_ONLY, wanted)
            elif attribute.kind != kind:
                refused += struct.pack("<BH", zcl.ZclStatus.INVALID_DATA_TYPE, wanted)
            else:
                written[key] = value
        if not (refused and frame.command == zcl.GeneralCommand.WRITE_UNDIVIDED):
            for key, value in written.items():
                self[key] = value
        if frame.command == zcl.GeneralCommand.WRITE_NO_RESPONSE:
            return zcl.GeneralCommand.WRITE_RESPONSE, b""
        return zcl.GeneralCommand.WRITE_RESPONSE, refused or bytes((zcl.ZclStatus.SUCCESS,))

    def configure(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> tuple[zcl.GeneralCommand, bytes]:
        """Respond to Configure Reporting."""
        refused = b""
        rest = frame.payload
        while rest:
            direction, wanted = struct.unpack_from("<BH", rest)
            key = (endpoint, cluster, wanted)
            if direction != _DIRECTION_SEND:
                rest = rest[5:]
                refused += struct.pack("<BBH", zcl.ZclStatus.UNREPORTABLE_ATTRIBUTE, direction, wanted)
                continue
            kind, shortest_s, longest_s = struct.unpack_from("<BHH", rest, 3)
            rest = rest[8:]
            change: zcl.Value = 0
            if kind in _KINDS and zcl.is_analog(zcl.DataType(kind)):
                change, rest = zcl.decode(kind, rest)
            status = self._reportable(key, kind, frame)
            if status is zcl.ZclStatus.SUCCESS:
                threshold = float(change) if isinstance(change, int | float) else 0.0
                rule = ReportingRule(endpoint, cluster, wanted, shortest_s, longest_s, threshold)
                self.reporting.configure(rule, self._values[key], now_s)
            else:
                refused += struct.pack("<BBH", status, direction, wanted)
        return zcl.GeneralCommand.CONFIGURE_REPORTING_RESPONSE, refused or bytes((zcl.ZclStatus.SUCCESS,))

    def _reportable(self, key: AttributeKey, kind: int, frame: zcl.ZclFrame) -> zcl.ZclStatus:
        attribute = self._seen(key, frame)
        if attribute is None:
            return zcl.ZclStatus.UNSUPPORTED_ATTRIBUTE
        if not attribute.is_reportable or self._model.dialect is not models.VendorDialect.NONE:
            return zcl.ZclStatus.UNREPORTABLE_ATTRIBUTE
        return zcl.ZclStatus.SUCCESS if attribute.kind == kind else zcl.ZclStatus.INVALID_DATA_TYPE

    def tell_rules(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> tuple[zcl.GeneralCommand, bytes]:
        """Respond to Read Reporting Configuration."""
        del now_s
        answer = b""
        for direction, wanted in struct.iter_unpack("<BH", frame.payload):
            key = (endpoint, cluster, wanted)
            rule = self.reporting.rule(key)
            if rule is None or direction != _DIRECTION_SEND:
                answer += struct.pack("<BBH", zcl.ZclStatus.NOT_FOUND, direction, wanted)
                continue
            kind = self._known[key].kind
            intervals = struct.pack("<BHH", kind, rule.interval_s_min, rule.interval_s_max)
            answer += struct.pack("<BBH", zcl.ZclStatus.SUCCESS, direction, wanted) + intervals
            answer += zcl.encode(kind, rule.change) if zcl.is_analog(kind) else b""
        return zcl.GeneralCommand.READ_REPORTING_RESPONSE, answer

    def discover(
        self, endpoint: int, cluster: int, frame: zcl.ZclFrame, now_s: float
    ) -> tuple[zcl.GeneralCommand, bytes]:
        """Respond to Discover Attributes."""
        del now_s
        first, count = struct.unpack_from("<HB", frame.payload)
        found = sorted(
            key
            for key in self._known
            if key[:2] == (endpoint, cluster) and key[2] >= first and self._seen(key, frame) is not None
        )
        is_complete = len(found) <= count
        rows = b"".join(struct.pack("<HB", key[2], self._known[key].kind) for key in found[:count])
        return zcl.GeneralCommand.DISCOVER_RESPONSE, bytes((is_complete,)) + rows


def _typed(kind: zcl.DataType, value: zcl.Value) -> zcl.Value:
    """Return a value in its own type: in a file and in a control command every number may be a float."""
    is_whole = isinstance(value, float) and kind is not zcl.DataType.SINGLE and math.isfinite(value)
    return int(value) if is_whole else value


_KINDS = frozenset(zcl.DataType)
_Handler = Callable[[AttributeTable, int, int, zcl.ZclFrame, float], tuple[zcl.GeneralCommand, bytes]]
_HANDLERS: Mapping[int, _Handler] = MappingProxyType(
    {
        zcl.GeneralCommand.READ: AttributeTable.read,
        zcl.GeneralCommand.WRITE: AttributeTable.write,
        zcl.GeneralCommand.WRITE_UNDIVIDED: AttributeTable.write,
        zcl.GeneralCommand.WRITE_NO_RESPONSE: AttributeTable.write,
        zcl.GeneralCommand.CONFIGURE_REPORTING: AttributeTable.configure,
        zcl.GeneralCommand.READ_REPORTING: AttributeTable.tell_rules,
        zcl.GeneralCommand.DISCOVER: AttributeTable.discover,
    }
)


def _text(key: AttributeKey) -> str:
    return f"{key[0]}/{key[1]:04x}/{key[2]:04x}"


def _key(text: str) -> AttributeKey:
    endpoint, cluster, attribute = text.split("/")
    return int(endpoint), int(cluster, 16), int(attribute, 16)
