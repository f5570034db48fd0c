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
        (["relay", "test", "living", "--for", "nan"], "5<=x<=600"),
        (["setup", "--wait", "nan"], "found nan; allowed is a finite number"),
        (["identify", "--for", "nan"], "found nan; allowed is a finite number"),
        (["sensors", "calibrate", "attic", "--reads", "nan"], "found nan; allowed is a finite number"),
        (["sensors", "calibrate", "attic", "--offset", "inf"], "found inf; allowed is a finite number"),
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


@pytest.mark.parametrize(
    "words",
    [
        ["api", "check", "http://127.0.0.1:1/amps", "--api", "amps", "--secret-file"],
        ["cloud", "devices", "--url", "http://127.0.0.1:1", "--token-file"],
        ["ncp", "--pty", "ncp", "--devices"],
        ["zigbee", "pair", "--socket", "none", "--key-file"],
    ],
    ids=["secret", "token", "devices", "key"],
)
def test_a_file_that_holds_no_text_is_named_and_never_shown(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"sk_live_\xff")
    assert root.run([*words, str(file)]) not in {exit_codes.OK, exit_codes.NO_DAEMON}
    reported = capsys.readouterr().err
    assert f"name another file: {file} holds no text" in reported
    assert "sk_live" not in reported
