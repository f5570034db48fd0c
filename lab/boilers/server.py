"""Serves the emulated gateways: the OTGW on a pseudo terminal or TCP, ebusd on TCP."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from lab.boilers.gateways import EmulatedEbusd, EmulatedOtgw
from lab.ncp.serial_port import PseudoTerminal

TALK_S = 0.2
"""Between two messages that the gateway passes on; a real one does so each second."""

MESSAGE = b"B40190A00\r\n"
"""The boiler reports a flow temperature of 10 °C."""


class OtgwServer:
    """An OTGW on a pseudo terminal, or with `serve_tcp` on a port.

    Attributes:
        is_silent: It neither talks nor answers.
    """

    def __init__(self, gateway: EmulatedOtgw, now_s: Callable[[], float]) -> None:
        self._gateway = gateway
        self._now_s = now_s
        self._received = b""
        self._terminal: PseudoTerminal | None = None
        self._talking: asyncio.Task[None] | None = None
        self.is_silent = False

    def open(self, link: Path) -> None:
        """Plug the gateway in under a name."""
        self._terminal = PseudoTerminal(link, self._read)
        self._terminal.open()
        self._talking = asyncio.get_running_loop().create_task(self._talk())

    async def close(self) -> None:
        """Pull it out."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.wait([self._talking])
        if self._terminal is not None:
            self._terminal.close()

    def receive_partly(self, data: bytes) -> None:
        """Receive the beginning of a command whose sender then died."""
        self._received += data

    def _read(self, data: bytes) -> None:
        self.receive_partly(data)
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            if not self.is_silent:
                self._write(self._gateway.receive(line.decode(errors="replace"), self._now_s()))

    def _write(self, answer: str) -> None:
        if answer and self._terminal is not None:
            self._terminal.write(answer.encode() + b"\r\n")

    async def _talk(self) -> None:
        while True:
            if self._terminal is not None and not self.is_silent:
                status = self._gateway.status_message(self._now_s())
                self._terminal.write(MESSAGE + status.encode() + b"\r\n")
            await asyncio.sleep(TALK_S)


async def serve_otgw_tcp(gateway: EmulatedOtgw, now_s: Callable[[], float]) -> asyncio.Server:
    """Serve an OTGW on a free port of this machine."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MESSAGE)
        while line := await reader.readline():
            answer = gateway.receive(line.decode(errors="replace"), now_s())
            if answer:
                writer.write(answer.encode() + b"\r\n")
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def serve_ebusd(ebusd: EmulatedEbusd, now_s: Callable[[], float]) -> asyncio.Server:
    """Serve ebusd on a free port of this machine."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) and not ebusd.hangs_up:
            writer.write(ebusd.receive(line.decode(errors="replace"), now_s()).encode() + b"\n\n")
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)
