"""A boiler behind a gateway: told when something changes, renewed while somebody demands, silent otherwise."""

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest

from hal.boilers.outputs import BoilerOutputs, flow_of
from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from lab.boilers.gateways import OTGW_EXPIRES_S, BoilerOrder, EmulatedOtgw

OFF = HvacDemand({}, HeatSourceDemand())


def heat(flow_c: float | None) -> HvacDemand:
    return HvacDemand({}, HeatSourceDemand(HvacAction.HEAT, 1, is_pump_on=True, flow_c=flow_c))


class Link:
    name = "the gateway"
    silence_s = OTGW_EXPIRES_S
    is_heating_enabled: bool | None = None

    def __init__(self) -> None:
        self.sent: list[float | str | None] = []
        self.error: Exception | None = None
        self.blocks = False
        self.is_closed = False

    async def send(self, flow_c: float | None) -> None:
        if self.blocks:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.sent.append(flow_c)

    async def release(self) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append("released")

    async def close(self) -> None:
        self.is_closed = True


class Bench:
    def __init__(self) -> None:
        self.link: Link = Link()
        self.now_ms = 0
        self.outputs = BoilerOutputs(self.link, flow_c_max=55.0, monotonic_ms=lambda: self.now_ms)

    async def apply(self, demand: HvacDemand, after_s: float = 10.0) -> str:
        """Return the fault, as the control loop sees it 10 s after the step before."""
        self.now_ms += round(after_s * 1000)
        fault = ""
        try:
            await self.outputs.apply(demand)
        except ActuatorFault as error:
            fault = str(error)
        await self.settle()
        return fault

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("demand", "flow_c"),
    [
        (None, None),
        (HeatSourceDemand(), None),
        (HeatSourceDemand(HvacAction.COOL, 1), None),
        (HeatSourceDemand(HvacAction.HEAT, 1, flow_c=42.26), 42.3),
        (HeatSourceDemand(HvacAction.HEAT, 1, flow_c=80.0), 55.0),
        (HeatSourceDemand(HvacAction.HEAT, 1, flow_c=5.0), 20.0),
        (HeatSourceDemand(HvacAction.HEAT, 1), 55.0),
    ],
)
def test_the_flow_is_never_above_its_maximum(demand: HeatSourceDemand | None, flow_c: float | None) -> None:
    assert flow_of(demand, 55.0) == flow_c


async def test_a_demand_is_sent_when_it_changes_and_renewed_each_30_s() -> None:
    bench = Bench()
    for _ in range(7):
        assert await bench.apply(heat(45.0)) == ""
    assert bench.link.sent == [45.0, 45.0, 45.0]
    await bench.apply(heat(50.0))
    await bench.apply(OFF)
    assert bench.link.sent[3:] == [50.0, None]
    for _ in range(3):
        await bench.apply(OFF)
    assert bench.link.sent[5:] == [None]


async def test_nothing_is_sent_without_a_demand() -> None:
    """The gateway forgets what nobody renews: a control loop that hangs must not heat on."""
    bench = Bench()
    await bench.apply(heat(45.0))
    bench.now_ms += 600_000
    await bench.settle()
    assert bench.link.sent == [45.0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ActuatorFault("update its firmware"), "update its firmware"),
        (ConnectionRefusedError(111, "Connection refused"), "the gateway: Connection refused; check the gateway's"),
    ],
)
async def test_a_link_that_fails_is_reported_tried_at_each_step_and_over_once_it_works(
    error: Exception, words: str
) -> None:
    bench = Bench()
    bench.link.error = error
    await bench.apply(heat(45.0))
    assert words in await bench.apply(heat(45.0))
    bench.link.error = None
    await bench.apply(heat(45.0))
    assert await bench.apply(heat(45.0)) == ""
    assert bench.link.sent == [45.0]


async def test_a_link_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.boilers.outputs.SEND_S_MAX", 0.0)
    bench = Bench()
    bench.link.blocks = True
    await bench.apply(heat(45.0))
    assert "the gateway: no response within" in await bench.apply(OFF)


@pytest.mark.parametrize("breaks", [None, ActuatorFault("gone"), OSError(5, "gone")])
async def test_the_end_hands_the_boiler_back_whatever_is_under_way(breaks: Exception | None) -> None:
    bench = Bench()
    bench.link.blocks = True
    await bench.apply(heat(45.0))
    bench.link.error = breaks
    await bench.outputs.close()
    assert bench.link.is_closed
    assert bench.link.sent == ([] if breaks else ["released"])


class GatewayLink(Link):
    """The way to an emulated OpenTherm Gateway, without a wire that takes time."""

    def __init__(self, gateway: EmulatedOtgw, now_s: Callable[[], float]) -> None:
        super().__init__()
        self.gateway = gateway
        self.now_s = now_s
        self.answers = True

    @property
    def is_heating_enabled(self) -> bool:  # type: ignore[override]
        return self.gateway.status_message(self.now_s()) == "R00000300"

    async def send(self, flow_c: float | None) -> None:
        await super().send(flow_c)
        self.gateway.receive(f"CS={8.0 if flow_c is None else flow_c}", self.now_s())
        self.gateway.receive(f"CH={0 if flow_c is None else 1}", self.now_s())
        if not self.answers:
            raise OSError(110, "Connection timed out")


@pytest.mark.parametrize("killed_s", range(0, 70, 10))
@pytest.mark.parametrize("loss", ["hub", "link"])
async def test_a_boiler_is_off_a_minute_after_hub_or_link_are_gone(killed_s: int, loss: str) -> None:
    """Whenever that happens, and not before: while all are there the boiler heats without a gap."""
    bench, gateway = Bench(), EmulatedOtgw()
    bench.link = GatewayLink(gateway, lambda: bench.now_ms / 1000)
    bench.outputs = BoilerOutputs(bench.link, flow_c_max=55.0, monotonic_ms=lambda: bench.now_ms)
    for _ in range(30 + killed_s // 10):
        await bench.apply(heat(80.0))
        assert gateway.order(bench.now_ms / 1000) == BoilerOrder(55.0, may_heat=True)
    gone_s = bench.now_ms / 1000
    if loss == "link":
        bench.link.error = OSError(5, "Input/output error")
    while gateway.order(bench.now_ms / 1000).may_heat:
        if loss == "link":
            await bench.apply(heat(80.0), after_s=5.0)
        else:
            bench.now_ms += 5000
        assert bench.now_ms / 1000 - gone_s <= OTGW_EXPIRES_S + 5.0
    assert gateway.highest_c <= 55.0


REST_S = 300.0


class RestBench(Bench):
    """A boiler behind a gateway, which notes how long it had rested whenever it began to heat.

    The hub before this one had it heat until the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.link: GatewayLink = GatewayLink(EmulatedOtgw(), lambda: self.now_ms / 1000)
        self.link.gateway.receive("CS=50", 0.0)
        self.outputs = BoilerOutputs(self.link, flow_c_max=55.0, monotonic_ms=lambda: self.now_ms, rest_s=REST_S)
        self.rests_s: list[float] = []
        self._was_on, self._off_s = True, 0.0

    async def apply(self, demand: HvacDemand, after_s: float = 10.0) -> str:
        for _ in range(round(after_s)):
            self.now_ms += 1000
            self.look()
        fault = await super().apply(demand, after_s=0.0)
        self.look()
        return fault

    def look(self) -> None:
        now_s = self.now_ms / 1000
        is_on = self.link.gateway.order(now_s).may_heat
        if is_on and not self._was_on:
            self.rests_s.append(now_s - self._off_s)
        elif self._was_on and not is_on:
            self._off_s = now_s
        self._was_on = is_on


@pytest.mark.parametrize("restarted_s", [3, 10, 17, 29])
async def test_boiler_whose_gateway_lost_its_supply_rests_from_when_it_went_off(restarted_s: int) -> None:
    """Without a thermostat the boiler is off until the next demand, within 30 s: too short for its burner."""
    bench = RestBench()
    for _ in range(6):
        assert await bench.apply(heat(45.0)) == ""
    for second in range(30):
        if second == restarted_s:
            bench.link.gateway.restart()
        fault = await bench.apply(heat(45.0), after_s=1.0)
    assert "s for the boiler's rest" in fault
    assert "lost its supply" in fault
    for _ in range(40):
        fault = await bench.apply(heat(45.0))
    assert (fault, len(bench.rests_s)) == ("", 1)
    assert REST_S <= bench.rests_s[0] <= REST_S + 20.0


@pytest.mark.parametrize("dead_s", [20, 60, 200])
async def test_boiler_that_a_dead_link_kept_on_at_the_start_rests_from_when_it_went_off(dead_s: int) -> None:
    bench = RestBench()
    bench.link.error = OSError(5, "Input/output error")
    for _ in range(dead_s // 10):
        await bench.apply(OFF)
    bench.link.error = None
    # The control counts its rest from the start of the hub.
    while bench.now_ms < REST_S * 1000:
        await bench.apply(OFF)
    faults = [await bench.apply(heat(45.0)) for _ in range(15)]
    assert "the gateway: wait" in faults[0]
    assert faults[-1] == ""
    assert len(bench.rests_s) == 1
    assert REST_S - 1 <= bench.rests_s[0] <= REST_S + 20


async def test_boiler_whose_override_ended_by_silence_rests_before_it_heats_again() -> None:
    bench = RestBench()
    for _ in range(3):
        await bench.apply(heat(45.0))
    bench.link.error = OSError(5, "Input/output error")
    for _ in range(9):
        await bench.apply(heat(45.0))
    bench.link.error = None
    for _ in range(40):
        await bench.apply(heat(45.0))
    assert len(bench.rests_s) == 1
    assert REST_S - 1 <= bench.rests_s[0] <= REST_S + 20


async def test_link_that_fails_for_less_than_the_silence_interrupts_nothing() -> None:
    bench = RestBench()
    await bench.apply(heat(45.0))
    bench.link.error = OSError(5, "Input/output error")
    for _ in range(3):
        await bench.apply(heat(45.0))
    bench.link.error = None
    for _ in range(4):
        await bench.apply(heat(45.0))
    assert bench.rests_s == []
    assert bench.link.sent[-1] == 45.0


@pytest.mark.parametrize("seed", range(20))
async def test_boiler_heats_never_before_its_rest_whatever_the_link_does(seed: int) -> None:
    rng = random.Random(seed)
    bench = RestBench()
    demand, changed_ms = OFF, 0
    for _ in range(1000):
        if rng.random() < 0.1:
            bench.link.error = None if bench.link.error else OSError(5, "Input/output error")
        bench.link.answers = rng.random() > 0.1
        if bench.now_ms - changed_ms >= REST_S * 1000 and rng.random() < 0.2:
            demand, changed_ms = (heat(45.0) if demand is OFF else OFF), bench.now_ms + 10_000
        await bench.apply(demand)
    assert bench.rests_s
    assert min(bench.rests_s) >= REST_S - 1
    bench.link.error, bench.link.answers = None, True
    for _ in itertools.repeat(None, 45):
        await bench.apply(demand)
    assert (bench.link.sent[-1] is None) is (demand is OFF)
