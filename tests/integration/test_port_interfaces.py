"""The cable speaks plain http and asks for a code; another interface of the same hub speaks TLS only."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root makes a network of its own")
async def test_plain_http_is_for_the_cable_alone_and_asks_for_a_code(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-m", "tests.integration.port_namespace", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    assert json.loads(printed) == {
        "cable": "401",
        "cable, signed in": "200",
        "cable, wrong code": "sign-in 401",
        "network, plain": "no answer",
        "network": "401",
        "network, signed in": "200",
        "network, IPv6": "200",
        "network, plain IPv6": "no answer",
        "network, IPv6 of the link": "401",
        "cable, IPv6 of the link": "401",
        "typed": [
            "http://10.12.194.1:8480", "http://127.0.0.1:8480", "https://192.0.2.20:8480", "https://[fd00:7::20]:8480",
        ],
        "network, to the cable's address": "no answer",
        "cable, to the network's address": "no answer",
    }  # fmt: skip
