"""Runs on the emulated Raspberry Pi: executes, as root, what comes over its second serial port, and answers there.

A line is a JSON object: `{"run": ["command", ...]}`, with `"user"` and `"groups"` where it is not for root. So is the
answer: `{"code": 0, "out": "...", "err": "..."}`. It has nothing of the project around it.
"""

import json
import subprocess
import sys
import tty
from pathlib import Path
from typing import Any, BinaryIO

PORT = Path("/dev/ttyS1")
COMMAND_S_MAX = 120.0


def main() -> None:
    """Answer until the machine is switched off."""
    with PORT.open("rb", buffering=0) as orders, PORT.open("wb") as answers:
        tty.setraw(orders.fileno())
        send(answers, {"ready": sys.version})
        pending = b""
        while True:
            *lines, pending = (pending + orders.read(4096)).split(b"\n")
            for line in lines:
                send(answers, execute(**json.loads(line)))


def send(answers: BinaryIO, answer: dict[str, object]) -> None:
    """Answer in a line of its own."""
    answers.write(b"\n" + json.dumps(answer).encode() + b"\n")
    answers.flush()


def execute(run: list[str], user: str | None = None, groups: list[str] | None = None) -> dict[str, object]:
    """Run a command to its end."""
    who: dict[str, Any] = {"user": user, "group": user, "extra_groups": groups} if user else {}
    try:
        done = subprocess.run(
            run, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=COMMAND_S_MAX, **who
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"code": -1, "out": "", "err": str(error)}
    return {"code": done.returncode, "out": done.stdout.decode(), "err": done.stderr.decode()}


if __name__ == "__main__":
    main()
