"""Borders of sign-in: what people and machines send as a code, cookie, token or address, and files of a dying card.

With them the request that the hub leaves for root, to have a key stored: root reads it as if from a stranger.
"""

import os
from typing import Any

import msgspec
from hypothesis import strategies as st

from agent.cli.setup import key_request
from agent.config.secrets import is_api_key
from agent.errors import ConfigInvalid
from agent.foundation.clock import Now
from agent.foundation.lenient_json import DECODE_ERRORS, decode_leniently
from agent.foundation.secret_hash import hash_secret
from agent.foundation.text import sanitize
from agent.local.cloud_key import StoreRequest
from agent.local.routes import Caller, Role
from agent.port.sign_in.access_report import report_entry
from agent.port.sign_in.audit import NumberedEntry
from agent.port.sign_in.audit_entries import OPEN_ENTRIES_MAX, AuditBuffer, AuditEntry, make_entry
from agent.port.sign_in.codes import CODE_CHARACTERS, CodeRecord, read_code, role_of
from agent.port.sign_in.credentials import CredentialSet
from agent.port.sign_in.sessions import Sessions
from agent.port.sign_in.throttle import Throttle, network_of
from agent.port.sign_in.tokens import find_token, new_token, with_uses
from tests.fuzz import hostile, hostile_files

NOW_MS = 1_795_000_000_000
CODE = "7H2K9QXM4TNAW0CE"
TOKEN, _RECORD = new_token("metrics", Role.VIEWER, days=30, utc_ms=NOW_MS, random_bytes=os.urandom)
CREDENTIALS = CredentialSet((CodeRecord(Role.OWNER, hash_secret(CODE, os.urandom), NOW_MS),), (_RECORD,))
API_KEY = "cs_dev_" + "C3d4" * 8
ENTRY = make_entry(Caller("root", Role.OWNER, "socket"), "act", "/v1", "200", Now("boot", 5, NOW_MS))

_TYPED = (
    hostile.TEXTS
    | st.text(max_size=200)
    | st.from_regex(r"[0-9A-Za-z \-]{14,20}", fullmatch=True)
    | st.sampled_from([CODE[:-1], TOKEN[:-1], TOKEN.upper(), CODE + "\x00", "\ud800" * 16, "\uff10" * 16])
)
_ADDRESSES = hostile.TEXTS | st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda address: f"{address}%eth0")
SECRETS = st.tuples(_TYPED, _ADDRESSES)
REQUESTS = st.lists(st.tuples(hostile.TEXTS, hostile.TEXTS, hostile.TEXTS), max_size=20)
ENTRY_ROWS = hostile_files.STATE | hostile_files.changed(ENTRY)
_KEYS = hostile.TEXTS | st.sampled_from([API_KEY, API_KEY[:-1], f"{API_KEY}\n", f"{API_KEY}\nUser=root"])
KEY_REQUESTS = (
    st.fixed_dictionaries({"id": hostile.TEXTS, "key": _KEYS}).map(hostile.encoded)
    | hostile_files.changed(StoreRequest("1", API_KEY))
    | st.binary(max_size=9000)
)
CREDENTIAL_FILES = hostile_files.STATE | hostile_files.changed(CREDENTIALS)


def take_secret(_: object, given: tuple[str, str]) -> None:
    """Let nobody in with a secret that is none, from wherever it comes."""
    secret, source = given
    code = read_code(secret)
    assert code is None or len(code) == CODE_CHARACTERS
    assert code == CODE or role_of(CREDENTIALS.codes, code or secret) is None
    assert secret == TOKEN or find_token(CREDENTIALS.tokens, secret, NOW_MS) is None
    sessions = Sessions(os.urandom)
    sessions.open(Role.OWNER, "digest", source, 0)
    assert sessions.find(secret, 0) is None
    sessions.end(secret)
    throttle = Throttle()
    assert network_of(source)
    assert throttle.admit(source, 0) == 0
    throttle.add_wrong(source, 0)
    assert [each.source for each in throttle.report(0)] == [source]


def take_credentials(_: object, data: bytes) -> None:
    """Let nobody in by a damaged file who did not get in before, and show what is left of it."""
    try:
        found, _ = decode_leniently(data, CredentialSet)
    except DECODE_ERRORS:
        return
    assert role_of(found.codes, "0" * CODE_CHARACTERS) is None
    assert role_of(found.codes, CODE) in {None, *Role}
    token = find_token(found.tokens, TOKEN, NOW_MS)
    assert token is None or token.expires_utc_ms > NOW_MS
    msgspec.json.encode(with_uses(found.tokens, {each.name: NOW_MS for each in found.tokens}))


def take_key_request(rig: Any, data: bytes) -> None:  # noqa: ANN401 - tests.fuzz.borders.Rig, which imports this
    """Have a key stored, or nothing; the request is gone, and no message repeats a key."""
    path, said = rig.file(data, "key-request"), ""
    try:
        content = key_request.take(path)
        assert content == data
        assert is_api_key(key_request.decoded(content, path).key)
    except ConfigInvalid as error:
        said = str(error)
    assert "cs_dev_" not in said
    assert not path.exists()


def take_entry(_: object, data: bytes) -> None:
    """Show a row that somebody else has written."""
    try:
        entry = msgspec.json.decode(data, type=AuditEntry)
    except DECODE_ERRORS:
        return
    assert msgspec.json.encode(report_entry(NumberedEntry(1, entry)))


def take_requests(_: object, requests: list[tuple[str, str, str]]) -> None:
    """Keep what strangers put into the audit trail bounded and printable."""
    buffer = AuditBuffer()
    for number, (name, target, result) in enumerate(requests):
        buffer.add(make_entry(Caller(name, Role.PUBLIC, target), name, target, result, Now("boot", number, None)))
    assert len(buffer.unwritten()) <= OPEN_ENTRIES_MAX
    for each in buffer.unwritten():
        texts: list[Any] = [value for value in msgspec.to_builtins(each.entry).values() if isinstance(value, str)]
        assert all(sanitize(text) == text for text in texts)
