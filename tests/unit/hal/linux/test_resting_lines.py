"""The minimum off time on a board whose bus hangs or whose supply fails: counted from when a line really went off."""

import errno
import itertools
import random
import threading
from collections.abc import Mapping

import pytest

from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from hal.linux.bus_relays import BusRelays
from hal.linux.output_lines import OutputLines, RelayWiring, ZoneRelays
from hal.output_rest import PROMPT_S

REST_S, STEP_S = 60.0, 10.0
LIVING, PUMP = 0, 1
WIRING = RelayWiring(
    "i2c-1-0020/pcf8574", (ZoneRelays("living", LIVING),), {"pump": PUMP}, rests_s={LIVING: REST_S, PUMP: 0.0}
)
ON = HvacDemand({"living": HvacAction.HEAT}, HeatSourceDemand(HvacAction.HEAT, 1, is_pump_on=True))
OFF = HvacDemand({"living": HvacAction.OFF}, HeatSourceDemand())


class Rig:
    """A board with two lines, which remembers when each went off and how long it had rested when it went on."""

    def __init__(self, *, is_on: bool = False) -> None:
        self.now_ms = 0
        self.on = {LIVING: is_on, PUMP: is_on}
        self.off_ms = dict.fromkeys(self.on, -3_600_000)
        self.rests_s: list[float] = []
        self.error: OSError | None = None
        self.released = threading.Event()
        self.released.set()
        self.relays = BusRelays(WIRING, self._open, lambda: self.now_ms)

    def _open(self, wiring: RelayWiring) -> OutputLines:
        assert wiring is WIRING
        return self

    def set(self, values: Mapping[int, bool]) -> None:
        self._pass()
        for line, is_on in values.items():
            self.switch(line, is_on=is_on)

    def get(self) -> Mapping[int, bool]:
        self._pass()
        return dict(self.on)

    def close(self) -> None:
        pass

    def advice(self, error: OSError) -> str:
        return f"remedy of {error.errno}"

    def _pass(self) -> None:
        self.released.wait()
        if self.error is not None:
            raise self.error

    def switch(self, line: int, *, is_on: bool) -> None:
        """Switch a line, by a command or because the board has lost its supply."""
        if self.on[line] and not is_on:
            self.off_ms[line] = self.now_ms
        elif is_on and not self.on[line] and line == LIVING:
            self.rests_s.append((self.now_ms - self.off_ms[line]) / 1000)
        self.on[line] = is_on

    def lose_supply(self) -> None:
        for line in self.on:
            self.switch(line, is_on=False)

    async def apply(self, demand: HvacDemand, after_s: float = STEP_S) -> str:
        """Return the fault of the next decision."""
        self.now_ms += round(after_s * 1000)
        try:
            await self.relays.apply(demand)
        except ActuatorFault as error:
            return str(error)
        return ""


def refusal() -> OSError:
    return OSError(errno.EREMOTEIO, "Remote I/O error")


async def test_line_that_a_dead_bus_kept_on_at_the_start_rests_from_when_it_went_off() -> None:
    rig = Rig(is_on=True)
    rig.error = refusal()
    for _ in range(4):
        assert "Remote I/O error; remedy of 121" in await rig.apply(OFF)
    rig.error = None
    assert await rig.apply(OFF) == ""
    assert (rig.on[LIVING], rig.off_ms[LIVING]) == (False, 50_000)
    # The control counts 60 s from its start; the line has rested for 10 s then.
    assert "wait 50 s for the minimum off time of line 0: it went off late" in await rig.apply(ON)
    assert rig.on == {LIVING: False, PUMP: True}
    while await rig.apply(ON):
        pass
    assert (rig.on[LIVING], rig.rests_s) == (True, [REST_S])


async def test_line_that_follows_at_once_waits_for_nothing() -> None:
    """A rest that the control knows of from before the restart is not made longer, nor a test without one."""
    rig = Rig()
    assert await rig.apply(ON, after_s=0.5) == ""
    assert await rig.apply(OFF) == ""
    assert await rig.apply(ON) == ""
    assert rig.on[LIVING]


async def test_error_of_the_bus_interrupts_no_line_that_stays_wanted() -> None:
    rig = Rig()
    assert await rig.apply(ON, after_s=0.5) == ""
    rig.error = refusal()
    assert await rig.apply(ON)
    rig.error = None
    assert await rig.apply(ON) == ""
    assert (len(rig.rests_s), rig.on[LIVING]) == (1, True)


async def test_line_that_lost_its_supply_rests_from_when_it_is_seen_off() -> None:
    rig = Rig()
    await rig.apply(ON, after_s=0.5)
    rig.lose_supply()
    fault = await rig.apply(ON)
    assert "check the board's supply" in fault
    assert rig.on == {LIVING: False, PUMP: True}
    while await rig.apply(ON):
        pass
    assert rig.rests_s[1:] == [STEP_S + REST_S]


async def test_command_that_hung_switches_nothing_on_that_is_no_longer_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 0.05)
    rig = Rig()
    rig.released.clear()
    assert "no response" in await rig.apply(ON, after_s=0.5)
    assert "hangs in an earlier command" in await rig.apply(OFF)
    monkeypatch.setattr("hal.linux.bus_threads.BUS_S_MAX", 60.0)
    rig.released.set()
    while "earlier" in await rig.apply(OFF, after_s=0.0):
        pass
    assert (rig.rests_s, rig.on) == ([], {LIVING: False, PUMP: False})


@pytest.mark.parametrize("seed", range(12))
async def test_no_line_goes_on_before_its_rest_whatever_fails(seed: int) -> None:
    """The control keeps minimum times by its own demands; the bus, the supply and the start are made up."""
    rng = random.Random(seed)
    rig = Rig(is_on=rng.random() < 0.5)
    demand, changed_ms = OFF, 0
    for _ in range(300):
        if rng.random() < 0.15:
            rig.error = None if rig.error else refusal()
        if rng.random() < 0.02:
            rig.lose_supply()
        may_change = rig.now_ms - changed_ms >= REST_S * 1000
        if may_change and rng.random() < 0.3:
            demand, changed_ms = (OFF if demand is ON else ON), rig.now_ms + round(STEP_S * 1000)
        await rig.apply(demand)
    assert rig.rests_s
    assert min(rig.rests_s) >= REST_S - PROMPT_S
    # What is demanded comes about once nothing fails.
    rig.error = None
    for _ in itertools.repeat(None, 8):
        await rig.apply(demand)
    assert rig.on[LIVING] is (demand is ON)
