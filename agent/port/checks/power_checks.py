"""Checks of the power supply. Pure.

Sources: the Raspberry Pi firmware's GET_THROTTLED (read by `agent.foundation.system_info`) and the kernel's
Documentation/ABI/testing/sysfs-class-power.
"""

from collections.abc import Sequence
from typing import Any

from agent.foundation.phrase import phrase
from agent.foundation.system_info import MAINS_KINDS
from agent.local.machine_problems import SUPPLY_REMEDY, mains_off, under_voltage
from agent.local.status import UpsReport
from agent.port.checks.facts import Facts, Missing, PowerSupply, Throttling
from agent.port.checks.model import Check, Finding, check, failed, judged, passed, unknown, warned
from agent.port.checks.report import Group

BATTERY_PERCENT_MIN = 20
"""Less charge does not last until somebody comes."""

_HEAT = "give the hub air: out of the box, away from the boiler"


def _under_voltage(found: Throttling) -> Finding:
    if problem := under_voltage(found.now, found.since_boot):
        return judged(problem)
    return passed("no under-voltage since the boot")


def _throttled(found: Throttling) -> Finding:
    names = {"frequency_capped": "its clock is capped", "throttled": "it is throttled"}
    names["soft_temperature_limit"] = "it is near its temperature limit"
    now = [text for name, text in names.items() if name in found.now]
    if now:
        return warned(
            phrase("the processor is slowed down now: {now}", now=", ".join(now)), f"{SUPPLY_REMEDY}; {_HEAT}"
        )
    before = [text for name, text in names.items() if name in found.since_boot]
    if before:
        return warned("the processor was slowed down since the boot", f"{SUPPLY_REMEDY}; {_HEAT}")
    return passed("the processor ran at full speed since the boot")


def _mains(found: tuple[PowerSupply, ...]) -> Finding:
    mains = [each for each in found if each.kind in MAINS_KINDS and each.is_online is not None]
    if not mains:
        return unknown("no mains supply reports to the kernel of this machine")
    if any(each.is_online for each in mains):
        return passed(
            phrase("mains power is there ({value})", value=", ".join(each.name for each in mains if each.is_online))
        )
    return judged(mains_off())


def _battery(facts: Facts) -> UpsReport | tuple[PowerSupply, ...] | Missing:
    """Return what the hub knows of its battery; where it does not run, or has none, what the kernel reports."""
    documents = facts.documents
    ups = None if isinstance(documents, Missing) else documents.status.machine.ups
    return ups or facts.supplies


def _ups(found: UpsReport | tuple[PowerSupply, ...]) -> Finding:
    if isinstance(found, UpsReport):
        return _own_battery(found)
    batteries = [each for each in found if each.kind in {"Battery", "UPS"} and each.capacity_percent is not None]
    if not batteries:
        return unknown("no battery or UPS reports to the kernel of this machine")
    lowest = min(batteries, key=lambda each: each.capacity_percent or 0)
    text = phrase(
        "{name}: {percent} %, {lower}",
        name=lowest.name,
        percent=f"{lowest.capacity_percent}",
        lower=lowest.status.lower() or "state not reported",
    )
    if (lowest.capacity_percent or 0) >= BATTERY_PERCENT_MIN:
        return passed(text)
    if lowest.status == "Discharging":
        return failed(text, "bring the mains power back, or shut the hub down in order before the battery is empty")
    return warned(text, "wait until it is charged; replace the battery if it stays low")


def _own_battery(found: UpsReport) -> Finding:
    mains = {True: "mains is on", False: "mains is off", None: "no signal of the mains"}[found.is_mains_on]
    percent = "?" if found.charge_percent is None else f"{found.charge_percent}"
    text = phrase("{name}: {percent} %, {lower}", name="UPS", percent=percent, lower=mains)
    if found.problem:
        return warned(text, found.problem)
    if found.charge_percent is None:
        return warned(text, "check the wiring of the UPS (climahub sensors)")
    if found.is_mains_on is False:
        return judged(mains_off(found.minutes_left))
    if found.charge_percent < BATTERY_PERCENT_MIN:
        return warned(text, "wait until it is charged; replace the battery if it stays low")
    return passed(text)


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.POWER,
        "under-voltage",
        "Supply voltage",
        "A voltage that is too low makes a Raspberry Pi lose files, radio and USB devices without any other sign.",
        lambda facts: facts.throttling,
        _under_voltage,
    ),
    check(
        Group.POWER,
        "throttling",
        "Processor speed",
        "The firmware slows the processor down when voltage or temperature are out of range.",
        lambda facts: facts.throttling,
        _throttled,
    ),
    check(
        Group.POWER,
        "mains",
        "Mains",
        "A hub that runs on its battery stops soon, and the relays with it.",
        lambda facts: facts.supplies,
        _mains,
    ),
    check(
        Group.POWER,
        "ups",
        "Battery or UPS",
        "An empty battery does not bridge the next power cut.",
        _battery,
        _ups,
    ),
)
