"""Hands a boiler back after the agent has ended (`climahub run --outputs-off`), without asyncio and packages.

A gateway does this by itself after a minute of silence; the unit's ExecStopPost need not wait for it.
"""

import os
import select
import socket
import termios
from urllib.parse import urlsplit

from hal.boilers.ebusd_messages import ANSWER_BYTES_MAX, PORT, check_answer, write_command
from hal.errors import ActuatorFault

WAIT_S_MAX = 3.0
READS_MAX = 30
"""A gateway passes on some messages each second between which its answer comes."""
OTGW_PORT = 25238
END_OVERRIDE = b"\r\nCS=0\r\n"
"""The line end before it ends what a killed agent had begun to write."""


def hand_back_otgw(address: str) -> None:
    """End the override of an OpenTherm gateway, and wait until it confirms that.

    Raises:
        ActuatorFault: It does not.
    """
    name = f"OpenTherm gateway at {address}"
    try:
        if address.startswith("socket://"):
            answer = _ask(address, OTGW_PORT, END_OVERRIDE, b"CS:")
        else:
            answer = _ask_serial(address, END_OVERRIDE, b"CS:")
    except OSError as error:
        raise ActuatorFault(f"{name}: {error.strerror or error}; it ends by itself within two minutes") from error
    if b"CS:" not in answer:
        raise ActuatorFault(f"{name} does not answer; it ends by itself within two minutes")


def hand_back_ebusd(address: str, message: str) -> None:
    """Forbid a boiler behind ebusd to heat until it returns to its own setting.

    Raises:
        ActuatorFault: That did not arrive.
    """
    name = f"ebusd at {address}"
    try:
        answer = _ask(address, PORT, write_command(message, None).encode(), b"\n\n")
    except OSError as error:
        text = "switch the boiler off by hand if it heats; it returns to its own setting within 20 min"
        raise ActuatorFault(f"{name}: {text} ({error.strerror or error})") from error
    check_answer(answer.decode(errors="replace"), name)


def _ask(address: str, port: int, data: bytes, until: bytes) -> bytes:
    url = urlsplit(address)
    with socket.create_connection((url.hostname or "", url.port or port), WAIT_S_MAX) as link:
        link.sendall(data)
        answer = b""
        while until not in answer and len(answer) < ANSWER_BYTES_MAX and (more := link.recv(ANSWER_BYTES_MAX)):
            answer += more
        return answer


def _ask_serial(path: str, data: bytes, until: bytes) -> bytes:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        settings = termios.tcgetattr(fd)
        # Raw, 8N1; the gateway's speed is fixed at 9600 baud.
        settings[0] = settings[1] = settings[3] = 0
        settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        settings[4] = settings[5] = termios.B9600
        termios.tcsetattr(fd, termios.TCSANOW, settings)
        os.write(fd, data)
        answer = b""
        for _ in range(READS_MAX):
            if until in answer:
                break
            if select.select([fd], [], [], WAIT_S_MAX / READS_MAX)[0]:
                answer += os.read(fd, ANSWER_BYTES_MAX)
    except termios.error as error:
        raise OSError(str(error)) from error
    else:
        return answer
    finally:
        os.close(fd)
