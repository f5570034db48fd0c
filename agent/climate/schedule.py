"""Weekly schedules: which block is in force at an instant, and when the next one begins. Pure.

A schedule is in the wall-clock time of the house; this file turns it into instants. A wall time that a DST change skips
becomes the instant of the change; one that occurs twice means its first occurrence. So blocks neither overlap nor leave
a gap at a DST change, and none begins twice.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from heapq import heappop, heappush
from itertools import pairwise

import msgspec

from agent.climate.calendar import day_of
from agent.climate.model import Block, DayException, Schedule, check_setpoints
from agent.errors import SettingInvalid

BLOCKS_MAX = 70
"""Ten a day for a week of seven different days."""

NAME_CHARACTERS_MAX = 64
BLOCK_SENSORS_MAX = 16
"""The number of sensors that a zone may have."""

DAYS_BACK = 8
DAYS_AHEAD = 8
"""A timeline reaches this far: a block of one day a week is in force until it comes again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MINUTES = 24 * 60


class Segment(msgspec.Struct, frozen=True):
    """A block from one instant up to another (exclusive)."""

    start_utc_ms: int
    end_utc_ms: int
    block: Block


class Timeline(msgspec.Struct, frozen=True):
    """The segments of some days in order, without a gap."""

    segments: tuple[Segment, ...]
    starts_utc_ms: tuple[int, ...]

    def index_at(self, utc_ms: int) -> int:
        """Return the position of the segment at an instant; -1 for an instant outside the timeline."""
        index = bisect_right(self.starts_utc_ms, utc_ms) - 1
        if index < 0 or utc_ms >= self.segments[index].end_utc_ms:
            return -1
        return index

    def segment_at(self, utc_ms: int) -> Segment | None:
        """Return the segment at an instant; `None` for an instant outside the timeline."""
        index = self.index_at(utc_ms)
        return self.segments[index] if index >= 0 else None


def check_schedule(schedule: Schedule) -> Schedule:
    """Return a schedule that is valid.

    Raises:
        SettingInvalid: It is not; the message lists every problem.
    """
    problems = []
    if not schedule.name.strip() or len(schedule.name) > NAME_CHARACTERS_MAX:
        problems.append(f"a name of 1 to {NAME_CHARACTERS_MAX} characters is needed")
    if not 1 <= len(schedule.blocks) <= BLOCKS_MAX:
        problems.append(f"{len(schedule.blocks)} blocks; allowed are 1 to {BLOCKS_MAX}")
    for number, block in enumerate(schedule.blocks[:BLOCKS_MAX], 1):
        problems += _block_problems(block, f"block {number} ({block.label[:NAME_CHARACTERS_MAX]}): ")
    if problems:
        raise SettingInvalid(f"schedule {schedule.name[:NAME_CHARACTERS_MAX]}: " + "; ".join(problems))
    return schedule


def can_follow(schedule: Schedule) -> bool:
    """Return whether a schedule of a file that may be damaged can be followed: its times are times."""
    return not any(_time_problem(text) for block in schedule.blocks for text in (block.start, block.end))


def _block_problems(block: Block, where: str) -> list[str]:
    problems = []
    if len(block.label) > NAME_CHARACTERS_MAX:
        problems.append(f"{where}a label has at most {NAME_CHARACTERS_MAX} characters")
    if not block.days:
        problems.append(f"{where}on no day of the week")
    if len(block.sensors) > BLOCK_SENSORS_MAX:
        problems.append(f"{where}{len(block.sensors)} sensors; allowed are at most {BLOCK_SENSORS_MAX} sensors")
    problems += [f"{where}{problem}" for problem in (_time_problem(block.start), _time_problem(block.end)) if problem]
    try:
        check_setpoints(block.setpoints, where)
    except SettingInvalid as error:
        problems.append(str(error))
    return problems


def _time_problem(text: str) -> str:
    hours, _, minutes = text.partition(":")
    is_time = len(text) == 5 and hours.isdecimal() and minutes.isdecimal() and text.isascii()  # noqa: PLR2004 - HH:MM
    if is_time and int(hours) < 24 and int(minutes) < 60:  # noqa: PLR2004 - a clock's face
        return ""
    return f'"{text[:10]}" is no time; it is written HH:MM, 00:00 to 23:59'


def instant_utc_ms(day: date, minute_of_day: int, timezone: tzinfo) -> int:
    """Return the instant of a wall-clock time: its first occurrence, or the instant of the change that skips it.

    Args:
        day: In the calendar of the house.
        minute_of_day: 0 to 1440.
        timezone: Of the house.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=timezone) + timedelta(minutes=minute_of_day)
    instant_s = _timestamp_s(wall)
    if _wall(instant_s, timezone) == wall.replace(tzinfo=None):
        return instant_s * 1000
    # A skipped time: its two readings (PEP 495) lie on both sides of the change. Bisect for the change.
    after_s = instant_s
    before_s = _timestamp_s(wall.replace(fold=1))
    skipped = wall.replace(tzinfo=None)
    while after_s - before_s > 1:
        middle_s = (after_s + before_s) // 2
        if _wall(middle_s, timezone) < skipped:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s * 1000


def _timestamp_s(wall: datetime) -> int:
    return (wall - _EPOCH) // timedelta(seconds=1)


def _wall(utc_s: int, timezone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=utc_s)).astimezone(timezone).replace(tzinfo=None)


def build_timeline(
    schedule: Schedule, *, utc_ms: int, timezone: tzinfo, exceptions: Sequence[DayException] = ()
) -> Timeline:
    """Return the segments from some days before an instant to some days after it.

    Args:
        schedule: A valid one.
        utc_ms: The instant.
        timezone: Of the house.
        exceptions: The calendar.
    """
    today = _wall(utc_ms // 1000, timezone).date()
    instances = []
    for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        name = day_of(day, exceptions)
        for index, block in enumerate(schedule.blocks):
            if name in block.days:
                start_min, end_min = _minutes(block.start), _minutes(block.end)
                if end_min <= start_min:
                    end_min += _DAY_MINUTES
                start_ms = instant_utc_ms(day, start_min, timezone)
                end_ms = instant_utc_ms(day, end_min, timezone)
                if end_ms > start_ms:
                    instances.append((start_ms, end_ms, index, block))
    return _merge_instances(sorted(instances, key=lambda instance: (instance[0], instance[2])))


def _merge_instances(instances: Sequence[tuple[int, int, int, Block]]) -> Timeline:
    """Return the segments. Between two boundaries the block that stands last in the schedule wins; a gap continues."""
    boundaries = sorted({start for start, _, _, _ in instances} | {end for _, end, _, _ in instances})
    segments: list[Segment] = []
    current: list[tuple[int, int, int, Block]] = []
    started = 0
    owner: tuple[int, int] | None = None
    for here_ms, next_ms in pairwise(boundaries):
        while started < len(instances) and instances[started][0] <= here_ms:
            start, end, index, block = instances[started]
            heappush(current, (-index, -start, end, block))
            started += 1
        while current and current[0][2] <= here_ms:
            heappop(current)
        new_owner = (current[0][0], current[0][1]) if current else owner
        if segments and new_owner == owner:
            segments[-1] = Segment(segments[-1].start_utc_ms, next_ms, segments[-1].block)
        else:
            # `current` is not empty: the first boundary starts a block, and a later gap keeps its owner.
            segments.append(Segment(here_ms, next_ms, current[0][3]))
        owner = new_owner
    return Timeline(tuple(segments), tuple(segment.start_utc_ms for segment in segments))


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
