"""The Zigbee document of the local API: the radio, every member of its network, and requests for pairing.

The JSON form is an interface: fields may be added, never renamed. Keys come in here and must never go out.
The network's backup, which is a secret, goes out to an owner.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from agent.local.routes import Done, Handler, LocalRequest
from agent.pairing.lifecycle import PairingStage
from hal.interface import UNITS, RelayedSensor, SensorKind, SensorNetwork
from hal.radio import HasRadioOutputs, SensorLink

if TYPE_CHECKING:
    # The command line reads the documents of this file without the components that they are made from.
    from agent.foundation.clock import Clock
    from agent.pairing.actions import PairingActions
    from agent.pairing.lifecycle import PairingRecord
    from agent.pairing.service import PairingQueries
    from agent.telemetry.intake import ChannelState, Intake


class RadioReport(msgspec.Struct, frozen=True):
    """The radio; `state` is "none" on a board without one."""

    state: str
    problem: str = ""
    port: str = ""
    channel: int = 0
    pan_id: int = 0
    steps: tuple[str, ...] = ()
    join_window_left_s: int | None = None


class ReadingReport(msgspec.Struct, frozen=True):
    """The last value of one measured kind."""

    kind: str
    value: float | None
    unit: str
    age_s: float | None


class PairedSensor(msgspec.Struct, frozen=True):
    """One paired sensor.

    Attributes:
        about: Manufacturer and model.
        is_online: Nothing while its reporting interval is unknown.
        last_seen_age_s: Since its last frame or value, whichever is younger; `None` where the hub has received neither
            since its start.
        lqi_last_hop: The link quality of the last hop, which may be that of a router.
        notes: Further measurements that the hub does not use, with the reasons.
    """

    device: str
    name: str
    stage: str
    problem: str
    sensor_id: str | None
    about: str
    is_online: bool | None
    is_sleepy: bool | None
    last_seen_age_s: int | None
    lqi_last_hop: int | None
    readings: list[ReadingReport]
    notes: list[str] = []


class RouterReport(msgspec.Struct, frozen=True):
    """A device that relays for sensors and measures nothing, such as a plug: `--through` takes its address."""

    device: str
    about: str
    is_online: bool | None
    lqi_last_hop: int | None


class MemberReport(msgspec.Struct, frozen=True):
    """A member of the network that is neither a paired sensor nor a router. It can be removed."""

    device: str
    about: str
    is_interviewed: bool
    is_online: bool | None
    lqi_last_hop: int | None
    notes: list[str] = []


class RadioOutputReport(msgspec.Struct, frozen=True):
    """A plug, relay or valve of the network: a configured output, or one that may be named as such.

    Attributes:
        line: Its name for `heat_line`.
        about: Manufacturer and model; empty where the device is not paired.
        drives: The zone or the part of the heat source; empty where it is not configured.
        is_on: As the device said last; nothing while it has said nothing.
        goes_off_alone: Whether it goes off by itself when the hub is gone; nothing while that is not known.
        problem: Why it counts as failed, remedy first.
    """

    line: str
    about: str
    drives: str = ""
    is_on: bool | None = None
    goes_off_alone: bool | None = None
    problem: str = ""


class StepReport(msgspec.Struct, frozen=True):
    """One step of a pairing. Numbers increase."""

    number: int
    age_s: float
    what: str
    device: str
    detail: str


class ZigbeeReport(msgspec.Struct, frozen=True):
    """The radio and every member of its network."""

    radio: RadioReport
    sensors: list[PairedSensor]
    steps: list[StepReport]
    problem: str
    routers: list[RouterReport] = []
    others: list[MemberReport] = []
    outputs: list[RadioOutputReport] = []


def build_zigbee(pairing: "PairingQueries", *, intake: "Intake", clock: "Clock") -> ZigbeeReport:
    """Return the document."""
    now_ms = clock.monotonic_ms()
    radio = pairing.radio
    network = {sensor.device: sensor for sensor in pairing.sensors}
    listed = [record for record in pairing.state.sensors.values() if record.stage is not PairingStage.REMOVED]
    devices = {record.device for record in listed}
    links = {link.device: link for link in radio.links} if radio else {}
    states: dict[str, list[tuple[SensorKind, ChannelState]]] = {}
    for (device, _, kind), state in intake.channels.items():
        states.setdefault(device, []).append((kind, state))
    return ZigbeeReport(
        radio=_radio(pairing, now_ms),
        sensors=[
            _sensor(
                record,
                name=record.name or (network[record.device].name if record.device in network else record.device),
                problem=pairing.problem_of(record) or link_problem(links.get(record.device)),
                link=links.get(record.device),
                states=states.get(record.device, []),
                now_ms=now_ms,
            )
            for record in listed
        ],
        steps=[
            StepReport(step.number, max(0, now_ms - step.at_ms) / 1000, step.kind.value, step.device, step.detail)
            for step in pairing.steps
        ],
        problem=pairing.file_problem,
        routers=[
            RouterReport(link.device, _about(link), link.is_online, link.lqi_last_hop)
            for link in links.values()
            if link.device not in devices and _is_router(link, network)
        ],
        others=[
            MemberReport(
                link.device, _about(link), link.is_interviewed, link.is_online, link.lqi_last_hop, list(link.notes)
            )
            for link in links.values()
            if link.device not in devices and not _is_router(link, network)
        ],
        outputs=_outputs(radio, links.values()),
    )


def _outputs(radio: SensorNetwork | None, links: Iterable[SensorLink]) -> list[RadioOutputReport]:
    """Return the configured outputs, then what else the paired devices offer."""
    about = {line: _about(link) for link in links for line in link.outputs}
    configured = radio.radio_outputs if isinstance(radio, HasRadioOutputs) else ()
    reports = [
        RadioOutputReport(
            each.line, about.pop(each.line, ""), each.drives, each.is_on, each.goes_off_alone, each.problem
        )
        for each in configured
    ]
    return reports + [RadioOutputReport(line, text) for line, text in about.items()]


def _radio(pairing: "PairingQueries", now_ms: int) -> RadioReport:
    if pairing.radio is None:
        return RadioReport("none", "this hub has no radio; the sensors of its board need no pairing")
    report = pairing.radio.radio
    until_ms = report.join_window_until_ms
    return RadioReport(
        state=report.state.value,
        problem=report.problem,
        port=report.port,
        channel=report.channel,
        pan_id=report.pan_id,
        steps=report.steps,
        join_window_left_s=None if until_ms is None else max(0, (until_ms - now_ms + 999) // 1000),
    )


def _sensor(
    record: "PairingRecord",
    *,
    name: str,
    problem: str,
    link: SensorLink | None,
    states: "Sequence[tuple[SensorKind, ChannelState]]",
    now_ms: int,
) -> PairedSensor:
    return PairedSensor(
        device=record.device,
        name=name,
        stage=record.stage.value,
        problem=problem,
        sensor_id=record.sensor_id or None,
        about=record.about or (_about(link) if link else ""),
        is_online=link.is_online if link else None,
        is_sleepy=link.is_sleepy if link else None,
        last_seen_age_s=_last_seen_age_s(link, states, now_ms),
        lqi_last_hop=link.lqi_last_hop if link else None,
        readings=[
            ReadingReport(
                kind.value,
                state.latest.value if state.latest else None,
                UNITS[kind],
                max(0, now_ms - state.latest.at_ms) / 1000 if state.latest else None,
            )
            for kind, state in _newest(states)
        ],
        notes=list(link.notes) if link else [],
    )


def _last_seen_age_s(
    link: SensorLink | None, states: "Sequence[tuple[SensorKind, ChannelState]]", now_ms: int
) -> int | None:
    seen_ms = [state.latest.at_ms for _, state in states if state.latest]
    if link is not None and link.last_seen_ms is not None:
        seen_ms.append(link.last_seen_ms)
    return max(0, now_ms - max(seen_ms)) // 1000 if seen_ms else None


def _newest(states: "Sequence[tuple[SensorKind, ChannelState]]") -> "Sequence[tuple[SensorKind, ChannelState]]":
    """Return one state of each kind: a device may have changed its endpoint."""
    newest: dict[SensorKind, ChannelState] = {}
    for kind, state in states:
        if kind not in newest or _at_ms(state) >= _at_ms(newest[kind]):
            newest[kind] = state
    return list(newest.items())


def _at_ms(state: "ChannelState") -> float:
    return state.latest.at_ms if state.latest else float("-inf")


def _is_router(link: SensorLink, network: Mapping[str, RelayedSensor]) -> bool:
    return not link.is_sleepy and link.device not in network


def link_problem(link: SensorLink | None) -> str:
    """Return the problem of a sensor that the radio reports; empty where there is none."""
    return link.problem if link else ""


def _about(link: SensorLink) -> str:
    return f"{link.manufacturer} {link.model}".strip()


def handlers(pairing: "PairingActions", report: Callable[[], ZigbeeReport]) -> Mapping[str, Handler]:
    """Return the handlers of the Zigbee network.

    Args:
        pairing: Carries the requests out.
        report: Makes the document.
    """

    async def get_zigbee(_: LocalRequest) -> ZigbeeReport:
        return report()

    async def open_join_window(request: LocalRequest) -> Done:
        await pairing.open_join_window(request.body)
        return Done()

    async def close_join_window(_: LocalRequest) -> Done:
        await pairing.close_join_window()
        return Done()

    async def rename_sensor(request: LocalRequest) -> Done:
        await pairing.rename(request.parameters["sensor"], request.body.name)
        return Done()

    async def give_sensor_key(request: LocalRequest) -> Done:
        await pairing.give_key(request.parameters["sensor"], request.body.key)
        return Done()

    async def replace_sensor(request: LocalRequest) -> Done:
        await pairing.replace(request.parameters["sensor"], request.body.new)
        return Done()

    async def remove_sensor(request: LocalRequest) -> Done:
        await pairing.remove(request.parameters["sensor"])
        return Done()

    async def back_up_network(_: LocalRequest) -> bytes:
        return await pairing.backup()

    async def restore_network(request: LocalRequest) -> Done:
        await pairing.restore(request.body)
        return Done()

    return {
        each.__name__: each
        for each in (
            get_zigbee,
            open_join_window,
            close_join_window,
            rename_sensor,
            give_sensor_key,
            replace_sensor,
            remove_sensor,
            back_up_network,
            restore_network,
        )
    }
