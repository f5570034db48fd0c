"""Watches the heating of every zone, minute by minute, and keeps what it has learned over restarts.

Owns `maintenance.json`, written each hour and at the end. Must never act on the equipment, and control never waits for
it: it asks for what control has published, once a minute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.errors import Rejected, UnknownDevice
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.phrase import plain
from agent.foundation.worker import Worker
from agent.maintenance.accelerometers import Accelerometers
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Alert, Answer, Verdict
from agent.maintenance.assessment import AnyIndicator, Finding, ZoneRecord, find, find_sudden, find_wear, observe
from agent.maintenance.confidence import CalibratedModel
from agent.maintenance.curve import CurveDay, days_of
from agent.maintenance.drift import Drift
from agent.maintenance.indicators import Indicator, Sample, SuddenIndicator, WearIndicator
from agent.maintenance.machine_readings import PowerPost
from agent.maintenance.machine_watch import PLUG_NAME, MachineWatch
from agent.maintenance.pipe_assessment import find_pipes
from agent.maintenance.pipe_confidence import PipeModel
from agent.maintenance.pipe_readings import PipeIndicator, PipePair
from agent.maintenance.pipe_record import begun_anew, observe_pair
from agent.maintenance.sudden import NoWarming, Response, follow
from agent.maintenance.switching import Switching, count

FILE_NAME = "maintenance.json"
FILE_BYTES_MAX = 256 * 1024
"""Eight zones take 47 KiB, 23 of them their curves; with the thermometers of supply and return 130."""

SAMPLE_S = 60.0
SAMPLE_S_MAX = 180.0
"""A sample stands for the time since the last one, at most for this: the machine may have slept."""

SAVE_SAMPLES = 60
"""The file is written every so many samples: a power cut loses an hour of the day in progress."""


class MaintenanceFile(msgspec.Struct, frozen=True):
    """The content of the file.

    Attributes:
        zones: What is known of each zone, by id.
        restarts: When the baseline of "zone/indicator" was begun anew because the zone was serviced.
    """

    zones: Mapping[str, ZoneRecord] = {}
    restarts: Mapping[str, int] = {}


class AnswerRefused(Rejected):
    """The answer cannot be kept now."""


class PlugEvidence(msgspec.Struct, frozen=True):
    """What the plug of a zone's equipment has measured in the steady part of a call: its device, W, boot time."""

    device: str
    watts: float
    heard_ms: int


class ZoneEvidence(msgspec.Struct, frozen=True):
    """What is seen of a zone now.

    Attributes:
        zone_id: Its id.
        sensors: Its sensors with the addresses of their devices; an address that is not known is empty.
        room_c: Its temperature; `None` where it is not known, or not the heating's doing (an open window, cooling).
        outdoor_c: The temperature outside; `None` if it is not known.
        output: The share of full output that it gives, 0 to 1.
        response: What control says about its response to the heating.
        starts: How often control has switched its output on since the hub was started.
        pair: The thermometers on its supply and return; `None` without both.
        plug: What the plug of its own equipment has measured; `None` for nothing now.
    """

    zone_id: str
    sensors: Mapping[str, str]
    room_c: float | None
    outdoor_c: float | None
    output: float
    response: Response = Response()
    starts: int = 0
    pair: PipePair | None = None
    plug: PlugEvidence | None = None


class MaintenanceService:
    """Predictive maintenance of one hub.

    Attributes:
        alerts: What has become of its findings.
    """

    def __init__(
        self,
        directory: Path,
        *,
        evidence: Callable[[], Sequence[ZoneEvidence]],
        models: Mapping[Indicator, CalibratedModel],
        alerts: MaintenanceAlerts,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        machines: MachineWatch | None = None,
        accelerometers: Accelerometers | None = None,
        pipe_models: Mapping[PipeIndicator, PipeModel] = MappingProxyType({}),
        is_southern: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; the file is read by `run`.

        Args:
            directory: Of `maintenance.json`.
            evidence: Returns what is seen of each zone now.
            models: The calibrated model of each indicator that has one.
            alerts: Makes alerts of findings.
            clock: The clocks of the boot.
            disk: Reads and writes the file.
            worker: Where reading and writing block.
            machines: Watches what is measured at machines; read and written with the rest.
            accelerometers: Measure at machines.
            pipe_models: The calibrated model of each indicator of a pair that has one.
            is_southern: Returns whether the house is in the southern hemisphere, as far as is known.
        """
        self.machines = machines
        self._accelerometers = accelerometers
        self._evidence = evidence
        self._is_southern = is_southern
        self._models, self._pipe_models = models, pipe_models
        self.alerts = alerts
        self._clock = clock
        self._sampled_ms: int | None = None
        self._kept = MaintenanceFile()
        self._is_read = False
        self._store = JsonStore(
            directory / FILE_NAME,
            MaintenanceFile(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="predictive maintenance learns the usual behaviour of each zone anew",
        )

    @property
    def problem(self) -> str:
        """What was wrong with the file when it was read; empty where nothing was."""
        machines = self.machines.problem if self.machines else ""
        return "; ".join(filter(None, (self._store.problem, self.alerts.problem, machines)))

    @property
    def records(self) -> Mapping[str, ZoneRecord]:
        """What is known of each zone, by id."""
        return self._kept.zones

    def curve(self, zone_id: str, indicator: AnyIndicator) -> Sequence[CurveDay]:
        """Return the last days of a zone's indicator, the oldest first; none of a posted machine."""
        record = self._kept.zones.get(zone_id)
        return days_of(record.curve(indicator)) if record and isinstance(indicator, Indicator) else ()

    def findings(self) -> Mapping[str, Sequence[Finding]]:
        """Return what is known of each zone, by id."""
        utc_ms, records = self._clock.utc_ms(), self._kept.zones
        found = {
            each.zone_id: [
                find(
                    records.get(each.zone_id, ZoneRecord()),
                    indicator,
                    self._models.get(indicator),
                    utc_ms,
                    threshold=self.alerts.threshold,
                )
                for indicator in Indicator
            ]
            for each in self._evidence()
        }
        for each in self._evidence():
            known, threshold = records.get(each.zone_id, ZoneRecord()), self.alerts.threshold
            if each.pair:
                found[each.zone_id] += find_pipes(known.pipes, self._pipe_models, utc_ms, threshold=threshold)
            if sudden := find_sudden(known.no_warming, each.response):
                found[each.zone_id].append(sudden)
            if known.switching.is_near_its_end:
                found[each.zone_id].append(find_wear(known.switching))
        for zone_id, of_machines in (self.machines.findings() if self.machines else {}).items():
            found[zone_id] = [*found.get(zone_id, ()), *of_machines]
        return found

    async def resolve_alert(self, alert_id: str, *, by: str) -> Alert | None:
        """End an alert, durably, and return it; `None` where there is none. One that has ended stays as it is.

        Args:
            alert_id: Of the alert.
            by: Who says so.

        Raises:
            StorageFull: It is not ended.
        """
        return await self.alerts.resolve(alert_id, by=by, findings=self.findings())

    async def answer(self, zone_id: str, indicator: str, verdict: Verdict, *, note: str, by: str) -> Answer:
        """Keep a technician's answer, durably, and return it. An open alert ends; "serviced" begins the baseline anew.

        Args:
            zone_id: The zone.
            indicator: The name of the indicator.
            verdict: What was found.
            note: In the technician's words.
            by: Who says so.

        Raises:
            UnknownDevice: There is no such zone, or no such indicator of it.
            AnswerRefused: The time of day is not known.
            StorageFull: It is not kept.
        """
        found = next((each for each in self.findings().get(zone_id, ()) if each.indicator == indicator), None)
        if found is None and indicator == WearIndicator.SWITCHING and zone_id in self._kept.zones:
            # A relay may be replaced before it is near its end.
            found = find_wear(self._kept.zones[zone_id].switching)
        if found is None:
            text = "name a zone and one of its indicators, as climahub maintenance status --json has them"
            raise UnknownDevice(f"{text}: the hub knows no such finding")
        utc_ms = self._clock.utc_ms()
        if utc_ms is None:
            raise AnswerRefused("try again when the hub knows the time: an answer needs its date")
        made = Answer(
            zone_id=zone_id,
            indicator=indicator,
            verdict=verdict,
            note=note,
            by=by,
            utc_ms=utc_ms,
            confidence=found.confidence,
            evidence=plain(found.evidence),
            features=found.features,
            since_utc_ms=found.since_utc_ms,
        )
        await self.alerts.answer(made, shift=found.shift)
        # A power cut in between loses nothing: the next start finds the answer, and does it then.
        self._begin_anew()
        await self.save()
        return made

    def _begin_anew(self) -> None:
        """Forget the usual behaviour of what was serviced since it was learned."""
        zones, answers = dict(self._kept.zones), self.alerts.state.answers
        restarts = {
            f"{each.zone_id}/{each.indicator}": each.utc_ms for each in answers if each.verdict is Verdict.SERVICED
        }
        served = {name for name, utc_ms in restarts.items() if self._kept.restarts.get(name) != utc_ms}
        for zone_id, known in self._kept.zones.items():
            changed: dict[str, object] = {
                indicator.value: Drift() for indicator in Indicator if f"{zone_id}/{indicator}" in served
            }
            if f"{zone_id}/{SuddenIndicator.NO_WARMING}" in served:
                changed["no_warming"] = NoWarming()
            if f"{zone_id}/{WearIndicator.SWITCHING}" in served:
                changed["switching"] = Switching(seen=known.switching.seen)
            of_pair = {one for one in PipeIndicator if f"{zone_id}/{one}" in served}
            zones[zone_id] = msgspec.structs.replace(known, pipes=begun_anew(known.pipes, of_pair), **changed)
        self._kept = MaintenanceFile(zones, restarts)
        if self.machines:
            self.machines.begin_anew(restarts)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        more = {"accelerometers": self._accelerometers.run} if self._accelerometers else {}
        return {"maintenance": self.run, **more}

    async def run(self) -> None:
        """Read the file, observe, and write it from time to time."""
        if not self._is_read:
            if self.machines:
                await self.machines.load()
            self._kept = await self._store.load_patiently()
            self._is_read = True
        await self.alerts.load()
        self._begin_anew()
        while True:
            # Each hour, after what an alert rests on is on the disk: a power cut takes no evidence back.
            await self.alerts.review(self.findings())
            for _ in range(SAVE_SAMPLES):
                self.sample()
                await asyncio.sleep(SAMPLE_S)
            await self.save()

    def sample(self) -> None:
        """Observe every zone once; without the time of day nothing is learned."""
        now_ms, utc_ms = self._clock.monotonic_ms(), self._clock.utc_ms()
        before_ms, self._sampled_ms = self._sampled_ms, now_ms
        evidence = self._evidence()
        if before_ms is None or utc_ms is None or not evidence:
            return
        dt_s = min(SAMPLE_S_MAX, (now_ms - before_ms) / 1000.0)
        zones = {each.zone_id: self._observed(each, dt_s, utc_ms) for each in evidence}
        self._kept = MaintenanceFile(zones, self._kept.restarts)
        for each in evidence:
            if each.plug and self.machines:
                # A value that was heard before has the time of the last one, and is not counted again.
                post = PowerPost(utc_ms - (now_ms - each.plug.heard_ms), each.plug.watts)
                self.machines.add(each.zone_id, f"plug {each.plug.device}", post, PLUG_NAME, is_own=True)

    def _observed(self, seen: ZoneEvidence, dt_s: float, utc_ms: int) -> ZoneRecord:
        record = self._kept.zones.get(seen.zone_id, ZoneRecord())
        sample = None if seen.room_c is None else Sample(seen.room_c, seen.outdoor_c, seen.output, dt_s)
        after = observe(record, seen.sensors, sample, utc_ms, is_southern=self._is_southern())
        no_warming = follow(after.no_warming, seen.response, dt_s, utc_ms)
        switching = count(after.switching, seen.starts)
        pipes = observe_pair(
            after.pipes,
            seen.pair,
            room_c=seen.room_c,
            outdoor_c=seen.outdoor_c,
            output=seen.output,
            dt_s=dt_s,
            utc_ms=utc_ms,
        )
        if no_warming is after.no_warming and switching is after.switching and pipes is after.pipes:
            return after
        return msgspec.structs.replace(after, no_warming=no_warming, switching=switching, pipes=pipes)

    async def save(self) -> None:
        """Write what is known, as far as the disk allows; before the file was read, do nothing."""
        if self.machines:
            await self.machines.save()
        if self._is_read:
            await self._store.apply(lambda _: self._kept)
