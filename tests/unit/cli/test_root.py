import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Never

import click
import pytest
from click.shell_completion import ShellComplete

from agent.cli import exit_codes, root
from agent.cli.program import completion
from agent.errors import ClimahubError, CloudUnavailable, ConfigInvalid, Unauthorized
from hal.errors import HalError, RecordingInvalid


def test_every_command_of_the_table_can_be_imported_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in root.all_commands():
        if name == "run":
            continue
        assert root.run([*name.split(), "--help"]) == exit_codes.OK
        assert f"Usage: climahub {name}" in capsys.readouterr().out


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Each command that is no group, by its words."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        # A command of another package is listed by the root as well as by its group.
        if " " not in name and (found := command.get_command(context, name)):
            yield from leaves(found, (*path, name))


def test_every_option_says_what_it_does_and_every_command_of_the_hub_ends_with_an_example() -> None:
    commands = dict(leaves(root.cli))
    silent = [
        f"{words} {option.opts[0]}"
        for words, command in commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []
    own = [words for words in commands if words.split()[0] in root.COMMANDS]
    assert "relay test" in own
    assert [words for words in own if "climahub " not in (commands[words].epilog or "")] == []


def test_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["--help"]) == exit_codes.OK
    text = capsys.readouterr().out
    for name in root.all_commands():
        assert f"\n  {name} " in text
    for code in exit_codes.MEANINGS:
        assert f"{code}  {exit_codes.MEANINGS[code]}" in text


def test_run_is_listed_with_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["run", "--help"]) == exit_codes.OK
    assert "--config FILE" in capsys.readouterr().out


def test_run_through_the_group_is_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["run", "--config", str(tmp_path / "missing.toml")]) == exit_codes.CONFIG
    assert "missing.toml" in capsys.readouterr().err


def test_version_is_quick_because_it_imports_little() -> None:
    probe = "import sys; from agent.cli import root; root.run(['version']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("climahub 0.")
    modules = set(done.stdout.split())
    assert not modules & {
        "importlib.metadata",
        "aiohttp",
        "rich",
        "async_solipsism",
        "sqlite3.dbapi2_",
        "agent.daemon",
        "agent.app",
    }


def test_the_daemon_never_sees_the_command_line() -> None:
    probe = "import sys; import agent.daemon; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert not set(done.stdout.split()) & {"click", "rich", "async_solipsism", "agent.cli"}


def test_outputs_off_imports_configuration_and_gpio_only(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[board]\nname = "linux"\n[board.linux]\nrelays = [{ name = "living", heat_line = 17 }]\n')
    probe = f"""
import sys
sys.argv = ["climahub", "run", "--config", {str(config)!r}, "--outputs-off"]
sys.modules["gpiod"] = None
from agent.__main__ import main
try:
    main()
except SystemExit as end:
    print(end.code, *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    code, *modules = done.stdout.split()
    assert (int(code), "gpiod" in done.stderr) == (exit_codes.CONFIG, True)
    assert not {"aiohttp", "asyncio", "click", "agent.cli", "agent.daemon", "agent.environment"} & set(modules)


def test_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["version", "--json"]) == exit_codes.OK
    assert '"python":"' in capsys.readouterr().out


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["statsu"]) == exit_codes.USAGE
    assert "statsu" in capsys.readouterr().err


def test_completing_a_command_name_imports_nothing() -> None:
    environment = os.environ | {
        "_CLIMAHUB_COMPLETE": "bash_complete",
        "COMP_WORDS": "climahub si",
        "COMP_CWORD": "1",
    }
    probe = "import sys; sys.argv = ['climahub']; from agent.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", probe], env=environment, check=False, capture_output=True, text=True
    )
    assert done.stdout.split() == ["plain,simulate"]
    assert "aiohttp" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["completion", shell]) == exit_codes.OK
    assert f"_CLIMAHUB_COMPLETE={shell}_complete" in capsys.readouterr().out
    assert completion.name == "completion"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigInvalid("bad key"), exit_codes.CONFIG, "bad key"),
        (RecordingInvalid("bad row"), exit_codes.CONFIG, "bad row"),
        (Unauthorized("no token"), exit_codes.NO_PERMISSION, "no token"),
        (CloudUnavailable("gone"), exit_codes.UNAVAILABLE, "gone"),
        (ClimahubError("other"), exit_codes.FAILED, "other"),
        (HalError("sensor"), exit_codes.FAILED, "sensor"),
        (FileNotFoundError(2, "No such file", "x.toml"), exit_codes.CANNOT_CREATE, "x.toml: No such file"),
        (PermissionError(13, "Permission denied"), exit_codes.NO_PERMISSION, "Permission denied"),
        (OSError("odd"), exit_codes.CANNOT_CREATE, "odd"),
        (KeyboardInterrupt(), exit_codes.INTERRUPTED, "stopped"),
    ],
)
def test_errors_become_a_message_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> Never:
        raise error

    monkeypatch.setattr(root.cli, "main", fail)
    assert root.run([]) == code
    told = capsys.readouterr().err
    assert text in told
    assert "Traceback" not in told


def test_closed_stdout_is_no_error() -> None:
    command = f"{sys.executable} -m agent config example | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[1] in {"0", str(exit_codes.BROKEN_PIPE)}


def test_a_broken_pipe_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    duplicated = []
    monkeypatch.setattr(os, "dup2", lambda *files: duplicated.append(files))
    monkeypatch.setattr(root.cli, "main", lambda **_: (_ for _ in ()).throw(BrokenPipeError))
    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w"))  # noqa: PTH123, SIM115 - needs a file number
    assert root.run([]) == exit_codes.BROKEN_PIPE
    assert len(duplicated) == 1
    os.close(duplicated[0][0])
    sys.stdout.close()


def test_main_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["climahub", "version"])
    with pytest.raises(SystemExit) as exited:
        root.main()
    assert exited.value.code == exit_codes.OK


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["completion"]),
        (["simulate", "--board"], []),
        (["completion"], []),
    ],
)
def test_completion_of_names(words: list[str], found: list[str]) -> None:
    complete = ShellComplete(root.cli, {}, "climahub", "_CLIMAHUB_COMPLETE")
    assert [item.value for item in complete.get_completions(words, "comp")] == found


def test_completion_of_options_and_boards() -> None:
    complete = ShellComplete(root.cli, {}, "climahub", "_CLIMAHUB_COMPLETE")
    assert [item.value for item in complete.get_completions([], "--ver")] == ["--version"]
    assert [item.value for item in complete.get_completions(["demo", "--board"], "")] == ["sim", "replay:"]
    assert [item.value for item in complete.get_completions(["demo"], "--no")] == ["--no-outages"]


def test_mistyped_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["climat"]) == exit_codes.USAGE
    assert "there is no command climat; did you mean climahub climate?" in capsys.readouterr().err
    assert root.run(["xyzzy"]) == exit_codes.USAGE
    assert "there is no command xyzzy; climahub --help lists them all" in capsys.readouterr().err


def test_help_is_grouped_by_who_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["--help"]) == exit_codes.OK
    told = capsys.readouterr().out
    places = [told.index(f"\n{group}:\n") for group in root.GROUPS]
    assert places == sorted(places)
    assert {entry.group for entry in root.COMMANDS.values()} == set(root.GROUPS)
    for name in root.all_commands():
        assert f"\n  {name} " in told
    assert told.index("\n  setup ") < told.index("\n  maintenance analyse "), "a command of a group comes last"


def without_packages(monkeypatch: pytest.MonkeyPatch, *points: object) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: list(points))


@pytest.mark.parametrize("name", root.LAB_COMMANDS)
def test_a_hub_without_the_laboratory_names_the_package_that_brings_a_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_packages(monkeypatch)
    assert root.run([name, "--seed", "1"]) == exit_codes.UNAVAILABLE
    assert f"install climahub-lab, which brings climahub {name}: pip install climahub-lab==" in capsys.readouterr().err


def test_a_hub_without_the_laboratory_lists_its_own_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_packages(monkeypatch)
    assert root.run(["--help"]) == exit_codes.OK
    assert set(root.all_commands()) == set(root.COMMANDS)
    assert "\n  simulate " not in capsys.readouterr().out


def test_incompletely_removed_package_adds_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Never:
        raise ModuleNotFoundError

    without_packages(monkeypatch, SimpleNamespace(load=fail))
    assert root.run(["demo"]) == exit_codes.UNAVAILABLE
