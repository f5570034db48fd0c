"""What comes into the control of the home: its own file, and the orders of people. Whatever they say, it decides."""

from datetime import UTC

import msgspec

from agent.climate import requests
from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import HoldKind, ZoneProgram
from agent.climate.settings import ClimateSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.errors import ClimahubError
from agent.foundation.clock import Now
from hal.interface import HvacAction
from tests.fuzz import hostile_files

NOON_MS = 1_774_785_600_000

HOME = ClimateSettings(
    zones=(ZoneSettings(zone_id="z", sensors=(("t", 1.0),)),),
    heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER),
)


def _kept() -> bytes:
    """Return what a home with all there is writes down."""
    control = ClimateController(HOME, ClimateSnapshot(), Now("b", 0, NOON_MS))
    program = control.zones["z"].program
    now = Now("b", 100_000, NOON_MS + 100_000)
    for order in (
        requests.PutScheduleRequest(hostile_files.WEEK),
        requests.EcoRequest(is_enabled=True),
        requests.HoldRequest(HoldKind.AWAY, for_s=3600.0, id="a"),
        requests.HoldRequest(heat_setpoint_c=20.0, until="next", id="b"),
        requests.HoldRequest(heat_setpoint_c=20.0, start="2026-03-30T12:00", until="2026-03-31T12:00", id="c"),
    ):
        program = requests.apply(program, order, now, UTC, new_id="n")
    control.zones["z"].program = program
    control.step(now, {"t": SensorReading(19.0, 100_000)})
    return msgspec.json.encode(control.take_snapshot(now))


KEPT = msgspec.json.decode(_kept())


def take_kept(_: object, data: bytes) -> None:
    """Take up what a damaged or strange file says, and control the home by it."""
    try:
        kept = msgspec.json.decode(data, type=ClimateSnapshot)
    except (msgspec.DecodeError, RecursionError):
        return
    for boot in ("b", "next"):
        control = ClimateController(HOME, kept, Now(boot, 110_000, NOON_MS))
        for after_ms in (10, 10_000, 4_000_000):
            moment = Now(boot, 110_000 + after_ms, NOON_MS + after_ms)
            control.step(moment, {"t": SensorReading(10.0, moment.now_ms)})
        control.step(Now(boot, 5_000_000, None), {})
        msgspec.json.encode(control.take_snapshot(Now(boot, 5_000_000, NOON_MS)))


def heated_steps(data: bytes, boot: str) -> int | None:
    """Return in how many of a dozen steps a cold home is heated with a file; `None` where that cannot be decoded."""
    try:
        kept = msgspec.json.decode(data, type=ClimateSnapshot)
    except msgspec.DecodeError:
        return None
    control = ClimateController(HOME, kept, Now(boot, 110_000, NOON_MS))
    heated = 0
    for step in range(1, 13):
        now = Now(boot, 110_000 + step * 600_000, NOON_MS + step * 600_000)
        # It changes, so that it is not stuck.
        demand = control.step(now, {"t": SensorReading(10.0 + step % 2 / 10, now.now_ms)}).demand
        heated += any(zone is HvacAction.HEAT for zone in demand.zones.values())
    msgspec.json.encode(control.take_snapshot(now))
    return heated


def take_order(_: object, body: bytes) -> None:
    """Take an order from the local API, and control the home by it."""
    now = Now("b", 1000, NOON_MS)
    try:
        order = requests.decode(body)
        program = requests.apply(ZoneProgram(), order, now, UTC, new_id="n")
    except ClimahubError as error:
        str(error).encode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    else:
        msgspec.json.encode(program)
        control = ClimateController(HOME, ClimateSnapshot(), now)
        control.zones["z"].program = program
        control.step(now, {"t": SensorReading(10.0, 1000)})
