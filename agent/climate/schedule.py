"""Weekly schedules: which block is in force at an instant, and when the next one begins. Pure.

A schedule speaks in the house's wall-clock time; here it becomes instants. A wall time that a DST night skips is the
instant of the change; one that comes twice is its first coming. So blocks neither overlap nor leave a hole there, and
none begins twice.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from heapq import heappop, heappush
from itertools import pairwise

import msgspec

from agent.climate.model import Setpoints, check_setpoints
from agent.errors import SettingInvalid

BLOCKS_MAX = 70
"""Ten for each day of a week in which no day is like the other."""

NAME_CHARACTERS_MAX = 64
BLOCK_SENSORS_MAX = 16
"""As many as a zone may have."""

DAYS_BACK = 8
DAYS_AHEAD = 8
"""A block of once a week is in force until it comes again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT_MIN = 24 * 60


class Day(StrEnum):
    """Days of the week, Monday first."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)


class Block(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of the day. Kept in `climate.json`: what a newer release has added to it is left out.

    Attributes:
        label: For people: Morning, Night.
        start: Wall-clock time as HH:MM.
        end: Likewise; not after `start` means on the next day.
        heat_setpoint_c: Heat below it.
        cool_setpoint_c: Cool above it.
        days: On which days it starts.
        sensors: The zone's sensors that count in it; empty for all.
    """

    label: str
    start: str
    end: str
    heat_setpoint_c: float
    cool_setpoint_c: float
    days: tuple[Day, ...] = WEEK
    sensors: tuple[str, ...] = ()

    @property
    def setpoints(self) -> Setpoints:
        """Both setpoints."""
        return Setpoints(self.heat_setpoint_c, self.cool_setpoint_c)


class Schedule(msgspec.Struct, frozen=True):
    """A named week. Where blocks overlap, the later one in the list wins; where none covers, the last one goes on."""

    name: str
    blocks: tuple[Block, ...]


class Segment(msgspec.Struct, frozen=True):
    """A block from one instant up to another (exclusive)."""

    start_utc_ms: int
    end_utc_ms: int
    block: Block


class Timeline(msgspec.Struct, frozen=True):
    """The segments of some days without a hole between them, in order."""

    segments: tuple[Segment, ...]
    starts_utc_ms: tuple[int, ...]

    def index_at(self, utc_ms: int) -> int:
        """Return the position of the segment at an instant; -1 where the timeline does not reach it."""
        index = bisect_right(self.starts_utc_ms, utc_ms) - 1
        if index < 0 or utc_ms >= self.segments[index].end_utc_ms:
            return -1
        return index


def check_schedule(schedule: Schedule) -> Schedule:
    """Return a schedule that can be followed.

    Raises:
        SettingInvalid: What is wrong with it; all of it is named.
    """
    problems = []
    if not schedule.name.strip() or len(schedule.name) > NAME_CHARACTERS_MAX:
        problems.append(f"a name of 1 to {NAME_CHARACTERS_MAX} characters is needed")
    if not 1 <= len(schedule.blocks) <= BLOCKS_MAX:
        problems.append(f"{len(schedule.blocks)} blocks; allowed are 1 to {BLOCKS_MAX}")
    for number, block in enumerate(schedule.blocks[:BLOCKS_MAX], 1):
        where = f"block {number} ({block.label[:NAME_CHARACTERS_MAX]}): "
        if len(block.label) > NAME_CHARACTERS_MAX:
            problems.append(f"{where}a label has at most {NAME_CHARACTERS_MAX} characters")
        if not block.days:
            problems.append(f"{where}on no day of the week")
        if len(block.sensors) > BLOCK_SENSORS_MAX:
            problems.append(f"{where}it names {len(block.sensors)} sensors; at most {BLOCK_SENSORS_MAX} sensors count")
        problems += [f"{where}{text}" for text in (_bad_time(block.start), _bad_time(block.end)) if text]
        try:
            check_setpoints(block.setpoints, where)
        except SettingInvalid as error:
            problems.append(str(error))
    if problems:
        raise SettingInvalid(f"schedule {schedule.name[:NAME_CHARACTERS_MAX]}: " + "; ".join(problems))
    return schedule


def _bad_time(text: str) -> str:
    hours, _, minutes = text.partition(":")
    is_time = len(text) == 5 and hours.isdecimal() and minutes.isdecimal() and text.isascii()  # noqa: PLR2004 - HH:MM
    if is_time and int(hours) < 24 and int(minutes) < 60:  # noqa: PLR2004 - a clock's face
        return ""
    return f'"{text[:10]}" is no time; it is written HH:MM, 00:00 to 23:59'


def instant_utc_ms(day: date, minute_of_day: int, zone: tzinfo) -> int:
    """Return the instant of a wall-clock time: its first coming, or the moment at which it was skipped.

    Args:
        day: In the house's calendar.
        minute_of_day: 0 to 1440.
        zone: The house's time zone.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute_of_day)
    instant_s = _timestamp_s(wall)
    if _wall(instant_s, zone) == wall.replace(tzinfo=None):
        return instant_s * 1000
    # Skipped: the two readings of the wall time (PEP 495) lie on both sides of the change.
    after_s = instant_s
    before_s = _timestamp_s(wall.replace(fold=1))
    skipped = wall.replace(tzinfo=None)
    while after_s - before_s > 1:
        middle_s = (after_s + before_s) // 2
        if _wall(middle_s, zone) < skipped:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s * 1000


def _timestamp_s(wall: datetime) -> int:
    return (wall - _EPOCH) // timedelta(seconds=1)


def _wall(utc_s: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=utc_s)).astimezone(zone).replace(tzinfo=None)


def build_timeline(schedule: Schedule, *, utc_ms: int, zone: tzinfo) -> Timeline:
    """Return the segments from before an instant to some days after it.

    Args:
        schedule: A checked one.
        utc_ms: The instant.
        zone: The house's time zone.
    """
    today = _wall(utc_ms // 1000, zone).date()
    instances = []
    for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        name = WEEK[day.weekday()]
        for index, block in enumerate(schedule.blocks):
            if name in block.days:
                start_min, end_min = _minutes(block.start), _minutes(block.end)
                if end_min <= start_min:
                    end_min += _MIDNIGHT_MIN
                start_ms = instant_utc_ms(day, start_min, zone)
                end_ms = instant_utc_ms(day, end_min, zone)
                if end_ms > start_ms:
                    instances.append((start_ms, end_ms, index, block))
    return _woven(sorted(instances, key=lambda instance: (instance[0], instance[2])))


def _woven(instances: Sequence[tuple[int, int, int, Block]]) -> Timeline:
    """Return the segments: at each boundary, the latest block of the list that is under way, else the last one."""
    boundaries = sorted({start for start, _, _, _ in instances} | {end for _, end, _, _ in instances})
    segments: list[Segment] = []
    under_way: list[tuple[int, int, int, Block]] = []
    begun = 0
    owner: tuple[int, int] | None = None
    for here_ms, next_ms in pairwise(boundaries):
        while begun < len(instances) and instances[begun][0] <= here_ms:
            start, end, index, block = instances[begun]
            heappush(under_way, (-index, -start, end, block))
            begun += 1
        while under_way and under_way[0][2] <= here_ms:
            heappop(under_way)
        current = (under_way[0][0], under_way[0][1]) if under_way else owner
        if segments and current == owner:
            segments[-1] = Segment(segments[-1].start_utc_ms, next_ms, segments[-1].block)
        else:
            # The first boundary begins a block; and who owns nothing new has been merged above.
            segments.append(Segment(here_ms, next_ms, under_way[0][3]))
        owner = current
    return Timeline(tuple(segments), tuple(segment.start_utc_ms for segment in segments))


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
