"""What strict verification refuses in a certificate authority. Pure: bytes in, words out.

Python 3.13 verifies strictly by default (`ssl.VERIFY_X509_STRICT`), 3.11 and 3.12 do not: an authority made with a few
openssl commands works until the system under the hub is a newer one. The rules are those of RFC 5280 that OpenSSL
checks then (x509_vfy.c, check_extensions).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

REMEDY = (
    "make the authority anew with critical basicConstraints and keyUsage: openssl req -x509 …"
    ' -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"'
)

_IDENTIFIERS = {
    x509.AuthorityKeyIdentifier: "authorityKeyIdentifier",
    x509.SubjectKeyIdentifier: "subjectKeyIdentifier",
}


def problems(pem: bytes, *, now: datetime | None = None) -> list[str]:
    """Return what is wrong with the certificates of a PEM file, each with its name and a remedy.

    Args:
        pem: The content of the file.
        now: The time, where it is known: certificates that have expired are named.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return ["holds no certificate that can be read"]
    found = []
    for certificate in certificates:
        name = certificate.subject.rfc4514_string() or "a certificate without a name"
        refused = list(_refused(certificate))
        if refused:
            found.append(f"{name}: refused by Python 3.13 and newer: {', '.join(refused)}; {REMEDY}")
        if now is not None and certificate.not_valid_after_utc < now:
            found.append(f"{name}: has expired on {certificate.not_valid_after_utc.astimezone(UTC):%Y-%m-%d}")
    return found


def _refused(certificate: x509.Certificate) -> Iterator[str]:
    try:
        extensions = certificate.extensions
    except ValueError:
        yield "its extensions cannot be read"
        return
    if certificate.version is not x509.Version.v3:
        yield "it is of version 1, without extensions"
        return
    present = {type(extension.value): extension for extension in extensions}
    yield from _role(present)
    if certificate.issuer != certificate.subject and x509.AuthorityKeyIdentifier not in present:
        yield "authorityKeyIdentifier is missing"
    for kind, name in _IDENTIFIERS.items():
        if kind in present and present[kind].critical:
            yield f"{name} is critical"


def _role(present: Mapping[type, x509.Extension[Any]]) -> Iterator[str]:
    """Tell what is wrong with a certificate as an authority, or as none."""
    constraints, usage = present.get(x509.BasicConstraints), present.get(x509.KeyUsage)
    signs = usage is not None and usage.value.key_cert_sign
    if constraints is None or not constraints.value.ca:
        if signs:
            yield "it may sign certificates and is no authority"
        return
    if not constraints.critical:
        yield "basicConstraints is not critical"
    if usage is None:
        yield "keyUsage is missing"
    elif not signs:
        yield "keyUsage does not allow it to sign certificates"
    if x509.SubjectKeyIdentifier not in present:
        yield "subjectKeyIdentifier is missing"
