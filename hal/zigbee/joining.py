"""How a sensor gets from its first word to its first report: what zigpy tells of it, and what the hub does next.

A zigpy listener. Each sensor's progress is on the disk before the next step, so that a power cut costs no pairing: who
was seen joining is interviewed again after a restart, who was interviewed is set up again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import zigpy.types as t

from hal.interface import Quality, Reading
from hal.radio import NOT_REPORTED_YET, JoinEvent, JoinStep
from hal.zigbee.attribute_decoder import AttributeDecoder, address, lqi_of
from hal.zigbee.clusters import REPORT_S_MAX, SensorChannel
from hal.zigbee.device_registry import DeviceRegistry, relayed
from hal.zigbee.device_setup import NO_ANSWER_ERRORS, ChosenAttribute, SetupResult, set_up_device
from hal.zigbee.files import RadioFiles
from hal.zigbee.join_window import JoinWindow, eui64
from hal.zigbee.options import RadioOptions
from hal.zigbee.packet_receiver import PacketReceiver
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.reporting_repair import ReportingRepair
from hal.zigbee.time_server import WallClock

_log = logging.getLogger(__name__)

AT_ONCE_MAX = 4
"""Sensors that are set up at the same time: the air is shared with their reports."""

SET_UP_TRIES_MAX = 5
"""After that what a sensor has answered is all that it has: to ask the rest again and again empties its battery."""

ASK_AGAIN_MS = 60_000
"""A sensor that did not answer is tried again when it is heard, but not more often than this."""


REMOVE_S = 10.0
"""A sensor that is awake leaves within a second; one that sleeps is told when it wakes."""

NAME_CHARACTERS_MAX = 64


class JoinProcess:
    """Follows the devices of one life of the radio."""

    def __init__(
        self,
        *,
        registry: DeviceRegistry,
        outlet: RadioEvents,
        files: RadioFiles,
        options: RadioOptions,
        monotonic_ms: Callable[[], int],
        house: WallClock,
        quirks: Callable[[Any], Any] | None,
    ) -> None:
        """Prepare; `begin` comes once zigpy is there."""
        self.ears = AttributeDecoder(self._value, then=quirks)
        self.lost = asyncio.Event()
        self.network_changed = asyncio.Event()
        """Devices came or went: a backup is due."""
        self._registry = registry
        self._outlet = outlet
        self._files = files
        self._options = options
        self._monotonic_ms = monotonic_ms
        self._house = house
        self._at_once = asyncio.Semaphore(AT_ONCE_MAX)
        self._under_way: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._upkeep = ReportingRepair(
            self.ears, registry, outlet, spawn=self._spawn, at_once=self._at_once, set_up_again=self._set_up_again
        )
        self._asked_ms: dict[str, int] = {}
        self._app: Any = None
        self._reception: PacketReceiver | None = None
        self._group: asyncio.TaskGroup | None = None
        self._window: JoinWindow | None = None

    def listen(self, app: Any) -> None:  # noqa: ANN401 - zigpy is untyped here
        """Hear what zigpy says from now on."""
        self._app = self._upkeep.app = app
        self._reception = PacketReceiver(app, self.ears, self._monotonic_ms, house=self._house, spawn=self._spawn)
        app.add_listener(self)

    def begin(self, group: asyncio.TaskGroup, window: JoinWindow) -> None:
        """Take up what was left unfinished, now that the network runs."""
        self._group, self._window = group, window
        coordinator = address(self._app.state.node_info.ieee)
        for device in list(self._app.devices.values()):
            ieee = address(device.ieee)
            if ieee != coordinator and self._registry.get(ieee) is None and not self._registry.is_removed(ieee):
                # zigpy's database knows more than our file, which was lost.
                self._registry.joined(ieee, int(device.nwk))
        for known in self._registry.devices():
            ieee = eui64(known.ieee)
            device = self._app.devices.get(ieee) or self._app.add_device(ieee, t.NWK(known.nwk))  # type: ignore[no-untyped-call]
            if not device.is_initialized:
                device.schedule_initialize()
            elif not known.is_interviewed or not known.is_configured:
                self.device_initialized(device)

    def adopt_children(self) -> None:
        """Take in the stick's children that the hub does not know: the power went while they joined."""
        network = self._app.state.network_info
        for child in network.children:
            nwk = network.nwk_addresses.get(child)
            ieee = address(child)
            if nwk is not None and self._registry.get(ieee) is None and not self._registry.is_removed(ieee):
                self._app.handle_join(nwk=nwk, ieee=child, parent_nwk=0)

    # What zigpy calls.

    def handle_message(self, device: Any, *_: object) -> None:  # noqa: ANN401
        """Note that a device was heard."""
        ieee = address(device.ieee)
        self._registry.heard(ieee, lqi_of(device))
        known = self._registry.get(ieee)
        if known is not None and known.is_interviewed and not known.is_configured and device.is_initialized:
            self._set_up_soon(device, ieee)
        elif known is not None and self._registry.overdue(ieee):
            self._upkeep.look(ieee)
        elif known is None and self._registry.is_removed(ieee):
            self._send_away(device, ieee)

    def device_joined(self, device: Any) -> None:  # noqa: ANN401
        """Note that a device has come, or come back with another short address."""
        ieee = address(device.ieee)
        if self._registry.is_removed(ieee) and not (self._window and self._window.is_open):
            self._send_away(device, ieee)
            return
        if self._registry.get(ieee) is None and self._registry.is_full:
            self._outlet.step(f"{ieee} cannot be taken in: the network is full")
            return
        self._registry.joined(ieee, int(device.nwk))
        self._save_soon()
        self.network_changed.set()
        self._tell(ieee, JoinStep.JOINED)

    def device_initialized(self, device: Any) -> None:  # noqa: ANN401
        """Note what a device is, and set it up."""
        ieee = address(device.ieee)
        known = self._registry.get(ieee)
        if known is None:
            return
        if self._reception is not None:
            self._reception.release(device)
        mains = device.node_desc is not None and device.node_desc.is_mains_powered
        is_news = not known.is_interviewed
        self._registry.interviewed(
            ieee,
            manufacturer=_plain(device.manufacturer),
            model=_plain(device.model),
            kinds=self.ears.kinds(device),
            is_sleepy=not mains,
            note=(note := self.ears.note(device)),
        )
        self._save_soon()
        if is_news or not known.is_configured:
            self._tell(ieee, JoinStep.INTERVIEWED, note)
            self._asked_ms.pop(ieee, None)
            self._set_up_soon(device, ieee)

    def device_init_failure(self, device: Any) -> None:  # noqa: ANN401
        """Note that a device did not answer its interview."""
        ieee = address(device.ieee)
        if self._registry.get(ieee) is not None:
            self._tell(
                ieee,
                JoinStep.FAILED,
                "it joined, but did not answer all questions; bring it nearer and press its button again",
            )

    def device_left(self, device: Any) -> None:  # noqa: ANN401
        """Note that a device has left by itself."""
        ieee = address(device.ieee)
        if self._registry.get(ieee) is None:
            return
        self._registry.left(ieee)
        self._save_soon()
        self.network_changed.set()
        self._tell(ieee, JoinStep.LEFT, "it has left the network; to have it back, let it join again")

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the stick is gone. zigpy calls this on an ordinary end as well."""
        _log.debug("connection lost: %r", error)
        self.lost.set()

    # What follows from it.

    async def remove(self, ieee: str) -> None:
        """Tell a device to leave, and forget it whether it hears that or not."""
        self._registry.forget(ieee)
        await self.save()
        await self._app.remove(eui64(ieee))
        # zigpy asks the device in a task of its own, and forgets it after that. Who joins again must not be forgotten.
        asking = [task for task in asyncio.all_tasks() if _is_removal(task.get_name(), ieee)]
        if asking:
            await asyncio.wait(asking, timeout=REMOVE_S)
        self.network_changed.set()

    async def save(self) -> None:
        """Keep what is known of the devices; a disk that refuses is tried again at the next occasion."""
        self._registry.is_changed = False
        try:
            await self._files.keep(self._registry.kept())
        except OSError as error:
            self._registry.is_changed = True
            _log.warning("the sensors' file is not kept: %s", error)

    def _save_soon(self) -> None:
        if self._group is not None and self._registry.is_changed:
            self._spawn(self.save(), "saving sensors")

    def _send_away(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        """Tell a removed device again that it is to leave; it did not hear it the first time."""
        if self._group is not None and self._is_time(ieee):
            self._outlet.step(f"{ieee} was removed, but is still there; it is told to leave again")
            self._spawn(self._app.remove(device.ieee), f"send {ieee} away")

    def _is_time(self, ieee: str) -> bool:
        now_ms = self._monotonic_ms()
        asked_ms = self._asked_ms.get(ieee)
        if ieee in self._under_way or (asked_ms is not None and now_ms - asked_ms < ASK_AGAIN_MS):
            return False
        self._asked_ms[ieee] = now_ms
        return True

    def _set_up_soon(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        if device is not None and self._group is not None and self._is_time(ieee):
            self._under_way.add(ieee)
            self._spawn(self._set_up(device, ieee), f"set up {ieee}")

    def _set_up_again(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        self._asked_ms.pop(ieee, None)
        self._set_up_soon(device, ieee)

    def look_after(self) -> None:
        """Ask those for their rules that do not report: one that has lost them all is never heard by itself."""
        for known in self._registry.devices():
            if self._registry.overdue(known.ieee):
                self._upkeep.look(known.ieee)

    async def _set_up(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        try:
            async with self._at_once:
                outcome = await set_up_device(device, self.ears, report_s_min=self._options.report_interval_s_min)
        except NO_ANSWER_ERRORS as error:
            _log.warning("%s could not be set up: %s", ieee, error)
            return
        finally:
            self._under_way.discard(ieee)
        self._asked_ms[ieee] = self._monotonic_ms()
        if self._registry.get(ieee) is None:
            return
        self._tries[ieee] += 1
        if not outcome.is_complete and (self._tries[ieee] < SET_UP_TRIES_MAX or not outcome.chosen):
            self._tell(ieee, JoinStep.FAILED, f"{outcome.detail}; it is tried again")
            return
        del self._tries[ieee]
        self._configured(device, ieee, outcome)
        await self.save()
        self._tell(ieee, JoinStep.CONFIGURED)

    def _spawn(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Do something beside all else; nothing is begun once the radio ends."""
        try:
            if self._group is not None:
                self._group.create_task(work, name=name)
                return
        except RuntimeError:
            _log.debug("not begun, the radio ends: %s", name)
        work.close()

    def _tell(self, ieee: str, step: JoinStep, detail: str = "") -> None:
        known = self._registry.get(ieee)
        sensor = relayed(known) if known is not None and known.is_interviewed else None
        name = sensor.name if sensor else ieee
        self._outlet.step(f"{name}: {step}" + (f", {detail}" if detail else ""))
        self._outlet.events.put(JoinEvent(ieee, step, self._monotonic_ms(), sensor, detail or name))

    def _configured(self, device: Any, ieee: str, outcome: SetupResult) -> None:  # noqa: ANN401
        """Take what a device has answered."""
        ranks = dict.fromkeys(self.ears.maker(device).kinds, 0)
        ranks |= {each.candidate.channel.kind: each.candidate.channel.rank for each in outcome.chosen}
        self._registry.configured(
            ieee,
            ranks=ranks,
            promises={each.candidate.channel.kind: each.promised_s for each in outcome.chosen},
            battery=outcome.battery,
            left_out=(*outcome.left_out, *filter(None, [outcome.detail])),
        )
        for each in outcome.chosen:
            self._read(device, ieee, each)

    def _read(self, device: Any, ieee: str, chosen: ChosenAttribute) -> None:  # noqa: ANN401
        """Pass on what was read at set-up: it is no report, and of one that never reported it may be anything."""
        known = self._registry.get(ieee)
        source, value = chosen.candidate.channel, self._level(ieee, chosen.candidate.channel, chosen.value)
        if known is None or value is None:
            return
        is_believed = source.kind in known.reported or chosen.candidate.measure.report_s_max > REPORT_S_MAX
        reading = Reading(ieee, source.name, source.kind, value, self._monotonic_ms())
        if not is_believed:
            reading = msgspec.structs.replace(reading, quality=Quality.SUSPECT, reason=NOT_REPORTED_YET)
        self._registry.heard(ieee, lqi_of(device))
        self._outlet.readings.put(reading)

    def _value(self, ieee: str, source: SensorChannel, value: float, lqi: int | None) -> None:
        """Take a value that was reported; those of a device that was removed are none of ours."""
        known = self._registry.get(ieee)
        if known is None:
            return
        self._registry.heard(ieee, lqi)
        if known.is_interviewed and not known.is_configured and self._app is not None:
            # Plain reports come here past zigpy, and so past `handle_message`.
            self._set_up_soon(self._app.devices.get(eui64(ieee)), ieee)
        level = self._level(ieee, source, value)
        if level is None or not self._registry.takes(ieee, source):
            return
        if self._registry.reported(ieee, source.kind):
            self._upkeep.look(ieee)
        self._outlet.readings.put(Reading(ieee, source.name, source.kind, level, self._monotonic_ms()))

    def _level(self, ieee: str, source: SensorChannel, value: float | None) -> float | None:
        return self._registry.level(ieee, value) if source.is_voltage and value is not None else value


def _is_removal(name: str, ieee: str) -> bool:
    return name.startswith("remove_device-") and address(name.rpartition("=")[2]) == ieee


def _plain(text: object) -> str:
    """Return what a sensor calls itself, as far as it can be shown: it comes from the air."""
    return "".join(letter for letter in str(text or "") if letter.isprintable()).strip()[:NAME_CHARACTERS_MAX]
