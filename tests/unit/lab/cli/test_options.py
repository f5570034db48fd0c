from pathlib import Path

import pytest

from agent.cli import exit_codes, root

DATA = Path(__file__).parents[3] / "data"
REPLAY = ["--board", f"replay:{DATA / 'three-rooms-1day.csv'}", "--map", str(DATA / "three-rooms-1day.toml")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", "--for", "nan"], "found nan; allowed is a finite number"),
        (["demo", "--for", "inf"], "found inf; allowed is a finite number"),
        (["demo", "--speed", "nan"], "found nan; allowed is a finite number"),
        (["demo", "--for", "1e12"], "0<x<=2678400"),
        (["demo", "--sensors", "257"], "7<=x<=256"),
        (["demo", *REPLAY, "--sensors", "15"], "leave --sensors out"),
        (["cloud", "command", "hub-1", "reboot", "--lifetime-s", "inf"], "found inf"),
        (["cloud", "faults", "on", "slow", "--probability", "nan"], "found nan"),
        (["climate", "set", "--heat", "nan"], "is not a temperature"),
        (["climate", "set", "--heat", "1e999"], "is not a temperature"),
        (["climate", "hold", "--boost", "--for", "1e999h"], "is not a duration"),
    ],
)
def test_infinite_and_nan_numbers_are_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(arguments) == exit_codes.USAGE
    assert told in capsys.readouterr().err
