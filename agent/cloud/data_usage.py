"""What requests cost on the wire: for those who pay by volume. Counts only."""

import aiohttp
import msgspec

TRANSPORT_OVERHEAD_BYTES = 280
"""What TLS 1.3 and TCP add to one small exchange on an open connection: a record each way (22 bytes each), two segments
and their two acknowledgements (4 headers of 52 bytes, IPv4 with timestamps), rounded up for lost ones."""

_LINES_BYTES = len("  HTTP/1.1\r\n\r\nHTTP/1.1 200 \r\n\r\n")
_HEADER_BYTES = len(": \r\n")


class DataUsage(msgspec.Struct):
    """What the answered requests to one endpoint have cost, in bytes of HTTP: lines, headers and bodies.

    Attributes:
        requests: How many.
        bytes: Both ways; TLS and TCP add to it what the network asks for.
    """

    requests: int = 0
    bytes: int = 0

    def add(self, response: aiohttp.ClientResponse, sent_bytes: int, received_bytes: int) -> None:
        """Add one exchange."""
        asked, said = response.request_info, response.reason or ""
        lines = len(asked.method) + len(asked.url.raw_path_qs) + len(said) + _LINES_BYTES
        headers = sum(len(name) + len(value) + _HEADER_BYTES for name, value in asked.headers.items())
        headers += sum(len(name) + len(value) + _HEADER_BYTES for name, value in response.raw_headers)
        self.requests += 1
        self.bytes += lines + headers + sent_bytes + received_bytes
