"""What a console runs, by role."""

import click
import pytest

from agent.cli.console.allowed import ALLOWED, LINE_CHARACTERS_MAX, CommandRefused, check, help_text, split
from agent.cli.root import COMMANDS, cli
from agent.local.routes import Role


def test_a_line_is_split_as_a_shell_does() -> None:
    assert split(" climahub zigbee rename 'old name' attic ") == ["zigbee", "rename", "old name", "attic"]
    assert split("\x07sta\x00tus\xa0") == ["status"]
    assert split("") == []


@pytest.mark.parametrize("line", ["x" * (LINE_CHARACTERS_MAX + 1), "logs --text 'a"])
def test_unparsable_line_is_refused(line: str) -> None:
    with pytest.raises(CommandRefused):
        split(line)


def test_every_allowed_command_exists() -> None:
    assert set(ALLOWED) <= set(COMMANDS)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SERVICE, Role.OWNER])
def test_the_help_fits_a_small_screen(role: Role) -> None:
    lines = help_text(role).splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "climate set --mode auto --heat 20 --cool 25",
        "climate hold --zone living --heat -1 --until next",
        "logs --follow --text zigbee",
        "zigbee pair --name attic",
        "port code --new --role viewer",
        "update check",
    ],
)
def test_commands_without_files_pass(line: str) -> None:
    check(split(line), Role.OWNER, cli)


@pytest.mark.parametrize(
    "line",
    [
        "status --socket /run/other",
        "climate --config=/etc/passwd",
        "climate set --config /etc/passwd --mode off",
        "climate schedule living --put /etc/passwd",
        "zigbee backup out",
        "zigbee restore in",
        "zigbee pair --key-file /etc/passwd",
        "update install /dev/sda",
        "run",
        "config check /etc/passwd",
        "bundle",
        "demo",
        "receive /dev/ttyS0",
        "console",
        "support-bundle --output /tmp",
        "sh",
    ],
)
def test_files_and_all_other_commands_are_refused(line: str) -> None:
    with pytest.raises(CommandRefused):
        check(split(line), Role.OWNER, cli)


@pytest.mark.parametrize("line", ["relay list", "commission"])
def test_a_viewer_tests_no_hardware(line: str) -> None:
    check(split(line), Role.SERVICE, cli)
    with pytest.raises(CommandRefused, match="sign in as service"):
        check(split(line), Role.VIEWER, cli)


@pytest.mark.parametrize(
    "words", [["x", "-o", "f"], ["x", "-of"], ["x", "-vof"], ["x", "--out=f"], ["x", "--out", "f"]]
)
def test_an_option_with_a_file_is_found_in_every_spelling(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    @click.group()
    def root() -> None:
        pass

    @root.command("x")
    @click.option("-v", is_flag=True)
    @click.option("-o", "--out", type=click.Path())
    def x(v: bool, out: str) -> None:
        pass

    monkeypatch.setattr("agent.cli.console.allowed.ALLOWED", {"x": ALLOWED["status"]})
    check(["x", "-v"], Role.OWNER, root)
    with pytest.raises(CommandRefused):
        check(words, Role.OWNER, root)
