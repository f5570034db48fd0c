"""The fetch script: it writes the array alone, and leaves the file where there is no list."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.aqara.endpoint_server import EndpointServer, failure, running, success

SCRIPT = Path(__file__).parents[4] / "docs" / "examples" / "aqara-fetch-devices.sh"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def fetch(server: EndpointServer, file: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "AQARA_ENDPOINT_URL": server.url, "AQARA_OPEN_API_TOKEN": "t0ken"}
    return subprocess.run(["sh", SCRIPT, file], env=variables, capture_output=True, text=True, check=False)


def test_list_is_written_without_its_envelope(tmp_path: Path) -> None:
    devices = [{"deviceId": "lumi.1", "name": "Schlafzimmer Süd"}]
    with running() as server:
        server.respond = lambda message: (200, success(message, devices))
        done = fetch(server, tmp_path / "devices.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "devices.json").read_text()) == devices
    assert server.tokens == ["Bearer t0ken"]
    assert set(server.messages[0]) == {"type", "version", "msgId"}


@pytest.mark.parametrize("kind", ["refused", "status", "no array"])
def test_file_stays_where_there_is_no_list(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "devices.json"
    file.write_text("[]")

    def respond(message: dict[str, Any]) -> tuple[int, Any]:
        if kind == "refused":
            return 200, failure(message, 1001)
        return (500 if kind == "status" else 200), success(message, {})

    with running() as server:
        server.respond = respond
        done = fetch(server, file)
    assert done.returncode != 0
    assert file.read_text() == "[]"
    assert list(tmp_path.iterdir()) == [file]
    assert "t0ken" not in done.stdout + done.stderr
