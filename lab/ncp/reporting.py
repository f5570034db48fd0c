"""When a sensor reports an attribute: on a change that is large enough, not too often, and now and then anyway.

Zigbee Cluster Library, section 2.5.11. Pure: values and the time go in, what to report comes out.
"""

from collections.abc import Iterable, Mapping

from lab.ncp.memory import ReportingRule
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
        """Return when the first of them is to be reported. Kept, because it is asked for at every turn."""
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
