"""Plugs and valves as outputs, on the real zigpy and bellows: switched, read back, renewed, safe by silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("bellows")

from hal.errors import ActuatorFault
from hal.interface import HvacAction, HvacDemand
from hal.line_names import parse_line_name, radio_line
from hal.linux.output_lines import RelayWiring, ZoneRelays
from hal.zigbee import output_devices, output_line, output_table
from hal.zigbee.output_line import LineTiming
from hal.zigbee.output_table import LineUse
from hal.zigbee.outputs import ZigbeeOutputs
from lab.ncp import actuators, models, zcl
from lab.ncp.server import EmulatorServer
from tests.integration.conftest import WAIT_S
from tests.integration.zigbee_bench import Hub, Stand, build, hasten, one, sell

OFF = HvacDemand({"z": HvacAction.OFF})
HEAT = HvacDemand({"z": HvacAction.HEAT})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)
    monkeypatch.setattr(output_line, "RETRY_DELAYS_S", (0.1,))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the hub's patience with outputs, and the timers of plugs."""
    monkeypatch.setattr(output_line, "SWITCH", LineTiming(1.0, 0.2, 3.0, 0.2))
    monkeypatch.setattr(output_line, "VALVE", LineTiming(1.0, 0.2, 3.0))
    monkeypatch.setattr(output_line, "TRAVEL_S", 0.5)
    monkeypatch.setattr(output_line, "DOUBT_READ_S", 0.1)
    monkeypatch.setattr(output_table, "RADIO_S_MAX", 0.3)
    monkeypatch.setattr(output_devices, "LEASE_S", 2.0)


class Zone:
    """A zone's output on the device "one", and what the device does."""

    def __init__(self, sensors: EmulatorServer, hub: Hub, outputs: ZigbeeOutputs) -> None:
        self.sensors = sensors
        self.hub = hub
        self.outputs = outputs

    @property
    def value(self) -> dict[int, int]:
        """The attributes of the output's cluster."""
        node = self.sensors.emulator.radio_medium.node("one")
        table = node._attributes
        return {key[2]: table.number(key) for key in table._known if key[1] in {models.ON_OFF, models.THERMOSTAT}}

    @property
    def goes_off_alone(self) -> bool | None:
        return self.hub.network.radio_outputs[0].goes_off_alone

    async def apply(self, demand: HvacDemand) -> str:
        """Return the fault."""
        try:
            await self.outputs.apply(demand)
        except ActuatorFault as error:
            return str(error)
        return ""

    async def follows(self, demand: HvacDemand) -> None:
        """Demand until the hub knows that the device follows."""
        wanted, fault = demand.zones["z"] is HvacAction.HEAT, "not tried yet"
        async with asyncio.timeout(WAIT_S):
            while fault or self.hub.network.radio_outputs[0].is_on is not wanted:
                fault = await self.apply(demand)
                await asyncio.sleep(0.02)

    async def fault(self, demand: HvacDemand, words: str) -> None:
        """Demand until the fault has these words."""
        texts: list[str] = []
        try:
            async with asyncio.timeout(WAIT_S):
                while words not in (texts or [""])[-1]:
                    texts.append(await self.apply(demand))
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no fault with {words!r} but {texts[-1]!r}") from None


@contextlib.asynccontextmanager
async def zone(directory: Path, kind: str, model: str) -> AsyncIterator[Zone]:
    stand = Stand(directory, house=one(model))
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
    line = parse_line_name(radio_line(device, kind, 1))
    stand.uses = (LineUse(line, "z"),)
    async with stand.running() as (sensors, hub):
        outputs = ZigbeeOutputs(hub.network, RelayWiring("zigbee", (ZoneRelays("z", 0),)), (line,))
        yield Zone(sensors, hub, outputs)


async def test_plug_is_switched_read_back_and_corrected(tmp_path: Path) -> None:
    async with zone(tmp_path, "switch", "plug") as plug:
        await plug.follows(OFF)
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.goes_off_alone)
        assert (plug.value[0x0000], 0 < plug.value[0x4001] <= 600) == (1, True)
        assert plug.hub.network.links[0].outputs == (plug.hub.network.radio_outputs[0].line,)
        # Somebody presses the button of the plug, which reports it.
        plug.sensors.set_values("one", {"on_off": 0})
        await plug.hub.until(lambda: plug.value[0x0000] == 1)
        await plug.follows(HEAT)
        await plug.outputs.close()
        assert plug.value[0x0000] == 0


async def test_valve_is_opened_and_closed_by_its_setpoint(tmp_path: Path) -> None:
    async with zone(tmp_path, "valve", "valve") as valve:
        valve.sensors.set_values("one", {"room_temperature_c": 20.0})
        await valve.follows(OFF)
        assert (valve.value[0x0012], valve.value[0x0008]) == (700, 0)
        await valve.follows(HEAT)
        # Its own limit.
        assert (valve.value[0x0012], valve.value[0x0008]) == (2800, 100)
        await valve.hub.until(lambda: valve.goes_off_alone is False)
        valve.sensors.set_values("one", {"heat_setpoint_c": 21.0})
        await valve.hub.until(lambda: valve.value[0x0012] == 2800)
        # The temperature of the room.
        await valve.apply(msgspec.structs.replace(HEAT, room_c={"z": 19.25}))
        await valve.follows(msgspec.structs.replace(OFF, room_c={"z": 19.25}))
        await valve.hub.until(lambda: valve.value[0x4015] == 1925)


async def test_plug_without_a_timer_is_switched_all_the_same(tmp_path: Path) -> None:
    async with zone(tmp_path, "switch", "router") as plug:
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.goes_off_alone is False)
        assert plug.value[0x0000] == 1
        await plug.follows(OFF)
        assert plug.value[0x0000] == 0


@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "not seen to run"])
async def test_plug_that_misses_the_check_of_its_timer_once_is_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    monkeypatch.setattr(output_line, "TIMER_CHECK_DELAYS_S", (0.1,))
    monkeypatch.setattr(output_line, "SWITCH", LineTiming(20.0, 60.0, 90.0, 0.1))
    switch, missed = actuators.Actuators.switch, list[int]()

    def switch_late(self: actuators.Actuators, endpoint: int, frame: zcl.ZclFrame, now_s: float) -> zcl.ZclStatus:
        if frame.command == actuators.ON_WITH_TIMED_OFF and not missed:
            missed.append(endpoint)
            return zcl.ZclStatus.MALFORMED_COMMAND if is_refused else zcl.ZclStatus.SUCCESS
        return switch(self, endpoint, frame, now_s)

    monkeypatch.setattr(actuators.Actuators, "switch", switch_late)
    async with zone(tmp_path, "switch", "plug") as plug:
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.goes_off_alone)
        assert missed
        assert 0 < plug.value[0x4001] <= 600


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_plug_that_is_gone_is_a_fault_until_it_is_back(tmp_path: Path) -> None:
    async with zone(tmp_path, "switch", "plug") as plug:
        await plug.follows(HEAT)
        plug.sensors.unplug("one")
        await plug.fault(HEAT, "check the supply of zigbee-")
        plug.sensors.plug("one")
        await plug.hub.until(lambda: not plug.hub.network.radio_outputs[0].problem)
        await plug.follows(OFF)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [
        ("switch", "plug", "it accepts commands and does not go on"),
        ("valve", "valve", "(window detection, mounting, stuck pin): it stays 0 % open"),
    ],
)
async def test_device_that_ignores_commands_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, model: str, words: str
) -> None:
    sell(monkeypatch, "stuck", msgspec.structs.replace(models.MODELS[model], ignores_commands=True))
    async with zone(tmp_path, kind, "stuck") as stuck:
        await stuck.fault(HEAT, words)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_plug_goes_off_by_itself_when_the_radio_is_gone(tmp_path: Path) -> None:
    async with zone(tmp_path, "switch", "plug") as plug:
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.goes_off_alone)
        plug.sensors.pull_out()
        await plug.fault(HEAT, "stick")
        await plug.hub.until(lambda: plug.value[0x0000] == 0)
        plug.sensors.put_back()
        await plug.follows(HEAT)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_plug_goes_off_when_the_control_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_line, "DEMAND_S_MAX", 0.5)
    async with zone(tmp_path, "switch", "router") as plug:
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.value[0x0000] == 0)


@pytest.mark.slow
async def test_plug_whose_timer_would_toggle_is_never_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(monkeypatch, "tuya", tuya_plug())
    async with zone(tmp_path, "switch", "tuya") as plug:
        await plug.follows(HEAT)
        await plug.hub.until(lambda: plug.goes_off_alone is False)
        assert plug.value[0x4001] == 0


def tuya_plug() -> models.DeviceModel:
    (endpoint,) = models.MODELS["plug"].endpoints
    on_off = next(cluster for cluster in endpoint.servers if cluster.id == models.ON_OFF)
    first = models.EndpointModel(1, endpoint.device_id, (on_off,))
    return build("_TZ3000_w0qqde0g", "TS011F", first, dialect=models.VendorDialect.NONE)


async def test_line_that_is_not_there_is_a_fault_with_its_remedy(tmp_path: Path) -> None:
    stand = Stand(tmp_path, house=one("plug"))
    async with stand.running() as (sensors, hub):
        device = await hub.pair(sensors, "one")
    absent = (parse_line_name("zigbee-00124b0012345678/switch/1"), parse_line_name(radio_line(device, "valve", 1)))
    stand.uses = [LineUse(line, "z") for line in absent]
    async with stand.running() as (sensors, hub):
        zones = (ZoneRelays("z", 0), ZoneRelays("y", 1))
        outputs = ZigbeeOutputs(hub.network, RelayWiring("zigbee", zones), absent)
        with pytest.raises(ActuatorFault) as raised:
            await outputs.apply(HEAT)
        assert str(raised.value) == (
            "pair the device of zigbee-00124b0012345678/switch/1 (climahub zigbee pair): it is not in this hub's "
            f"network; name {radio_line(device, 'switch', 1)} in place of {absent[1]}: its device has no such output"
        )
