"""Every border at which something of others comes in, with what is hostile there and what must hold.

A border is a function that hypothesis calls with one input: it returns where the input was taken or refused in words of
the agent's own, and raises for anything else. `tests/fuzz/test_borders.py` tries a few hundred at each,
`tests/bench/soak_borders.py` as many as one likes.
"""

import asyncio
import contextlib
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from yarl import URL

from agent.cloud import contract
from agent.cloud.contract import QUOTAS, Endpoint
from agent.cloud.error_mapping import RETRY_AFTER_S_MAX, error_for_response, retry_after_s
from agent.cloud.quota import QuotaLedger, SlidingWindow
from agent.cloud.session import redirect_target
from agent.commands import factory_reset
from agent.commands.decisions import decide
from agent.commands.journal import CommandJournal, open_journal
from agent.commands.lifecycle import CommandRecord
from agent.commands.payloads import (
    check_factory_reset,
    decode_commands,
    limit_message,
    limit_result,
    reboot_delay_s,
    requested_sections,
)
from agent.config import resolve_text
from agent.config.hardware_tables import RelayedSensorsConfig
from agent.config.secrets import read_api_key, read_sensor_keys
from agent.config.tables import CloudConfig
from agent.errors import ClimahubError, ConfigInvalid
from agent.foundation import rfc3339
from agent.foundation.clock import Now
from agent.foundation.disk import Disk
from agent.foundation.log import RedactingFilter
from agent.foundation.text import sanitize
from agent.foundation.worker import InlineWorker
from agent.local.commands import build_commands
from agent.ota import bundle_format, launcher
from agent.ota.keys import decode_key_changes
from agent.pairing import labels
from agent.pairing.store import _decode as decode_pairing
from agent.settings.model import DeviceSettings, decode_document, merge
from hal import replay
from hal.errors import HalError
from hal.interface import SensorKind
from hal.plausibility import PlausibilityCheck
from hal.zigbee.zcl import is_report, parse_report
from tests.fuzz import check_borders, fact_borders, hostile, hostile_files, port_borders, sign_in_borders
from tests.fuzz.climate_borders import KEPT, take_kept, take_order
from tests.fuzz.cloud_rig import CALLS, CloudRig
from tests.fuzz.hub_rig import live
from tests.fuzz.local_rig import LocalRig

NOON_MS = 1_774_785_600_000
KEY = "cs_dev_" + "A1b2" * 8
HARMFUL = frozenset(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F)]))


class Border(NamedTuple):
    """One border.

    Attributes:
        inputs: What comes in.
        take: Takes one in, and raises nothing; returns how many inputs it was, where it was more than one.
        cost: How many plain inputs one takes as long as.
    """

    inputs: st.SearchStrategy[Any]
    take: Callable[["Rig", Any], int | None]
    cost: int = 1


class Rig:
    """What the borders of one run share: a directory in memory, a client of the cloud."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cloud = CloudRig()
        self.local = LocalRig(directory)
        self.disk = Disk()

    def file(self, content: bytes, name: str = "file") -> Path:
        """Write a file that nobody else may read."""
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def close(self) -> None:
        """Let go."""
        self.local.close()
        self.cloud.close()


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """Make a rig and close it."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        made = Rig(Path(directory))
        try:
            yield made
        finally:
            made.close()


def said(error: BaseException) -> str:
    """Check that an error is in one printable piece, and return it."""
    text = str(error)
    text.encode()
    assert text, type(error)
    assert not HARMFUL & (set(text) - {"\n"}), text
    return text


def _take_answer(rig: Rig, given: tuple[str, bytes]) -> None:
    call, answer = given
    try:
        rig.cloud.ask(call, answer)
    except ClimahubError as error:
        said(error)


def _take_request(rig: Rig, data: bytes) -> None:
    answer = rig.local.ask(data)
    is_whole = data == b"GET /v1/status HTTP/1.1\r\nHost: hub\r\n\r\n"
    assert b"Traceback" not in answer
    assert not answer or answer.startswith((b"HTTP/1.0 ", b"HTTP/1.1 ")), answer
    if b"/v1/status" not in data:
        # What aiohttp itself answers before a handler runs ("Expect: \udcff") is its own affair.
        assert b"failed by a defect" not in answer, answer
    assert not is_whole or b"failed by a defect of the hub (OSError: no such file)" in answer


def _take_headers(_: Rig, given: tuple[int, Mapping[str, str], bytes]) -> None:
    status, headers, body = given
    for now_utc_ms in (None, NOON_MS):
        wait_s = retry_after_s(headers, now_utc_ms=now_utc_ms)
        assert wait_s is None or 0.0 <= wait_s <= RETRY_AFTER_S_MAX
        said(error_for_response(Endpoint.SETTINGS_GET, status, body, headers, now_utc_ms=now_utc_ms))


def _take_commands(_: Rig, document: bytes) -> None:
    try:
        commands = contract.parse_pending_commands(document)
    except msgspec.DecodeError as error:
        said(error)
        return
    arrivals, unreadable = decode_commands(commands)
    assert len(arrivals) + unreadable == len(commands)
    now = Now("boot", 1000, NOON_MS)
    records = []
    for arrival in arrivals:
        record = CommandRecord(
            arrival.command_id, arrival.type, "boot", 1, payload=arrival.payload, problem=arrival.problem,
            expires_utc_ms=arrival.expires_utc_ms,
        )  # fmt: skip
        record = msgspec.json.decode(msgspec.json.encode(record), type=CommandRecord)
        decide(record, now, problem=limit_message(record.problem), needs_confirmation=False, acks_due=0)
        for check in (
            reboot_delay_s,
            check_factory_reset,
            lambda payload: requested_sections(payload, ["memory"]),
            _check_settings,
        ):
            with contextlib.suppress(ClimahubError):
                check(record.payload or {})
        records.append(record)
    for report in build_commands(records, problem="").commands:
        assert not HARMFUL & set(report.type + report.command_id + report.error_message)
    msgspec.json.encode(limit_result({"records": records}))


def _check_settings(payload: Mapping[str, Any]) -> None:
    merge(DeviceSettings(), payload)


def _take_settings(_: Rig, answer: bytes) -> None:
    try:
        found = contract.parse_settings(answer)
    except msgspec.DecodeError as error:
        said(error)
        return
    settings, problems = merge(DeviceSettings(), found)
    for text in problems:
        assert not HARMFUL & set(text), text
    if settings.timezone != "UTC":
        import zoneinfo  # noqa: PLC0415

        zoneinfo.ZoneInfo(settings.timezone)
    stored = msgspec.json.encode({"settings": settings, "pending": {}, "applied": ""})
    again, wrong = decode_document(stored)
    assert not wrong
    assert again.settings == settings


def _take_redirect(_: Rig, location: str) -> None:
    try:
        target = redirect_target(URL("https://cloud.example/v1"), location)
    except ClimahubError as error:
        str(error).encode("utf-8", "replace")
    else:
        assert target.scheme == "https"
        str(target).encode()


def _take_json(decode: Callable[[bytes], object], *refusals: type[Exception]) -> Callable[[Rig, bytes], None]:
    expected: tuple[type[Exception], ...] = (
        ClimahubError,
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        *refusals,
    )

    def take(_: Rig, data: bytes) -> None:
        try:
            decode(data)
        except expected as error:
            str(error)

    return take


def _take_reset(rig: Rig, data: bytes) -> None:
    rig.file(data, factory_reset.FILE_NAME)
    factory_reset.read_usable_key(rig.directory, rig.disk, lambda: KEY)


def _take_quotas(rig: Rig, data: bytes) -> None:
    ledger = QuotaLedger(rig.file(data, "quotas"), "boot")
    for endpoint in Endpoint:
        SlidingWindow(ledger.slots(endpoint), QUOTAS[endpoint], lambda: 1000).wait_ms()


def _take_journal(rig: Rig, rows: list[tuple[object, bool, object]]) -> None:
    async def work() -> None:
        path = rig.directory / "commands.db"
        for name in ("", "-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        journal = await _opened(rig)
        await journal.close()
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            for command_id, is_open, record in rows:
                connection.execute(
                    "INSERT OR IGNORE INTO commands (command_id, is_open, record) VALUES (?, ?, ?)",
                    (command_id, is_open, record),
                )
        journal = await _opened(rig)
        build_commands(await journal.recent(), problem="")
        for record in journal.open_commands():
            decide(record, Now("boot", 1, NOON_MS), problem=record.problem, needs_confirmation=True, acks_due=0)
        await journal.close()

    asyncio.run(work())


async def _opened(rig: Rig) -> CommandJournal:
    journal, aside = await open_journal(rig.directory, pending_commands_max=9, worker=InlineWorker(), disk=rig.disk)
    assert aside is None
    return journal


def _take_configuration(rig: Rig, given: tuple[str, Mapping[str, str]]) -> None:
    text, environ = given
    try:
        resolve_text(text, file="config.toml", directory=rig.directory, environ=environ)
    except ConfigInvalid as error:
        str(error).encode()


def _take_secrets(rig: Rig, data: bytes) -> None:
    path = rig.file(data)
    for read in (
        lambda: read_api_key(CloudConfig(**(CLOUD | {"api_key_file": path}))),
        lambda: read_sensor_keys(RelayedSensorsConfig(**(RELAY | {"sensor_keys_file": path}))),
    ):
        try:
            read()
        except ConfigInvalid as error:
            str(error).encode()


_PLAIN = resolve_text('cloud.base_url = "https://a.example"', file="config.toml", directory=Path(), environ={}).config
CLOUD = {name: getattr(_PLAIN.cloud, name) for name in CloudConfig.__struct_fields__}
RELAY = {name: getattr(_PLAIN.relayed_sensors, name) for name in RelayedSensorsConfig.__struct_fields__}


def _take_recording(rig: Rig, given: tuple[bytes, bytes]) -> None:
    recording, its_map = given
    try:
        found = replay.load(rig.file(recording, "r.csv"), rig.file(its_map, "r.toml"))
    except HalError as error:
        str(error).encode()
    else:
        for at_ms in found.instants_ms:
            assert rfc3339.is_plausible(at_ms)


def _take_bundle(_: Rig, data: bytes) -> None:
    for read in (
        lambda: bundle_format.parse(data),
        lambda: bundle_format.decode_manifest(data),
        lambda: bundle_format.check(data, {}, allow_unsigned=True),
    ):
        try:
            read()
        except ClimahubError as error:
            str(error).encode("utf-8", "replace")


def _take_label(_: Rig, text: str) -> None:
    for read in (labels.parse, labels.normalise_address):
        try:
            read(text)
        except ClimahubError as error:
            said(error)


def _take_frame(_: Rig, data: bytes) -> None:
    is_report(data)
    for _attribute, value in parse_report(data) or ():
        for kind in SensorKind:
            verdict = PlausibilityCheck(kind).check(value, 1000)
            str(verdict).encode()


def _take_reading(_: Rig, values: list[float]) -> None:
    for kind in SensorKind:
        judge = PlausibilityCheck(kind)
        for number, value in enumerate(values):
            judge.check(value, number * 1000)


def _take_log(_: Rig, texts: tuple[str, str]) -> None:
    try:
        raise ValueError(texts[1])
    except ValueError as error:
        record = logging.LogRecord("room", 40, "f", 1, "%s", (texts[0],), (type(error), error, error.__traceback__))
    RedactingFilter().filter(record)
    shown = logging.Formatter("%(message)s").format(record)
    shown.encode()
    first, *others = shown.split("\n")
    assert not HARMFUL & set(first)
    for line in others:
        assert line.startswith("  ")
        assert not HARMFUL & set(line)


def _take_text(_: Rig, text: str) -> None:
    assert not HARMFUL & set(sanitize(text))


BORDERS: Mapping[str, Border] = {
    "cloud answers": Border(st.tuples(st.sampled_from(sorted(CALLS)), hostile.ANSWERS), _take_answer),
    "local API": Border(hostile.REQUESTS, _take_request),
    "cloud headers": Border(st.tuples(hostile.STATUSES, hostile_files.HEADERS, hostile.BODIES), _take_headers),
    "cloud redirects": Border(hostile.HEADER_VALUES | hostile.FROM_BYTES, _take_redirect),
    "commands": Border(
        hostile.arrays(hostile.COMMANDS).map(lambda all_: b'{"commands":' + all_ + b"}") | hostile.BODIES,
        _take_commands,
    ),
    "settings": Border(hostile.SETTINGS | hostile.BODIES, _take_settings),
    "offers": Border(hostile.BODIES, _take_json(contract.parse_update_check)),
    "registrations": Border(hostile.BODIES, _take_json(contract.parse_registration)),
    "configuration": Border(
        st.tuples(
            st.lists(hostile_files.TOML_LINES, max_size=6).map("\n".join),
            st.dictionaries(st.just("CREDENTIALS_DIRECTORY"), hostile.FROM_BYTES),
        ),
        _take_configuration,
    ),
    "secret files": Border(
        st.binary(max_size=80)
        | hostile.TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
        | hostile_files.TOML_LINES.map(lambda line: line.encode("utf-8", "surrogatepass")),
        _take_secrets,
    ),
    "recordings": Border(
        st.tuples(
            st.binary(max_size=60)
            | st.lists(st.lists(hostile_files.CELLS, max_size=4).map(",".join), max_size=6).map(
                lambda rows: ("time,a_c\n" + "\n".join(rows)).encode("utf-8", "surrogatepass")
            ),
            st.just(hostile_files.MAP)
            | st.binary(max_size=40)
            | hostile_files.TOML_LINES.map(lambda line: hostile_files.MAP + line.encode("utf-8", "surrogatepass")),
        ),
        _take_recording,
    ),
    "bundles": Border(st.binary(max_size=200) | hostile.RAW, _take_bundle),
    "labels": Border(hostile.TEXTS | st.text("0123456789ABCDEFZ$%:-+ ", max_size=80), _take_label),
    "Zigbee frames": Border(
        st.binary(max_size=40) | st.tuples(st.just(b"\x18\x01\x0a"), st.binary(max_size=20)).map(b"".join), _take_frame
    ),
    "sensor values": Border(st.lists(st.floats(), max_size=5), _take_reading),
    "local orders": Border(hostile_files.ORDERS, take_order),
    "climate file": Border(hostile_files.changed(KEPT), take_kept),
    "settings file": Border(
        hostile_files.STATE
        | hostile.objects({"settings": hostile.JSON, "pending": hostile.JSON, "applied": hostile.TEXTS}),
        _take_json(decode_document),
    ),
    "pairing file": Border(
        hostile_files.STATE | hostile.objects({"sensors": hostile.JSON, "window": hostile.JSON}),
        _take_json(lambda data: decode_pairing(data, [])),
    ),
    "trust file": Border(
        hostile_files.STATE | hostile.objects({"keys": hostile.JSON, "revoked": hostile.JSON}),
        _take_json(decode_key_changes, ValueError),
    ),
    "launcher file": Border(
        hostile_files.STATE | hostile.objects({"format": st.just(1), "failed": hostile.JSON, "good": hostile.TEXTS}),
        _take_json(launcher.decode, ValueError),
    ),
    "reset file": Border(
        hostile_files.STATE | hostile.objects({"barred": hostile.JSON, "is_erased": st.booleans()}), _take_reset
    ),
    "quota file": Border(st.binary(max_size=2000), _take_quotas),
    "command journal": Border(st.lists(hostile_files.JOURNAL_ROWS, max_size=4), _take_journal),
    "log": Border(st.tuples(hostile.TEXTS, hostile.TEXTS), _take_log),
    "whole hub": Border(hostile.CLOUDS, lambda _, cloud: live(cloud), cost=50),
    "configuration changes": Border(
        port_borders.CHANGES, lambda rig, changes: port_borders.take_changes(rig.directory, changes)
    ),
    "configuration record": Border(
        hostile_files.STATE
        | hostile.objects({"values": hostile.JSON, "trial": hostile.JSON, "last_trial": hostile.TEXTS}),
        lambda _, data: port_borders.take_record(data),
    ),
    "history": Border(
        port_borders.SEGMENTS, lambda rig, data: port_borders.take_segment(rig.directory, data, rig.disk)
    ),
    "sign-in": Border(sign_in_borders.SECRETS, sign_in_borders.take_secret),
    "credentials": Border(sign_in_borders.CREDENTIAL_FILES, sign_in_borders.take_credentials),
    "key requests": Border(sign_in_borders.KEY_REQUESTS, sign_in_borders.take_key_request),
    "audit entry": Border(sign_in_borders.ENTRY_ROWS, sign_in_borders.take_entry),
    "audited requests": Border(sign_in_borders.REQUESTS, sign_in_borders.take_requests),
    "answers to checks": Border(check_borders.ANSWERS, check_borders.take_answer),
    "facts of clients": Border(fact_borders.REQUESTS, lambda _, given: fact_borders.take_requests(given)),
    "foreign text": Border(hostile.TEXTS, _take_text),
}
