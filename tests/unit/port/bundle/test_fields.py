"""Every field of every document has been decided: it may leave the hub, or it may not."""

import typing
from enum import StrEnum

import msgspec
import pytest

from agent.config.report import Shown
from agent.foundation.boot_trail import BootRecord
from agent.foundation.start_history import StartRecord
from agent.local.boots import BootsReport
from agent.local.climate import ClimateReport
from agent.local.commands import CommandsReport
from agent.local.config import ConfigReport
from agent.local.hardware import TestsReport
from agent.local.log import LogReport
from agent.local.status import HubStatus
from agent.local.updates import UpdateReport
from agent.local.verdict import Verdict
from agent.local.zigbee import ZigbeeReport
from agent.port.bundle.fields import ALLOWED, WITHHELD, filtered
from agent.port.bundle.machine import DatabaseSummary, StateListing
from agent.port.checks.report import ChecksReport

DOCUMENTS = (
    HubStatus, BootsReport, ClimateReport, CommandsReport, TestsReport, LogReport, UpdateReport, Verdict, ZigbeeReport,
    ChecksReport, ConfigReport, Shown, DatabaseSummary, StateListing, BootRecord, StartRecord,
)  # fmt: skip


def structs(kind: object, found: dict[str, type[msgspec.Struct]]) -> dict[str, type[msgspec.Struct]]:
    for part in typing.get_args(kind):
        structs(part, found)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in found:
        found[kind.__name__] = kind
        for hint in typing.get_type_hints(kind).values():
            structs(hint, found)
    return found


KNOWN = {name: kind for document in DOCUMENTS for name, kind in structs(document, {}).items()}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_field_is_listed_as_kept_or_removed(name: str) -> None:
    decided = ALLOWED.get(name, frozenset()) | WITHHELD.get(name, frozenset())
    assert decided == set(KNOWN[name].__struct_fields__)
    assert not ALLOWED[name] & WITHHELD.get(name, frozenset())


def test_every_listed_field_exists() -> None:
    assert set(ALLOWED) == set(KNOWN), "add its document to the test, or remove it"
    assert set(WITHHELD) <= set(KNOWN)


class _Unlisted(msgspec.Struct):
    secret: str = "s3cret"


class _Word(StrEnum):
    WORD = "word"


def test_unlisted_objects_are_left_out() -> None:
    document = {"a": _Unlisted(), "b": [_Unlisted(), _Word.WORD, 1.5, None, True], "c": object()}
    assert filtered(document) == {"a": {}, "b": [{}, "word", 1.5, None, True], "c": None}
