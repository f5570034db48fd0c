"""What to give up when the outbox is full. Pure: collect, decide, remove; this is the middle step.

Old readings lose resolution before any is lost altogether: in the older half of the backlog every second reading of a
sensor goes, then every second of what is left, up to one of `2**DOWNSAMPLING_LEVEL_MAX`.
Only then the oldest go for good.
"""

from collections.abc import Iterable, Sequence

import msgspec

DOWNSAMPLING_LEVEL_MAX = 3
"""One reading of eight is kept at the most: a minute's rhythm becomes eight minutes."""

GROUP_MAX = 8
"""Blobs thinned together: a blob often holds one reading of each sensor, so halving needs neighbours."""


class BlobSummary(msgspec.Struct, frozen=True):
    """What is known of a stored blob without reading it."""

    seq: int
    boot: int
    waiting_device: int
    readings: int
    size_bytes: int
    level: int


def groups_to_downsample(summaries: Iterable[BlobSummary], *, excess_bytes: int) -> list[list[BlobSummary]]:
    """Return runs of neighbouring blobs to thin, oldest first, that together free about ``excess_bytes``.

    Blobs of one run share boot, hold and level; a lone blob of one reading per sensor would free nothing, so runs have
    at least two blobs.

    Args:
        summaries: Candidates, in the order of their numbers.
        excess_bytes: How much has to go.
    """
    groups: list[list[BlobSummary]] = []
    freed_bytes = 0.0
    run: list[BlobSummary] = []
    for summary in summaries:
        if freed_bytes >= excess_bytes:
            return groups
        if run and (len(run) == GROUP_MAX or not _are_alike(run[-1], summary)):
            run = []
        run.append(summary)
        if len(run) == 2:  # noqa: PLR2004 - the second makes the run worth thinning
            groups.append(run)
            freed_bytes += run[0].size_bytes / 2
        if len(run) > 1:
            freed_bytes += summary.size_bytes / 2
    return groups


def _are_alike(one: BlobSummary, other: BlobSummary) -> bool:
    return (one.boot, one.waiting_device, one.level) == (other.boot, other.waiting_device, other.level)


def blobs_to_drop(summaries: Iterable[BlobSummary], *, excess_bytes: int) -> list[BlobSummary]:
    """Return the oldest blobs that together free ``excess_bytes``."""
    chosen: list[BlobSummary] = []
    freed_bytes = 0
    for summary in summaries:
        if freed_bytes >= excess_bytes:
            break
        chosen.append(summary)
        freed_bytes += summary.size_bytes
    return chosen


def every_second(series: Sequence[int]) -> list[bool]:
    """Tell for each reading, given its series, whether it stays: the first, third, ... of each series does."""
    stays: dict[int, bool] = {}
    verdict = []
    for number in series:
        stays[number] = not stays.get(number, False)
        verdict.append(stays[number])
    return verdict
