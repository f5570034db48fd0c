"""Each kind keeps its promise by itself: what the registry notices of a sensor that reports only a part."""

import pytest

from hal import availability
from hal.interface import SensorKind
from hal.radio import SensorLink
from hal.zigbee.battery import Battery, Chemistry
from hal.zigbee.device_registry import DeviceRegistry, battery_level
from hal.zigbee.radio_state import DeviceRecord, DeviceTable, decode_devices, encode
from hal.zigbee.zcl import SensorChannel

IEEE = "0x000d6f4aec588d00"
TEMPERATURE, HUMIDITY, BATTERY = SensorKind.TEMPERATURE, SensorKind.HUMIDITY, SensorKind.BATTERY_LEVEL
PROMISES = {TEMPERATURE: 900.0, HUMIDITY: 900.0, BATTERY: 6 * 3600.0}


class World:
    def __init__(self, kept: DeviceTable | None = None) -> None:
        self.now_ms = 5_000_000
        self.registry = DeviceRegistry(kept or DeviceTable("boot"), lambda: self.now_ms)
        self.registry.set_listening(is_listening=True)
        if kept is None:
            self.registry.add_joined(IEEE, 7)
            self.registry.set_interviewed(IEEE, manufacturer="m", model="x", kinds=tuple(PROMISES), is_sleepy=True)
            self.registry.set_configured(IEEE, ranks=dict.fromkeys(PROMISES, 1), max_intervals_s=PROMISES)

    def later(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def says(self, *kinds: SensorKind) -> list[SensorKind]:
        late: list[SensorKind] = []
        for kind in kinds:
            self.registry.mark_seen(IEEE, 9)
            late = list(self.registry.reporting.record_report(IEEE, kind))
        return late

    def link(self) -> SensorLink:
        (link,) = self.registry.links()
        return link


def test_kind_overdue_three_times_is_reported_while_others_arrive() -> None:
    world = World()
    for _ in range(3):
        world.later(900)
        assert world.says(HUMIDITY, BATTERY) == []
        world.registry.reporting.set_intervals(IEEE, {})
    world.later(61)
    assert world.says(HUMIDITY) == [TEMPERATURE]
    assert world.link().is_online
    assert world.says(TEMPERATURE) == []


def test_two_reports_of_a_rare_kind_mark_silent_frequent_kinds() -> None:
    world = World()
    assert world.says(BATTERY) == []
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]
    assert world.says(TEMPERATURE) == [HUMIDITY]
    assert world.says(HUMIDITY) == []
    # What is reported as often says nothing of another.
    for _ in range(5):
        assert world.says(HUMIDITY) == []


def test_reporting_configuration_is_read_at_most_once_an_hour() -> None:
    world = World()
    assert world.registry.reporting.begin_check(IEEE)
    assert not world.registry.reporting.begin_check(IEEE)
    world.later(3600)
    assert world.registry.reporting.begin_check(IEEE)


def test_overdue_kind_stays_reported_until_it_arrives() -> None:
    world = World()
    text = availability.lost_configuration_text([TEMPERATURE, HUMIDITY])
    assert text.startswith("reports no temperature and no humidity: it lost its reporting configuration")
    world.registry.reporting.set_problems(IEEE, dict.fromkeys((TEMPERATURE, HUMIDITY), text))
    assert world.link().problem == text
    world.says(TEMPERATURE)
    assert world.link().problem == text
    world.says(HUMIDITY)
    assert world.link().problem == ""


def test_overdue_message_names_the_remedy() -> None:
    assert "take its battery out" in availability.ignored_configuration_text([TEMPERATURE])
    assert availability.unanswered_text([TEMPERATURE, BATTERY]).startswith(
        "press its button once: it reports no temperature and no battery_level"
    )


def test_radio_downtime_does_not_make_a_kind_overdue() -> None:
    world = World()
    world.registry.set_listening(is_listening=False)
    world.later(9000)
    assert world.registry.reporting.overdue_kinds(IEEE) == ()
    world.registry.set_listening(is_listening=True)
    assert world.says(BATTERY) == []
    world.later(2761)
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]


def test_longer_intervals_of_the_sensor_are_accepted() -> None:
    world = World()
    world.later(3000)
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]
    world.registry.reporting.set_intervals(IEEE, {TEMPERATURE: 3600.0, HUMIDITY: 3600.0})
    assert world.registry.reporting.overdue_kinds(IEEE) == []
    world.later(3 * 3600)
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]


def test_configured_sensor_with_its_own_rhythm_is_judged_by_it() -> None:
    world = World()
    world.later(3000)
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]
    world.registry.reporting.relax_intervals(IEEE, [TEMPERATURE, HUMIDITY])
    assert world.registry.reporting.overdue_kinds(IEEE) == []
    # What its rules say does not take that back.
    world.registry.reporting.set_intervals(IEEE, {TEMPERATURE: 900.0, HUMIDITY: 900.0})
    assert world.registry.reporting.overdue_kinds(IEEE) == []
    known = world.registry.get(IEEE)
    assert known is not None
    assert known.rhythm.max_interval_s == known.max_intervals_s[TEMPERATURE] == 3000.0
    world.later(10 * 24 * 3600)
    world.registry.reporting.relax_intervals(IEEE, [TEMPERATURE, HUMIDITY])
    assert world.says(BATTERY) == [TEMPERATURE, HUMIDITY]


def test_reported_kind_counts_as_measured_whatever_the_interview_found() -> None:
    world = World()
    assert world.registry.reporting.accept(IEEE, SensorChannel("1/humidity", HUMIDITY, 1))
    world.registry.set_configured(IEEE, ranks={TEMPERATURE: 1}, max_intervals_s={TEMPERATURE: 900.0})
    known = world.registry.get(IEEE)
    assert known is not None
    assert set(known.kinds) == {TEMPERATURE, HUMIDITY}


def test_a_sensor_of_an_older_version_is_set_up_again_and_keeps_its_kinds() -> None:
    old = DeviceRecord(IEEE, 7, kinds=(TEMPERATURE,), is_interviewed=True, is_configured=True)
    plug = DeviceRecord("0x01", 8, is_interviewed=True, is_configured=True)
    sensor, router = decode_devices(encode(DeviceTable("boot", (old, plug))), "boot").sensors
    assert (sensor.is_configured, router.is_configured) == (False, True)
    world = World(DeviceTable("boot", (old,)))
    world.registry.set_interviewed(IEEE, manufacturer="m", model="x", kinds=(TEMPERATURE, BATTERY), is_sleepy=True)
    known = world.registry.get(IEEE)
    assert known is not None
    assert known.kinds == (TEMPERATURE, BATTERY)


@pytest.mark.parametrize("order", [(1, 2, 1, 2), (2, 1, 2, 1)])
def test_channel_of_lower_rank_is_chosen(order: tuple[int, ...]) -> None:
    world = World()
    world.registry.set_configured(IEEE, ranks={}, max_intervals_s={})
    sources = {rank: SensorChannel(f"{rank}/temperature", TEMPERATURE, rank) for rank in (1, 2)}
    taken = [rank for rank in order if world.registry.reporting.accept(IEEE, sources[rank])]
    assert taken == ([1, 1] if order[0] == 1 else [2, 1, 1])
    known = world.registry.get(IEEE)
    assert known is not None
    assert (known.kinds, known.reported) == ((TEMPERATURE,), (TEMPERATURE,))


def test_learned_state_survives_a_restart() -> None:
    world = World()
    battery = Battery(Chemistry.ALKALINE, 2)
    world.registry.set_configured(
        IEEE, ranks={BATTERY: 2}, max_intervals_s={BATTERY: 900.0}, battery=battery, unused=["a probe"]
    )
    again = World(decode_devices(encode(world.registry.snapshot()), "boot"))
    assert battery_level(again.registry.get(IEEE), 2.4) == 40
    assert again.link().notes == ("a probe",)
    assert not again.registry.reporting.accept(IEEE, SensorChannel("3/battery_level", BATTERY, 3))
    # An interview repeats what it lists, not what it has answered for.
    again.registry.set_interviewed(IEEE, manufacturer="m", model="x", kinds=(TEMPERATURE, BATTERY), is_sleepy=True)
    known = again.registry.get(IEEE)
    assert known is not None
    assert known.kinds == (BATTERY,)


def test_unknown_device_is_handled() -> None:
    world = World()
    assert world.registry.reporting.record_report("a stranger", TEMPERATURE) == ()
    assert world.registry.reporting.overdue_kinds("a stranger") == ()
    world.registry.reporting.set_intervals("a stranger", {TEMPERATURE: 1.0})
    world.registry.reporting.relax_intervals("a stranger", [TEMPERATURE])
    assert not world.registry.is_online("a stranger")
    assert not world.registry.reporting.accept("a stranger", SensorChannel("1/temperature", TEMPERATURE, 1))
    assert battery_level(world.registry.get("a stranger"), 3.7) is None


def test_allowed_silence_is_that_of_each_kind() -> None:
    world = World()
    assert world.registry.allowed_silence_s(IEEE, TEMPERATURE) == 3 * 900.0 + 60.0
    assert world.registry.allowed_silence_s(IEEE, BATTERY) == 3 * 6 * 3600.0 + 60.0
    assert world.registry.allowed_silence_s(IEEE, SensorKind.PRESSURE) is None
    assert world.registry.allowed_silence_s("0x00", TEMPERATURE) is None
    world.registry.set_configured(IEEE, ranks={TEMPERATURE: 1}, max_intervals_s={TEMPERATURE: 0.0})
    assert world.registry.allowed_silence_s(IEEE, TEMPERATURE) is None


@pytest.mark.parametrize("is_sleepy", [False, True])
def test_late_kind_is_read_and_that_of_a_battery_sensor_only_while_it_is_awake(is_sleepy: bool) -> None:
    world = World()
    world.registry.set_interviewed(IEEE, manufacturer="m", model="x", kinds=(TEMPERATURE,), is_sleepy=is_sleepy)
    reporting = world.registry.reporting
    world.later(959)
    assert not reporting.begin_read(IEEE, TEMPERATURE, is_awake=True)
    world.later(1)
    assert reporting.begin_read(IEEE, TEMPERATURE, is_awake=False) is not is_sleepy
    assert reporting.begin_read(IEEE, TEMPERATURE, is_awake=True) is is_sleepy
    reporting.record_read(IEEE, TEMPERATURE)
    world.later(959)
    assert not reporting.begin_read(IEEE, TEMPERATURE, is_awake=True)
    world.later(1)
    assert reporting.begin_read(IEEE, TEMPERATURE, is_awake=True)
    # What was read is no report: its configuration is checked as if it had been silent.
    world.later(841)
    assert TEMPERATURE in reporting.overdue_kinds(IEEE)


def test_nothing_is_read_of_what_a_device_does_not_measure_or_while_nobody_listens() -> None:
    world = World()
    world.later(3600)
    reporting = world.registry.reporting
    assert not reporting.begin_read(IEEE, SensorKind.PRESSURE, is_awake=True)
    assert not reporting.begin_read("0x00", TEMPERATURE, is_awake=True)
    world.registry.set_listening(is_listening=False)
    assert not reporting.begin_read(IEEE, TEMPERATURE, is_awake=True)
