"""What a written trait asks of the climate control, judged by what the control then does."""

from pathlib import Path

import pytest

from agent.apis.aqara import commands, traits
from agent.apis.aqara.traits import TraitForm
from agent.climate.model import HoldKind, Mode
from agent.climate.requests import ClimateRequest, EcoRequest, HoldRequest, SetRequest, decode
from agent.errors import SettingInvalid
from agent.home.thermostat import Thermostat
from tests.unit.home.home_bench import HomeBench

WEEK = (
    b'{"do": "put_schedule", "schedule": {"name": "Week", "blocks": ['
    b'{"label": "Day", "start": "06:00", "end": "22:00", "heat_setpoint_c": 20, "cool_setpoint_c": 26},'
    b'{"label": "Night", "start": "22:00", "end": "06:00", "heat_setpoint_c": 17, "cool_setpoint_c": 28}]}}'
)


class Zone:
    """One zone of a bench, written as through the API."""

    def __init__(self, directory: Path, zone_id: str = "living") -> None:
        self.bench = HomeBench(directory)
        self.zone_id = zone_id

    @property
    def now(self) -> Thermostat:
        return self.bench.home.thermostats.get(self.zone_id)

    def apply(self, request: ClimateRequest) -> None:
        self.bench.home.thermostats.apply(self.zone_id, request, by="person")

    def write(self, form: TraitForm, value: bool | float | str, mode_when_on: Mode | None = None) -> object:
        """Write a trait, and return what it reads back."""
        for request in commands.plan(self.now, form, value, mode_when_on=mode_when_on):
            self.apply(request)
        return commands.read_trait(self.now, form)


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


def test_setpoint_without_a_schedule_is_that_of_the_zone(zone: Zone) -> None:
    assert zone.write(traits.HEATING, 21.3) == 21.3
    assert zone.now.holds == ()


def test_setpoint_with_a_schedule_holds_until_the_next_block(zone: Zone) -> None:
    zone.apply(decode(WEEK))
    assert zone.write(traits.HEATING, 22.0) == 22.0
    zone.bench.advance(10 * 3600)
    assert zone.now.heat_setpoint_c == 17
    assert zone.now.holds == ()


def test_second_setpoint_keeps_the_first(zone: Zone) -> None:
    zone.apply(decode(WEEK))
    zone.apply(SetRequest(mode=Mode.AUTO))
    zone.write(traits.HEATING, 21.0)
    zone.write(traits.COOLING, 25.0)
    assert (zone.now.heat_setpoint_c, zone.now.cool_setpoint_c) == (21.0, 25.0)
    assert len(zone.now.holds) == 1


def test_setpoint_that_meets_the_other_moves_it(zone: Zone) -> None:
    zone.apply(decode(WEEK))
    zone.apply(SetRequest(mode=Mode.AUTO))
    zone.write(traits.HEATING, 21.0)
    zone.write(traits.COOLING, 25.0)
    assert zone.write(traits.HEATING, 25.0) == 25.0
    assert zone.now.cool_setpoint_c == 26.0


def test_hold_of_a_person_keeps_its_mode(zone: Zone) -> None:
    zone.apply(HoldRequest(heat_setpoint_c=20, cool_setpoint_c=24, mode=Mode.COOL))
    assert zone.write(traits.COOLING, 23.0) == 23.0
    assert zone.now.mode is Mode.COOL
    assert zone.now.heat_setpoint_c == 20


@pytest.mark.parametrize("kind", [HoldKind.BOOST, HoldKind.AWAY])
@pytest.mark.parametrize("has_schedule", [False, True])
def test_setpoint_ends_boost_and_away(zone: Zone, kind: HoldKind, has_schedule: bool) -> None:
    if has_schedule:
        zone.apply(decode(WEEK))
    zone.apply(HoldRequest(kind=kind))
    assert zone.write(traits.HEATING, 19.0) == 19.0
    assert all(hold.kind is HoldKind.HOLD for hold in zone.now.holds)


def test_planned_hold_stays(zone: Zone) -> None:
    zone.apply(HoldRequest(kind=HoldKind.AWAY, start="18:00", until="20:00", id="trip"))
    zone.write(traits.HEATING, 19.0)
    assert [hold.id for hold in zone.now.holds] == ["trip"]


@pytest.mark.parametrize(("form", "value"), [(traits.HEATING, 17.0), (traits.COOLING, 25.0)])
def test_setpoint_that_eco_bounds_is_refused(zone: Zone, form: TraitForm, value: float) -> None:
    zone.apply(EcoRequest(is_enabled=True))
    zone.apply(HoldRequest(kind=HoldKind.BOOST))
    before = zone.now
    with pytest.raises(SettingInvalid, match="eco off"):
        zone.write(form, value)
    assert zone.now == before


def test_refused_setpoint_leaves_a_boost(zone: Zone) -> None:
    zone.apply(decode(WEEK))
    zone.apply(HoldRequest(kind=HoldKind.BOOST))
    before = zone.now
    with pytest.raises(SettingInvalid):
        zone.write(traits.COOLING, 24.0)  # the zone only heats at present
    assert zone.now == before


def test_mode_ends_holds_of_another_mode(zone: Zone) -> None:
    zone.apply(HoldRequest(heat_setpoint_c=20, mode=Mode.HEAT))
    assert zone.write(traits.MODE, "0") == "0"
    assert zone.write(traits.MODE, "12") == "12"
    assert zone.now.mode is Mode.OFF


@pytest.mark.parametrize("form", [traits.MODE, traits.ON_OFF])
def test_a_setpoint_that_was_chosen_while_a_hold_kept_the_zone_off_is_in_force_when_it_is_on(
    zone: Zone, form: TraitForm
) -> None:
    zone.apply(decode(WEEK))
    # As an action of another API that lets the zone idle.
    zone.apply(HoldRequest(mode=Mode.OFF, id="action"))
    assert zone.write(traits.HEATING, 21.5) == 21.5
    assert zone.now.mode is Mode.OFF
    zone.write(form, "1" if form is traits.MODE else True)
    assert (zone.now.mode, zone.now.heat_setpoint_c) == (Mode.HEAT, 21.5)
    zone.bench.advance(10 * 3600)
    assert (zone.now.heat_setpoint_c, zone.now.holds) == (17, ())


def test_a_hold_that_only_keeps_the_zone_off_ends_when_it_is_switched_on(zone: Zone) -> None:
    zone.apply(HoldRequest(mode=Mode.OFF, id="action"))
    zone.write(traits.MODE, "1")
    assert (zone.now.mode, zone.now.holds) == (Mode.HEAT, ())


def test_power_restores_the_mode_where_it_is_known(zone: Zone) -> None:
    zone.apply(SetRequest(mode=Mode.AUTO))
    assert zone.write(traits.ON_OFF, False) is False
    assert zone.write(traits.ON_OFF, True, Mode.AUTO) is True
    assert zone.now.mode is Mode.AUTO


def test_power_heats_where_the_mode_is_unknown_or_impossible(tmp_path: Path) -> None:
    zone = Zone(tmp_path, "bath")
    zone.apply(SetRequest(mode=Mode.OFF))
    zone.write(traits.ON_OFF, True, Mode.COOL)
    assert zone.now.mode is Mode.HEAT


def test_value_that_is_in_force_asks_for_nothing(zone: Zone) -> None:
    for form in (traits.ON_OFF, traits.MODE, traits.HEATING, traits.COOLING):
        value = commands.read_trait(zone.now, form)
        assert isinstance(value, bool | float | str)
        assert commands.plan(zone.now, form, value, mode_when_on=None) == []
