"""The texts of `climahub port`, from documents."""

from agent.cli.port import as_text, entry_as_text, session_as_text, token_as_text
from agent.local.access import (
    AccessReport,
    AuditReport,
    CodeReport,
    OpenSessionReport,
    RefusedSource,
    TokenReport,
)
from agent.local.port import PortReport

SESSION = OpenSessionReport(3, "owner", "192.168.1.7", age_s=4000, idle_s=60, expires_s=1740)
ACCESS = AccessReport(
    problem="",
    codes=[CodeReport("owner", "2026-11-28T18:00:00Z"), CodeReport("viewer", None)],
    sessions=[SESSION],
    refused=[RefusedSource("192.168.1.66", 7, 30, 8), RefusedSource("192.168.1.67", 1, 90, 0)],
)
PORT = PortReport(
    ["http://127.0.0.1:8480", "https://192.168.1.20:8480"], [], fingerprint="AB:CD", certificate_ends="2029-02-26"
)
ENTRY = AuditReport(
    id=5,
    utc="2026-11-28T18:00:00Z",
    boot_id="0123456789",
    boot_age_s=65,
    name="session 3",
    role="owner",
    origin="192.168.1.7",
    action="check_update",
    target="/v1/update/check",
    result="200",
    count=1,
    lasted_s=0,
)


def test_where_it_listens_and_who_can_get_in() -> None:
    assert as_text(PORT, ACCESS).splitlines() == [
        "open       http://127.0.0.1:8480",
        "           https://192.168.1.20:8480",
        "SHA-256    AB:CD",
        "           made by this hub, until 2029-02-26",
        "codes      owner, made 2026-11-28T18:00:00Z",
        "           viewer, made at an unknown time",
        "sessions   3: owner from 192.168.1.7, for 1 h 6 min, idle for 1 min, ends in 29 min without a request",
        "refused    192.168.1.66, 7 wrong tries, the last 30 s ago; waits 8 s",
        "           192.168.1.67, 1 wrong try, the last 1 min 30 s ago",
    ]


def test_problems_come_first_and_name_the_remedy() -> None:
    access = AccessReport("credentials.json is missing", [], [], [])
    port = PortReport(["http://127.0.0.1:8480"], ["plug the cable in: there is no usb0"])
    assert as_text(port, access).splitlines() == [
        "! credentials.json is missing",
        "! plug the cable in: there is no usb0",
        "! make a code (sudo climahub port code): nobody can sign in yet",
        "",
        "open       http://127.0.0.1:8480",
        "sessions   nobody is signed in",
    ]


def test_a_hub_without_listeners_says_so_and_needs_no_code() -> None:
    assert as_text(PortReport([], []), AccessReport("", [], [], [])).splitlines() == [
        "open       nothing: port.listen is empty, and only this socket answers",
        "sessions   nobody is signed in",
    ]


def test_the_operator_s_own_certificate_is_named_as_such() -> None:
    port = PortReport(["https://192.168.1.20:8480"], [], fingerprint="AB:CD", is_own_certificate=True)
    assert "           your own certificate" in as_text(port, ACCESS).splitlines()


def test_a_token_is_a_line() -> None:
    token = TokenReport("metrics", "viewer", "2026-11-28T18:00:00Z", "2027-02-26T18:00:00Z", False, None)
    assert token_as_text(token) == "metrics: viewer, until 2027-02-26T18:00:00Z, never used"
    used = TokenReport("metrics", "viewer", "-", "2026-02-26T18:00:00Z", True, "2026-02-01T00:00:00Z")
    assert token_as_text(used) == "metrics: viewer, EXPIRED 2026-02-26T18:00:00Z, last used 2026-02-01T00:00:00Z"


def test_an_entry_of_the_audit_trail_is_a_line() -> None:
    assert entry_as_text(ENTRY) == (
        "2026-11-28T18:00:00Z  session 3 (owner) from 192.168.1.7: check_update /v1/update/check -> 200"
    )
    flood = AuditReport(
        id=None, utc=None, boot_id="0123456789", boot_age_s=65, name="", role="public", origin="", action="others",
        target="", result="", count=4912, lasted_s=599,
    )  # fmt: skip
    assert entry_as_text(flood) == "1 min 5 s after boot 01234567  (public): others; 4912 times in 9 min 59 s"


def test_a_session_is_a_line() -> None:
    assert session_as_text(SESSION).startswith("3: owner from 192.168.1.7")
