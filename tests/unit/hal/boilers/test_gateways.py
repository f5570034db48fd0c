"""The links to real gateways, against emulated ones: pyotgw unmodified on a pseudo terminal, ebusd's text on TCP."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import outputs
from agent.config import resolve_text
from agent.errors import ConfigInvalid
from hal.boilers import hand_back
from hal.boilers.ebusd import EbusdLink
from hal.boilers.ebusd_messages import check_answer, has_signal, write_command
from hal.boilers.otgw import OFF_C, SILENCE_S, OtgwLink
from hal.boilers.outputs import RENEW_S, BoilerOutputs
from hal.errors import ActuatorFault
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from lab.boilers.gateways import EBUSD_EXPIRES_S, OTGW_EXPIRES_S, BoilerOrder, EmulatedEbusd, EmulatedOtgw
from lab.boilers.server import OtgwServer, serve_ebusd, serve_otgw_tcp
from tests.integration.conftest import until

MESSAGE = "-c bai SetModeOverride 0;{flow_c};-;-;{off};0;0;0;0;0"
THERMOSTAT = BoilerOrder(35.0, may_heat=True)


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0


@asynccontextmanager
async def otgw(directory: Path, gateway: EmulatedOtgw, time: Time) -> AsyncIterator[tuple[OtgwLink, OtgwServer, Path]]:
    """Yield a link to an emulated gateway at a serial port."""
    server, port = OtgwServer(gateway, lambda: time.now_s), directory / "otgw"
    server.open(port)
    link = OtgwLink(str(port))
    try:
        yield link, server, port
    finally:
        await link.close()
        await server.close()


async def test_an_otgw_gets_setpoint_and_permission_and_is_handed_back(tmp_path: Path) -> None:
    pytest.importorskip("pyotgw")
    time, gateway = Time(), EmulatedOtgw(thermostat=THERMOSTAT)
    async with otgw(tmp_path, gateway, time) as (link, _, _):
        await link.send(47.5)
        assert gateway.order(time.now_s) == BoilerOrder(47.5, may_heat=True)
        await link.send(None)
        assert gateway.order(time.now_s) == BoilerOrder(8.0, may_heat=False)
        await link.send(40.0)
        assert gateway.order(time.now_s) == BoilerOrder(40.0, may_heat=True)
        await link.release()
        assert gateway.order(time.now_s) == THERMOSTAT


async def test_an_otgw_that_forgets_its_demand_is_seen_by_what_it_sends_to_the_boiler(tmp_path: Path) -> None:
    pytest.importorskip("pyotgw")
    gateway = EmulatedOtgw()
    async with otgw(tmp_path, gateway, Time()) as (link, server, _):
        assert link.is_heating_enabled is None
        await link.send(47.5)
        assert link.is_heating_enabled
        gateway.restart()
        async with asyncio.timeout(60.0):
            while link.is_heating_enabled:  # noqa: ASYNC110 - pyotgw tells nobody
                await asyncio.sleep(0.05)
        await link.send(47.5)
        assert link.is_heating_enabled
        server.is_silent = True
        await link.close()
        assert link.is_heating_enabled is None


async def test_an_otgw_that_is_not_safe_by_silence_or_only_monitors_is_not_driven(tmp_path: Path) -> None:
    pytest.importorskip("pyotgw")
    for gateway, words in (
        (EmulatedOtgw(about="OpenTherm Gateway 5.4"), r"update its firmware to 5\.6 or later"),
        (EmulatedOtgw(mode="M"), r"switch it to gateway mode \(GW=1\)"),
    ):
        async with otgw(tmp_path, gateway, Time()) as (link, _, _):
            with pytest.raises(ActuatorFault, match=words):
                await link.send(47.5)
            assert gateway.setpoints == 0


async def test_an_otgw_that_falls_silent_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("pyotgw")
    async with otgw(tmp_path, EmulatedOtgw(), Time()) as (link, server, _):
        await link.send(47.5)
        server.is_silent = True
        with pytest.raises(ActuatorFault, match="answers nothing; check its supply, its cable"):
            await link.send(50.0)


async def fault_of(outputs: BoilerOutputs, flow_c: float | None) -> str:
    """Have the outputs apply a demand and send it; return what is reported then."""
    action = HvacAction.OFF if flow_c is None else HvacAction.HEAT
    demand = HvacDemand({}, HeatSourceDemand(action, flow_c=flow_c))
    with contextlib.suppress(ActuatorFault):
        await outputs.apply(demand)
    await until(lambda: outputs._task is None or outputs._task.done())
    try:
        await outputs.apply(demand)
    except ActuatorFault as error:
        return str(error)
    return ""


@pytest.mark.parametrize("failure", ["refused", "silent"])
async def test_a_renewal_that_fails_leaves_the_boiler_safe_within_a_minute_and_says_so(
    tmp_path: Path, failure: str
) -> None:
    pytest.importorskip("pyotgw")
    time, gateway = Time(), EmulatedOtgw()
    async with otgw(tmp_path, gateway, time) as (link, server, _):
        outputs = BoilerOutputs(link, flow_c_max=55.0, monotonic_ms=lambda: round(time.now_s * 1000))
        assert await fault_of(outputs, 50.0) == ""
        time.now_s += RENEW_S
        if failure == "refused":
            gateway.refused = frozenset({"CS"})
        server.is_silent = failure == "silent"
        words = {"refused": "does not take the setpoint 50.0 °C; check its log", "silent": "answers nothing; check its"}
        fault = await fault_of(outputs, 50.0)
        assert words[failure] in fault
        assert fault.endswith("the boiler may heat on until 75 s after the last demand that arrived")
        assert gateway.order(time.now_s).may_heat
        failed_s = time.now_s
        while gateway.order(time.now_s).may_heat:
            time.now_s += 5.0
            assert time.now_s - failed_s < 60.0
        time.now_s = SILENCE_S + 1.0
        fault = await fault_of(outputs, 50.0)
        assert words[failure] in fault
        assert fault.endswith("no demand for heat has arrived in the last 75 s")


async def test_a_boiler_is_forbidden_to_heat_where_the_gateway_refuses_the_lower_setpoint(tmp_path: Path) -> None:
    pytest.importorskip("pyotgw")
    gateway = EmulatedOtgw()
    async with otgw(tmp_path, gateway, Time()) as (link, _, _):
        await link.send(50.0)
        gateway.refused = frozenset({"CS"})
        with pytest.raises(ActuatorFault, match=r"does not take the setpoint 8\.0 °C"):
            await link.send(None)
        assert gateway.order(0.0) == BoilerOrder(50.0, may_heat=False)
        gateway.refused = frozenset({"CH"})
        with pytest.raises(ActuatorFault, match="does not take CH=0"):
            await link.send(None)
        assert gateway.order(0.0).flow_c == OFF_C


async def test_missing_pyotgw_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyotgw", None)
    link = OtgwLink("/dev/null")
    with pytest.raises(ActuatorFault, match=r"pip install 'climahub\[opentherm\]'"):
        await link.send(None)
    await link.close()


async def test_pyotgw_is_loaded_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes tenths of a second from a card, and control is late by as much."""
    threads: list[threading.Thread] = []

    def load(name: str) -> object:
        threads.append(threading.current_thread())
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", load)
    with pytest.raises(ActuatorFault, match="pip install"):
        await OtgwLink("/dev/null").send(None)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("setpoint", ["45.0", "8.0"])
def test_silence_hands_the_boiler_back_to_its_thermostat(setpoint: str) -> None:
    """Facts of the firmware, which the emulator keeps: a setpoint of 8 °C or more counts for a little over a minute."""
    gateway = EmulatedOtgw(thermostat=THERMOSTAT)
    gateway.receive(f"CS={setpoint}", 0.0)
    gateway.receive("CH=0", 0.0)
    assert not gateway.order(60.0).may_heat
    assert gateway.order(OTGW_EXPIRES_S + 1.0) == THERMOSTAT


async def test_a_killed_agent_is_followed_by_an_end_of_the_override(tmp_path: Path) -> None:
    """What ExecStopPost= does: without asyncio, pyotgw, or the agent that died."""
    time, gateway = Time(), EmulatedOtgw(thermostat=THERMOSTAT)
    config = tmp_path / "config.toml"
    async with otgw(tmp_path, gateway, time) as (_, server, port):
        config.write_text(f'[boiler]\ndriver = "otgw"\naddress = "{port}"\n')
        gateway.receive("CS=50.0", 0.0)
        server.receive_partly(b"CS=55")
        assert await asyncio.to_thread(outputs.main, config) == 0
        assert gateway.order(0.0) == THERMOSTAT
    tcp = await serve_otgw_tcp(gateway, lambda: time.now_s)
    async with tcp:
        gateway.receive("CS=50.0", 0.0)
        address = f"socket://127.0.0.1:{tcp.sockets[0].getsockname()[1]}"
        await asyncio.to_thread(hand_back.hand_back_otgw, address)
        assert gateway.order(0.0) == THERMOSTAT
    for gone in (address, str(tmp_path / "gone")):
        with pytest.raises(ActuatorFault, match="it ends by itself within two minutes"):
            await asyncio.to_thread(hand_back.hand_back_otgw, gone)


async def test_ebusd_gets_flow_and_permission(tmp_path: Path) -> None:
    time, ebusd = Time(), EmulatedEbusd()
    server = await serve_ebusd(ebusd, lambda: time.now_s)
    async with server:
        address = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = EbusdLink(address, MESSAGE)
        await link.send(47.5)
        assert ebusd.order(0.0) == BoilerOrder(47.5, may_heat=True)
        await link.release()
        assert ebusd.order(0.0) == BoilerOrder(0.0, may_heat=False)
        assert ebusd.order(EBUSD_EXPIRES_S + 1.0) == ebusd.own
        await link.send(40.0)
        config = tmp_path / "config.toml"
        config.write_text(f'[boiler]\ndriver = "ebusd"\naddress = "{address}"\n')
        assert await asyncio.to_thread(outputs.main, config) == 0
        assert not ebusd.order(0.0).may_heat
        ebusd.failure = "ERR: element not found"
        with pytest.raises(ActuatorFault, match="add the message of boiler"):
            await link.send(47.5)
        await link.close()
    with pytest.raises(OSError, match="Connect"):
        await link.send(47.5)
    assert await asyncio.to_thread(outputs.main, config) == outputs.EXIT_CONFIG


@asynccontextmanager
async def ebusd_link(ebusd: EmulatedEbusd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbusdLink]:
    """Yield a link to an emulated ebusd, which is asked for the signal all the time."""
    monkeypatch.setattr("hal.boilers.ebusd.WATCH_S", 0.005)
    server = await serve_ebusd(ebusd, lambda: 0.0)
    async with server:
        link = EbusdLink(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", MESSAGE)
        try:
            yield link
        finally:
            await link.close()


async def test_a_boiler_behind_ebusd_that_lost_its_supply_is_seen_by_the_signal_of_the_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ebusd = EmulatedEbusd()
    async with ebusd_link(ebusd, monkeypatch) as link:
        await link.send(47.5)
        await until(lambda: ebusd.questions > 1)
        assert link.is_heating_enabled is None
        ebusd.switch_boiler_off()
        await until(lambda: link._signal.name == "LOST")
        assert link.is_heating_enabled is None
        with pytest.raises(ActuatorFault, match="switch the boiler on, and check the bus's cable"):
            await link.send(47.5)
        ebusd.has_signal = True
        await until(lambda: link.is_heating_enabled is False)
        assert ebusd.commands == ["write -c bai SetModeOverride 0;47.5;-;-;0;0;0;0;0;0"]
        await link.send(47.5)
        assert link.is_heating_enabled is None
        assert ebusd.order(0.0) == BoilerOrder(47.5, may_heat=True)


async def test_an_ebusd_that_has_just_started_has_not_lost_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers "no signal" until it has met the bus."""
    ebusd = EmulatedEbusd()
    async with ebusd_link(ebusd, monkeypatch) as link:
        await link.send(47.5)
        ebusd.has_signal = False
        await until(lambda: ebusd.questions > 1)
        ebusd.has_signal = True
        questions = ebusd.questions
        await until(lambda: ebusd.questions > questions + 2)
        assert link.is_heating_enabled is None


async def test_ebusd_is_asked_for_the_signal_only_while_the_boiler_is_to_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    ebusd = EmulatedEbusd()
    async with ebusd_link(ebusd, monkeypatch) as link:
        await link.send(None)
        assert link._watching is None
        await link.send(47.5)
        await until(lambda: ebusd.questions > 0)
        await link.send(None)
        assert link._watching is None


async def test_a_watch_goes_on_after_an_ebusd_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ebusd = EmulatedEbusd()
    async with ebusd_link(ebusd, monkeypatch) as link:
        await link.send(47.5)
        await until(lambda: link._signal.name == "SEEN")
        ebusd.hangs_up = True
        await until(lambda: link._signal.name == "UNKNOWN")
        ebusd.hangs_up = False
        await until(lambda: link._signal.name == "SEEN")
        ebusd.switch_boiler_off()
        await until(lambda: link._signal.name == "LOST")


async def test_a_boiler_behind_ebusd_that_lost_its_supply_rests_from_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ebusd, now_ms = EmulatedEbusd(), 0
    heat = HvacDemand({}, heat_source=HeatSourceDemand(HvacAction.HEAT, 1, flow_c=45.0))
    async with ebusd_link(ebusd, monkeypatch) as link:
        boiler = BoilerOutputs(link, flow_c_max=55.0, monotonic_ms=lambda: now_ms, rest_s=300.0)

        async def apply(after_s: int) -> str:
            nonlocal now_ms
            now_ms += after_s * 1000
            try:
                await boiler.apply(heat)
            except ActuatorFault as error:
                return str(error)
            finally:
                await until(lambda: boiler._task is None or boiler._task.done())
            return ""

        for _ in range(40):
            assert await apply(10) == ""
        await until(lambda: link._signal.name == "SEEN")
        ebusd.switch_boiler_off()
        await until(lambda: link._signal.name == "LOST")
        await apply(30)
        assert "switch the boiler on" in await apply(10)
        ebusd.has_signal = True
        await until(lambda: link.is_heating_enabled is False)
        await apply(10)
        assert "wait 290 s for the boiler's rest" in await apply(10)
        assert ebusd.order(0.0) == BoilerOrder(0.0, may_heat=False)
        await apply(280)
        assert not ebusd.order(0.0).may_heat
        assert await apply(20) == ""
        assert ebusd.order(0.0) == BoilerOrder(45.0, may_heat=True)


async def test_what_does_not_speak_as_ebusd_is_reported() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 9000)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        link = EbusdLink(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", MESSAGE)
        with pytest.raises((ActuatorFault, ConnectionError)):
            await link.send(47.5)


def test_ebusd_commands_and_answers() -> None:
    assert write_command(MESSAGE, 47.26) == "write -c bai SetModeOverride 0;47.3;-;-;0;0;0;0;0;0\n"
    assert write_command(MESSAGE, None) == "write -c bai SetModeOverride 0;0.0;-;-;1;0;0;0;0;0\n"
    check_answer("done\n\n", "ebusd")
    check_answer("empty\n\n", "ebusd")
    assert [
        has_signal(each) for each in ("signal acquired, 23 symbols/sec (42 max), 3 masters\n", "no signal\n", "")
    ] == [
        True,
        False,
        None,
    ]
    for answer, words in (
        ("ERR: element not found", "boiler.ebusd_message"),
        ("ERR: no access", "--accesslevel"),
        ("ERR: no signal", "adapter"),
        ("usage: write", "check ebusd's log"),
    ):
        with pytest.raises(ActuatorFault, match=words):
            check_answer(answer, "ebusd")


@pytest.mark.parametrize(
    ("boiler", "climate", "words"),
    [
        ('driver = "otgw"', 'heat_source = "boiler"', "name the serial port of the OTGW"),
        ('driver = "ebusd"\naddress = "/dev/ttyUSB0"', 'heat_source = "boiler"', "name ebusd's: socket://HOST:8888"),
        ('driver = "otgw"\naddress = "/dev/x"', 'heat_source = "none"', 'set it to "boiler", which boiler.driver'),
        ('address = "auto"', "", r"an absolute path, or socket://HOST:PORT"),
        ('ebusd_message = "-c bai SetMode 0"', "", r"a line with \{flow_c\} and \{off\} in it"),
    ],
)
def test_a_boiler_that_cannot_be_driven_is_refused_with_its_remedy(boiler: str, climate: str, words: str) -> None:
    text = f'[cloud]\nbase_url = "https://a.example"\n[boiler]\n{boiler}\n[climate]\n{climate}\n'
    with pytest.raises(ConfigInvalid, match=words):
        resolve_text(text, file="test", directory=Path("/"), environ={})
