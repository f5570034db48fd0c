"""The examples for a first boot: cloud-init's own schema, and answers that setup takes."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]

from agent.cli.root import cli
from agent.cli.setup.answers import read_answers
from agent.cli.setup.claim import BOOT_DIRECTORIES, NAME
from agent.cli.setup.configuration import complete, resolve

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
USER_DATA = EXAMPLES / "user-data"


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
    setup = cli.get_command(click.Context(cli), "setup")
    assert setup is not None
    options = {name for parameter in setup.params for name in parameter.opts}
    assert {word for command in commands for word in command[2:]} <= options


def test_claim_is_one_that_setup_takes() -> None:
    text = (EXAMPLES / NAME).read_text()
    assert str(BOOT_DIRECTORIES[0] / NAME) in text
    answers = read_answers(text, file=NAME)
    document = complete(answers.document, has_stick=False)
    config = resolve(document, answers=text, file=NAME, directory=Path("/etc/climahub")).config
    assert (config.board.name, answers.time_zone, bool(answers.key)) == ("linux", "Europe/Berlin", True)
