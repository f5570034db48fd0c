"""The examples for a first boot: cloud-init's own schema, the keys of rpi-preseed, and answers that setup takes."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]

from agent.cli.root import cli
from agent.cli.setup.answers import read_answers
from agent.cli.setup.claim import BOOT_DIRECTORIES, NAME
from agent.cli.setup.configuration import complete, resolve

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "docs" / "examples"
USER_DATA = EXAMPLES / "user-data"
PRESEED = EXAMPLES / "rpi-preseed.toml"

PRESEED_KEYS = {"config_version": str, "interfaces.i2c": bool, "runcmd.late": list}
"""The keys that the example uses, with their types in schema/rpi-preseed.schema of raspberrypi/rpi-preseed. It ignores
keys that it does not know, with a warning only: a mistake in a name would leave a hub without its package."""


def options_of_setup() -> set[str]:
    setup = cli.get_command(click.Context(cli), "setup")
    assert setup is not None
    return {name for parameter in setup.params for name in parameter.opts}


def flat(document: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_cloud_init_takes_the_user_data() -> None:
    if shutil.which("cloud-init") is None:
        pytest.skip("needs cloud-init")
    command = ["cloud-init", "schema", "--config-file", str(USER_DATA)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


def test_user_data_runs_commands_that_there_are_and_holds_no_secret() -> None:
    text = USER_DATA.read_text()
    assert text.startswith("#cloud-config\n")
    assert "cs_dev_" not in text
    commands = [command for command in yaml.safe_load(text)["runcmd"] if command[0] == "climahub"]
    assert [command[1] for command in commands] == ["setup"]
    assert {word for command in commands for word in command[2:]} <= options_of_setup()


def test_preseed_has_only_keys_and_values_that_rpi_preseed_knows() -> None:
    found = dict(flat(tomllib.loads(PRESEED.read_text())))
    assert {name: type(value) for name, value in found.items()} == PRESEED_KEYS
    assert str(found["config_version"]).partition(".")[0] == "1", "another major version is refused whole"
    commands = found["runcmd.late"]
    assert isinstance(commands, list)
    assert all(isinstance(each, str) and each for each in commands)


def test_preseed_keeps_to_the_part_of_toml_that_rpi_preseed_reads() -> None:
    """A line is a comment, a table's name, a key with a text, number or switch, or an element of a list of texts."""
    text = r'"[^"\\]*"'
    line = re.compile(rf"(#.*|\[[a-z_]+\]|[a-z0-9_]+ = ({text}|true|false|[0-9]+|\[)|  {text},|\])?")
    assert [each for each in PRESEED.read_text().splitlines() if not line.fullmatch(each)] == []


def test_preseed_does_what_the_user_data_does_and_holds_no_secret() -> None:
    text = PRESEED.read_text()
    assert str(BOOT_DIRECTORIES[0] / PRESEED.name) in text
    assert "cs_dev_" not in text
    commands: Sequence[str] = tomllib.loads(text)["runcmd"]["late"]
    user_data = [command for command in yaml.safe_load(USER_DATA.read_text())["runcmd"] if command[0] != "sh"]
    assert [command for command in commands if command != "apt-get update"] == [" ".join(each) for each in user_data]
    assert set(commands[-1].split()[2:]) <= options_of_setup()


def test_ansible_role_calls_setup_with_options_that_there_are_and_shows_no_secret() -> None:
    tasks = (ROOT / "ansible" / "roles" / "climahub" / "tasks" / "main.yml").read_text()
    (block,) = [task["block"] for task in yaml.safe_load(tasks) if task["name"] == "Set the hub up"]
    (run,) = [task for task in block if task["name"] == "Run setup"]
    argv = run["ansible.builtin.command"]["argv"]
    assert "['climahub', 'setup']" in argv
    assert set(re.findall(r"--[a-z-]+", argv)) <= options_of_setup()
    copied = [task for task in block if "ansible.builtin.copy" in task]
    assert copied
    assert all(task["no_log"] is True for task in copied)


def test_claim_is_one_that_setup_takes() -> None:
    text = (EXAMPLES / NAME).read_text()
    assert str(BOOT_DIRECTORIES[0] / NAME) in text
    answers = read_answers(text, file=NAME)
    document = complete(answers.document, has_stick=False)
    config = resolve(document, answers=text, file=NAME, directory=Path("/etc/climahub")).config
    assert (config.board.name, answers.time_zone, bool(answers.key)) == ("linux", "Europe/Berlin", True)
