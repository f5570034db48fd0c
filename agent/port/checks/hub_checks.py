"""Checks of the agent itself: configuration, files, outbox, port. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from agent.foundation.format import DAY_S, HOUR_S, duration, plural, size
from agent.foundation.phrase import counted, phrase
from agent.local.document_problems import OUTBOX_OLD_S
from agent.local.machine_problems import held_back
from agent.port.checks import update_checks
from agent.port.checks.facts import (
    Agent,
    Configuration,
    Documents,
    PortState,
    ProtectedFile,
    Stores,
    Unit,
)
from agent.port.checks.model import Check, Finding, check, failed, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer

OUTBOX_WARN_S = DAY_S
HELD_DECISIONS = (RepairOffer("send-held"), RepairOffer("discard-held"))
MEMORY_WARN_S = 600
"""Readings reach the disk within a minute; after ten the disk refuses them."""
FAULT_RECENT_S = HOUR_S
CERTIFICATE_WARN_S = 21 * DAY_S
"""The hub renews its own 30 days before its end: one that is nearer was not renewed."""
OTHERS_MASK = 0o007
GROUP_WRITE = 0o020

UNIT_DIRECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "Type=notify": "the service manager does not learn when the hub is ready",
        "WatchdogSec=": "a hang of the agent would last",
        "Restart=always": "an agent that ends stays ended",
        "ExecStopPost=": "relays may stay on when the agent ends",
        "ExecReload=": "new keys need a restart",
        "StartLimitIntervalSec=0": "the service manager gives up after some crashes",
        "LoadCredential=climahub-api-key": "the key would have to lie where others can read it",
        "StateDirectory=climahub": "the outbox has no place",
        "RuntimeDirectoryPreserve=yes": "a restarted hub forgets how much of its quotas it has used",
        "NoNewPrivileges=yes": "the agent is not confined",
        "ProtectSystem=strict": "the agent is not confined",
        "LimitCORE=0": "a core dump would hold the keys",
        "UMask=0077": "files of the agent can be read by others",
    }
)
"""Beginnings of lines of systemd/climahub.service that the hub relies on, and what happens without them."""
UNIT_VITAL = frozenset({"Restart=always", "ExecStopPost=", "WatchdogSec="})

_RESTART = "systemctl restart climahub"


def _agent(found: Agent) -> Finding:
    if found.problem:
        return failed(found.problem, "systemctl status climahub; journalctl -u climahub -n 50 shows why")
    return passed("the agent answers")


def _configuration(found: Configuration) -> Finding:
    if found.problems:
        return failed(
            "; ".join(found.problems), phrase("correct {file}; climahub config check shows the lines", file=found.file)
        )
    return passed(phrase("{file} is valid", file=found.file))


def _in_force(found: Configuration) -> Finding:
    if found.problems or found.is_in_force is None:
        return unknown("the file cannot be compared with the running hub")
    if not found.is_in_force:
        return warned(phrase("{file} was changed since the hub started", file=found.file), _RESTART)
    return passed("the hub works by the file as it is")


def _secrets(found: tuple[ProtectedFile, ...]) -> Finding:
    files = [each for each in found if not each.is_directory]
    if not files:
        return unknown("no file with a secret can be seen by this user")
    open_files = [each.path for each in files if each.mode & OTHERS_MASK]
    if open_files:
        return failed(
            phrase("others can read {files}", files=", ".join(open_files)), f"chmod o-rwx {' '.join(open_files)}"
        )
    return passed(phrase("{files} with secrets, closed to others", files=counted(len(files), "file")))


def _state_directory(found: tuple[ProtectedFile, ...]) -> Finding:
    directories = [each for each in found if each.is_directory]
    if not directories:
        return unknown("the state directory cannot be seen by this user")
    wide = [each.path for each in directories if each.mode & (OTHERS_MASK | GROUP_WRITE)]
    if wide:
        return failed(phrase("others can enter or change {wide}", wide=", ".join(wide)), f"chmod 750 {' '.join(wide)}")
    return passed(phrase("{value} is closed to others", value=", ".join(each.path for each in directories)))


def _unit(found: Unit) -> Finding:
    missing = [each for each in UNIT_DIRECTIVES if not any(line.startswith(each) for line in found.lines)]
    remedy = "install systemd/climahub.service of this release, then systemctl daemon-reload"
    texts = [f"{each} is missing: {UNIT_DIRECTIVES[each]}" for each in missing]
    if UNIT_VITAL & set(missing):
        return failed(phrase("{path}: {texts}", path=found.path, texts="; ".join(texts)), remedy)
    if missing:
        return warned(phrase("{path}: {texts}", path=found.path, texts="; ".join(texts)), remedy)
    drop_ins = f", with {', '.join(found.drop_ins)}" if found.drop_ins else ""
    return passed(phrase("{path} has all that the hub relies on{drop_ins}", path=found.path, drop_ins=drop_ins))


def _stores(found: Stores) -> Finding:
    if found.quarantined:
        text = phrase(
            "put aside as unreadable: {quarantined} ({size})",
            quarantined=", ".join(found.quarantined),
            size=size(found.quarantined_bytes),
        )
        remedy = "send them to the maker with the support bundle if they matter, then discard them; check the card"
        return warned(text, remedy, RepairOffer("rebuild-stores"), RepairOffer("discard-quarantined"))
    if found.leftovers:
        text = phrase("left over from interrupted writes: {leftovers}", leftovers=", ".join(found.leftovers))
        return warned(text, "remove them", RepairOffer("free-space"))
    return passed("no file was put aside")


def _files(found: Documents) -> Finding:
    status = found.status
    texts = [
        text
        for text in (*status.settings.problems, found.zigbee.problem, status.commands_problem, *found.climate.problems)
        if ".json" in text or ".db" in text or "disk" in text
    ]
    if texts:
        return failed("; ".join(texts), "check the card with fsck", RepairOffer("rebuild-stores"))
    return passed("every file was read and written as it should be")


def _outbox(found: Documents) -> Finding:
    outbox = found.status.outbox
    if outbox.problem:
        return failed(outbox.problem, "check the card; readings go to the cloud from memory", RepairOffer("free-space"))
    if (outbox.in_memory_age_s or 0) > MEMORY_WARN_S:
        text = phrase("readings have been waiting to be written for {time}", time=duration(outbox.in_memory_age_s or 0))
        return warned(text, "check the card", RepairOffer("flush-outbox"))
    return passed(
        phrase("{readings} waiting, {size}", readings=counted(outbox.pending, "reading"), size=size(outbox.used_bytes))
    )


def _outbox_age(found: Documents) -> Finding:
    outbox = found.status.outbox
    if not outbox.pending or outbox.oldest_age_s is None:
        return passed("no reading waits")
    text = phrase("the oldest reading has been waiting for {time}", time=duration(outbox.oldest_age_s))
    remedy = "see the checks of the network; nothing is lost before the outbox is full"
    if outbox.oldest_age_s > OUTBOX_OLD_S:
        return failed(text, remedy, RepairOffer("retry-cloud"))
    if outbox.oldest_age_s > OUTBOX_WARN_S:
        return warned(text, remedy, RepairOffer("retry-cloud"))
    return passed(text)


def _dead_letters(found: Documents) -> Finding:
    outbox = found.status.outbox
    if outbox.dead_letters:
        text = f"{plural(outbox.dead_letters, 'reading')} refused for good: {outbox.last_refusal}".rstrip(": ")
        return warned(text, "report the reason to the cloud's operator")
    return passed("the cloud has refused no reading")


def _gaps(found: Documents) -> Finding:
    outbox = found.status.outbox
    if outbox.dropped or outbox.downsampled:
        lost = plural(outbox.dropped, "reading")
        text = phrase(
            "{lost} dropped and {downsampled} downsampled, as the outbox was full",
            lost=lost,
            downsampled=f"{outbox.downsampled:,}",
        )
        return warned(text, "raise storage.outbox_bytes_max, or free space on the disk", RepairOffer("free-space"))
    return passed("no reading was dropped")


def _unregistered(found: Documents) -> Finding:
    outbox, machine = found.status.outbox, found.status.machine
    if machine.holds_back and not machine.is_card_moved:
        held = held_back()
        return warned(held.what, held.advice, *HELD_DECISIONS)
    if outbox.unregistered:
        text = phrase(
            "{readings} of sensors without an identity in the cloud", readings=counted(outbox.unregistered, "reading")
        )
        return warned(text, "give the sensor its key (climahub zigbee key)", RepairOffer("retry-registrations"))
    if outbox.unanchored and not found.status.clock.synchronised:
        text = phrase("{readings} wait until this hub knows the time", readings=counted(outbox.unanchored, "reading"))
        remedy = "check the network and the time service (timedatectl); those of earlier boots are kept apart"
        return warned(text, remedy, RepairOffer("fetch-time"))
    if outbox.unanchored:
        text = phrase(
            "{readings} of an earlier boot that never learnt the time", readings=counted(outbox.unanchored, "reading")
        )
        return warned(text, "nothing: they are kept, and never sent")
    return passed("every waiting reading can be sent")


def _faults(found: Documents) -> Finding:
    recent = [each for each in found.status.faults if each.age_s < FAULT_RECENT_S]
    if recent:
        text = "; ".join(f"{each.component}: {each.text} ({plural(each.count, 'time')})" for each in recent)
        return warned(text, "take a support bundle if this continues")
    return passed("no component failed within the last hour")


def _port_certificate(found: PortState) -> Finding:
    if not found.listens:
        return passed("the port does not listen on the network")
    left_s = found.certificate_s_left
    if left_s is None:
        return unknown("no certificate: the port listens on this machine only")
    if left_s <= 0:
        return failed(
            phrase("it expired {time} ago", time=duration(-left_s)), "renew it", RepairOffer("renew-certificate")
        )
    if left_s < CERTIFICATE_WARN_S:
        return warned(
            phrase("it expires in {time}", time=duration(left_s)), "renew it", RepairOffer("renew-certificate")
        )
    return passed(phrase("it is valid for {time}", time=duration(left_s)))


def _port_codes(found: PortState) -> Finding:
    listens = (*found.listens, *found.loopback)
    if not listens:
        return passed("the port does not listen, so no code is needed")
    if not found.code_roles:
        return warned(
            phrase("the port listens on {listens}, and there is no code to sign in", listens=", ".join(listens)),
            "make a code: sudo climahub port code",
        )
    return passed(phrase("there is a code for {roles}", roles=", ".join(found.code_roles)))


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.HUB,
        "agent",
        "Agent",
        "The process that measures and heats.",
        lambda facts: facts.agent,
        _agent,
    ),
    check(
        Group.HUB,
        "configuration",
        "Configuration",
        "A hub whose configuration has a mistake does not start again.",
        lambda facts: facts.configuration,
        _configuration,
    ),
    check(
        Group.HUB,
        "configuration-in-force",
        "Configuration in force",
        "A changed file takes effect with the next start.",
        lambda facts: facts.configuration,
        _in_force,
    ),
    check(
        Group.HUB,
        "secrets",
        "Permissions of secrets",
        "Keys that others can read are no secrets.",
        lambda facts: facts.secrets,
        _secrets,
    ),
    check(
        Group.HUB,
        "state-directory",
        "Permissions of the state directory",
        "It holds the keys of the radio's network.",
        lambda facts: facts.secrets,
        _state_directory,
    ),
    check(
        Group.HUB,
        "unit",
        "Service unit",
        "What the hub relies on in the unit of the service manager, against the shipped one.",
        lambda facts: facts.unit,
        _unit,
    ),
    check(
        Group.HUB,
        "stores",
        "Files put aside",
        "A file that could not be read is put aside, and a new one is begun.",
        lambda facts: facts.stores,
        _stores,
    ),
    check(
        Group.HUB,
        "files",
        "Storage files",
        "Settings, programs and the sensors' book must survive a restart.",
        lambda facts: facts.documents,
        _files,
    ),
    check(
        Group.HUB,
        "outbox",
        "Outbox",
        "The durable queue of readings.",
        lambda facts: facts.documents,
        _outbox,
    ),
    check(
        Group.HUB,
        "outbox-age",
        "Age of the outbox",
        "How long the oldest reading has been waiting for the cloud.",
        lambda facts: facts.documents,
        _outbox_age,
    ),
    check(
        Group.HUB,
        "dead-letters",
        "Dead letters",
        "Readings that the cloud refuses for good.",
        lambda facts: facts.documents,
        _dead_letters,
    ),
    check(
        Group.HUB,
        "gaps",
        "Gaps",
        "Readings that the hub had to drop.",
        lambda facts: facts.documents,
        _gaps,
    ),
    check(
        Group.HUB,
        "unsendable",
        "Readings that cannot be sent",
        "Readings without an identity or a time, or of another board.",
        lambda facts: facts.documents,
        _unregistered,
    ),
    check(
        Group.HUB,
        "faults",
        "Faults",
        "Parts of the hub that failed and were started again.",
        lambda facts: facts.documents,
        _faults,
    ),
    *update_checks.CHECKS,
    check(
        Group.HUB,
        "port-certificate",
        "Port's certificate",
        "Browsers refuse an expired one.",
        lambda facts: facts.port,
        _port_certificate,
    ),
    check(
        Group.HUB,
        "port-codes",
        "Port's codes",
        "Without a code nobody can sign in over the network.",
        lambda facts: facts.port,
        _port_codes,
    ),
)
