"""Contacts and motion sensors: what they say of windows and of who is there."""

import pytest

from agent.climate.binary_sensors import ACTIVE_S_MAX, BinaryLookup, describe, observe, open_contact
from agent.climate.model import Observation
from agent.climate.presence import absent_for_s
from agent.foundation.clock import Now
from hal.radio import BinaryKind, BinaryState

NOW = Now("boot", 50_000_000, None)
MINUTE_MS = 60_000


def state(
    kind: BinaryKind, *, is_active: bool | None, ago_min: float = 1.0, is_online: bool = True, device: str = "0x01"
) -> BinaryState:
    at_ms = NOW.now_ms - round(ago_min * MINUTE_MS)
    return BinaryState(device, kind, is_active, since_ms=at_ms, heard_ms=at_ms, is_online=is_online)


def contact(is_active: bool | None, *, is_online: bool = True) -> BinaryState:
    return state(BinaryKind.CONTACT, is_active=is_active, is_online=is_online)


def motion(is_active: bool | None, ago_min: float, *, is_online: bool = True) -> BinaryState:
    return state(BinaryKind.OCCUPANCY, is_active=is_active, ago_min=ago_min, is_online=is_online)


def test_states_are_found_by_the_names_of_the_zone() -> None:
    names: dict[str, str] = {"kitchen window": "0x01"}
    there: list[BinaryState] = []
    found = BinaryLookup(["kitchen window", "0x02", "attic"], states=lambda: there, devices=lambda: names)
    assert found.states() == {}
    window, other = contact(is_active=True), state(BinaryKind.CONTACT, is_active=True, device="0x02")
    there += [window, other, state(BinaryKind.CONTACT, is_active=True, device="0x03")]
    assert found.states() == {"kitchen window": [window], "0x02": [other]}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([contact(is_active=True)], "w"),
        ([contact(is_active=False)], ""),
        ([contact(is_active=None)], ""),
        ([contact(is_active=True, is_online=False)], ""),
        ([motion(True, 1.0)], ""),
    ],
)
def test_window_is_open_while_a_contact_that_works_says_so(states: list[BinaryState], expected: str) -> None:
    assert open_contact(["t", "w"], {"w": states}) == expected


@pytest.mark.parametrize(
    ("states", "absent_min"),
    [
        ([motion(True, 1.0)], None),
        ([motion(False, 20.0)], 20.0),
        ([motion(False, 20.0), motion(False, 5.0)], 5.0),
        ([motion(False, 20.0), motion(True, 5.0)], None),
        ([motion(None, 20.0)], None),
        ([motion(False, 20.0, is_online=False)], None),
        ([motion(True, ACTIVE_S_MAX / 60.0 + 1.0)], ACTIVE_S_MAX / 60.0 + 1.0),
        ([contact(is_active=True)], None),
        ([], None),
    ],
)
def test_nobody_is_there_since_the_last_motion(states: list[BinaryState], absent_min: float | None) -> None:
    absent_s = absent_for_s(observe(Observation(), ["m"], {"m": states}, NOW), NOW)
    assert absent_s == (None if absent_min is None else absent_min * 60.0)


@pytest.mark.parametrize(
    ("reported_min", "states", "absent_min"),
    [(30.0, [motion(False, 20.0)], 30.0), (10.0, [motion(False, 20.0)], 20.0), (30.0, [motion(True, 1.0)], None)],
)
def test_a_client_may_know_of_a_longer_absence_and_motion_ends_it(
    reported_min: float, states: list[BinaryState], absent_min: float | None
) -> None:
    reported = Observation(is_absent=True, absent_ms=NOW.now_ms - round(reported_min * MINUTE_MS), absent_boot="boot")
    absent_s = absent_for_s(observe(reported, ["m"], {"m": states}, NOW), NOW)
    assert absent_s == (None if absent_min is None else absent_min * 60.0)


def test_what_they_say_is_told_in_words() -> None:
    states = {
        "window": [contact(is_active=True)],
        "door": [contact(is_active=False)],
        "hall": [motion(True, 1.0)],
        "attic": [motion(False, 9.0)],
        "gone": [contact(is_active=True, is_online=False)],
    }
    assert describe(["t", *states], states) == (
        "window: open",
        "door: closed",
        "hall: somebody there",
        "attic: nobody there",
        "gone: silent",
    )
