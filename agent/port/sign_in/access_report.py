"""Makes the documents of sign-in (`agent.local.access`) from credentials and the audit trail. No secret goes in."""

from agent.foundation import rfc3339
from agent.local.access import (
    AccessReport,
    AuditReport,
    CodeReport,
    OpenSessionReport,
    RefusedSource,
    TokenReport,
    TokensReport,
)
from agent.port.sign_in.audit import Audit, NumberedEntry
from agent.port.sign_in.codes import SIGN_IN_ROLES
from agent.port.sign_in.credentials import Credentials

REFUSED_MAX = 10
"""Sources with wrong tries that are shown, the latest first."""


def report_entry(numbered: NumberedEntry) -> AuditReport:
    """Return the document of one entry."""
    entry = numbered.entry
    return AuditReport(
        id=numbered.number,
        utc=instant(entry.utc_ms),
        boot_id=entry.boot_id,
        boot_age_s=entry.at_ms // 1000,
        name=entry.name,
        role=entry.role.value,
        origin=entry.origin,
        action=entry.action,
        target=entry.target,
        result=entry.result,
        count=entry.count,
        lasted_s=(entry.last_ms - entry.at_ms) // 1000,
    )


def report_access(credentials: Credentials, audit: Audit, now_ms: int) -> AccessReport:
    """Return who can get in."""
    made = {each.role: each.made_utc_ms for each in credentials.stored.codes}
    return AccessReport(
        problem="; ".join(filter(None, (credentials.problem, audit.problem))),
        codes=[CodeReport(role.value, instant(made[role])) for role in SIGN_IN_ROLES if role in made],
        sessions=[
            OpenSessionReport(
                id=each.number,
                role=each.role.value,
                origin=each.origin,
                age_s=(now_ms - each.opened_ms) // 1000,
                idle_s=(now_ms - each.used_ms) // 1000,
                expires_s=each.left_s(now_ms),
            )
            for each in credentials.sessions.current(now_ms)
        ],
        refused=[
            RefusedSource(each.source, each.tries, each.age_s, each.wait_s)
            for each in credentials.throttle.report(now_ms)[:REFUSED_MAX]
        ],
    )


def report_tokens(credentials: Credentials, utc_ms: int | None) -> TokensReport:
    """Return all tokens."""
    return TokensReport(
        [
            TokenReport(
                name=each.name,
                role=each.role.value,
                made=rfc3339.render(each.made_utc_ms),
                expires=rfc3339.render(each.expires_utc_ms),
                is_expired=utc_ms is not None and utc_ms >= each.expires_utc_ms,
                used=instant(credentials.last_use_utc_ms(each)),
            )
            for each in credentials.stored.tokens
        ]
    )


def instant(utc_ms: int | None) -> str | None:
    """Return an instant in RFC 3339; `None` for none."""
    return rfc3339.render_known(utc_ms)
