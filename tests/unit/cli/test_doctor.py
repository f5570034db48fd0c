"""`climahub doctor`: problems first, exit code by the worst, and useful where the agent is dead."""

import io
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from agent.cli import exit_codes, hub_client, root
from agent.cli.doctor import as_lines, repair, show, verdict_sentences
from agent.cli.doctor_table import render
from agent.foundation.boot_trail import AgentStart, BootTrail
from agent.foundation.disk import Disk
from agent.port.checks.report import CheckResult, Outcome, RepairOffer, merge, report_of

CONFIG = """
[cloud]
base_url = "http://127.0.0.1:9"
[storage]
state_dir = "state"
run_dir = "run"
"""


def result(name: str, outcome: Outcome, fact: str = "seen") -> CheckResult:
    return CheckResult(name, name.partition("-")[0], "Title", "Meaning.", outcome, fact, "do this")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o750)
    (tmp_path / "run").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_a_dead_agent_is_named_and_the_rest_is_checked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["doctor", "--json", "--config", str(config)]) == exit_codes.FAILED
    report = json.loads(capsys.readouterr().out)
    found = {each["name"]: each for each in report["checks"]}
    assert "there is no socket" in found["hub-agent"]["fact"]
    assert found["hub-agent"]["outcome"] == "fail"
    assert found["hub-configuration"]["outcome"] == "pass"
    assert found["hub-state-directory"]["outcome"] == "pass"
    assert found["network-tcp"]["outcome"] == "fail"
    assert found["heating-frost"]["outcome"] == "unknown"
    assert report["took_s"] < 10


@pytest.mark.parametrize("module", ["agent.port.http.server", "agent.port.http.gates"])
def test_an_installation_whose_port_cannot_be_imported_is_found(
    module: str, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "agent.port.serving", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    assert root.run(["doctor", "--json", "--config", str(config)]) == exit_codes.FAILED
    [found] = [each for each in json.loads(capsys.readouterr().out)["checks"] if each["name"] == "hub-agent"]
    assert "install climahub again: its port cannot be loaded" in found["fact"]
    assert module.rpartition(".")[2] in found["fact"]


@pytest.mark.parametrize(("outcome", "says_so"), [(Outcome.PASS, True), (Outcome.WARN, False), (Outcome.FAIL, False)])
def test_all_is_well_is_said_only_where_no_check_found_anything(
    outcome: Outcome, says_so: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_client, "fetch", lambda path, route: b'{"sentences": ["All is well.", "Cloud fine."]}')
    sentences = verdict_sentences(outcome, None, Path("hub.sock"))
    assert sentences == [*(["All is well."] if says_so else []), "Cloud fine."]


def test_how_a_dead_agent_ended_and_the_boots_before_are_read_from_its_files(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "run" / "last-end.json").write_text('{"result": "watchdog"}')
    trail = BootTrail(config.parent / "state", Disk())
    for number, reason in enumerate(("power_on", "power_on")):
        trail.begin(AgentStart(f"boot{number}", reason, "1.0.0", None, 60, "power_lost" * number))
    before = sorted(path.read_bytes() for path in (config.parent / "state").iterdir())
    root.run(["doctor", "--json", "--config", str(config)])
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert "it hung and was ended by its watchdog" in found["hub-agent"]["fact"]
    assert "loss of power" in found["machine-boots"]["fact"]
    assert sorted(path.read_bytes() for path in (config.parent / "state").iterdir()) == before
    (config.parent / "state" / "boots.json").write_text("{")
    root.run(["doctor", "machine", "--json", "--config", str(config)])
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert found["machine-boots"]["fact"] == "boots.json is damaged"


def test_a_mistake_in_the_configuration_is_found(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG + "[log]\nlevel = 7\n")
    assert root.run(["doctor", "hub", "--config", str(config)]) == exit_codes.FAILED
    said = capsys.readouterr().out
    assert "FAIL    hub-configuration: " in said
    assert "log.level" in said
    assert "power-" not in said


def test_problems_come_first_and_the_rest_is_counted() -> None:
    report = report_of(
        [
            result("power-mains", Outcome.PASS),
            result("hub-agent", Outcome.WARN),
            result("hub-unit", Outcome.UNKNOWN),
            result("machine-disk", Outcome.FAIL),
        ],
        1.0,
    )
    assert list(as_lines(report, shows_all=False)) == [
        "FAIL    machine-disk: seen",
        "        -> do this",
        "",
        "WARN    hub-agent: seen",
        "        -> do this",
        "",
        "1 failure, 1 warning; 1 passed, 1 unknown; --all shows them",
    ]
    assert sum("mains" in line for line in as_lines(report, shows_all=True)) == 1


def test_facts_unknown_to_the_hub_come_from_the_command() -> None:
    hub = report_of([result("hub-unit", Outcome.UNKNOWN), result("hub-agent", Outcome.PASS, "hub")], 1.0)
    local = report_of([result("hub-unit", Outcome.WARN), result("hub-agent", Outcome.FAIL, "local")], 2.0)
    merged = merge(hub, local)
    assert [each.outcome for each in merged.checks] == [Outcome.WARN, Outcome.PASS]
    assert merged.outcome is Outcome.WARN
    assert merged.took_s == 2.0


def test_repairs_are_offered_and_run_after_confirmation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(path: Path, route: str, *, method: str, timeout_s: float) -> bytes:
        asked.append(f"{method} {route}")
        if "forget" in route:
            raise hub_client.RequestRefused("there is no such sensor")
        return b'{"repair": "retry-cloud", "done": "tried now"}'

    offers = (RepairOffer("retry-cloud"), RepairOffer("forget-sensor", "0x01 x"), RepairOffer("of-a-newer-hub"))
    report = report_of(
        [
            msgspec.structs.replace(result("network-cloud", Outcome.FAIL), repairs=offers),
            msgspec.structs.replace(result("hub-outbox", Outcome.PASS), repairs=(RepairOffer("flush-outbox"),)),
        ],
        1.0,
    )
    monkeypatch.setattr(hub_client, "fetch", fetch)
    monkeypatch.setattr("click.confirm", lambda _: True)
    assert repair(tmp_path, report, is_agreed=False) == exit_codes.FAILED
    assert asked == ["POST /v1/repairs/retry-cloud", "POST /v1/repairs/forget-sensor?target=0x01%20x"]
    said = capsys.readouterr().out
    assert "Ends the waiting after failures" in said
    assert "done: tried now" in said
    assert "not done: there is no such sensor" in said

    asked.clear()
    assert repair(tmp_path, report, is_agreed=True) == exit_codes.OK
    assert asked == ["POST /v1/repairs/retry-cloud"], "what removes something is left to a person"

    asked.clear()
    monkeypatch.setattr("click.confirm", lambda _: False)
    assert repair(tmp_path, report, is_agreed=False) == exit_codes.OK
    assert asked == []
    assert repair(tmp_path, report_of([], 0.0), is_agreed=False) == exit_codes.OK
    assert "nothing here that the hub can repair" in capsys.readouterr().out


def test_a_report_for_a_program_is_no_place_for_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["doctor", "--json", "--fix"]) == exit_codes.USAGE
    assert "give --fix or --json" in capsys.readouterr().err


def test_a_terminal_gets_columns_that_wrap_at_its_width_and_nothing_that_moves_its_cursor() -> None:
    long = result("hub-outbox", Outcome.FAIL, "the disk of /var/lib is full \x1b[2J and [bold]more[/bold] of it")
    report = report_of([long, result("power-mains", Outcome.PASS), result("hub-unit", Outcome.WARN)], 1.0)
    screen = io.StringIO()
    console = Console(file=screen, width=50, force_terminal=True, color_system="standard", highlight=False)
    console.print(render(report, [Outcome.FAIL, Outcome.WARN], "1 failure"))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert "\x1b" not in plain
    assert all(len(line) <= 50 for line in plain.splitlines())
    words = " ".join(plain.split())
    assert "FAIL hub-outbox the disk of" in words
    assert "[bold]more[/bold]" in words
    assert "-> do this" in words
    assert "power-mains" not in words
    assert words.endswith("1 failure")


def test_a_terminal_is_seen_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of([result("hub-unit", Outcome.WARN)], 1.0)
    show(report, shows_all=False, is_terminal=True)
    assert "hub-unit  seen" in capsys.readouterr().out
    show(report, shows_all=False, is_terminal=False)
    assert "WARN    hub-unit: seen" in capsys.readouterr().out
