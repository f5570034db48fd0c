"""How many machines a hub watches: who finds room, who makes room, and what the hub measures itself beside them."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import (
    DAY_BANDS_MAX,
    READINGS_KEPT_MAX,
    BandDay,
    MachineDrift,
    MachineRecord,
)
from agent.maintenance.machine_drift import BANDS_MAX, BASELINE_DAYS, RECENT_DAYS, Baseline, Drift
from agent.maintenance.machine_readings import (
    CHANNEL_OF,
    Channel,
    EnergyPost,
    MachineIndicator,
    PowerPost,
    VibrationPost,
)
from agent.maintenance.machine_watch import FILE_BYTES_MAX, MACHINES_MAX, OWN_MAX, SILENT_MS_MAX, MachineFile
from tests.unit.maintenance.test_machine_watch import ZONES, Hub, loaded, owners


def test_who_has_most_finds_no_room_and_takes_none_of_others(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    hub.post("zone 0", "small")
    for number in range(3 * MACHINES_MAX):
        hub.post(ZONES[number % 8], f"client {number // 8}")
    assert len(hub.watch.records) == MACHINES_MAX
    assert ("zone 0", "small") in owners(hub)
    greedy = loaded(tmp_path / "greedy")
    for zone in ZONES:
        greedy.post(zone, "a")
    for zone in ZONES:
        greedy.post(zone, "b")
    greedy.post("zone 0", "late")
    assert len(greedy.watch.records) == MACHINES_MAX
    assert ("zone 0", "late") in owners(greedy)
    assert [each for each in owners(greedy) if each[1] == "a"] == [(zone, "a") for zone in ZONES]
    # Who lost a place does not take it back from who has less.
    greedy.now_ms = (greedy.now_ms or 0) + 60_000
    for zone in ZONES:
        greedy.post(zone, "b")
    assert ("zone 0", "late") in owners(greedy)
    (lost,) = (zone for zone in ZONES if (zone, "b") not in owners(greedy))
    refused = greedy.watch.add(lost, "b", EnergyPost(greedy.now_ms or 0, 5, 230.0, 4.0))
    assert refused == (
        "stop posting for another zone: its machine makes room after 90 days."
        " The hub compares 16 posted machines, 7 of them of this client"
    )


def test_the_first_machine_of_a_client_is_refused_only_where_each_place_is_of_another_client(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    for number in range(MACHINES_MAX):
        hub.post(ZONES[number % 8], f"client {number}")
    refused = hub.watch.add("zone 0", "late", EnergyPost(SOLSTICE_MS, 5, 230.0, 4.0))
    assert refused == (
        "stop posting with another client: its machine makes room after 90 days."
        " The hub compares 16 posted machines, each of another client"
    )


def fill_with_own(hub: Hub) -> None:
    """Let the hub measure a plug and an accelerometer of each zone."""
    assert hub.now_ms is not None
    for number, zone in enumerate(ZONES):
        power, vibration = PowerPost(hub.now_ms, 900.0), VibrationPost(hub.now_ms, 0.2, 0.0)
        assert hub.watch.add(zone, f"plug 0x{number}", power, "the plug", is_own=True) == ""
        assert hub.watch.add(zone, f"accelerometer {number}", vibration, "the accelerometer", is_own=True) == ""


def test_what_the_hub_measures_itself_takes_no_place_of_posted_machines(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    fill_with_own(hub)
    for zone in ZONES:
        for source in ("a", "b"):
            assert hub.watch.add(zone, source, EnergyPost(SOLSTICE_MS, 5, 230.0, 4.0)) == ""
    assert len(hub.watch.records) == MACHINES_MAX + OWN_MAX
    assert sum(each.is_own for each in hub.watch.records) == OWN_MAX
    asyncio.run(hub.watch.save())
    assert loaded(tmp_path).watch.records == hub.watch.records


def test_posted_machines_take_no_place_of_what_the_hub_measures_itself(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    for number in range(2 * MACHINES_MAX):
        hub.post(ZONES[number % 8], f"client {number // 8}")
    fill_with_own(hub)
    assert sum(not each.is_own for each in hub.watch.records) == MACHINES_MAX
    assert sum(each.is_own for each in hub.watch.records) == OWN_MAX


def test_a_silent_machine_of_the_hub_stays_while_a_posted_one_makes_room(tmp_path: Path) -> None:
    """A plug of the heating measures nothing all summer."""
    hub = loaded(tmp_path)
    fill_with_own(hub)
    for zone in ZONES:
        hub.post(zone, "a")
        hub.post(zone, "b")
    hub.now_ms = (hub.now_ms or 0) + SILENT_MS_MAX + 1
    hub.post("zone 3", "c")
    assert [each.source for each in hub.watch.records if not each.is_own] == ["c"]
    assert sum(each.is_own for each in hub.watch.records) == OWN_MAX


def test_a_plug_that_was_replaced_makes_room_for_the_new_one_only_where_there_is_none(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    fill_with_own(hub)
    for number in range(1, 8):
        # All but the first plug go on.
        hub.now_ms = SOLSTICE_MS + 60_000
        hub.watch.add(ZONES[number], f"plug 0x{number}", PowerPost(hub.now_ms, 900.0), "the plug", is_own=True)
    for number in range(8):
        post = VibrationPost(SOLSTICE_MS + 60_000, 0.2, 0.0)
        hub.watch.add(ZONES[number], f"accelerometer {number}", post, "the accelerometer", is_own=True)
    new = PowerPost(SOLSTICE_MS + 60_000, 900.0)
    assert hub.watch.add("zone 0", "plug 0x99", new, "the plug", is_own=True) == ""
    assert len(hub.watch.records) == OWN_MAX
    assert ("zone 0", "plug 0x0") not in owners(hub)
    assert owners(hub)[-1] == ("zone 0", "plug 0x99")


def test_a_machine_of_the_hub_that_an_earlier_release_kept_as_posted_is_its_own_from_its_next_value(
    tmp_path: Path,
) -> None:
    hub = loaded(tmp_path)
    hub.watch.add("zone 0", "plug 0x1", PowerPost(SOLSTICE_MS, 900.0), "the plug")
    hub.now_ms = SOLSTICE_MS + 60_000
    hub.watch.add("zone 0", "plug 0x1", PowerPost(hub.now_ms, 900.0), "the plug", is_own=True)
    assert [each.is_own for each in hub.watch.records] == [True]


def test_a_machine_that_is_silent_for_long_makes_room(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    for zone in ZONES:
        hub.post(zone, "a")
        hub.post(zone, "b")
    hub.now_ms = (hub.now_ms or 0) + SILENT_MS_MAX + 1
    hub.post("zone 3", "c")
    assert owners(hub) == [("zone 3", "c")]


def full_record(channels: Sequence[Channel], *, is_own: bool) -> MachineRecord:
    """Return a machine that has met every operating state, with names and numbers as long as they get."""
    values = tuple(-3.1234 for _ in range(BASELINE_DAYS))
    drift = Drift(
        tuple(Baseline(10_000 + band, values, -0.1234) for band in range(BANDS_MAX)),
        59.123,
        SOLSTICE_MS,
        ((-0.1234, -12.123),) * RECENT_DAYS,
        ((-3.1234, -3.1234),) * RECENT_DAYS,
        SOLSTICE_MS,
    )
    kept = (-3.1234,) * READINGS_KEPT_MAX
    day = tuple(BandDay(channel, 10_000 + n, 2880, 256, kept) for channel in channels for n in range(DAY_BANDS_MAX))
    drifts = tuple(MachineDrift(each, drift, -0.123) for each in MachineIndicator if CHANNEL_OF[each] in channels)
    return MachineRecord(
        "z" * 64, "c" * 64, SOLSTICE_MS, SOLSTICE_MS, SOLSTICE_MS, 12345.678901234567, day, drifts,
        "n" * 64, SOLSTICE_MS, is_own,
    )  # fmt: skip


def test_machines_that_have_met_every_state_fit_the_file() -> None:
    """The hub's own are plugs here: of an accelerometer, one quantity with one indicator, less is kept."""
    posted = full_record([each for each in Channel if each is not Channel.POWER], is_own=False)
    own = full_record([Channel.POWER], is_own=True)
    content = msgspec.json.encode(MachineFile((posted,) * MACHINES_MAX + (own,) * OWN_MAX))
    assert len(content) < FILE_BYTES_MAX * 0.9
    assert json.loads(content)["machines"]
