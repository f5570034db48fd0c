"""A connection in memory: what one end writes, the other reads at the loop's next turn. No sockets, no system calls.

Behaves as a TCP connection does for asyncio's protocols (documentation of asyncio, "Transports and Protocols"): order
is kept, and closing one end lets the other read the end of the stream.
"""

import asyncio
from typing import Any

NAMES = {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}


class MemoryTransport(asyncio.Transport):
    """One end of a connection. Made by `connect`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__(NAMES)
        self._loop = loop
        self._protocol = protocol
        self._peer: MemoryTransport
        self._is_closing = False
        self._is_paused = False
        self._held: list[bytes] = []

    def join(self, peer: "MemoryTransport") -> None:
        """Begin: from now on ``peer`` reads what this end writes."""
        self._peer = peer
        self._protocol.connection_made(self)

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send; what is sent after the end is closed goes nowhere."""
        if not self._is_closing:
            self._loop.call_soon(self._peer.take, bytes(data))

    def take(self, data: bytes) -> None:
        """Hand what has arrived to the protocol."""
        if self._is_paused:
            self._held.append(data)
        elif not self._is_closing:
            self._protocol.data_received(data)

    def take_end(self) -> None:
        """Tell the protocol that no more will come, and close this end as well."""
        if self._held:
            self._held.append(b"")
        elif not self._is_closing:
            self._protocol.eof_received()
            self.close()

    def pause_reading(self) -> None:
        """Hold what arrives."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Hand over what was held, and what arrives."""
        if self._is_paused:
            self._is_paused = False
            held, self._held = self._held, []
            for data in held:
                self._loop.call_soon(*((self.take, data) if data else (self.take_end,)))

    def is_reading(self) -> bool:
        """Tell whether what arrives is handed over."""
        return not self._is_paused and not self._is_closing

    def is_closing(self) -> bool:
        """Tell whether this end is closed."""
        return self._is_closing

    def close(self) -> None:
        """Close both ends, once the other has read everything."""
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._peer.take_end)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close at once. What was written is on its way already."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def can_write_eof(self) -> bool:
        """Return that one end cannot be closed alone."""
        return False


def connect(loop: asyncio.AbstractEventLoop, client: asyncio.Protocol, server: asyncio.Protocol) -> MemoryTransport:
    """Connect two protocols and return the client's end."""
    near, far = MemoryTransport(loop, client), MemoryTransport(loop, server)
    far.join(near)
    near.join(far)
    return near
