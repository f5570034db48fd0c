"""Checks of updates: keys, the present update, slots, launcher. Pure."""

from collections.abc import Sequence
from typing import Any

from agent.foundation.phrase import counted, phrase
from agent.local.updates import UNSIGNED_WARNING, UpdateReport
from agent.ota.launcher import VERSION as LAUNCHER_VERSION
from agent.port.checks.facts import Facts, Missing
from agent.port.checks.model import Check, Finding, check, failed, passed, unknown, warned
from agent.port.checks.report import Group, RepairOffer

_RESTART = "systemctl restart climahub"


def _update_document(facts: Facts) -> UpdateReport | Missing:
    documents = facts.documents
    if isinstance(documents, Missing):
        return documents
    return documents.update or Missing("this hub is not updated by itself: it was started without the launcher")


def _update_keys(found: UpdateReport) -> Finding:
    if found.warning == UNSIGNED_WARNING:
        return failed("releases without a signature are installed (ota.allow_unsigned)", "remove ota.allow_unsigned")
    if not found.trusted_keys:
        return warned("no key is trusted, so no release is installed", "put the maker's public key into ota.keys_dir")
    trusted = counted(len(found.trusted_keys), "key")
    if found.revoked_keys:
        revoked = counted(len(found.revoked_keys), "key")
        return passed(phrase("{keys} trusted, {revoked} revoked", keys=trusted, revoked=revoked))
    return passed(phrase("{keys} trusted", keys=trusted))


def _update(found: UpdateReport) -> Finding:
    if found.trial_problems:
        texts = "; ".join(f"{name}: {text}" for name, text in sorted(found.trial_problems.items()))
        return warned(
            phrase("{target} fails its trial: {texts}", target=found.target, texts=texts),
            "wait: the hub goes back by itself",
        )
    if found.is_paused:
        return warned("updates are paused by a technician", "resume them", RepairOffer("resume-updates"))
    if found.state == "failed":
        text = phrase("{target} was not installed: {error}", target=found.target, error=found.error)
        return warned(text, "correct the reason; the hub tries again with the next offer", RepairOffer("reset-update"))
    if found.waiting_for and found.state not in {"idle", "completed"}:
        return warned(
            phrase("{target} waits: {waiting_for}", target=found.target, waiting_for=found.waiting_for),
            "see the reason",
            RepairOffer("reset-update"),
        )
    return passed(phrase("{version}; the last update is {state}", version=found.version, state=found.state))


def _running_slot(found: UpdateReport) -> Finding:
    if not found.launcher:
        return unknown("the hub was started without the launcher")
    if found.slot != found.good and found.state != "trial":
        text = phrase("slot {slot} runs, and slot {good} is the confirmed one", slot=found.slot, good=found.good)
        return failed(text, f"{_RESTART}: the launcher starts the confirmed release")
    if found.failed:
        return warned(
            phrase("{failed} failed its trial; {version} runs", failed=found.failed, version=found.version),
            "send a support bundle to the maker",
        )
    return passed(phrase("{version} runs from {slot}, confirmed", version=found.version, slot=found.slot))


def _launcher(found: UpdateReport) -> Finding:
    if not found.launcher:
        return warned(
            "the hub was started without the launcher: nothing can be installed",
            "start it by the shipped unit (docs/updates.md)",
        )
    if found.launcher < LAUNCHER_VERSION:
        text = phrase(
            "launcher {launcher} is older than that of this release, {version}",
            launcher=found.launcher,
            version=LAUNCHER_VERSION,
        )
        return warned(text, "install launcher.py of this release (docs/install.md, step 2)")
    return passed(phrase("launcher {launcher}", launcher=found.launcher))


CHECKS: Sequence[Check[Any]] = (
    check(
        Group.HUB,
        "update-keys",
        "Update keys",
        "Only releases with a trusted signature are installed.",
        _update_document,
        _update_keys,
    ),
    check(
        Group.HUB,
        "update",
        "Update",
        "An update that does not go on.",
        _update_document,
        _update,
    ),
    check(
        Group.HUB,
        "slot",
        "Running release",
        "The confirmed release should run, unless one is on trial.",
        _update_document,
        _running_slot,
    ),
    check(
        Group.HUB,
        "launcher",
        "Launcher",
        "It starts the release; updates do not replace it.",
        _update_document,
        _launcher,
    ),
)
