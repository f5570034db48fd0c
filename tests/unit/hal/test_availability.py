"""Who is online: the rhythm of a sensor, and what is known of it."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from hal import availability
from hal.availability import SILENCE_S_MAX, ReportingRhythm, allowed_s, is_online, update_rhythm
from hal.interface import SensorKind
from hal.radio import SensorLink
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.radio_state import REMOVED_MAX, SENSORS_MAX, DeviceRecord, DeviceTable

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
IEEE = "0x000d6f4aec588d00"
TEMPERATURE = SensorKind.TEMPERATURE


def lived(gaps_s: Sequence[float], rhythm: ReportingRhythm | None = None, *, is_sleepy: bool = True) -> ReportingRhythm:
    rhythm = rhythm or ReportingRhythm()
    for gap_s in gaps_s:
        rhythm = update_rhythm(rhythm, int(gap_s * 1000), is_sleepy=is_sleepy)
    return rhythm


def test_new_sensor_is_allowed_the_longest_silence_for_a_day() -> None:
    assert allowed_s(ReportingRhythm(), is_sleepy=True) == SILENCE_S_MAX
    assert allowed_s(ReportingRhythm(), is_sleepy=False) == availability.UNKNOWN_MAINS_S
    assert allowed_s(lived([60] * 100), is_sleepy=True) == SILENCE_S_MAX
    assert allowed_s(lived([60] * 1440), is_sleepy=True) == availability.SILENCE_S_MIN


def test_configured_interval_counts_from_the_start() -> None:
    assert allowed_s(ReportingRhythm(max_interval_s=900), is_sleepy=True) == 3 * 900 + 60


def test_a_quiet_night_is_remembered_through_a_busy_day() -> None:
    rhythm = lived([HOUR_S] * 8 + [60.0] * 16 * 60)
    assert allowed_s(rhythm, is_sleepy=True) > 2 * HOUR_S
    assert allowed_s(lived([60] * 20 * 1440, rhythm), is_sleepy=True) < HOUR_S


def test_second_long_silence_extends_the_allowed_one() -> None:
    rhythm = lived([900.0] * 96)
    once = lived([2 * HOUR_S], rhythm)
    assert allowed_s(once, is_sleepy=True) < HOUR_S
    twice = lived([900, 3 * HOUR_S], once)
    assert allowed_s(twice, is_sleepy=True) >= 3 * 2 * HOUR_S


def test_configured_interval_stays_the_limit_after_violations() -> None:
    rhythm = lived([6 * HOUR_S] * 5, ReportingRhythm(max_interval_s=900, observed_s=DAY_S, longest_silence_s=900))
    assert allowed_s(rhythm, is_sleepy=True) == 3 * 900 + 60


def test_sleepy_device_with_a_steady_rhythm_is_never_offline() -> None:
    rng = random.Random(5)
    rhythm, is_known = ReportingRhythm(), False
    for _ in range(2000):
        gap_s = rng.uniform(40 * 60, 60 * 60)
        is_known = is_known or rhythm.observed_s >= availability.OBSERVED_S_MIN
        assert gap_s <= allowed_s(rhythm, is_sleepy=True)
        rhythm = lived([gap_s], rhythm)
    assert is_known
    assert allowed_s(rhythm, is_sleepy=True) < 4 * HOUR_S


@given(st.lists(st.floats(min_value=1, max_value=40 * HOUR_S), max_size=60), st.floats(0, DAY_S), st.booleans())
def test_dead_device_is_offline_within_the_limit(gaps_s: list[float], promised_s: float, is_sleepy: bool) -> None:
    rhythm = lived(gaps_s, ReportingRhythm(max_interval_s=promised_s), is_sleepy=is_sleepy)
    assert availability.SILENCE_S_MIN <= allowed_s(rhythm, is_sleepy=is_sleepy) <= SILENCE_S_MAX
    now_ms = int(SILENCE_S_MAX * 1000) + 1
    for since_ms in (0, 1000):
        state = is_online(
            rhythm, is_sleepy=is_sleepy, last_seen_ms=0, listening_since_ms=since_ms, was_offline=False, now_ms=now_ms
        )
        assert state is not True


class World:
    def __init__(self, kept: DeviceTable | None = None, *, boot_id: str = "boot") -> None:
        self.now_ms = 1_000_000
        self.registry = DeviceRegistry(kept or DeviceTable(boot_id), lambda: self.now_ms)

    def later(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def link(self) -> SensorLink:
        (link,) = self.registry.links()
        return link

    def pair(self) -> None:
        self.registry.set_listening(is_listening=True)
        self.registry.add_joined(IEEE, 7)
        self.registry.set_interviewed(IEEE, manufacturer="m", model="x", kinds=(), is_sleepy=True)
        self.registry.set_configured(IEEE, ranks={TEMPERATURE: 1}, max_intervals_s={TEMPERATURE: 900})
        self.registry.mark_seen(IEEE, 99)


def test_a_sensor_that_falls_silent_goes_offline_and_comes_back() -> None:
    world = World()
    world.pair()
    assert world.link().is_online
    assert world.link().lqi_last_hop == 99
    world.later(2700)
    assert world.link().is_online
    world.later(120)
    assert world.link().is_online is False
    world.registry.update_availability()
    world.registry.mark_seen(IEEE, 88)
    assert world.link().is_online


def test_dead_sensor_stays_offline_over_a_restart() -> None:
    world = World()
    world.pair()
    world.later(HOUR_S)
    world.registry.update_availability()
    again = World(DeviceTable("boot", world.registry.snapshot().sensors))
    assert again.link().is_online is False
    again.registry.set_listening(is_listening=True)
    assert again.link().is_online is False


def test_radio_downtime_does_not_count_as_silence() -> None:
    world = World()
    world.pair()
    world.registry.set_listening(is_listening=False)
    world.later(5 * HOUR_S)
    assert world.link().is_online is None
    world.registry.update_availability()
    world.registry.set_listening(is_listening=True)
    assert world.link().is_online is None
    world.registry.mark_seen(IEEE, 1)
    assert world.link().is_online
    kept = world.registry.get(IEEE)
    assert kept is not None
    assert not kept.rhythm.outlier_s
    world.registry.set_listening(is_listening=False)
    world.registry.set_listening(is_listening=True)
    world.later(HOUR_S)
    assert world.link().is_online is False


def test_packets_of_one_report_do_not_count_as_an_interval() -> None:
    world = World()
    world.pair()
    for _ in range(10):
        world.later(0.1)
        world.registry.mark_seen(IEEE, 1)
    kept = world.registry.get(IEEE)
    assert kept is not None
    assert kept.rhythm.observed_s == 0


def test_removed_device_is_remembered_until_it_rejoins() -> None:
    world = World()
    world.pair()
    world.registry.remove(IEEE)
    assert world.registry.is_removed(IEEE)
    assert list(world.registry.links()) == []
    world.registry.add_joined(IEEE, 8)
    assert not world.registry.is_removed(IEEE)
    for number in range(2 * REMOVED_MAX):
        world.registry.remove(f"{number}")
    assert len(world.registry.snapshot().removed) == REMOVED_MAX


def test_number_of_devices_is_limited() -> None:
    world = World(DeviceTable("boot", tuple(DeviceRecord(f"{number}", number) for number in range(SENSORS_MAX))))
    assert world.registry.is_full
    world.registry.add_joined(IEEE, 7)
    assert world.registry.get(IEEE) is None
    world.registry.add_joined("3", 7)
    kept = world.registry.get("3")
    assert kept is not None
    assert kept.nwk == 7


def test_device_that_left_is_offline_and_needs_setup_again() -> None:
    world = World()
    world.pair()
    world.registry.mark_left(IEEE)
    kept = world.registry.get(IEEE)
    assert kept is not None
    assert not kept.is_configured
    assert world.link().is_online is False
    for change in (world.registry.mark_left, world.registry.remove):
        change("a stranger")
    world.registry.mark_seen("a stranger", 1)
    world.registry.set_configured("a stranger", ranks={}, max_intervals_s={})
    assert world.registry.get("a stranger") is None


def test_late_value_is_read_and_asked_for_again_until_it_is_there() -> None:
    late_ms, retry_ms = availability.READ_AFTER_MS, availability.READ_RETRY_MS
    assert not availability.is_read_due(known_ms=0, asked_ms=None, now_ms=late_ms - 1)
    assert availability.is_read_due(known_ms=0, asked_ms=None, now_ms=late_ms)
    assert not availability.is_read_due(known_ms=0, asked_ms=late_ms, now_ms=late_ms + retry_ms - 1)
    assert availability.is_read_due(known_ms=0, asked_ms=late_ms, now_ms=late_ms + retry_ms)
