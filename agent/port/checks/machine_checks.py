"""Checks of the machine below the agent. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.foundation.format import duration, plural, size
from agent.foundation.phrase import counted, phrase
from agent.local.boots import BootReport
from agent.local.machine_problems import clock_level, disk_short
from agent.local.problem import Level
from agent.local.problems import exactness
from agent.local.status import ClockStatus
from agent.port.checks.facts import (
    Agent,
    CardWrites,
    DiskRoom,
    Facts,
    FlashWear,
    HardwareWatchdog,
    Heating,
    Load,
    Memory,
    Missing,
    Mount,
    TimeZones,
)
from agent.port.checks.model import Check, Finding, check, failed, judged, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer

INODES_SHARE_MIN = 0.02
LIFE_USED_PERCENT_MAX = 80
"""JEDEC gives steps of 10 %: two are left for ordering a new one."""
LIFE_OVER_PERCENT = 100
RESERVE_URGENT = 3
"""JEDEC eMMC 5.0, PRE_EOL_INFO: 1 normal, 2 80 % of the reserved blocks used, 3 urgent."""
CARD_REWRITES = 100
"""How often all of a plain SD card can be written: 500 erase cycles, where small writes cost about five times their
size inside the card. Both are common figures, from memory; cards made for recording stand ten times as much."""
CARD_DAYS_MIN = 3 * 365
"""A card that does not last this long at the present rate is worth a word."""
MEMORY_SHARE_WARN = 0.10
MEMORY_SHARE_FAIL = 0.04
CHIP_WARN_C = 75.0
CHIP_FAIL_C = 85.0
"""A Raspberry Pi slows down from 80 °C, and as far as it can from 85 °C."""
LOAD_WARN = 2.0
LOAD_FAIL = 6.0
"""Runnable processes per processor, over five minutes."""
BOOT_RECENT = 3
"""How many of the last boots are looked at."""

FREE_SPACE = RepairOffer("free-space")
FETCH_TIME = RepairOffer("fetch-time")
RESYNC_SETTINGS = RepairOffer("resync-settings")


def _disk(found: DiskRoom) -> Finding:
    if problem := disk_short(found.free_bytes, found.free_bytes_min):
        return judged(problem, FREE_SPACE)
    return passed(phrase("{size} of {size2} free", size=size(found.free_bytes), size2=size(found.total_bytes)))


def _inodes(found: DiskRoom) -> Finding:
    if not found.inodes:
        return passed("this file system does not limit the number of files")
    text = phrase("room for {free} of {files}", free=f"{found.inodes_free:,}", files=counted(found.inodes, "file"))
    if not found.inodes_free:
        return failed(text, "remove files that do not belong to the hub", FREE_SPACE)
    if found.inodes_free < INODES_SHARE_MIN * found.inodes:
        return warned(text, "remove files that do not belong to the hub", FREE_SPACE)
    return passed(text)


def _storage(facts: Facts) -> tuple[FlashWear, ...] | CardWrites | Missing:
    """Return the wear that the storage reports; where it reports none, what is written to it."""
    documents, disk = facts.documents, facts.disk
    if facts.wear == () and not isinstance(documents, Missing) and not isinstance(disk, Missing):
        written = documents.status.machine.written_bytes_per_day
        return () if written is None else CardWrites(written, disk.total_bytes)
    return facts.wear


def _wear(found: tuple[FlashWear, ...] | CardWrites) -> Finding:
    if isinstance(found, CardWrites):
        text = phrase("{size} written a day", size=size(found.bytes_per_day))
        if found.bytes_per_day * CARD_DAYS_MIN > found.card_bytes * CARD_REWRITES:
            return warned(text, "remove what does not belong to the hub, or use a larger card")
        return passed(text)
    if not found:
        return unknown("the storage of this machine does not report its wear; SD cards never do")
    worst = max(found, key=lambda each: (each.reserve_state or 0, each.life_used_percent))
    text = phrase("{device}: up to {percent} % of its life used", device=worst.device, percent=worst.life_used_percent)
    remedy = "replace the storage soon; a backup of the radio's network and the configuration are enough to go on"
    if worst.life_used_percent > LIFE_OVER_PERCENT or (worst.reserve_state or 0) >= RESERVE_URGENT:
        return failed(text, remedy, RepairOffer("back-up-network"))
    if worst.life_used_percent > LIFE_USED_PERCENT_MAX or (worst.reserve_state or 0) > 1:
        return warned(text, remedy, RepairOffer("back-up-network"))
    return passed(text)


def _mounts(found: tuple[Mount, ...]) -> Finding:
    problems = [each.problem for each in found if each.problem]
    if problems:
        return failed("; ".join(problems), "check the card with fsck, restart the machine; replace the card")
    return passed(phrase("the hub can write {value}", value=", ".join(each.directory for each in found)))


def _memory(found: Memory) -> Finding:
    share = found.available_bytes / found.total_bytes if found.total_bytes else 0.0
    text = phrase("{size} of {size2} available", size=size(found.available_bytes), size2=size(found.total_bytes))
    remedy = "end what else runs on this machine (systemctl, top)"
    if share < MEMORY_SHARE_FAIL:
        return failed(text, remedy)
    return warned(text, remedy) if share < MEMORY_SHARE_WARN else passed(text)


def _temperature(found: Mapping[str, float]) -> Finding:
    if not found:
        return unknown("this kernel reports no temperature of the processor")
    place, hottest_c = max(found.items(), key=lambda item: item[1])
    text = phrase("{degrees} °C ({place})", degrees=f"{hottest_c:.0f}", place=place)
    remedy = "give the hub air: out of the box, away from boiler and sun"
    if hottest_c >= CHIP_FAIL_C:
        return failed(text, remedy)
    return warned(text, remedy) if hottest_c >= CHIP_WARN_C else passed(text)


def _load(found: Load) -> Finding:
    share = found.average / max(1, found.processors)
    text = phrase(
        "{average} processes want to run, for {processors}",
        average=f"{found.average:.1f}",
        processors=counted(found.processors, "processor"),
    )
    remedy = "end what else runs on this machine (top shows it); a failing card has the same effect"
    if share >= LOAD_FAIL:
        return failed(text, remedy)
    return warned(text, remedy) if share >= LOAD_WARN else passed(text)


def _clock(found: ClockStatus) -> Finding:
    remedy = "check the network and the time service (timedatectl)"
    if not found.synchronised:
        unset = phrase("the time has not been known since the boot {time} ago", time=duration(found.uptime_s))
        if clock_level(found) is not Level.FAULT:
            return warned(unset, "wait some minutes", FETCH_TIME)
        return failed(unset, phrase("{remedy}; schedules wait", remedy=remedy), FETCH_TIME)
    exact = exactness(found)
    text = phrase("{exactness}, {utc}", exactness=exact, utc=found.utc) if found.utc else exact
    if clock_level(found) is not Level.OK:
        return warned(text, remedy, FETCH_TIME)
    return passed(text)


def _time_zone(found: TimeZones) -> Finding:
    if not found.home:
        return unknown("the settings name no time zone")
    if not found.is_home_known:
        text = phrase("this machine has no data for the time zone {home}: schedules run in UTC", home=found.home)
        return failed(text, "install the package tzdata, or correct the zone in the settings", RESYNC_SETTINGS)
    if found.machine and found.machine not in {found.home, "UTC", "Etc/UTC"}:
        text = phrase(
            "schedules run in {home}, the machine itself in {machine}", home=found.home, machine=found.machine
        )
        return warned(text, "correct the zone in the cloud's settings if the home is elsewhere", RESYNC_SETTINGS)
    return passed(phrase("schedules run in {home}", home=found.home))


def _control_watched(found: Heating) -> Finding:
    if found.is_hung:
        return failed("the control loop has not decided for a minute", "systemctl restart climahub; report the log")
    return passed("the control loop decides at least once a minute")


def _service_watchdog(found: Agent) -> Finding:
    if found.problem:
        return unknown("the agent does not run")
    if found.watchdog_s is None:
        text = "the service manager does not watch the agent: a hang would last"
        return warned(text, "run it by the shipped unit, with WatchdogSec= (docs/install.md)")
    return passed(
        phrase(
            "the service manager restarts the agent after {seconds} s without a sign of life",
            seconds=f"{found.watchdog_s:.0f}",
        )
    )


def _hardware_watchdog(found: tuple[HardwareWatchdog, ...]) -> Finding:
    if not found:
        return unknown("this kernel has no hardware watchdog")
    active = [each for each in found if each.is_active]
    if not active:
        text = phrase(
            "{identity} is there, but nothing uses it: a hung machine stays hung",
            identity=found[0].identity or found[0].name,
        )
        return warned(text, "set RuntimeWatchdogSec=1min in /etc/systemd/system.conf.d/watchdog.conf, then restart")
    after = f" after {active[0].timeout_s} s" if active[0].timeout_s else ""
    return passed(
        phrase("{identity} restarts a hung machine{after}", identity=active[0].identity or active[0].name, after=after)
    )


def _boots(found: tuple[BootReport, ...]) -> Finding:
    if not found:
        return unknown("this hub keeps no trail of boots")
    recent: Sequence[BootReport] = found[:BOOT_RECENT]
    if any(each.reason == "watchdog" or each.end == "machine_watchdog" for each in recent):
        return warned(
            "the hardware watchdog restarted the machine lately", "climahub boots shows when; check supply and card"
        )
    cuts = sum(each.end == "power_lost" for each in found[1:])
    if found[1:2] and found[1].end == "power_lost":
        text = phrase(
            "the boot before this one ended by a loss of power, {cuts} of the last {count} did",
            cuts=cuts,
            count=len(found),
        )
        return warned(text, "shut the hub down before pulling the plug; check the supply if nobody did")
    return passed(phrase("the boots before this one ended in order ({count} known)", count=len(found)))


def _crashes(found: tuple[BootReport, ...]) -> Finding:
    if not found:
        return unknown("this hub keeps no trail of boots")
    ends = {name: count for name, count in found[0].agent_ends.items() if name != "stopped" and count}
    if not ends:
        return passed(
            phrase(
                "the agent has not ended unexpectedly in this boot ({starts})",
                starts=counted(found[0].agent_starts, "start"),
            )
        )
    texts = {"watchdog": "hung", "out_of_memory": "ran out of memory", "killed": "was killed"}
    text = ", ".join(f"{texts.get(name, name)} {plural(count, 'time')}" for name, count in ends.items())
    return warned(
        phrase("in this boot the agent {text}", text=text),
        "take a support bundle for the maker; climahub boots shows more",
    )


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.MACHINE,
        "disk",
        "Free space",
        "A full disk loses readings and keeps settings from being saved.",
        lambda facts: facts.disk,
        _disk,
    ),
    check(
        Group.MACHINE,
        "inodes",
        "Free inodes",
        "A disk without a free inode takes no new file, however empty it is.",
        lambda facts: facts.disk,
        _inodes,
    ),
    check(
        Group.MACHINE,
        "wear",
        "Wear of the storage",
        "Flash memory wears out by writing, and then loses files.",
        _storage,
        _wear,
    ),
    check(
        Group.MACHINE,
        "read-only",
        "Writable",
        "The kernel makes a damaged file system read-only; the hub then forgets.",
        lambda facts: facts.mounts,
        _mounts,
    ),
    check(
        Group.MACHINE,
        "memory",
        "Memory",
        "Without memory the kernel ends processes, perhaps the agent.",
        lambda facts: facts.memory,
        _memory,
    ),
    check(
        Group.MACHINE,
        "temperature",
        "Processor temperature",
        "A hot processor slows down and ages.",
        lambda facts: facts.temperatures,
        _temperature,
    ),
    check(
        Group.MACHINE,
        "load",
        "Load",
        "A machine that is busy with something else answers late.",
        lambda facts: facts.load,
        _load,
    ),
    check(
        Group.MACHINE,
        "clock",
        "Clock",
        "Schedules and time stamps need the time; a Pi has no clock battery.",
        lambda facts: facts.clock,
        _clock,
    ),
    check(
        Group.MACHINE,
        "time-zone",
        "Time zone",
        "Schedules run by the time of the home.",
        lambda facts: facts.time_zones,
        _time_zone,
    ),
    check(
        Group.MACHINE,
        "watchdog-control",
        "Watchdog: control loop",
        "A control loop that hangs must not stay hung.",
        lambda facts: facts.heating,
        _control_watched,
    ),
    check(
        Group.MACHINE,
        "watchdog-service",
        "Watchdog: agent",
        "The service manager restarts an agent that hangs.",
        lambda facts: facts.agent,
        _service_watchdog,
    ),
    check(
        Group.MACHINE,
        "watchdog-hardware",
        "Watchdog: machine",
        "The hardware restarts a machine that hangs.",
        lambda facts: facts.watchdogs,
        _hardware_watchdog,
    ),
    check(
        Group.MACHINE,
        "boots",
        "Boots",
        "How the last boots ended shows power cuts and hangs.",
        lambda facts: facts.boots,
        _boots,
    ),
    check(
        Group.MACHINE,
        "crashes",
        "Ends of the agent",
        "An agent that crashes again and again needs its maker.",
        lambda facts: facts.boots,
        _crashes,
    ),
)
