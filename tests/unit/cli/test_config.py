import json
from pathlib import Path

import pytest

from agent.cli import exit_codes, root
from agent.config.report import example_text


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text('[cloud]\nbase_url = "https://cloud.example"\n')
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.toml"
    path.write_text('[cloud]\nbase_ulr = "https://cloud.example"\n')
    return path


def test_check_of_a_valid_file(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "check", str(good)]) == exit_codes.OK
    text = capsys.readouterr().out
    assert "hub.toml: valid" in text
    assert "warning  cloud.api_key_file" in text


def test_check_lists_all_mistakes(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "check", str(bad)]) == exit_codes.CONFIG
    text = capsys.readouterr().out
    assert text.count("error    ") == 2
    assert "base_url" in text
    assert "can be used" not in text


ZONES = '[climate]\nzones = [{ id = "living", sensors = ["a"] }, { id = "bath", sensors = ["a"] }]\n'


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("[board]\nname = 'sim'\n", "no output bath; it has living, kitchen, bedroom, bathroom"),
        (
            "[board]\nname = 'linux'\n[board.linux]\nrelays = [{ name = 'bath', heat_line = 17 }]\n",
            "no output living; it has bath",
        ),
        ("[board]\nname = 'linux'\n", "no output living, bath; it has none: this board drives nothing"),
        (
            "[board]\nname = 'replay'\n[board.replay]\nrecording = 'r.csv'\nmap = 'r.toml'\n",
            "no output living, bath; it has none",
        ),
    ],
)
def test_check_refuses_zones_without_an_output(
    good: Path, board: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(good.read_text() + board + ZONES)
    assert root.run(["config", "check", str(good)]) == exit_codes.CONFIG
    assert f"error    climate.zones: this board has {said}" in capsys.readouterr().out


def test_check_as_json(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "check", "--json", str(bad)]) == exit_codes.CONFIG
    assert len(json.loads(capsys.readouterr().out)["errors"]) == 2


def test_show(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "show", str(good)]) == exit_codes.OK
    text = capsys.readouterr().out
    assert "cloud.base_url" in text
    assert f"{good}:2" in text


def test_show_as_json(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "show", "--json", str(good)]) == exit_codes.OK
    assert {"cloud.api_key", "storage.state_dir"} <= {row["key"] for row in json.loads(capsys.readouterr().out)}


def test_show_of_a_bad_file(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "show", str(bad)]) == exit_codes.CONFIG
    assert "base_ulr" in capsys.readouterr().err


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "example", "--all"]) == exit_codes.OK
    assert capsys.readouterr().out == example_text()


def test_short_example_has_the_required_keys_and_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["config", "example"]) == exit_codes.OK
    text = capsys.readouterr().out
    keys = [line.partition(" =")[0] for line in text.splitlines() if " = " in line and not line.startswith("# Def")]
    assert keys == ["base_url", "# api_key_file", "name", "format"]
    assert len(text.splitlines()) < 30
    (tmp_path / "hub.toml").write_text(text)
    assert root.run(["config", "check", str(tmp_path / "hub.toml")]) == exit_codes.OK


@pytest.mark.parametrize(
    ("row", "code", "told"),
    [
        ("2024-01-01,20,3", exit_codes.OK, "warning  house.csv: the map does not name the column garage_c"),
        ("yesterday,20,3", exit_codes.CONFIG, 'error    house.csv: line 2, column "time": found "yesterday"'),
    ],
)
def test_check_reads_a_recording(
    tmp_path: Path, row: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "house.csv").write_text(f"time,t,garage_c\n{row}\n")
    (tmp_path / "map.toml").write_text('[time]\ncolumn = "time"\n[hub]\ncolumns = { temperature = "t" }\n')
    config = tmp_path / "hub.toml"
    config.write_text(
        '[cloud]\nbase_url = "https://c.example"\n[board]\nname = "replay"\n'
        f'[board.replay]\nrecording = "{tmp_path}/house.csv"\nmap = "{tmp_path}/map.toml"\n'
    )
    assert root.run(["config", "check", str(config)]) == code
    assert told in capsys.readouterr().out.replace(f"{tmp_path}/", "")
