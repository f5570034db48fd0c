"""What the checks read of strangers: the answers of whatever stands in the cloud's place on the network."""

import contextlib
from urllib.parse import urlsplit

from hypothesis import strategies as st

from agent.port.checks import cloud_probe

_LINES = st.text(st.characters(max_codepoint=255), max_size=60).map(lambda text: text.encode("latin-1"))
_LOCATIONS = st.text(max_size=40).map(lambda text: b"Location: http://" + text.encode("utf-8", "replace"))

ANSWERS = st.binary(max_size=300) | st.builds(
    lambda status, lines: b"HTTP/1.1 " + b"\r\n".join([str(status).encode(), *lines]) + b"\r\n\r\n",
    st.integers(-1, 10**30),
    st.lists(_LINES | _LOCATIONS, max_size=5),
)


def take_answer(_: object, answer: bytes) -> None:
    """Read an answer as the checks do: it is one, or a `ValueError`, which they take for a failed layer."""
    with contextlib.suppress(ValueError):
        status, headers = cloud_probe._parse(answer)
        assert status >= 0
        _ = urlsplit(headers.get("location", "")).hostname
