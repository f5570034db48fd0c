"""The right block at every instant, in every time zone and at both DST changes, without gap or overlap."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate.model import WEEK, Block, Day, Schedule
from agent.climate.schedule import BLOCKS_MAX, build_timeline, check_schedule, instant_utc_ms
from agent.errors import SettingInvalid

BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS = WEEK[:5]
PLAIN = Schedule(
    "plain",
    (
        Block("Morning", "06:00", "08:30", 21.0, 26.0),
        Block("Day", "08:30", "17:00", 18.0, 27.0),
        Block("Evening", "17:00", "22:00", 21.0, 26.0),
        Block("Night", "22:00", "06:00", 17.0, 28.0),
    ),
)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def label_at(schedule: Schedule, utc_ms: int, zone: ZoneInfo) -> str:
    plan = build_timeline(schedule, utc_ms=utc_ms, timezone=zone)
    return plan.segments[plan.index_at(utc_ms)].block.label


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2026-01-14T05:59:59+01:00", "Night"),
        ("2026-01-14T06:00:00+01:00", "Morning"),
        ("2026-01-14T08:29:59+01:00", "Morning"),
        ("2026-01-14T08:30:00+01:00", "Day"),
        ("2026-01-14T23:59:00+01:00", "Night"),
        ("2026-07-14T06:00:00+02:00", "Morning"),
    ],
)
def test_blocks_begin_and_end_by_the_houses_clock(at: str, label: str) -> None:
    assert label_at(PLAIN, ms(at), BERLIN) == label


def test_a_block_over_midnight_belongs_to_the_day_it_starts_on() -> None:
    schedule = Schedule(
        "s",
        (
            Block("Always", "00:00", "00:00", 18.0, 26.0),
            Block("Late", "22:00", "04:00", 20.0, 26.0, (Day.FRI,)),
        ),
    )
    assert label_at(schedule, ms("2026-01-16T23:00:00+01:00"), BERLIN) == "Late"  # a Friday
    assert label_at(schedule, ms("2026-01-17T03:59:00+01:00"), BERLIN) == "Late"
    assert label_at(schedule, ms("2026-01-17T04:00:00+01:00"), BERLIN) == "Always"
    assert label_at(schedule, ms("2026-01-17T23:00:00+01:00"), BERLIN) == "Always"


def test_of_overlapping_blocks_the_later_in_the_list_wins() -> None:
    schedule = Schedule("s", (Block("A", "08:00", "12:00", 18.0, 26.0), Block("B", "10:00", "11:00", 20.0, 26.0)))
    labels = [label_at(schedule, ms(f"2026-01-14T{hour}:30:00+01:00"), BERLIN) for hour in ("08", "10", "11")]
    assert labels == ["A", "B", "A"]


def test_last_block_continues_where_none_covers() -> None:
    schedule = Schedule("s", (Block("Monday", "08:00", "09:00", 18.0, 26.0, (Day.MON,)),))
    at_ms = ms("2026-01-18T23:00:00+01:00")  # a Sunday
    plan = build_timeline(schedule, utc_ms=at_ms, timezone=BERLIN)
    segment = plan.segments[plan.index_at(at_ms)]
    assert segment.block.label == "Monday"
    assert segment.end_utc_ms == ms("2026-01-19T08:00:00+01:00")


def test_block_in_the_skipped_hour_of_spring() -> None:
    schedule = Schedule("s", (Block("A", "02:30", "12:00", 20.0, 26.0), Block("B", "12:00", "02:30", 18.0, 26.0)))
    change_ms = ms("2026-03-29T01:00:00+00:00")
    assert instant_utc_ms(date(2026, 3, 29), 150, BERLIN) == change_ms
    assert label_at(schedule, change_ms - 1, BERLIN) == "B"
    assert label_at(schedule, change_ms, BERLIN) == "A"


def test_a_block_that_is_skipped_as_a_whole_never_begins() -> None:
    schedule = Schedule("s", (Block("All", "00:00", "00:00", 18.0, 26.0), Block("Gone", "02:10", "02:50", 20.0, 26.0)))
    plan = build_timeline(schedule, utc_ms=ms("2026-03-29T00:30:00+00:00"), timezone=BERLIN)
    day = [segment for segment in plan.segments if date(2026, 3, 29) == _local(segment.start_utc_ms).date()]
    assert "Gone" not in [segment.block.label for segment in day]


def test_in_the_night_with_an_hour_twice_no_block_begins_twice() -> None:
    schedule = Schedule("s", (Block("A", "02:30", "12:00", 20.0, 26.0), Block("B", "12:00", "02:30", 18.0, 26.0)))
    first_ms = ms("2026-10-25T02:30:00+02:00")
    assert label_at(schedule, first_ms - 1, BERLIN) == "B"
    assert label_at(schedule, first_ms, BERLIN) == "A"
    assert label_at(schedule, ms("2026-10-25T02:15:00+01:00"), BERLIN) == "A"


def _local(utc_ms: int) -> datetime:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(BERLIN)


def changes(zone: ZoneInfo) -> list[int]:
    """Return the instants between 2025 and 2027 at which a zone's offset changes, to a second."""
    found = []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at < datetime(2027, 1, 1, tzinfo=UTC):
        after = at + timedelta(days=1)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = int(at.timestamp()), int(after.timestamp())
            before = at.astimezone(zone).utcoffset()
            while high - low > 1:
                middle = (low + high) // 2
                same = datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == before
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at = after
    return found


@pytest.mark.slow
def test_every_wall_time_at_a_clock_change_maps_to_an_instant_in_every_time_zone() -> None:
    zones = sorted(zoneinfo.available_timezones() - {"localtime"})
    assert len(zones) > 400
    checked_changes = 0
    for name in zones:
        zone = ZoneInfo(name)
        for change_s in changes(zone):
            checked_changes += 1
            day = datetime.fromtimestamp(change_s, UTC).astimezone(zone).date()
            before_ms = -1
            for minute in range(0, 1441, 15):
                at_ms = instant_utc_ms(day, minute, zone)
                # Wall times in order are instants in order: no hole, no overlap.
                assert at_ms >= before_ms, (name, day, minute)
                before_ms = at_ms
                wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001 - wall time
                shown = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)
                earlier = datetime.fromtimestamp(at_ms / 1000 - 1, UTC).astimezone(zone).replace(tzinfo=None)
                if shown == wall:
                    # Its first coming: nobody saw this time in the hours before.
                    assert all(
                        datetime.fromtimestamp(at_ms / 1000 - back * 900, UTC).astimezone(zone).replace(tzinfo=None)
                        != wall
                        for back in range(1, 13)
                    ), (name, day, minute)
                else:
                    assert earlier < wall < shown, (name, day, minute)
    assert checked_changes > 500


minutes = st.integers(0, 24 * 60 - 1)
blocks = st.builds(
    lambda start, end, heat, days, label: Block(
        label, f"{start // 60:02}:{start % 60:02}", f"{end // 60:02}:{end % 60:02}", heat, heat + 5.0, tuple(days)
    ),
    minutes,
    minutes,
    st.floats(10, 25),
    st.lists(st.sampled_from(WEEK), min_size=1, max_size=7, unique=True),
    st.sampled_from("ABCDEF"),
)
zone_names = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]
)


@given(st.lists(blocks, min_size=1, max_size=8), zone_names, st.integers(1_700_000_000, 1_900_000_000))
def test_a_timeline_has_neither_holes_nor_overlaps_and_agrees_with_the_wall_clock(
    made: list[Block], name: str, at_s: int
) -> None:
    zone = ZoneInfo(name)
    schedule = Schedule("s", tuple(made))
    plan = build_timeline(schedule, utc_ms=at_s * 1000, timezone=zone)
    index = plan.index_at(at_s * 1000)
    assert index >= 0
    assert plan.segments[-1].end_utc_ms > at_s * 1000 + 24 * 3_600_000
    for one, other in zip(plan.segments, plan.segments[1:], strict=False):
        assert one.start_utc_ms < one.end_utc_ms == other.start_utc_ms
    # On a day without a change of offset, the wall clock says the same.
    now = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
    offsets = {(now + timedelta(days=days)).utcoffset() for days in (-2, -1, 0, 1)}
    if len(offsets) > 1:
        return
    covering = []
    for number, block in enumerate(made):
        start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (block.start, block.end))
        length = (end - start) % 1440 or 1440
        for back in (0, 1):
            day = (now - timedelta(days=back)).date()
            passed = (now.hour * 60 + now.minute) + 1440 * back - start
            if WEEK[day.weekday()] in block.days and 0 <= passed < length:
                covering.append(number)
    if covering:
        assert plan.segments[index].block is made[max(covering)]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Schedule("", PLAIN.blocks), "a name"),
        (Schedule("x" * 65, PLAIN.blocks), "a name"),
        (Schedule("x", ()), "0 blocks"),
        (Schedule("x", PLAIN.blocks * 20), f"1 to {BLOCKS_MAX}"),
        (Schedule("x", (Block("A", "24:00", "08:00", 20, 26),)), '"24:00" is no time'),
        (Schedule("x", (Block("A", "8:00", "08:00", 20, 26),)), '"8:00" is no time'),
        (Schedule("x", (Block("A", "08:00", "08:60", 20, 26),)), '"08:60" is no time'),
        (Schedule("x", (Block("A", "08:00", "09:00", 26, 20),)), "1 K apart"),
        (Schedule("x", (Block("A", "08:00", "09:00", 2, 20),)), "4 to 35"),
        (Schedule("x", (Block("A", "08:00", "09:00", 20, 26, ()),)), "no day"),
        (Schedule("x", (Block("A" * 65, "08:00", "09:00", 20, 26),)), "64 characters"),
    ],
)
def test_invalid_schedule_is_refused_with_its_reason(schedule: Schedule, words: str) -> None:
    with pytest.raises(SettingInvalid, match=words):
        check_schedule(schedule)


def test_valid_schedule_is_accepted() -> None:
    assert check_schedule(PLAIN) is PLAIN


def test_a_timeline_has_no_segment_beyond_its_ends() -> None:
    week = Schedule("w", (Block("Day", "06:00", "22:00", 21.0, 26.0),))
    plan = build_timeline(week, utc_ms=0, timezone=UTC)
    assert plan.index_at(plan.segments[0].start_utc_ms - 1) == -1
    assert plan.index_at(plan.segments[-1].end_utc_ms) == -1
    assert plan.index_at(plan.segments[-1].end_utc_ms - 1) == len(plan.segments) - 1
