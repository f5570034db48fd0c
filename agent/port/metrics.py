"""The metrics of a hub for Prometheus, read from the documents of the local API at each scrape.

Names and units follow https://prometheus.io/docs/practices/naming/: base units, ratios instead of percent. Labels hold
names of sensors and zones, never a key. Must not be imported before the first scrape: prometheus-client takes 1 MiB.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.foundation.log import redact
from agent.foundation.text import sanitize
from agent.local.climate import ClimateReport
from agent.local.status import HubStatus, SensorReport
from agent.local.zigbee import MemberReport, PairedSensor, RouterReport, ZigbeeReport
from hal.interface import HvacAction, SensorKind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SERIES_MAX = 500
"""Of one metric. A Zigbee network has at most 200 members, each with a few measured kinds."""

LABEL_CHARACTERS_MAX = 64

_KINDS: Mapping[str, tuple[str, str, float]] = MappingProxyType(
    {
        SensorKind.TEMPERATURE.value: ("temperature_celsius", "Temperature", 1),
        SensorKind.HUMIDITY.value: ("humidity_ratio", "Relative humidity", 0.01),
        SensorKind.PRESSURE.value: ("pressure_pascals", "Air pressure", 100),
        SensorKind.POWER_AVAILABILITY.value: ("power_available", "1 while the mains supply is there", 1),
        SensorKind.BATTERY_LEVEL.value: ("battery_ratio", "Charge of the battery", 0.01),
        SensorKind.SIGNAL_STRENGTH.value: ("signal_strength_dbm", "Received signal strength in dBm, a level", 1),
        SensorKind.IAQ.value: ("air_quality_index", "Index of the indoor air quality", 1),
    }
)
"""The name of each measured kind, what it says, and the factor from the hub's unit to Prometheus' base unit."""

Series = Iterable[tuple[Sequence[str], float | None]]
"""The label values of each series, and its value; `None` while there is none."""


def _gauge(name: str, text: str, labels: Sequence[str], series: Series) -> Metric:
    return _filled(GaugeMetricFamily(f"climahub_{name}", text, labels=labels), series)


def _counter(name: str, text: str, labels: Sequence[str], series: Series) -> Metric:
    return _filled(CounterMetricFamily(f"climahub_{name}", text, labels=labels), series)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, series: Series) -> Metric:
    seen: set[tuple[str, ...]] = set()
    for values, value in series:
        labels = tuple(_label(each) for each in values)
        if value is not None and labels not in seen and len(seen) < SERIES_MAX:
            seen.add(labels)
            family.add_metric(labels, value)
    return family


def _label(text: str) -> str:
    return redact(sanitize(text, characters_max=LABEL_CHARACTERS_MAX))


def _one(name: str, text: str, value: float | None) -> Metric:
    return _gauge(name, text, (), [((), value)])


def _count(name: str, text: str, value: float) -> Metric:
    return _counter(name, text, (), [((), value)])


def status_metrics(status: HubStatus) -> Iterator[Metric]:
    """Yield the metrics of the status document."""
    clock, link = status.clock, status.link
    yield _gauge("build_info", "The agent and its board", ("version", "board"), [((status.version, status.board), 1)])
    yield _one("machine_uptime_seconds", "Time since the boot", clock.uptime_s)
    yield _one("clock_synchronised", "1 once this boot has learnt the time", clock.synchronised)
    yield _one("clock_error_seconds", "Bound of the clock's error", clock.error_s)
    yield _one("cloud_link_up", "1 while every endpoint of the cloud works", link.state == "up")
    yield _count("cloud_outages_total", "Outages of the cloud since the agent's start", link.outages)
    yield _gauge(
        "cloud_endpoint_failing",
        "1 while an endpoint of the cloud fails",
        ("endpoint",),
        [((name,), endpoint.is_failing) for name, endpoint in link.endpoints.items()],
    )
    yield _gauge(
        "cloud_quota_used_ratio",
        "Used part of a quota of the cloud",
        ("endpoint",),
        [((name,), quota.used / quota.limit if quota.limit else 0) for name, quota in status.quotas.items()],
    )
    yield _gauge(
        "recent_faults",
        "Recent faults that the hub has recovered from",
        ("component",),
        _sums((fault.component, fault.count) for fault in status.faults),
    )
    yield from _outbox_metrics(status)
    yield from _sensor_metrics(status.sensors)


def _sums(counts: Iterable[tuple[str, float]]) -> Series:
    sums: dict[str, float] = {}
    for name, count in counts:
        sums[name] = sums.get(name, 0) + count
    return [((name,), count) for name, count in sums.items()]


def _outbox_metrics(status: HubStatus) -> Iterator[Metric]:
    outbox = status.outbox
    yield _one("outbox_pending_readings", "Readings that wait for the cloud", outbox.pending)
    yield _one("outbox_sendable_readings", "Waiting readings that nothing holds back", outbox.sendable)
    yield _one("outbox_held_readings", "Readings of another board that wait until a person decides", outbox.held)
    yield _one("outbox_unregistered_readings", "Readings of sensors without an identity", outbox.unregistered)
    yield _one("outbox_unanchored_readings", "Readings of boots that never learnt the time", outbox.unanchored)
    yield _one("outbox_memory_readings", "Readings that are in memory only", outbox.in_memory)
    yield _one("outbox_dead_letter_readings", "Readings that the cloud refuses for good", outbox.dead_letters)
    yield _one("outbox_used_bytes", "Size of the outbox on the disk", outbox.used_bytes)
    yield _one("outbox_oldest_age_seconds", "Age of the oldest waiting reading", outbox.oldest_age_s)
    yield _one("outbox_stalled_seconds", "How long readings were due and none was accepted", outbox.stalled_s)
    yield _one("outbox_healthy", "1 while the outbox can write to the disk", not outbox.problem)
    yield _count("outbox_accepted_readings_total", "Readings that the cloud has accepted", outbox.accepted)
    yield _one("outbox_committed_readings", "Readings written to the outbox in its life", outbox.committed)
    yield _one("outbox_dropped_readings", "Readings dropped in the outbox's life, for want of room", outbox.dropped)


def _sensor_metrics(sensors: Sequence[SensorReport]) -> Iterator[Metric]:
    for kind, (name, text, factor) in _KINDS.items():
        yield _gauge(
            f"sensor_{name}",
            text,
            ("device", "sensor"),
            [
                ((each.device, each.sensor), None if each.value is None else each.value * factor)
                for each in sensors
                if each.kind == kind
            ],
        )
    yield _gauge(
        "sensor_age_seconds",
        "Age of the last value",
        ("device", "sensor", "kind"),
        [((each.device, each.sensor, each.kind), each.age_s) for each in sensors],
    )
    yield _counter(
        "sensor_readings_total",
        "Readings since the agent's start by quality",
        ("device", "sensor", "kind", "quality"),
        [
            ((each.device, each.sensor, each.kind, quality), count)
            for each in sensors
            for quality, count in (("good", each.good), ("bad", each.bad))
        ],
    )
    yield _counter(
        "sensor_failures_total",
        "Failed readings since the agent's start",
        ("device", "sensor", "kind"),
        [((each.device, each.sensor, each.kind), each.failures) for each in sensors],
    )


def climate_metrics(climate: ClimateReport) -> Iterator[Metric]:
    """Yield the metrics of the climate document; none on a hub that drives nothing."""
    zones, zone = climate.zones, ("zone",)
    if not zones:
        return
    yield _gauge("zone_temperature_celsius", "Temperature", zone, [((each.zone,), each.room_c) for each in zones])
    yield _gauge(
        "zone_heat_setpoint_celsius", "Heating setpoint", zone, [((each.zone,), each.heat_setpoint_c) for each in zones]
    )
    yield _gauge(
        "zone_cool_setpoint_celsius", "Cooling setpoint", zone, [((each.zone,), each.cool_setpoint_c) for each in zones]
    )
    yield _gauge(
        "zone_duty_ratio", "Requested part of full output", zone, [((each.zone,), each.duty) for each in zones]
    )
    yield _gauge(
        "zone_action",
        "1 for what the zone does now",
        ("zone", "action"),
        [((each.zone, action.value), each.action == action.value) for each in zones for action in HvacAction],
    )
    yield _gauge(
        "zone_sensors",
        "Sensors that its temperature is made of",
        zone,
        [((each.zone,), each.sensors_used) for each in zones],
    )
    yield _gauge(
        "zone_healthy",
        "1 while neither the zone nor its sensors have a problem",
        zone,
        [((each.zone,), not (each.problem or each.sensor_problem)) for each in zones],
    )
    if source := climate.heat_source:
        yield _one("heat_source_stage", "Running stage of the heat source", source.stage)
        yield _one("heat_source_auxiliary_on", "1 while the auxiliary heat is on", source.is_aux_on)
        yield _one("heat_source_pump_on", "1 while the pump is on", source.is_pump_on)


def zigbee_metrics(zigbee: ZigbeeReport) -> Iterator[Metric]:
    """Yield the metrics of the Zigbee document; none on a board without a radio."""
    if zigbee.radio.state == "none":
        return
    members: list[PairedSensor | RouterReport | MemberReport] = [*zigbee.sensors, *zigbee.routers, *zigbee.others]
    yield _one("zigbee_radio_healthy", "1 while the radio has no problem", not zigbee.radio.problem)
    yield _one("zigbee_join_window_open", "1 while devices may join", zigbee.radio.join_window_left_s is not None)
    yield _gauge(
        "zigbee_device_online",
        "1 while a device reports",
        ("device",),
        [((each.device,), each.is_online) for each in members],
    )
    yield _gauge(
        "zigbee_link_quality",
        "Link quality of the last hop, 0 to 255",
        ("device",),
        [((each.device,), each.lqi_last_hop) for each in members],
    )
    yield _gauge(
        "zigbee_sensor_info",
        "Name of each sensor",
        ("device", "name"),
        [((each.device, each.name), 1) for each in zigbee.sensors],
    )


class HubCollector(Collector):
    """Reads the documents whenever Prometheus asks."""

    def __init__(
        self,
        status: Callable[[], HubStatus],
        climate: Callable[[], ClimateReport],
        zigbee: Callable[[], ZigbeeReport],
    ) -> None:
        """Prepare; the arguments build the documents."""
        self._status = status
        self._climate = climate
        self._zigbee = zigbee

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics. Metrics without a series are left out."""
        for family in self._families():
            if family.samples:
                yield family

    def _families(self) -> Iterator[Metric]:
        yield from status_metrics(self._status())
        yield from climate_metrics(self._climate())
        yield from zigbee_metrics(self._zigbee())

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that registering builds no document."""
        return iter(())


def build_exposition(collector: Collector) -> Callable[[], bytes]:
    """Return what renders the metrics in Prometheus' text format: those of the hub, and of its process."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)
