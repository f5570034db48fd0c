"""The devices of the network as the hub knows them: how far each has come, when it was heard, whether it is online.

Changed by the radio's thread only; the agent's thread reads snapshots. Must never do I/O, nor know zigpy.
"""

from collections.abc import Callable, Sequence

import msgspec

from hal.interface import RelayedSensor, SensorKind
from hal.radio import SensorLink
from hal.zigbee import availability
from hal.zigbee.keeping import REMOVED_MAX, SENSORS_MAX, KeptSensor, KeptSensors

GAP_MS_MIN = 1000
"""What comes within a second is one report in several packets, and says nothing about a rhythm."""


class Registry:
    """All devices of the network but the stick itself, by IEEE address."""

    def __init__(self, kept: KeptSensors, monotonic_ms: Callable[[], int]) -> None:
        """Begin with what the file says; the radio does not listen yet."""
        self._boot_id = kept.boot_id
        self._known = {sensor.ieee: sensor for sensor in kept.sensors[:SENSORS_MAX]}
        self._removed = dict.fromkeys(kept.removed)
        self._monotonic_ms = monotonic_ms
        self._listening_since_ms: int | None = None
        self.is_changed = False
        """Whether something was learned that must not get lost. What a rhythm learns alone is kept now and then."""

    def listens(self, *, is_listening: bool) -> None:
        """Note that the radio begins or ceases to listen."""
        if not is_listening:
            self._listening_since_ms = None
        elif self._listening_since_ms is None:
            self._listening_since_ms = self._monotonic_ms()

    def kept(self) -> KeptSensors:
        """Return what goes into the file."""
        return KeptSensors(self._boot_id, self.devices(), tuple(self._removed))

    def devices(self) -> tuple[KeptSensor, ...]:
        """Return all devices."""
        return tuple(self._known.values())

    def get(self, ieee: str) -> KeptSensor | None:
        """Return what is known of a device; `None` for a stranger."""
        return self._known.get(ieee)

    @property
    def is_full(self) -> bool:
        """Whether there is room for no further device."""
        return len(self._known) >= SENSORS_MAX

    def joined(self, ieee: str, nwk: int) -> None:
        """Note that a device has come, or come back: it has to be set up, and is heard."""
        known = self._known.get(ieee) or KeptSensor(ieee, nwk)
        self._removed.pop(ieee, None)
        self._put(
            msgspec.structs.replace(
                known, nwk=nwk, is_configured=False, is_offline=False, heard_ms=self._monotonic_ms()
            )
        )

    def interviewed(
        self, ieee: str, *, manufacturer: str, model: str, kinds: Sequence[SensorKind], is_sleepy: bool
    ) -> None:
        """Note what a device is."""
        if (known := self._known.get(ieee)) is not None:
            self._put(
                msgspec.structs.replace(
                    known,
                    manufacturer=manufacturer,
                    model=model,
                    kinds=tuple(kinds),
                    is_sleepy=is_sleepy,
                    is_interviewed=True,
                )
            )

    def configured(self, ieee: str, promised_s: float) -> None:
        """Note that a device is set up, and how long it has promised to be silent at most; 0 for no promise."""
        if (known := self._known.get(ieee)) is not None:
            rhythm = msgspec.structs.replace(known.rhythm, promised_s=promised_s)
            self._put(msgspec.structs.replace(known, is_configured=True, rhythm=rhythm))

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
                rhythm = availability.heard_again(rhythm, gap_ms, is_sleepy=known.is_sleepy)
        self.is_changed = self.is_changed or known.is_offline
        self._known[ieee] = msgspec.structs.replace(known, heard_ms=now_ms, lqi=lqi, rhythm=rhythm, is_offline=False)

    def left(self, ieee: str) -> None:
        """Note that a device has left by itself; it stays known, as offline."""
        if (known := self._known.get(ieee)) is not None:
            self._put(msgspec.structs.replace(known, is_offline=True, is_configured=False))

    def forget(self, ieee: str) -> None:
        """Know a device no more, but remember that it was told to leave."""
        self._known.pop(ieee, None)
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
        """Return what people are shown of each device that was interviewed, routers included."""
        return [
            SensorLink(
                device=known.ieee,
                manufacturer=known.manufacturer,
                model=known.model,
                is_online=self._is_online(known),
                is_sleepy=known.is_sleepy,
                heard_ms=known.heard_ms,
                lqi_last_hop=known.lqi,
            )
            for known in self.devices()
            if known.is_interviewed
        ]

    def sensors(self) -> Sequence[RelayedSensor]:
        """Return the devices that measure something."""
        return [relayed(known) for known in self.devices() if known.kinds]

    def _is_online(self, known: KeptSensor) -> bool | None:
        return availability.is_online(
            known.rhythm,
            is_sleepy=known.is_sleepy,
            heard_ms=known.heard_ms,
            listening_since_ms=self._listening_since_ms,
            was_offline=known.is_offline,
            now_ms=self._monotonic_ms(),
        )

    def _put(self, sensor: KeptSensor) -> None:
        if sensor.ieee in self._known or not self.is_full:
            self._known[sensor.ieee] = sensor
            self.is_changed = True


def relayed(known: KeptSensor) -> RelayedSensor:
    """Return a device as the agent knows it."""
    called = " ".join(part for part in (known.manufacturer, known.model) if part) or "sensor"
    return RelayedSensor(known.ieee, f"{called} {known.ieee[-4:]}", known.kinds, known.ieee)
