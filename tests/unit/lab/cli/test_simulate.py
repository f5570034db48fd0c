import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.cli import exit_codes, root
from lab.cli.simulate import command_for
from lab.cli.simulate_many import Cluster, fleet_command
from lab.simulation.fleet_options import FleetOptions
from lab.simulation.options import APIS, PAIRING, Options
from lab.simulation.verdict import Verdict

DATA = Path(__file__).parents[3] / "data"
REPLAY = ["--board", f"replay:{DATA / 'three-rooms-1day.csv'}", "--map", str(DATA / "three-rooms-1day.toml")]


def test_a_short_simulation_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["simulate", "--days", "0.02", "--sensors", "7", "--faults", "none"]) == exit_codes.OK
    assert "verdict    passed" in capsys.readouterr().out


def test_recording_result_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    recording, map_file = DATA / "three-rooms-1day.csv", DATA / "three-rooms-1day.toml"
    arguments = ["simulate", "--board", f"replay:{recording}", "--map", str(map_file), "--faults", "none", "--json"]
    assert root.run(arguments) == exit_codes.OK
    readings = json.loads(capsys.readouterr().out)["readings"]
    assert (readings["taken"], readings["accepted"], readings["lost"]) == (670, 670, 0)


def test_pairing_simulation_has_its_own_house(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lab.simulation import run  # noqa: PLC0415 - as the command does

    asked: list[Options] = []
    real = run.simulate

    def shorter(options: Options) -> Verdict:
        asked.append(options)
        return real(msgspec.structs.replace(options, days=0.001, boxed=2, sensors=14))

    monkeypatch.setattr(run, "simulate", shorter)
    root.run(["simulate", "--pairing", "--seed", "7", "--faults", "none"])
    assert asked == [msgspec.structs.replace(PAIRING, seed=7, faults="none")]
    assert command_for(asked[0]) == "climahub simulate --seed 7 --faults none --pairing --days 0.25"
    assert "joined" in capsys.readouterr().out
    assert root.run(["simulate", "--pairing", "--sensors", "20"]) == exit_codes.USAGE


def test_simulation_of_the_apis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from lab.simulation import crash_points, run  # noqa: PLC0415 - as the command does

    real, sweep = run.simulate, crash_points.sweep
    asked: list[Options] = []

    def shorter(options: Options) -> Verdict:
        asked.append(options)
        return real(msgspec.structs.replace(options, days=0.02, calm_s=600.0))

    def coarse(options: Options, *, progress: object) -> crash_points.SweepVerdict:
        del progress
        return sweep(msgspec.structs.replace(options, days=0.003), stride=1000)

    monkeypatch.setattr(run, "simulate", shorter)
    monkeypatch.setattr(crash_points, "sweep", coarse)
    assert root.run(["simulate", "--apis", "--faults", "none"]) == exit_codes.OK
    assert asked == [msgspec.structs.replace(APIS, faults="none")]
    assert command_for(asked[0]) == "climahub simulate --seed 1 --faults none --apis --days 0.25"
    assert re.search(r"^APIs .* actions, .* credentials, .* facts", capsys.readouterr().out, re.MULTILINE)
    assert root.run(["simulate", "--apis", "--crash-points"]) == exit_codes.OK
    assert "1 crash point, 1 recovered" in capsys.readouterr().out


def test_the_simulated_hubs_log_is_not_printed() -> None:
    command = [sys.executable, "-m", "agent", "simulate", "--days", "0.3", "--sensors", "7", "--seed", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["commands"]["failed"] > 0
    assert done.stderr == ""


def test_violations_give_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from lab.simulation import run  # noqa: PLC0415 - as the command does
    from lab.simulation.reading_oracle import Violation  # noqa: PLC0415

    real = run.simulate

    def planted(options: Options) -> Verdict:
        return msgspec.structs.replace(real(options), violations=[Violation(1.0, "nothing lost", "one is")])

    monkeypatch.setattr(run, "simulate", planted)
    assert root.run(["simulate", "--days", "0.01", "--sensors", "7", "--seed", "3"]) == exit_codes.FAILED
    text = capsys.readouterr().out
    assert "FAILED" in text
    assert "climahub simulate --seed 3 --faults default --sensors 7 --days 0.01" in text


def test_seeds_have_a_verdict_each_and_what_failed_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from lab.simulation import run  # noqa: PLC0415 - as the command does
    from lab.simulation.reading_oracle import Violation  # noqa: PLC0415

    real = run.simulate

    def planted(options: Options) -> Verdict:
        violations = [Violation(1.0, "nothing lost", "one is")] if options.seed == 8 else []
        return msgspec.structs.replace(real(options), violations=violations)

    monkeypatch.setattr(run, "simulate", planted)
    results = tmp_path / "results.jsonl"
    arguments = ["simulate", "--seeds", "7..8", "--days", "0.01", "--sensors", "7", "--jobs", "2"]
    assert root.run([*arguments, "--results", str(results)]) == exit_codes.FAILED
    printed = capsys.readouterr()
    assert "seed 7: passed" in printed.out
    assert "1 of 2 seeds passed" in printed.out
    assert "to see seed 8 again: climahub simulate --seed 8 --faults default --sensors 7 --days 0.01" in printed.out
    assert "2 of 2 seeds, 1 failed" in printed.err
    commands = [msgspec.json.decode(line)["command"] for line in results.read_text().splitlines()]
    assert [each.endswith(" --http-bytes") for each in sorted(commands, key=lambda each: "--seed 8" in each)] == [
        True,
        False,
    ]
    assert root.run([*arguments, "--results", str(results), "--json"]) == exit_codes.FAILED
    assert capsys.readouterr().out == "", "both are in the file already"
    assert root.run([*arguments, "--results", str(tmp_path / "no" / "file")]) == exit_codes.CANNOT_CREATE
    assert "choose another file for --results" in capsys.readouterr().err


def test_without_dask_a_campaign_on_others_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "lab.simulation.dask_engine", raising=False)
    assert root.run(["simulate", "--seeds", "1..2", "--on", "dask://127.0.0.1"]) == exit_codes.UNAVAILABLE
    assert "pip install 'climahub-lab[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("dask://10.0.0.5", "10.0.0.5:8786"),
        ("dask://node-1.example:9000/", "node-1.example:9000"),
        ("dask://[fd00::5]:9000", "[fd00::5]:9000"),
    ],
)
def test_a_scheduler_is_an_address(written: str, address: str) -> None:
    assert Cluster().convert(written, None, None) == address


def test_fleet_has_a_verdict_and_a_drawing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawing = tmp_path / "fleet.svg"
    arguments = ["simulate", "--hubs", "2", "--days", "0.01", "--seed", "3"]
    assert root.run([*arguments, "--svg", str(drawing)]) == exit_codes.OK
    assert "verdict    passed, 2 of 2 hubs" in capsys.readouterr().out
    assert drawing.read_text().startswith("<svg ")
    without = [*arguments, "--jobs", "2", "--json", "--svg", str(tmp_path / "no" / "file")]
    assert root.run(without) == exit_codes.CANNOT_CREATE
    printed = capsys.readouterr()
    assert json.loads(printed.out)["hubs"] == 2
    assert "choose another file for --svg" in printed.err


def test_fleet_that_fails_ends_with_its_command() -> None:
    from lab.simulation.fleet_verdict import FleetVerdict, HubFailure, Rates, as_text  # noqa: PLC0415
    from lab.simulation.reading_oracle import Violation  # noqa: PLC0415

    options = FleetOptions(hubs=2, scenario="outage", seed=9)
    verdict = FleetVerdict(
        "outage", 2, 7, 9, 20.0, 3600, 1.0, 10, 0, 0, 0.5, Rates(1, 1), Rates(1, 1), Rates(2, 1), 5, 4, 0, 0, 0, 0, 0,
        is_halted=False, failures=[HubFailure("hub-1", [Violation(1.0, "nothing lost", "one is")])], minutes={},
    )  # fmt: skip
    assert verdict.has_failed
    text = as_text(verdict, fleet_command(options, jobs=2))
    assert "FAILED, 1 of 2 hubs\n  hub-1 at 1.000 s: nothing lost: one is" in text
    command = "climahub simulate --hubs 2 --scenario outage --days 0.125 --sensors 7 --seed 9 --jitter 20 --jobs 2"
    assert text.endswith(f"to see it again: {command}")


def test_missing_virtual_time_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "async_solipsism", None)
    for module in ("run", "hub_lifecycle", "virtual_loop"):
        monkeypatch.delitem(sys.modules, f"lab.simulation.{module}", raising=False)
        monkeypatch.delattr(f"lab.simulation.{module}", raising=False)
    assert root.run(["simulate"]) == exit_codes.UNAVAILABLE
    assert "pip install 'climahub[simulation]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--board", "replay:nowhere.csv"], "nowhere.csv does not exist"),
        (["--board", "replay:"], "allowed are sim and replay:FILE"),
        (["--board", "linux"], "allowed are sim and replay:FILE"),
        (["--board", f"replay:{DATA / 'three-rooms-1day.csv'}"], "a recording needs its map"),
        (["--map", str(DATA / "three-rooms-1day.toml")], "--map belongs to a recording"),
        (["--days", "0"], "days"),
        (["--sensors", "6"], "sensors"),
        (["--sensors", "257"], "7<=x<=256"),
        (["--days", "nan"], "found nan; allowed is a finite number"),
        (["--days", "inf"], "found inf; allowed is a finite number"),
        (["--days", "1e9"], "0<x<=3660"),
        ([*REPLAY, "--sensors", "9"], "leave --sensors out"),
        (["--crash-points", "--days", "2"], "leave --days out: --crash-points simulates one hour"),
        (["--pairing", "--crash-points", "--days", "2"], "leave --days out"),
        (["--pairing", "--apis"], "leave --board and --pairing out"),
        (["--seeds", "7"], "write two numbers with two dots between, such as 1..100, not '7'"),
        (["--seeds", "7..3"], "use 1 to 100000 seeds: 7..3 has 0"),
        (["--seeds", "1..200000"], "use 1 to 100000 seeds: 1..200000 has 200000"),
        (["--jobs", "2"], "add --seeds A..B"),
        (["--on", "dask://10.0.0.5"], "add --seeds A..B"),
        (["--seeds", "1..2", "--on", "10.0.0.5:8786"], "write dask:// and the scheduler's host and port"),
        (["--seeds", "1..2", "--on", "dask://10.0.0.5", "--jobs", "2"], "leave --jobs or --on out"),
        (["--seeds", "1..2", "--on", "dask://10.0.0.5", *REPLAY], "leave --on out: its workers do not have"),
        (["--seeds", "1..2", "--crash-points"], "a sweep has one seed"),
        (["--hubs", "3", "--seeds", "1..2"], "--hubs has houses of its own"),
        (["--hubs", "3", "--faults", "harsh"], "--hubs has houses of its own"),
        (["--scenario", "outage"], "add --hubs: --scenario belongs to a fleet"),
        (["--hubs", "3", "--scenario", "rollout", "--jobs", "2"], "the operator of a rollout looks at all hubs"),
        (["--jitter", "0"], "add --hubs: --jitter belongs to a fleet"),
    ],
)
def test_invalid_options_are_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["simulate", *arguments]) == exit_codes.USAGE
    assert told in capsys.readouterr().err


def test_ignored_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (DATA / "three-rooms-1day.csv").read_text().splitlines()[:20]
    recording = tmp_path / "extra.csv"
    recording.write_text("\n".join([f"{lines[0]},garage_c", *(f"{line},3" for line in lines[1:])]) + "\n")
    arguments = ["simulate", "--board", f"replay:{recording}", *REPLAY[2:], "--faults", "none"]
    assert root.run(arguments) == exit_codes.OK
    assert "warning: " in (told := capsys.readouterr().err)
    assert "the map does not name the column garage_c" in told
    assert root.run([*arguments, "--json"]) == exit_codes.OK
    assert "garage_c" in json.loads(capsys.readouterr().out)["warnings"][0]


def test_unusable_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "bad.csv"
    recording.write_text("time\n")
    arguments = ["--board", f"replay:{recording}", "--map", str(DATA / "three-rooms-1day.toml")]
    assert root.run(["simulate", *arguments]) == exit_codes.CONFIG
    assert "bad.csv" in capsys.readouterr().err


def test_verdict_shows_the_command_that_repeats_it() -> None:
    options = Options(board="replay", recording=Path("my house.csv"), map=Path("m.toml"), seed=2, faults="harsh")
    assert command_for(options) == (
        "climahub simulate --seed 2 --faults harsh --board 'replay:my house.csv' --map m.toml"
    )


def test_http_is_written_and_parsed_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.simulation import run  # noqa: PLC0415 - as the command does

    real, asked = run.simulate, []

    def record(options: Options) -> Verdict:
        asked.append(options)
        return real(options)

    monkeypatch.setattr(run, "simulate", record)
    arguments = ["simulate", "--days", "0.01", "--sensors", "7", "--faults", "none"]
    assert [root.run(arguments), root.run([*arguments, "--http-bytes"])] == [exit_codes.OK, exit_codes.OK]
    assert [options.writes_bytes for options in asked] == [False, True]
    assert command_for(asked[1]).endswith(" --days 0.01 --http-bytes")


def test_a_coarse_hub_has_fewer_readings_and_is_asked_for_again_by_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lab.simulation import run  # noqa: PLC0415 - as the command does

    real, asked = run.simulate, []

    def record(options: Options) -> Verdict:
        asked.append(options)
        return real(options)

    monkeypatch.setattr(run, "simulate", record)
    taken = []
    for profile in ("installed", "coarse"):
        arguments = [
            "simulate",
            "--days",
            "0.05",
            "--sensors",
            "50",
            "--faults",
            "none",
            "--json",
            "--profile",
            profile,
        ]
        assert root.run(arguments) == exit_codes.OK
        taken.append(msgspec.json.decode(capsys.readouterr().out)["readings"]["taken"])
    assert taken[1] < 0.4 * taken[0]
    assert command_for(asked[1]).endswith(" --days 0.05 --profile coarse")
    assert "--profile" not in command_for(asked[0])
    assert root.run(["simulate", "--pairing", "--profile", "coarse"]) == exit_codes.USAGE


@pytest.mark.parametrize("count", [0, 1])
def test_crash_point_sweep(count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sweep itself is tested with the simulation; here it is how it is asked and told."""
    from lab.simulation import crash_points  # noqa: PLC0415 - as the command does

    found = crash_points.SweepVerdict(2, 2 - count, [crash_points.PointViolation(2, "nothing lost", "one is")] * count)
    asked: list[Options] = []

    def sweep(options: Options, *, progress: Callable[[int, int], None]) -> crash_points.SweepVerdict:
        asked.append(options)
        progress(2, 2)
        return found

    monkeypatch.setattr(crash_points, "sweep", sweep)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert root.run(["simulate", "--crash-points", "--seed", "5"]) == (exit_codes.FAILED if count else exit_codes.OK)
    captured = capsys.readouterr()
    assert asked == [msgspec.structs.replace(crash_points.OUTAGE_HALF_HOUR, seed=5)]
    assert "2 of 2 crash points" in captured.err
    assert captured.out.count("cut before operation 2: nothing lost: one is") == count
    assert f"2 crash points, {2 - count} recovered, {'1 violation' if count else '0 violations'}" in captured.out
    assert root.run(["simulate", "--crash-points", "--json"]) == (exit_codes.FAILED if count else exit_codes.OK)
    assert json.loads(capsys.readouterr().out)["points"] == 2
