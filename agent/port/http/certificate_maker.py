"""Makes a certificate signed by itself, in a process of its own.

The library that makes it takes 11 MiB, which the daemon would keep until its end, although it makes one in two years.
The key comes back through a pipe. Must never write the key anywhere, nor show it in a message.
"""

import contextlib
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from agent.errors import ClimahubError
from agent.foundation.lenient_json import DECODE_ERRORS

DAY_MS = 86_400_000

VALIDITY_DAYS = 820
"""Apple refuses certificates that are valid for more than 825 days (support.apple.com/en-us/103769)."""
VALIDITY_DAYS_WITHOUT_TIME = 3650
"""Of a certificate made while the hub does not know the time: it may not learn it for years. Replaced when it does."""
BACKDATED_DAYS = 1
"""The laptop's clock may be behind the hub's."""

TIMELESS_BEGIN_MS = 1_767_225_600_000
"""2026-01-01: the begin of a certificate made while the hub does not know the time."""

NAMES_MAX = 20

MAKING_S_MAX = 60.0
"""Of the whole process: 2 s on the slowest board that is not overloaded."""

_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from agent.port.http.certificate_maker import main
main()
"""
"""With the search path of this process: a release in a slot has one of its own."""


class CertificateNotMade(ClimahubError):
    """No certificate was made. Try again later."""


class CertificateRecord(msgspec.Struct, frozen=True):
    """A certificate that the hub has made; without a certificate before that.

    Attributes:
        certificate: As PEM.
        key: Its private key, as PEM. A secret.
        ends_ms: UTC of its end.
    """

    certificate: str = ""
    key: str = ""
    ends_ms: int = 0

    def __repr__(self) -> str:
        """Return everything but the key."""
        return f"CertificateRecord(ends_ms={self.ends_ms})"


class _Order(msgspec.Struct):
    names: list[str]
    utc_ms: int | None


class _Outcome(msgspec.Struct):
    made: CertificateRecord | None = None
    problem: str = ""


def validity(utc_ms: int | None) -> tuple[int, int]:
    """Return the begin and end of a certificate made now, as UTC in ms."""
    if utc_ms is None:
        return TIMELESS_BEGIN_MS, TIMELESS_BEGIN_MS + VALIDITY_DAYS_WITHOUT_TIME * DAY_MS
    return utc_ms - BACKDATED_DAYS * DAY_MS, utc_ms + VALIDITY_DAYS * DAY_MS


def certificate_names(names: Sequence[str]) -> list[str]:
    """Return the names that a certificate can hold, as browsers ask for them (IDNA), without those that it cannot."""
    usable = []
    for name in names:
        with contextlib.suppress(UnicodeError):
            usable.append(name if name.isascii() else name.encode("idna").decode("ascii"))
    return usable[:NAMES_MAX]


def make_certificate(names: Sequence[str], utc_ms: int | None) -> CertificateRecord:
    """Make a key and a certificate signed by itself (RFC 5280), for a TLS server. Blocks for 10 ms.

    Args:
        names: Names and addresses of the hub; the first is its common name. Those that cannot be used are left out.
        utc_ms: The time; `None` while it is unknown.

    Raises:
        ValueError: No name can be used, or no certificate can be made of them.
    """
    # Imported late: only the process that makes one needs it.
    from datetime import UTC, datetime  # noqa: PLC0415
    from ipaddress import ip_address  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    def general_name(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    usable = certificate_names(names)
    if not usable:
        raise ValueError("there is no plain name")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, usable[0][:64])])
    begins_ms, ends_ms = validity(utc_ms)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(begins_ms // 1000, UTC))
        .not_valid_after(datetime.fromtimestamp(ends_ms // 1000, UTC))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in usable]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = made.public_bytes(serialization.Encoding.PEM).decode()
    return CertificateRecord(certificate, private.decode(), ends_ms)


def make_apart(names: Sequence[str], utc_ms: int | None) -> CertificateRecord:
    """Make a certificate in a process of its own. Blocks for a second or two; parameters as `make_certificate`.

    Raises:
        ValueError: As `make_certificate`.
        CertificateNotMade: The process could not be started, or has failed.
    """
    order = msgspec.json.encode(_Order(certificate_names(names), utc_ms))
    path = msgspec.json.encode([each for each in sys.path if each]).decode()
    try:
        done = subprocess.run(  # noqa: S603 - this program itself
            [sys.executable, "-I", "-S", "-c", _PROGRAM, path],
            input=order,
            capture_output=True,
            check=True,
            timeout=MAKING_S_MAX,
        )
        outcome = msgspec.json.decode(done.stdout, type=_Outcome)
    except (OSError, subprocess.SubprocessError, *DECODE_ERRORS) as error:
        # Without the error itself: it may hold what the process has printed.
        text = f"the hub tries again soon: its certificate could not be made ({type(error).__name__})"
        raise CertificateNotMade(text) from None
    if outcome.made is None:
        raise ValueError(outcome.problem)
    return outcome.made


def main() -> None:
    """Make the certificate that standard input orders, and print it: the process of `make_apart`."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=_Order)
    try:
        outcome = _Outcome(make_certificate(order.names, order.utc_ms))
    except ValueError as error:
        outcome = _Outcome(problem=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
