"""Handles zigpy's events: a device joins, is interviewed, is set up, reports, leaves.

A device's progress is on the disk before its next step, so a power cut costs no pairing: a device that had joined is
interviewed again after a restart, and an interviewed one is set up again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import zigpy.types as t

from hal.errors import SensorUnavailable
from hal.interface import Quality, Reading, SensorKind
from hal.radio import NOT_REPORTED_YET, BinaryKind, JoinEvent, JoinStep
from hal.zigbee import binary_sensors, output_devices, power_meters
from hal.zigbee.attribute_decoder import AttributeDecoder, format_ieee, lqi_of
from hal.zigbee.device_registry import DeviceRegistry, battery_level, to_relayed_sensor
from hal.zigbee.device_setup import ChosenAttribute, SetupResult, read_value, set_up_device
from hal.zigbee.join_window import JoinWindow, eui64
from hal.zigbee.options import RadioOptions
from hal.zigbee.output_table import OutputTable
from hal.zigbee.packet_receiver import PacketReceiver
from hal.zigbee.radio_events import RadioEvents
from hal.zigbee.radio_state import RadioFiles
from hal.zigbee.reporting import NO_ANSWER_ERRORS, ReportingRepair
from hal.zigbee.time_server import WallClock
from hal.zigbee.zcl import REPORT_S_MAX, AttributeCandidate, SensorChannel

_log = logging.getLogger(__name__)

SETUPS_MAX = 4
"""Devices that are set up at the same time: they share the air with the sensors' reports."""

SETUP_ATTEMPTS_MAX = 5
"""After this many set-ups only the kinds that answered are used: further attempts would empty the battery."""

SETUP_RETRY_MS = 60_000
"""A device that did not answer is set up again when its next frame arrives, at most once in this time."""

REMOVE_S = 10.0
"""A sensor that is awake leaves within a second; a sleeping one receives the request when it wakes."""

NAME_CHARACTERS_MAX = 64


class DeviceListener:
    """Handles the devices during one run of the radio; a zigpy listener.

    More than ten public methods: zigpy prescribes the names of six.

    Attributes:
        decoder: Decodes the devices' reports.
        lost: Set when the stick is lost.
        network_changed: Set when devices have joined or left: a backup is due.
    """

    def __init__(
        self,
        *,
        registry: DeviceRegistry,
        events: RadioEvents,
        files: RadioFiles,
        options: RadioOptions,
        monotonic_ms: Callable[[], int],
        wall_clock: WallClock,
        outputs: OutputTable,
        community_resolver: Callable[[Any], Any] | None,
    ) -> None:
        """Store the collaborators; `attach` and `begin` follow once zigpy is loaded."""
        self.decoder = AttributeDecoder(
            self._handle_value, on_device=self._hear_others, community_resolver=community_resolver
        )
        self.lost = asyncio.Event()
        self.network_changed = asyncio.Event()
        self._registry = registry
        self._events = events
        self._files = files
        self._options = options
        self._monotonic_ms = monotonic_ms
        self._wall_clock = wall_clock
        self._outputs = outputs
        self._concurrency = asyncio.Semaphore(SETUPS_MAX)
        self._running_setups: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._repair = ReportingRepair(
            self.decoder,
            registry,
            events,
            spawn=self._spawn,
            concurrency=self._concurrency,
            set_up_again=self._set_up_again,
        )
        self._attempted_ms: dict[str, int] = {}
        self._app: Any = None
        self._receiver: PacketReceiver | None = None
        self._group: asyncio.TaskGroup | None = None
        self._window: JoinWindow | None = None

    def attach(self, app: Any) -> None:  # noqa: ANN401 - zigpy is untyped here
        """Receive the packets and events of a zigpy application."""
        self._app = self._repair.app = app
        self._receiver = PacketReceiver(
            app, self.decoder, self._monotonic_ms, wall_clock=self._wall_clock, spawn=self._spawn
        )
        app.add_listener(self)

    def begin(self, group: asyncio.TaskGroup, window: JoinWindow) -> None:
        """Continue unfinished interviews and set-ups, now that the network runs."""
        self._group, self._window = group, window
        coordinator = format_ieee(self._app.state.node_info.ieee)
        for device in list(self._app.devices.values()):
            ieee = format_ieee(device.ieee)
            if ieee != coordinator and self._registry.get(ieee) is None and not self._registry.is_removed(ieee):
                # The hub's file was lost; zigpy's database still has the device.
                self._registry.add_joined(ieee, int(device.nwk))
        for known in self._registry.devices():
            ieee = eui64(known.ieee)
            device = self._app.devices.get(ieee) or self._app.add_device(ieee, t.NWK(known.nwk))  # type: ignore[no-untyped-call]
            if not device.is_initialized:
                device.schedule_initialize()
            elif not known.is_interviewed or not known.is_configured:
                self.device_initialized(device)

    def adopt_children(self) -> None:
        """Add children of the stick that the hub does not know: the power failed while they joined."""
        network = self._app.state.network_info
        for child in network.children:
            nwk = network.nwk_addresses.get(child)
            ieee = format_ieee(child)
            if nwk is not None and self._registry.get(ieee) is None and not self._registry.is_removed(ieee):
                self._app.handle_join(nwk=nwk, ieee=child, parent_nwk=0)

    # Called by zigpy.

    def handle_message(self, device: Any, *_: object) -> None:  # noqa: ANN401
        """Handle a message of a device."""
        ieee = format_ieee(device.ieee)
        self._registry.mark_seen(ieee, lqi_of(device))
        known = self._registry.get(ieee)
        if known is not None and known.is_interviewed and not known.is_configured and device.is_initialized:
            self._start_setup(device, ieee)
        elif known is not None:
            if self._registry.reporting.overdue_kinds(ieee):
                self._repair.check(ieee)
            self._read_late(ieee, is_awake=True)
        elif self._registry.is_removed(ieee):
            self._request_leave(device, ieee)

    def device_joined(self, device: Any) -> None:  # noqa: ANN401
        """Handle a device that has joined, or rejoined with another short address."""
        ieee = format_ieee(device.ieee)
        if self._registry.is_removed(ieee) and not (self._window and self._window.is_open):
            self._request_leave(device, ieee)
            return
        if self._registry.get(ieee) is None and self._registry.is_full:
            self._events.log_step(f"{ieee} cannot join: the network is full")
            return
        self._registry.add_joined(ieee, int(device.nwk))
        self._start_save()
        self.network_changed.set()
        self._publish(ieee, JoinStep.JOINED)

    def device_initialized(self, device: Any) -> None:  # noqa: ANN401
        """Handle the end of a device's interview: set the device up."""
        ieee = format_ieee(device.ieee)
        known = self._registry.get(ieee)
        if known is None:
            return
        if self._receiver is not None:
            self._receiver.release(device)
        mains = device.node_desc is not None and device.node_desc.is_mains_powered
        is_new = not known.is_interviewed
        self._registry.set_interviewed(
            ieee,
            manufacturer=_printable(device.manufacturer),
            model=_printable(device.model),
            kinds=self.decoder.kinds(device),
            is_sleepy=not mains,
            model_note=(note := self.decoder.model_note(device)),
        )
        self._start_save()
        if is_new or not known.is_configured:
            self._publish(ieee, JoinStep.INTERVIEWED, note)
            self._attempted_ms.pop(ieee, None)
            self._start_setup(device, ieee)

    def device_init_failure(self, device: Any) -> None:  # noqa: ANN401
        """Handle a failed interview."""
        ieee = format_ieee(device.ieee)
        if self._registry.get(ieee) is not None:
            self._publish(
                ieee,
                JoinStep.FAILED,
                "move it closer to the hub and press its button again: it joined, but did not complete its interview",
            )

    def device_left(self, device: Any) -> None:  # noqa: ANN401
        """Handle a device that has left by itself."""
        ieee = format_ieee(device.ieee)
        if self._registry.get(ieee) is None:
            return
        self._registry.mark_left(ieee)
        self._start_save()
        self.network_changed.set()
        self._publish(ieee, JoinStep.LEFT, "it has left the network; pair it again to use it")

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the loss of the stick. zigpy calls this on an ordinary shutdown as well."""
        _log.debug("connection lost: %r", error)
        self.lost.set()

    # Called by the radio.

    async def remove(self, ieee: str) -> None:
        """Tell a device to leave and delete it, whether it receives the request or not."""
        self._registry.remove(ieee)
        await self.save()
        await self._app.remove(eui64(ieee))
        # zigpy sends the request in a task and deletes the device at its end. A device that rejoins must not be
        # deleted.
        requests = [task for task in asyncio.all_tasks() if _is_removal(task.get_name(), ieee)]
        if requests:
            await asyncio.wait(requests, timeout=REMOVE_S)
        self.network_changed.set()

    def set_up_again(self, ieee: str) -> None:
        """Write a device's bindings and reporting configuration again: now if it is awake, else with its next frame.

        Raises:
            SensorUnavailable: There is no such device.
        """
        if not self._registry.mark_unconfigured(ieee):
            raise SensorUnavailable(f"there is no sensor {ieee} in the network")
        del self._attempts[ieee]
        self._start_save()
        device = self._app.devices.get(eui64(ieee))
        if device is not None and device.is_initialized:
            self._set_up_again(device, ieee)

    async def save(self) -> None:
        """Save the registry; after a disk error the next save writes it."""
        self._registry.is_changed = False
        try:
            await self._files.save(self._registry.snapshot())
        except OSError as error:
            self._registry.is_changed = True
            _log.warning("the sensors' file is not saved: %s", error)

    def _start_save(self) -> None:
        if self._group is not None and self._registry.is_changed:
            self._spawn(self.save(), "saving sensors")

    def _request_leave(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        """Repeat the leave request to a removed device that missed it."""
        if self._group is not None and self._begin_attempt(ieee):
            self._events.log_step(f"{ieee} was removed, but is still in the network; the leave request is repeated")
            self._spawn(self._app.remove(device.ieee), f"send {ieee} away")

    def _begin_attempt(self, ieee: str) -> bool:
        """Return whether a device may be contacted now; if so, record that it is."""
        now_ms = self._monotonic_ms()
        attempted_ms = self._attempted_ms.get(ieee)
        is_recent = attempted_ms is not None and now_ms - attempted_ms < SETUP_RETRY_MS
        if ieee in self._running_setups or is_recent:
            return False
        self._attempted_ms[ieee] = now_ms
        return True

    def _start_setup(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        if device is not None and self._group is not None and self._begin_attempt(ieee):
            self._running_setups.add(ieee)
            self._spawn(self._set_up(device, ieee), f"set up {ieee}")

    def _set_up_again(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        self._attempted_ms.pop(ieee, None)
        self._start_setup(device, ieee)

    def check_overdue(self) -> None:
        """Check the reporting of all overdue devices. A device without any configuration sends nothing by itself."""
        for known in self._registry.devices():
            if self._registry.reporting.overdue_kinds(known.ieee):
                self._repair.check(known.ieee)
            self._read_late(known.ieee, is_awake=False)
            self._ask_power(known.ieee)

    def _ask_power(self, ieee: str) -> None:
        """Ask a plug what it draws if it has been silent: some report changes only, and some none."""
        device = self._app.devices.get(eui64(ieee)) if self._app is not None else None
        if device is None or not device.is_initialized or not power_meters.has_meter(device):
            return
        if self._registry.power.begin_ask(ieee):
            self._spawn(power_meters.ask(device, ieee, self._handle_power), f"ask {ieee}")

    def _read_late(self, ieee: str, *, is_awake: bool) -> None:
        """Read the temperature of a device whose report is late. Control asks before it doubts a sensor."""
        kind = SensorKind.TEMPERATURE
        device = self._app.devices.get(eui64(ieee)) if self._app is not None else None
        if device is None or not device.is_initialized or ieee in self._running_setups:
            return
        if not self._registry.reporting.begin_read(ieee, kind, is_awake=is_awake):
            return
        for each in self._repair.used_attributes(device, ieee, [kind]):
            self._spawn(self._read(device, ieee, each), f"read {ieee}")

    async def _read(self, device: Any, ieee: str, candidate: AttributeCandidate) -> None:  # noqa: ANN401
        async with self._concurrency:
            value = await read_value(device, candidate)
        if value is not None:
            self._registry.reporting.record_read(ieee, candidate.channel.kind)
            self._publish_read(device, ieee, ChosenAttribute(candidate, value))

    async def _set_up(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        try:
            async with self._concurrency:
                result = await set_up_device(device, self.decoder, report_s_min=self._options.report_interval_s_min)
                told = await binary_sensors.set_up(device, self._app.state.node_info.ieee)
                watts = await power_meters.set_up(device)
        except NO_ANSWER_ERRORS as error:
            _log.warning("%s could not be set up: %s", ieee, error)
            return
        finally:
            self._running_setups.discard(ieee)
        self._attempted_ms[ieee] = self._monotonic_ms()
        if self._registry.get(ieee) is None:
            return
        self._attempts[ieee] += 1
        if not result.is_complete and (self._attempts[ieee] < SETUP_ATTEMPTS_MAX or not result.chosen):
            self._publish(ieee, JoinStep.FAILED, f"{result.detail}; the set-up is repeated")
            return
        del self._attempts[ieee]
        self._record_setup(device, ieee, result)
        for kind, is_active in told.items():
            self._registry.set_binary(ieee, kind, is_active=is_active)
        if watts is not None:
            self._handle_power(ieee, watts)
        await self.save()
        self._publish(ieee, JoinStep.CONFIGURED)

    def _spawn(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Start a background task; nothing is started once the radio ends."""
        try:
            if self._group is not None:
                self._group.create_task(work, name=name)
                return
        except RuntimeError:
            _log.debug("not started, the radio ends: %s", name)
        work.close()

    def _publish(self, ieee: str, step: JoinStep, detail: str = "") -> None:
        known = self._registry.get(ieee)
        sensor = to_relayed_sensor(known) if known is not None and known.is_interviewed else None
        name = sensor.name if sensor else ieee
        self._events.log_step(f"{name}: {step}" + (f", {detail}" if detail else ""))
        self._events.join_events.put(JoinEvent(ieee, step, self._monotonic_ms(), sensor, detail or name))

    def _record_setup(self, device: Any, ieee: str, result: SetupResult) -> None:  # noqa: ANN401
        """Record the result of a set-up and publish the values read."""
        ranks = dict.fromkeys(self.decoder.quirk(device).kinds, 0)
        ranks |= {each.candidate.channel.kind: each.candidate.channel.rank for each in result.chosen}
        self._registry.set_configured(
            ieee,
            ranks=ranks,
            max_intervals_s={each.candidate.channel.kind: each.max_interval_s for each in result.chosen},
            battery=result.battery,
            unused=(*result.unused, *filter(None, [result.detail])),
        )
        for each in result.chosen:
            self._publish_read(device, ieee, each)

    def _publish_read(self, device: Any, ieee: str, chosen: ChosenAttribute) -> None:  # noqa: ANN401
        """Publish a value that was read: no report, and suspect unless the device has reported the kind before."""
        known = self._registry.get(ieee)
        channel = chosen.candidate.channel
        value = self._to_level(ieee, channel, chosen.value)
        if known is None or value is None:
            return
        is_trusted = channel.kind in known.reported or chosen.candidate.measure.report_s_max > REPORT_S_MAX
        reading = Reading(ieee, channel.name, channel.kind, value, self._monotonic_ms())
        if not is_trusted:
            reading = msgspec.structs.replace(reading, quality=Quality.SUSPECT, reason=NOT_REPORTED_YET)
        self._registry.mark_seen(ieee, lqi_of(device))
        self._events.readings.put(reading)

    def _handle_value(self, ieee: str, channel: SensorChannel, value: float, lqi: int | None) -> None:
        """Handle a reported value; values of unknown and removed devices are ignored."""
        known = self._registry.get(ieee)
        if known is None:
            return
        self._registry.mark_seen(ieee, lqi)
        if known.is_interviewed and not known.is_configured and self._app is not None:
            # Standard reports bypass zigpy, and so `handle_message`.
            self._start_setup(self._app.devices.get(eui64(ieee)), ieee)
        level = self._to_level(ieee, channel, value)
        if level is None or not self._registry.reporting.accept(ieee, channel):
            return
        if self._registry.reporting.record_report(ieee, channel.kind):
            self._repair.check(ieee)
        if channel.kind is not SensorKind.TEMPERATURE:
            self._read_late(ieee, is_awake=True)
        self._events.readings.put(Reading(ieee, channel.name, channel.kind, level, self._monotonic_ms()))

    def _hear_others(self, device: Any, ieee: str) -> None:  # noqa: ANN401
        binary_sensors.subscribe(device, ieee, self._handle_binary, self._answer_enrolment)
        output_devices.subscribe(device, ieee, self._outputs.wanted, self._outputs.reported)
        self._registry.set_outputs(ieee, output_devices.lines_of(device, ieee))
        power_meters.subscribe(device, ieee, self._handle_power)

    def _handle_binary(self, ieee: str, kind: BinaryKind, is_active: bool) -> None:
        self._registry.set_binary(ieee, kind, is_active=is_active)
        self._start_save()

    def _handle_power(self, ieee: str, watts: float) -> None:
        if self._registry.get(ieee) is not None:
            self._registry.power.put(ieee, watts)

    def _answer_enrolment(self, ieee: str, cluster: Any) -> None:  # noqa: ANN401
        self._spawn(binary_sensors.answer_enrolment(cluster), f"enrol {ieee}")

    def _to_level(self, ieee: str, channel: SensorChannel, value: float | None) -> float | None:
        if value is None or not channel.is_voltage:
            return value
        return battery_level(self._registry.get(ieee), value)


def _is_removal(name: str, ieee: str) -> bool:
    return name.startswith("remove_device-") and format_ieee(name.rpartition("=")[2]) == ieee


def _printable(text: object) -> str:
    """Return the printable characters of a name from the air, shortened."""
    return "".join(letter for letter in str(text or "") if letter.isprintable()).strip()[:NAME_CHARACTERS_MAX]
