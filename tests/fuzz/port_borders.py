"""Borders of the technician's port: changes of the configuration, and what a dying card has kept of the history."""

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from agent.config import resolve_text
from agent.config.changes import ConfigChanges, start
from agent.config.loading import changes_problems
from agent.config.tables import KEYS
from agent.errors import ConfigInvalid
from agent.foundation.lenient_json import DECODE_ERRORS, decode_leniently
from agent.local.config import build_config
from agent.port.history.blocks import encode, make_block
from agent.port.history.segment_files import HistorySegments
from agent.port.history.series import Thinning
from tests.fuzz import hostile

_TEXT = '[cloud]\nbase_url = "https://cloud.example"\n'
_FRAMES = [
    encode(make_block("b", start_ms=0, interval_ms=60_000, zero_utc_ms=zero, columns={"c": [20.0, None, 21.0]}))
    for zero in (None, 0, 2**62)
]

CHANGES = st.dictionaries(
    st.sampled_from([key.path for key in KEYS]) | hostile.TEXTS,
    hostile.JSON | st.lists(hostile.JSON, max_size=3) | st.sampled_from(["none", "auto", 1, 0.5, True]),
    max_size=5,
)
"""What a request or a damaged record asks for."""

SEGMENTS = st.lists(
    st.sampled_from(_FRAMES)
    | st.binary(max_size=60)
    | st.tuples(st.sampled_from(_FRAMES), st.integers(0, 80), st.binary(max_size=4)).map(
        lambda given: given[0][: given[1]] + given[2] + given[0][given[1] + len(given[2]) :]
    ),
    max_size=5,
).map(b"".join)


def take_changes(directory: Path, changes: dict[str, Any]) -> None:
    """Check changes as a request does, and as a record that is read again; show what is in force."""
    wrong = changes_problems(changes)
    good = {path: value for path, value in changes.items() if path not in wrong}
    try:
        resolved = resolve_text(_TEXT, file="f", directory=directory, environ={}, changes=changes)
    except ConfigInvalid as error:
        str(error).encode("utf-8", "surrogatepass")
        assert wrong or good
    else:
        assert not wrong
        record = ConfigChanges(changes)
        report = build_config(resolved, record, file="f", left_s=None, problem="", is_restarting=False)
        assert msgspec.json.encode(report)
        read, _ = decode_leniently(msgspec.json.encode(record), ConfigChanges)
        assert start(read).in_force == changes


def take_record(data: bytes) -> None:
    """Read a record of changes that somebody else has written."""
    try:
        record, _ = decode_leniently(data, ConfigChanges)
    except DECODE_ERRORS:
        return
    assert start(start(record)).trial is None
    changes_problems(record.in_force)


def take_segment(directory: Path, data: bytes, disk: Any) -> None:  # noqa: ANN401 - the rig's
    """Read a segment, draw what is in it, and add a block."""
    path = directory / "history-00000001.seg"
    path.write_bytes(data)
    segments = HistorySegments(directory, disk)
    thinning = Thinning(["c"], from_ms=0, to_ms=10**9, interval_ms=60_000, points_max=50)
    for block in segments.read(1):
        thinning.add("c", block.values("c"), start_ms=block.start_ms, interval_ms=block.interval_ms)
    assert len(thinning.chart().times_s) <= 51
    before = sum(1 for _ in segments.read(1))
    segments.append([make_block("n", start_ms=0, interval_ms=60_000, zero_utc_ms=None, columns={"c": [1.0]})])
    assert sum(1 for _ in segments.read(1)) == before + 1
    path.unlink()
