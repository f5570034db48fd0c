"""Which kinds each device reports, and which of them are late or overdue. No I/O.

Belongs to `hal.zigbee.device_registry`, and is used on the radio's thread only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from hal import availability
from hal.interface import SensorKind
from hal.zigbee.radio_state import DeviceRecord
from hal.zigbee.zcl import SensorChannel

if TYPE_CHECKING:
    from hal.zigbee.device_registry import DeviceRegistry


class _DeviceReports:
    """Reports of one device since the radio listens and the device has its reporting configuration.

    Attributes:
        since_ms: Start of the observation.
        reported_ms: Time of the last report of each kind.
        slower_reports: Number of reports of much slower kinds since then.
        problems: Problems of kinds that are overdue, for people.
        checked_ms: When the reporting configuration was last read back.
        read_ms: When each kind was last read.
        asked_ms: When a read of it last began.
    """

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.reported_ms: dict[SensorKind, int] = {}
        self.slower_reports: dict[SensorKind, int] = {}
        self.problems: dict[SensorKind, str] = {}
        self.checked_ms: int | None = None
        self.read_ms: dict[SensorKind, int] = {}
        self.asked_ms: dict[SensorKind, int] = {}

    def restart(self, since_ms: int) -> None:
        """Start a new observation; a problem stays until its kind is reported."""
        self.since_ms = since_ms
        self.reported_ms.clear()
        self.slower_reports.clear()


class ReportingMonitor:
    """Records the reports of each device and finds late and overdue kinds. A method for each event: more than ten."""

    def __init__(self, registry: "DeviceRegistry", monotonic_ms: Callable[[], int]) -> None:
        self._registry = registry
        self._monotonic_ms = monotonic_ms
        self._devices: dict[str, _DeviceReports] = {}

    def restart_all(self, since_ms: int) -> None:
        """Start a new observation of every device."""
        for reports in self._devices.values():
            reports.restart(since_ms)

    def restart(self, ieee: str) -> None:
        """Start a new observation of one device."""
        self._reports(ieee).restart(self._monotonic_ms())

    def forget(self, ieee: str) -> None:
        """Delete the observation of a device."""
        self._devices.pop(ieee, None)

    def accept(self, ieee: str, channel: SensorChannel) -> bool:
        """Return whether a reported value is used, and record that this channel reports.

        Of several channels of one kind, the one with the lowest rank that has reported is used.
        """
        record = self._registry.get(ieee)
        if record is None:
            return False
        rank = record.ranks.get(channel.kind)
        if rank is not None and channel.rank > rank:
            return False
        if rank != channel.rank or channel.kind not in record.reported:
            kinds = record.kinds if channel.kind in record.kinds else (*record.kinds, channel.kind)
            reported = record.reported if channel.kind in record.reported else (*record.reported, channel.kind)
            ranks = {**record.ranks, channel.kind: channel.rank}
            self._registry.put(msgspec.structs.replace(record, kinds=kinds, ranks=ranks, reported=reported))
        return True

    def record_report(self, ieee: str, kind: SensorKind) -> Sequence[SensorKind]:
        """Record that a device has reported a kind, and return its overdue kinds."""
        record = self._registry.get(ieee)
        if record is None:
            return ()
        reports = self._reports(ieee)
        reports.reported_ms[kind] = self._monotonic_ms()
        reports.slower_reports.pop(kind, None)
        reports.problems.pop(kind, None)
        for other in record.max_intervals_s:
            if other != kind and availability.is_slower(kind, other, record.max_intervals_s):
                reports.slower_reports[other] = reports.slower_reports.get(other, 0) + 1
        return self.overdue_kinds(ieee)

    def overdue_kinds(self, ieee: str) -> Sequence[SensorKind]:
        """Return the kinds of a device whose report is overdue."""
        record, reports = self._registry.get(ieee), self._reports(ieee)
        if record is None or not record.is_configured or self._registry.listening_since_ms is None:
            return ()
        return availability.find_overdue(
            record.max_intervals_s,
            reported_ms=reports.reported_ms,
            slower_reports=reports.slower_reports,
            since_ms=reports.since_ms,
            now_ms=self._monotonic_ms(),
        )

    def begin_check(self, ieee: str) -> bool:
        """Return whether a device's reporting configuration may be read back now; if so, record that it is."""
        reports, now_ms = self._reports(ieee), self._monotonic_ms()
        if reports.checked_ms is not None and now_ms - reports.checked_ms < availability.CHECK_INTERVAL_MS:
            return False
        reports.checked_ms = now_ms
        return True

    def begin_read(self, ieee: str, kind: SensorKind, *, is_awake: bool) -> bool:
        """Return whether a kind of a device is to be read now, because its report is late; if so, record that it is.

        Args:
            ieee: Its address.
            kind: What is late.
            is_awake: A frame of the device has just arrived. A battery-powered one is read at no other time.
        """
        record, reports = self._registry.get(ieee), self._devices.get(ieee)
        if record is None or reports is None or not record.is_configured or kind not in record.ranks:
            return False
        if (record.is_sleepy and not is_awake) or self._registry.listening_since_ms is None:
            return False
        is_late = availability.is_read_due(
            known_ms=max(reports.since_ms, reports.reported_ms.get(kind, 0), reports.read_ms.get(kind, 0)),
            asked_ms=reports.asked_ms.get(kind),
            now_ms=(now_ms := self._monotonic_ms()),
        )
        if is_late:
            reports.asked_ms[kind] = now_ms
        return is_late

    def record_read(self, ieee: str, kind: SensorKind) -> None:
        """Record that a kind of a device was read. It is no report."""
        self._reports(ieee).read_ms[kind] = self._monotonic_ms()

    def set_problems(self, ieee: str, problems: Mapping[SensorKind, str]) -> None:
        """Set the problems of overdue kinds; each stays until the kind is reported."""
        self._reports(ieee).problems.update(problems)

    def problem(self, ieee: str) -> str:
        """Return the problems of a device as one text; empty without problems."""
        reports = self._devices.get(ieee)
        return "" if reports is None else "; ".join(dict.fromkeys(reports.problems.values()))

    def set_intervals(self, ieee: str, max_intervals_s: Mapping[SensorKind, float]) -> None:
        """Record the intervals read back from a device. A longer interval learned by `relax_intervals` stays."""
        if (record := self._registry.get(ieee)) is None:
            return
        longer = {kind: max(s, record.max_intervals_s.get(kind, 0.0)) for kind, s in max_intervals_s.items()}
        self._put_intervals(record, {**record.max_intervals_s, **longer})
        self._reports(ieee).slower_reports.clear()

    def relax_intervals(self, ieee: str, kinds: Sequence[SensorKind]) -> None:
        """Record that a device with a configuration reports less often, down to once in `RELAXED_S_MAX` seconds."""
        if (record := self._registry.get(ieee)) is None:
            return
        reports, now_ms = self._reports(ieee), self._monotonic_ms()
        silent_s = {
            kind: (now_ms - max(reports.since_ms, reports.reported_ms.get(kind, reports.since_ms))) / 1000
            for kind in kinds
        }
        relaxed = {
            kind: max(record.max_intervals_s.get(kind, 0.0), min(s, availability.RELAXED_S_MAX))
            for kind, s in silent_s.items()
        }
        self._put_intervals(record, {**record.max_intervals_s, **relaxed})

    def _put_intervals(self, record: DeviceRecord, max_intervals_s: Mapping[SensorKind, float]) -> None:
        rhythm = msgspec.structs.replace(record.rhythm, max_interval_s=shortest_s(max_intervals_s))
        self._registry.put(msgspec.structs.replace(record, rhythm=rhythm, max_intervals_s=dict(max_intervals_s)))

    def _reports(self, ieee: str) -> _DeviceReports:
        if ieee not in self._devices:
            since_ms = self._registry.listening_since_ms or self._monotonic_ms()
            self._devices[ieee] = _DeviceReports(since_ms)
        return self._devices[ieee]


def shortest_s(max_intervals_s: Mapping[SensorKind, float]) -> float:
    """Return the shortest interval of any kind; 0 without one."""
    return min(filter(None, max_intervals_s.values()), default=0.0)
