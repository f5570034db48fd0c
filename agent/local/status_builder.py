"""Builds the documents of the local API from the components of a hub. Reads only."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from agent import __version__
from agent.cloud.client import CloudClient
from agent.cloud.data_usage import MONTH_DAYS, UsageDays, bytes_per_day
from agent.commands.service import CommandService
from agent.foundation.clock import Clock, Timekeeper
from agent.foundation.log import redact
from agent.foundation.start_history import StartHistory
from agent.foundation.supervisor import Faults
from agent.foundation.text import sanitize
from agent.local.climate import ClimateReport, build_climate, climate_problems
from agent.local.commands import CommandsReport, build_commands
from agent.local.routes import Handler, LocalRequest
from agent.local.status import (
    ClockStatus,
    ConfigTrialReport,
    EndpointReport,
    FaultReport,
    HubStatus,
    LinkReport,
    MachineReport,
    OutboxReport,
    QuotaReport,
    RelayedReport,
    SensorReport,
    SettingsReport,
    StartReport,
    UpsReport,
    UsageDayReport,
    UsageReport,
)
from agent.local.updates import UpdateReport, build_updates, update_line
from agent.local.verdict import Verdict, verdict
from agent.local.zigbee import ZigbeeReport, build_zigbee, link_problem
from agent.machine.battery import doubt
from agent.machine.service import MachineService
from agent.machine.supply import Supply
from agent.ota.service import UpdateService
from agent.pairing.service import PairingQueries
from agent.sensors.service import SensorsService
from agent.settings.sync import SettingsSync
from agent.telemetry.intake import Intake
from agent.telemetry.outbox.protocol import OutboxStats
from agent.telemetry.service import TelemetryService
from hal.interface import UNITS, Board, HasUnsupportedSensors

if TYPE_CHECKING:
    from agent.climate.service import ClimateService

USAGE_DAYS_SHOWN = 8
"""Today and the week before."""


MINUTES_STEP = 5
"""The time that a battery lasts is rounded down, as the room on the disk is."""

WRITTEN_STEP_BYTES = 1024 * 1024

DISK_STEP_BYTES = 16 * 1024 * 1024
"""The room on the disk is rounded: each change of it would be news to every page."""


class HubReports:
    """Makes the documents of the local API from the components of one hub. Changes nothing."""

    def __init__(
        self,
        *,
        board: Board,
        clock: Clock,
        timekeeper: Timekeeper | None,
        starts: StartHistory | None,
        client: CloudClient,
        usage: Callable[[], UsageDays] = UsageDays,
        faults: Faults,
        machine: MachineService,
        disk_free_bytes_min: int,
        telemetry: TelemetryService,
        sensors: SensorsService,
        settings: SettingsSync,
        commands: CommandService,
        pairing: PairingQueries,
        updates: UpdateService | None,
        climate: "ClimateService | None",
        control_problem: Callable[[], str],
        config_trial: Callable[[], ConfigTrialReport | None] = lambda: None,
    ) -> None:
        """Prepare; the arguments are the components.

        `control_problem` returns why heating and cooling do not work, `config_trial` what is on trial, `usage` the
        traffic of the last days.
        """
        self._config_trial = config_trial
        self._board = board
        self._clock = clock
        self._timekeeper = timekeeper
        self._starts = starts
        self._client = client
        self._usage = usage
        self._faults = faults
        self._machine = machine
        self._disk_free_bytes_min = disk_free_bytes_min
        self._telemetry = telemetry
        self._sensors = sensors
        self._settings = settings
        self._commands = commands
        self._pairing = pairing
        self._updates = updates
        self._climate = climate
        self._control_problem = control_problem
        self._started_ms = clock.monotonic_ms()

    def zigbee(self) -> ZigbeeReport:
        """Return the document of the radio and its network."""
        return build_zigbee(self._pairing, intake=self._telemetry.intake, clock=self._clock)

    def climate(self) -> ClimateReport:
        """Return the document of the zones."""
        return build_climate(self._climate)

    def update(self) -> UpdateReport | None:
        """Return the document of the updates; `None` on a hub that cannot be updated."""
        return build_updates(self._updates) if self._updates else None

    async def commands(self) -> CommandsReport:
        """Return the document of the cloud's commands."""
        return build_commands(await self._commands.recent(), problem=self._commands.problem)

    def verdict(self) -> Verdict:
        """Return the verdict on the hub now."""
        return verdict(self.status(), self.climate(), self.zigbee(), self.update())

    def _holds_back(self) -> bool:
        """Tell whether something waits for a person that another board has recorded: not before there is a key."""
        card = self._machine.card
        if card is None or not card.has_key:
            return False
        return bool(self._telemetry.failover.stats().held) or self._settings.holds_back or self._commands.holds_back

    def status(self) -> HubStatus:
        """Return the status of the hub now."""
        now_ms = self._clock.monotonic_ms()
        board, pairing, telemetry, settings = self._board, self._pairing, self._telemetry, self._settings
        relay_problem = telemetry.receiver.problem if telemetry.receiver else ""
        return HubStatus(
            version=__version__,
            board=board.name,
            clock=_clock(self._clock, self._timekeeper, now_ms),
            link=_link(self._client, self._usage(), now_ms),
            quotas={
                endpoint.value: QuotaReport(
                    window.used(), window.quota.limit, window.quota.window_s, window.is_history_unknown
                )
                for endpoint, window in self._client.quotas.items()
            },
            outbox=_outbox(telemetry, self._clock, telemetry.problem or self._machine.monitor.problem),
            sensors=_sensors(telemetry.intake, self._sensors, now_ms),
            relayed_sensors=_relayed(board, pairing, relay_problem),
            relay_problem="" if pairing.radio else relay_problem,
            settings=SettingsReport(
                in_force=msgspec.to_builtins(settings.current),
                pending=settings.pending,
                problems=[
                    *settings.problems,
                    *telemetry.sensor_problems,
                    *filter(None, [pairing.file_problem, self._sensors.problem]),
                ],
            ),
            faults=[
                FaultReport(fault.component, fault.text, fault.count, (now_ms - fault.last_ms) // 1000)
                for fault in self._faults.entries
            ],
            unread_sensors=list(board.unsupported_sensors) if isinstance(board, HasUnsupportedSensors) else [],
            running_s=(now_ms - self._started_ms) // 1000,
            climate_problems=climate_problems(self._climate, control_problem=self._control_problem()),
            commands_problem=self._commands.problem,
            unmatched_keys=[redact(sanitize(label)) for label in pairing.unmatched_keys],
            update=update_line(self._updates),
            config_trial=self._config_trial(),
            machine=_machine(self._machine, self._disk_free_bytes_min, holds_back=self._holds_back()),
            starts=[
                StartReport(
                    began=_text(start.at_utc_ms),
                    version=start.version,
                    boot_id=start.boot_id,
                    boot_reason=start.boot_reason,
                    end=start.end.value,
                    detail=start.detail,
                    count=start.count,
                )
                for start in reversed(self._starts.records if self._starts else ())
            ],
        )


def _machine(machine: MachineService, disk_free_bytes_min: int, *, holds_back: bool) -> MachineReport:
    free_bytes, power = machine.monitor.free_bytes, machine.monitor.power
    written = machine.writes.bytes_per_day
    return MachineReport(
        list(power.now),
        list(power.since_boot),
        power.is_mains_off or machine.supply.is_on_battery,
        None if free_bytes is None else free_bytes // DISK_STEP_BYTES * DISK_STEP_BYTES,
        disk_free_bytes_min,
        None if written is None else -(-written // WRITTEN_STEP_BYTES) * WRITTEN_STEP_BYTES,
        _ups(machine.supply),
        machine.panel.problem,
        machine.panel.reset_left_s,
        machine.card is not None and machine.card.is_moved,
        holds_back,
    )


def _ups(supply: Supply) -> UpsReport | None:
    last, minutes = supply.state.last, supply.minutes_left
    if last is None:
        return None
    return UpsReport(
        is_mains_on=last.is_mains_on,
        charge_percent=None if last.percent is None else round(last.percent),
        minutes_left=None if minutes is None else minutes // MINUTES_STEP * MINUTES_STEP,
        power_off_percent=supply.limit_percent,
        problem=supply.problem or doubt(supply.state),
    )


def _text(utc_ms: int | None) -> str | None:
    return None if utc_ms is None else datetime.fromtimestamp(utc_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _clock(clock: Clock, timekeeper: Timekeeper | None, now_ms: int) -> ClockStatus:
    utc_ms = clock.utc_ms()
    status = ClockStatus(utc_ms is not None, _text(utc_ms), clock.boot_id, now_ms // 1000)
    known = timekeeper.knowledge() if timekeeper else None
    if known is None:
        return status
    return msgspec.structs.replace(
        status,
        source=known.source,
        error_s=None if known.error_ms is None else known.error_ms / 1000,
        known_for_s=known.known_for_ms // 1000,
        confirmed_s_ago=known.confirmed_ms_ago // 1000,
    )


def _usage(kept: UsageDays) -> UsageReport:
    per_day = bytes_per_day(kept)
    return UsageReport(
        [
            UsageDayReport(each.day, each.requests, each.sent_bytes, each.received_bytes)
            for each in reversed(kept.days[-USAGE_DAYS_SHOWN:])
        ],
        per_day,
        None if per_day is None else per_day * MONTH_DAYS,
    )


def _link(client: CloudClient, usage: UsageDays, now_ms: int) -> LinkReport:
    connectivity, status = client.connectivity, client.connectivity.status
    return LinkReport(
        state=status.state,
        reason=status.reason,
        since_s=(now_ms - status.since_ms) // 1000,
        outages=connectivity.outages,
        compression=client.telemetry.compression.state.value,
        cause=status.cause or "",
        endpoints={
            endpoint.value: EndpointReport(
                state=health.state,
                reason=health.reason,
                cause=health.cause or "",
                since_s=(now_ms - health.since_ms) // 1000,
                failures=health.failures,
                is_failing=connectivity.is_failing(endpoint),
            )
            for endpoint, health in connectivity.health.items()
        },
        last_error=connectivity.last_error,
        last_error_age_s=_age_s(connectivity.last_error_ms, now_ms),
        usage=_usage(usage),
        shared_key=client.key_sharing.evidence,
    )


def _oldest_age_s(stats: OutboxStats, now_ms: int, utc_ms: int | None) -> int | None:
    """Return how long the oldest reading has been waiting: in this boot whatever the wall clock was set to since."""
    if stats.oldest_at_ms is not None:
        return _age_s(stats.oldest_at_ms, now_ms)
    if utc_ms is None or stats.oldest_utc_ms is None:
        return None
    return max(0, (utc_ms - stats.oldest_utc_ms) // 1000)


def _outbox(telemetry: TelemetryService, clock: Clock, problem: str) -> OutboxReport:
    outbox, intake, uplink = telemetry.failover, telemetry.intake, telemetry.uplink
    stats, from_memory = outbox.stats(), outbox.claimed_from_memory + outbox.ready_in_memory
    now_ms = clock.monotonic_ms()
    return OutboxReport(
        pending=stats.pending,
        in_memory=intake.uncommitted + outbox.claimed_from_memory,
        fresh=stats.fresh,
        unregistered=stats.unregistered,
        unanchored=stats.unanchored,
        retrying=uplink.retrying,
        used_bytes=stats.used_bytes,
        oldest_age_s=_oldest_age_s(stats, now_ms, clock.utc_ms()),
        committed=stats.committed,
        accepted=uplink.counts.accepted,
        unconfirmed=uplink.counts.unconfirmed,
        downsampled=stats.downsampled,
        dropped=stats.dropped,
        dead_letters=stats.dead_letters,
        problem=problem,
        last_refusal=uplink.counts.last_refusal,
        sendable=stats.sendable + from_memory,
        stalled_s=uplink.stalled_ms(now_ms) // 1000 if stats.sendable + from_memory else 0,
        accepted_age_s=_age_s(uplink.counts.last_accepted_ms, now_ms),
        accepted_from_memory=outbox.accepted_from_memory,
        in_memory_age_s=_age_s(intake.uncommitted_since_ms, now_ms),
        held=stats.held,
    )


def _age_s(at_ms: int | None, now_ms: int) -> int | None:
    return None if at_ms is None else max(0, now_ms - at_ms) // 1000


def _sensors(intake: Intake, known: SensorsService, now_ms: int) -> list[SensorReport]:
    return [
        SensorReport(
            device=device,
            sensor=sensor,
            kind=kind.value,
            value=state.latest.value if state.latest else None,
            unit=UNITS[kind],
            quality=state.latest.quality.value if state.latest else "",
            reason=state.latest.reason if state.latest else "",
            age_s=max(0, now_ms - state.latest.at_ms) / 1000 if state.latest else None,
            good=state.good,
            bad=state.bad,
            failures=state.failures,
            problem=state.problem,
            measured=note.measured if note and note.measured != note.value else None,
            uncertainty=round(note.uncertainty, 2) if note and note.uncertainty is not None else None,
            doubt=note.doubt if note else "",
        )
        for (device, sensor, kind), state in sorted(intake.channels.items())
        for note in [known.note(device, sensor, kind)]
    ]


def _relayed(board: Board, pairing: PairingQueries, relay_problem: str) -> list[RelayedReport]:
    if board.network is None:
        return []
    names = {sensor.device: sensor.name for sensor in board.network.sensors}
    links = {link.device: link for link in pairing.radio.links} if pairing.radio else {}
    return [
        RelayedReport(
            record.device,
            record.name or names.get(record.device, record.device),
            record.sensor_id or None,
            relay_problem or pairing.problem_of(record) or link_problem(links.get(record.device)),
        )
        for record in pairing.state.sensors.values()
        if record.is_relayed
    ]


def handlers(status: Callable[[], HubStatus], verdict: Callable[[], Verdict]) -> Mapping[str, Handler]:
    """Return the handlers of the status and of the verdict; the arguments make the documents."""

    async def get_status(_: LocalRequest) -> HubStatus:
        return status()

    async def get_verdict(_: LocalRequest) -> Verdict:
        return verdict()

    return {"get_status": get_status, "get_verdict": get_verdict}
