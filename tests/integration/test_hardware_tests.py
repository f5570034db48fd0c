"""Hardware tests on a real hub with a simulated board: over its socket and by the command line."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.cli import exit_codes, relay, root
from agent.climate import service
from agent.foundation.json_store import JsonStore
from agent.port.hardware import output_test, runner
from hal.interface import HvacAction, HvacDemand
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port

BOARD = """\
[board.sim]
sensors_count = 20
"""
ZONES = f"""\
{BOARD}
[climate]
relay_min_on_s = 0
relay_min_off_s = 0
zones = [{{ id = "living", sensors = ["sim/temperature"] }}, {{ id = "kitchen", sensors = ["kitchen 1"] }}]
"""
WARM = {"do": "set", "mode": "off"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TICK_S", 0.02)
    monkeypatch.setattr(service, "DECISION_INTERVAL_S", 0.02)
    monkeypatch.setattr(relay, "LOOK_S", 0.02)


def output_of(rig: PortRig, zone: str = "living") -> str:
    climate = rig.hub.climate
    assert climate is not None
    last = climate.control.last
    return last.demand.zones[zone].value if last else ""


def phase_of(rig: PortRig) -> str:
    test = rig.hub.hardware_tests.report().test if rig.hub.hardware_tests else None
    return test.phase if test else ""


async def ask(rig: PortRig, method: str, route: str, body: object = None) -> tuple[int, Any]:
    async with rig.socket_session() as client, client.request(method, route, json=body) as response:
        return response.status, await response.json()


async def switch_heating_off(rig: PortRig) -> None:
    """The rooms of the simulated winter would be heated anyway."""
    assert (await ask(rig, "POST", "/v1/climate/all", WARM))[0] == 200
    await until(lambda: output_of(rig) == "off" and output_of(rig, "kitchen") == "off")


@pytest.mark.parametrize("duration_s", [-5, 4.9, 601, 1e9])
async def test_a_duration_out_of_range_is_refused(tmp_path: Path, duration_s: float) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        status, refused = await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": duration_s})
        assert (status, refused["detail"]) == (400, "choose 5 to 600 s")
        assert (await ask(rig, "GET", "/v1/tests"))[1]["test"] is None


async def test_a_test_switches_on_and_off_and_gives_the_output_back(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        rig.clock.stand_still()
        status, begun = await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 5})
        assert (status, begun["test"]["phase"]) == (200, "waiting")
        await until(lambda: output_of(rig) == "heat" and phase_of(rig) == "on")
        assert output_of(rig, "kitchen") == "off"
        status, refused = await ask(rig, "POST", "/v1/tests/relays/kitchen", {})
        assert (status, refused["error"]) == (409, "conflict")
        mine = {"test_id": begun["test"]["test_id"], "lease": begun["lease"]}
        assert (await ask(rig, "POST", "/v1/tests/renew", mine))[1]["test"]["phase"] == "on"
        rig.clock.skip(4.9)
        assert (await ask(rig, "POST", "/v1/tests/renew", mine))[1]["test"]["phase"] == "on"
        rig.clock.skip(0.1)
        await until(lambda: output_of(rig) == "off")
        await until(lambda: phase_of(rig) == "done")
        last = (await ask(rig, "GET", "/v1/tests"))[1]["test"]
        assert (last["phase"], last["outcome"], last["on_s"]) == ("done", "passed", 5.0)
        assert (await ask(rig, "POST", "/v1/tests/renew", mine))[0] == 409


async def test_who_only_watches_cannot_keep_a_test_on_but_can_stop_it(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        begun = (await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600}))[1]
        watched = (await ask(rig, "GET", "/v1/tests"))[1]
        assert (begun["lease"] != "", watched["lease"]) == (True, "")
        for lease in ({}, {"lease": ""}, {"lease": "é"}):
            other = {"test_id": watched["test"]["test_id"], **lease}
            status, refused = await ask(rig, "POST", "/v1/tests/renew", other)
            assert (status, refused["detail"]) == (
                403,
                "stop this test or let it end: only who has begun it can keep it on",
            )
        assert (await ask(rig, "POST", "/v1/tests/stop"))[1]["lease"] == ""
        await until(lambda: phase_of(rig) == "done")
        # The next one has another lease.
        again = (await ask(rig, "POST", "/v1/tests/commissioning", {}))[1]
        stale = {"test_id": again["commissioning"]["test_id"], "lease": begun["lease"]}
        assert (await ask(rig, "POST", "/v1/tests/renew", stale))[0] == 403
        assert (await ask(rig, "POST", "/v1/tests/renew", {**stale, "lease": again["lease"]}))[0] == 200


async def test_a_lost_session_ends_the_test(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600})
        await until(lambda: output_of(rig) == "heat")
        rig.clock.skip(output_test.LEASE_S)
        await until(lambda: output_of(rig) == "off" and phase_of(rig) == "done")
        last = (await ask(rig, "GET", "/v1/tests"))[1]["test"]
        assert last["outcome"] == "session_lost"


async def test_the_output_goes_off_although_the_port_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demand ends by itself in the climate control; the port's loop is not asked."""
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        tests = rig.hub.hardware_tests
        assert tests is not None
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600})
        await until(lambda: output_of(rig) == "heat")
        monkeypatch.setattr(tests, "_tick", lambda: None)
        rig.clock.skip(output_test.LEASE_S)
        await until(lambda: output_of(rig) == "off")


async def test_a_defect_of_the_port_gives_the_outputs_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        tests = rig.hub.hardware_tests
        assert tests is not None
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600})
        await until(lambda: output_of(rig) == "heat")

        def fail() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(tests, "_tick", fail)
        await until(lambda: output_of(rig) == "off")


async def test_stop_of_the_agent_ends_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[HvacDemand] = []
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        outputs = rig.hub.environment.board.outputs
        assert outputs is not None
        apply = outputs.apply

        async def record(demand: HvacDemand) -> None:
            driven.append(demand)
            await apply(demand)

        monkeypatch.setattr(outputs, "apply", record)
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600})
        await until(lambda: driven and driven[-1].zones["living"] is HvacAction.HEAT)
    assert driven[-1] == HvacDemand()


async def test_commissioning_stopped_by_hand_keeps_its_report(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        cold = {"do": "set", "mode": "heat", "heat_setpoint_c": 28.0}
        assert (await ask(rig, "POST", "/v1/climate/all", cold))[0] == 200
        await until(lambda: output_of(rig) == "heat")
        answered = (await ask(rig, "POST", "/v1/tests/commissioning", {"zones": ["kitchen"]}))[1]
        begun = answered["commissioning"]
        mine = {"test_id": begun["test_id"], "lease": answered["lease"]}
        assert (begun["zone"], begun["zones"]) == ("kitchen", ["kitchen", "living"])
        assert (await ask(rig, "POST", "/v1/tests/renew", mine))[0] == 200
        # Everything rests while the drift is measured, although the rooms are cold.
        await until(lambda: output_of(rig) == output_of(rig, "kitchen") == "off")
        assert (await ask(rig, "POST", "/v1/tests/stop"))[0] == 200
        await until(lambda: output_of(rig) == "heat")
        report = (await ask(rig, "GET", "/v1/tests/commissioning"))[1]
        assert (report["phase"], report["text"], report["turns"]) == ("done", "stopped by hand", [])
        assert (await ask(rig, "POST", "/v1/tests/renew", mine))[0] == 409


async def stopped_walk(rig: PortRig) -> str:
    """Begin a walk and stop it; return its id."""
    begun = (await ask(rig, "POST", "/v1/tests/commissioning", {}))[1]["commissioning"]
    assert (await ask(rig, "POST", "/v1/tests/stop"))[0] == 200
    test_id: str = begun["test_id"]
    return test_id


async def test_tests_run_although_the_disk_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of a walk that ends meanwhile is kept as soon as the disk answers, over that of an earlier walk."""
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await stopped_walk(rig)
        await until((rig.directory / "state" / runner.FILE_NAME).exists)
    answers = asyncio.Event()
    load = JsonStore.load_patiently

    async def load_late(store: JsonStore[Any]) -> Any:  # noqa: ANN401
        if store.path.name == runner.FILE_NAME:
            await answers.wait()
        return await load(store)

    monkeypatch.setattr(JsonStore, "load_patiently", load_late)
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        test_id = await stopped_walk(rig)
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 5})
        await until(lambda: output_of(rig) == "heat" and phase_of(rig) == "on")
        assert (await ask(rig, "GET", "/v1/tests/commissioning"))[1]["test_id"] == test_id
        answers.set()
        file = rig.directory / "state" / runner.FILE_NAME
        await until(lambda: test_id in file.read_text())
        assert (await ask(rig, "GET", "/v1/tests/commissioning"))[1]["test_id"] == test_id


async def test_control_without_decisions_fails_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        monkeypatch.setattr(service, "HUNG_S", -1.0)
        await ask(rig, "POST", "/v1/tests/relays/living", {"duration_s": 600})
        await until(lambda: phase_of(rig) == "done")
        last = (await ask(rig, "GET", "/v1/tests"))[1]["test"]
        assert (last["outcome"], last["text"]) == ("failed", runner.NO_DECISION)


@pytest.mark.parametrize(
    ("route", "body", "status", "word"),
    [
        ("relays/attic", {}, 404, 'there is no output "attic"; there is living, kitchen'),
        ("relays/living", {"action": "off"}, 400, "living cannot be tested with off"),
        ("relays/living", {"override": "please"}, 400, "short-cycle"),
        ("relays/living", {"action": "explode"}, 400, "not understood"),
        ("commissioning", {"zones": ["attic"]}, 404, 'there is no zone "attic"'),
        ("renew", {"test_id": "unknown"}, 409, "begin a new test"),
    ],
)
async def test_untestable_output_is_refused(tmp_path: Path, route: str, body: object, status: int, word: str) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        refused = await ask(rig, "POST", f"/v1/tests/{route}", body)
        assert refused[0] == status
        assert word in refused[1]["detail"]


async def test_a_hub_without_zones_has_sensors_and_no_outputs(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=BOARD) as rig:
        document = (await ask(rig, "GET", "/v1/tests"))[1]
        assert (document["outputs"], document["can_scan"]) == ([], True)
        async with rig.socket_session() as client, client.post("/v1/tests/stop") as response:
            assert response.status == 404


async def test_live_sensors_are_read_at_most_once_a_second(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        rig.clock.stand_still()
        first = (await ask(rig, "GET", "/v1/tests/sensors"))[1]["sensors"]
        again = (await ask(rig, "GET", "/v1/tests/sensors"))[1]["sensors"]
        own = [sensor for sensor in first if not sensor["device"]]
        assert {"sim/temperature"} <= {sensor["sensor"] for sensor in own}
        assert all(sensor["age_s"] == 0 for sensor in own)
        assert own == [sensor for sensor in again if not sensor["device"]]
        rig.clock.skip(1.0)
        later = (await ask(rig, "GET", "/v1/tests/sensors"))[1]["sensors"]
        assert own != [sensor for sensor in later if not sensor["device"]]


async def test_radio_channels_are_scanned(tmp_path: Path) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        document = (await ask(rig, "POST", "/v1/tests/radio-scan"))[1]
        assert [channel["channel"] for channel in document["channels"]] == list(range(11, 27))
        assert [channel["channel"] for channel in document["channels"] if channel["is_own"]] == [15]
        assert "quiet enough" in document["sentence"]


async def command(rig: PortRig, *words: str) -> int:
    return await asyncio.to_thread(root.run, [*words, "--socket", str(rig.socket)])


async def test_the_command_line_tests_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)
        rig.clock.stand_still()
        typed = asyncio.get_running_loop().create_task(
            command(rig, "relay", "test", "living", "--for", "5", "--yes"),
        )
        await until(lambda: phase_of(rig) == "on")
        rig.clock.skip(5)
        assert await typed == exit_codes.OK
        told = capsys.readouterr().out.splitlines()
        assert told[-1] == "living: it was on for 5 s and is off again"
        assert await command(rig, "relay", "test", "attic", "--yes") == exit_codes.FAILED
        assert await command(rig, "relay", "list") == exit_codes.OK
        assert f"test: {told[-1]}" in capsys.readouterr().out
        assert await command(rig, "relay", "stop") == exit_codes.OK
        assert await command(rig, "sensors") == exit_codes.OK
        assert "sim/temperature" in capsys.readouterr().out
        assert await command(rig, "zigbee", "scan") == exit_codes.OK
        assert " 15*" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("relay", "test"), ("commission",)])
async def test_nobody_is_asked_about_an_output_that_the_hub_does_not_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def asked(question: str) -> bool:
        raise AssertionError(question)

    monkeypatch.setattr(f"agent.cli.{words[0]}.is_agreed", asked)
    async with open_port(tmp_path, config_text=ZONES) as rig:
        assert await command(rig, *words, "attic") == exit_codes.FAILED
    assert 'there is no output "attic"; there is living, kitchen' in capsys.readouterr().err
    assert await command(rig, *words, "living") == exit_codes.NO_DAEMON


async def test_the_command_line_walks_through_the_zones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk itself is shown in a simulation; here nobody has its patience, and the report stays after the end."""
    monkeypatch.setattr("agent.port.hardware.commissioning.SETTLE_S", 0.2)
    monkeypatch.setattr(runner, "CYCLES_MAX", 0.3 / 900)
    async with open_port(tmp_path, config_text=ZONES) as rig:
        assert await command(rig, "commission", "--show") == exit_codes.FAILED
        assert "no commissioning walk has been made" in capsys.readouterr().out
        assert await command(rig, "commission", "--yes") == exit_codes.FAILED
        told = capsys.readouterr().out
        assert "1/2 living: measuring the drift of all rooms" in told
        assert "Check the wires, the valve and the heat source of living: no sensor rose" in told
        tests = rig.hub.hardware_tests
        assert tests is not None
        await until((rig.directory / "state" / runner.FILE_NAME).exists)
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await until(lambda: rig.hub.hardware_tests and rig.hub.hardware_tests.commissioning())
        assert await command(rig, "commission", "--show") == exit_codes.FAILED
        assert "NO ANSWER" in capsys.readouterr().out


async def test_the_command_line_shows_boots_and_documents_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        assert await command(rig, "boots") == exit_codes.OK
        assert "keeps no trail of boots" in capsys.readouterr().out
        for words in (("boots",), ("sensors",), ("relay", "list"), ("zigbee", "scan"), ("commission", "--show")):
            await command(rig, *words, "--json")
            assert isinstance(json.loads(capsys.readouterr().out), dict)


async def test_ctrl_c_ends_the_test_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_port(tmp_path, config_text=ZONES) as rig:
        await switch_heating_off(rig)

        def interrupt(seconds: float) -> None:
            raise KeyboardInterrupt

        # The command's own module only: other threads sleep as well.
        monkeypatch.setattr("agent.cli.relay.time", SimpleNamespace(sleep=interrupt))
        assert await command(rig, "relay", "test", "living", "--for", "600", "--yes") == exit_codes.INTERRUPTED
        await until(lambda: phase_of(rig) == "done")
        assert (await ask(rig, "GET", "/v1/tests"))[1]["test"]["outcome"] == "stopped"
