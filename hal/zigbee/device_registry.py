"""The devices of the network as the hub knows them: how far each has come, when it was heard, whether it is online.

Changed by the radio's thread only; the agent's thread reads snapshots. Must never do I/O, nor know zigpy.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hal.interface import RelayedSensor, SensorKind
from hal.radio import SensorLink
from hal.zigbee import availability, reporting_health
from hal.zigbee.battery import Battery, battery_of, level_percent
from hal.zigbee.clusters import SensorChannel
from hal.zigbee.radio_state import REMOVED_MAX, SENSORS_MAX, DeviceRecord, DeviceTable

GAP_MS_MIN = 1000
"""What comes within a second is one report in several packets, and says nothing about a rhythm."""


class _Watch:
    """What was seen of one device's promises since the radio listens and its rules were given.

    Attributes:
        since_ms: Since when its promises count.
        reported_ms: When each kind was reported last.
        slower_reports: How many reports of much slower kinds have come since then.
        complaints: What people are told of kinds that do not come.
        looked_ms: When its rules were read back last.
    """

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.reported_ms: dict[SensorKind, int] = {}
        self.slower_reports: dict[SensorKind, int] = {}
        self.complaints: dict[SensorKind, str] = {}
        self.looked_ms: int | None = None

    def begin(self, since_ms: int) -> None:
        """Count from now on; what was complained of stays until it is reported."""
        self.since_ms = since_ms
        self.reported_ms.clear()
        self.slower_reports.clear()


class DeviceRegistry:
    """All devices of the network but the stick itself, by IEEE address."""

    def __init__(self, kept: DeviceTable, monotonic_ms: Callable[[], int]) -> None:
        """Begin with what the file says; the radio does not listen yet."""
        self._boot_id = kept.boot_id
        self._known = {sensor.ieee: sensor for sensor in kept.sensors[:SENSORS_MAX]}
        self._removed = dict.fromkeys(kept.removed)
        self._monotonic_ms = monotonic_ms
        self._listening_since_ms: int | None = None
        self._watches: dict[str, _Watch] = {}
        self.is_changed = False
        """Whether something was learned that must not get lost. What a rhythm learns alone is kept now and then."""

    def listens(self, *, is_listening: bool) -> None:
        """Note that the radio begins or ceases to listen."""
        if not is_listening:
            self._listening_since_ms = None
        elif self._listening_since_ms is None:
            self._listening_since_ms = self._monotonic_ms()
            for watch in self._watches.values():
                watch.begin(self._listening_since_ms)

    def kept(self) -> DeviceTable:
        """Return what goes into the file."""
        return DeviceTable(self._boot_id, self.devices(), tuple(self._removed))

    def devices(self) -> tuple[DeviceRecord, ...]:
        """Return all devices."""
        return tuple(self._known.values())

    def get(self, ieee: str) -> DeviceRecord | None:
        """Return what is known of a device; `None` for a stranger."""
        return self._known.get(ieee)

    @property
    def is_full(self) -> bool:
        """Whether there is room for no further device."""
        return len(self._known) >= SENSORS_MAX

    def joined(self, ieee: str, nwk: int) -> None:
        """Note that a device has come, or come back: it has to be set up, and is heard."""
        known = self._known.get(ieee) or DeviceRecord(ieee, nwk)
        self._removed.pop(ieee, None)
        self._put(
            msgspec.structs.replace(
                known, nwk=nwk, is_configured=False, is_offline=False, heard_ms=self._monotonic_ms()
            )
        )

    def interviewed(
        self,
        ieee: str,
        *,
        manufacturer: str,
        model: str,
        kinds: Sequence[SensorKind],
        is_sleepy: bool,
        note: str = "",
    ) -> None:
        """Note what a device is; ``note`` tells people what is known of its model."""
        if (known := self._known.get(ieee)) is not None:
            self._put(
                msgspec.structs.replace(
                    known,
                    manufacturer=manufacturer,
                    model=model,
                    # What it has answered for says more than what it lists.
                    kinds=tuple(known.ranks) if known.is_configured and known.ranks else tuple(kinds),
                    is_sleepy=is_sleepy,
                    is_interviewed=True,
                    note=note,
                )
            )

    def configured(
        self,
        ieee: str,
        *,
        ranks: Mapping[SensorKind, int],
        promises: Mapping[SensorKind, float],
        battery: Battery | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        """Note that a device is set up.

        Args:
            ieee: Its address.
            ranks: The kinds that it has answered for, and which of its sources each is taken from.
            promises: How long it has promised to be silent about each at most, in seconds; 0 for no promise.
            battery: What it runs on, where its level is estimated.
            left_out: What it measures besides, for people.
        """
        known = self._known.get(ieee)
        if known is None:
            return
        rhythm = msgspec.structs.replace(known.rhythm, promised_s=_shortest_s(promises))
        # What it has reported by itself it measures, whatever it answers.
        ranks = {kind: rank for kind, rank in known.ranks.items() if kind in known.reported} | dict(ranks)
        self._put(
            msgspec.structs.replace(
                known,
                is_configured=True,
                rhythm=rhythm,
                kinds=tuple(ranks),
                ranks=ranks,
                promises=dict(promises),
                battery=battery,
                left_out=tuple(left_out),
            )
        )
        self._watch(ieee).begin(self._monotonic_ms())

    def takes(self, ieee: str, source: SensorChannel) -> bool:
        """Tell whether a value that a device reports is taken, and remember that this source speaks.

        Of several sources of one kind it is the one with the lowest rank that has spoken.
        """
        known = self._known.get(ieee)
        if known is None:
            return False
        rank = known.ranks.get(source.kind)
        if rank is not None and source.rank > rank:
            return False
        if rank != source.rank or source.kind not in known.reported:
            kinds = known.kinds if source.kind in known.kinds else (*known.kinds, source.kind)
            reported = known.reported if source.kind in known.reported else (*known.reported, source.kind)
            ranks = {**known.ranks, source.kind: source.rank}
            self._put(msgspec.structs.replace(known, kinds=kinds, ranks=ranks, reported=reported))
        return True

    def level(self, ieee: str, volt: float) -> float | None:
        """Estimate a device's battery level from its voltage, in percent; `None` where nobody knows what it means."""
        known = self._known.get(ieee)
        battery = (known.battery if known else None) or battery_of(volt)
        return None if battery is None else level_percent(battery, volt)

    def reported(self, ieee: str, kind: SensorKind) -> Sequence[SensorKind]:
        """Note that a device has reported a kind; return those that it ought to have reported and did not."""
        known = self._known.get(ieee)
        if known is None:
            return ()
        watch = self._watch(ieee)
        watch.reported_ms[kind] = self._monotonic_ms()
        watch.slower_reports.pop(kind, None)
        watch.complaints.pop(kind, None)
        for other in known.promises:
            if other != kind and reporting_health.is_slower(kind, other, known.promises):
                watch.slower_reports[other] = watch.slower_reports.get(other, 0) + 1
        return self.overdue(ieee)

    def overdue(self, ieee: str) -> Sequence[SensorKind]:
        """Return the kinds that a device ought to have reported by its promises, and did not."""
        known, watch = self._known.get(ieee), self._watch(ieee)
        if known is None or not known.is_configured or self._listening_since_ms is None:
            return ()
        return reporting_health.overdue(
            known.promises,
            reported_ms=watch.reported_ms,
            slower_reports=watch.slower_reports,
            since_ms=watch.since_ms,
            now_ms=self._monotonic_ms(),
        )

    def is_look_due(self, ieee: str) -> bool:
        """Tell whether a device's rules may be read back, and note that they are."""
        watch, now_ms = self._watch(ieee), self._monotonic_ms()
        if watch.looked_ms is not None and now_ms - watch.looked_ms < reporting_health.LOOK_MS:
            return False
        watch.looked_ms = now_ms
        return True

    def looked(self, ieee: str, complaints: Mapping[SensorKind, str]) -> None:
        """Note what people are told of kinds that do not come, each until it is reported again."""
        self._watch(ieee).complaints.update(complaints)

    def promised(self, ieee: str, promises: Mapping[SensorKind, float]) -> None:
        """Note what a device's rules say, where it keeps others than it was given."""
        if (known := self._known.get(ieee)) is None:
            return
        # What it was found to do goes on counting where it is the longer one.
        relaxed = {kind: max(longest_s, known.promises.get(kind, 0.0)) for kind, longest_s in promises.items()}
        self._promise(known, {**known.promises, **relaxed})
        self._watch(ieee).slower_reports.clear()

    def relax(self, ieee: str, kinds: Sequence[SensorKind]) -> None:
        """Note that a device has its rules and keeps a slower rhythm of its own, up to `health.RELAXED_S_MAX`."""
        if (known := self._known.get(ieee)) is None:
            return
        watch, now_ms = self._watch(ieee), self._monotonic_ms()
        silent_s = {
            kind: (now_ms - max(watch.since_ms, watch.reported_ms.get(kind, watch.since_ms))) / 1000 for kind in kinds
        }
        relaxed = {
            kind: max(known.promises.get(kind, 0.0), min(s, reporting_health.RELAXED_S_MAX))
            for kind, s in silent_s.items()
        }
        self._promise(known, {**known.promises, **relaxed})

    def _promise(self, known: DeviceRecord, promises: Mapping[SensorKind, float]) -> None:
        rhythm = msgspec.structs.replace(known.rhythm, promised_s=_shortest_s(promises))
        self._put(msgspec.structs.replace(known, rhythm=rhythm, promises=dict(promises)))

    def is_online(self, ieee: str) -> bool:
        """Tell whether a device was heard lately."""
        known = self._known.get(ieee)
        return known is not None and self._is_online(known) is True

    def _watch(self, ieee: str) -> _Watch:
        if ieee not in self._watches:
            self._watches[ieee] = _Watch(self._listening_since_ms or self._monotonic_ms())
        return self._watches[ieee]

    def heard(self, ieee: str, lqi: int | None) -> None:
        """Note that a device was heard."""
        known = self._known.get(ieee)
        if known is None:
            return
        now_ms = self._monotonic_ms()
        rhythm, since_ms = known.rhythm, self._listening_since_ms
        if known.heard_ms is not None and since_ms is not None and since_ms <= known.heard_ms:
            gap_ms = now_ms - known.heard_ms
            if gap_ms >= GAP_MS_MIN:
                rhythm = availability.update_rhythm(rhythm, gap_ms, is_sleepy=known.is_sleepy)
        self.is_changed = self.is_changed or known.is_offline
        self._known[ieee] = msgspec.structs.replace(known, heard_ms=now_ms, lqi=lqi, rhythm=rhythm, is_offline=False)

    def left(self, ieee: str) -> None:
        """Note that a device has left by itself; it stays known, as offline."""
        if (known := self._known.get(ieee)) is not None:
            self._put(msgspec.structs.replace(known, is_offline=True, is_configured=False))

    def forget(self, ieee: str) -> None:
        """Know a device no more, but remember that it was told to leave."""
        self._known.pop(ieee, None)
        self._watches.pop(ieee, None)
        self._removed[ieee] = None
        while len(self._removed) > REMOVED_MAX:
            del self._removed[next(iter(self._removed))]
        self.is_changed = True

    def is_removed(self, ieee: str) -> bool:
        """Tell whether a device was told to leave, and has not been let in again."""
        return ieee in self._removed

    def judge(self) -> None:
        """Note who has gone offline since the last time, so that a restart of the hub does not forget it."""
        for known in self.devices():
            if not known.is_offline and self._is_online(known) is False:
                self._put(msgspec.structs.replace(known, is_offline=True))

    def links(self) -> Sequence[SensorLink]:
        """Return what people are shown of each member of the network: routers too, and who is not interviewed yet."""
        return [
            SensorLink(
                device=known.ieee,
                manufacturer=known.manufacturer,
                model=known.model,
                is_online=self._is_online(known),
                is_sleepy=known.is_sleepy,
                last_seen_ms=known.heard_ms,
                lqi_last_hop=known.lqi,
                problem=self._problem(known.ieee),
                notes=(known.note, *known.left_out) if known.note else known.left_out,
                is_interviewed=known.is_interviewed,
            )
            for known in self.devices()
        ]

    def sensors(self) -> Sequence[RelayedSensor]:
        """Return the devices that measure something."""
        return [relayed(known) for known in self.devices() if known.kinds]

    def _is_online(self, known: DeviceRecord) -> bool | None:
        return availability.is_online(
            known.rhythm,
            is_sleepy=known.is_sleepy,
            heard_ms=known.heard_ms,
            listening_since_ms=self._listening_since_ms,
            was_offline=known.is_offline,
            now_ms=self._monotonic_ms(),
        )

    def _problem(self, ieee: str) -> str:
        watch = self._watches.get(ieee)
        return "" if watch is None else "; ".join(dict.fromkeys(watch.complaints.values()))

    def _put(self, sensor: DeviceRecord) -> None:
        if sensor.ieee in self._known or not self.is_full:
            self._known[sensor.ieee] = sensor
            self.is_changed = True


def _shortest_s(promises: Mapping[SensorKind, float]) -> float:
    return min(filter(None, promises.values()), default=0.0)


def relayed(known: DeviceRecord) -> RelayedSensor:
    """Return a device as the agent knows it."""
    called = " ".join(part for part in (known.manufacturer, known.model) if part) or "sensor"
    return RelayedSensor(known.ieee, f"{called} {known.ieee[-4:]}", known.kinds, known.ieee)
