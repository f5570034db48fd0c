from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.config.certificates import problems

KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Extensions = list[tuple[x509.ExtensionType, bool]]


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
USAGE = (usage(signs=True), True)
SKI = (x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), False)
AKI = (x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), False)


def pem(extensions: Extensions, *, issuer: str = "home") -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "home")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=365))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_valid_authority_has_no_problem() -> None:
    assert problems(pem([CA, USAGE, SKI]), now=BEGIN) == []
    assert problems(pem([CA, USAGE, SKI, AKI], issuer="root")) == []


@pytest.mark.parametrize(
    ("extensions", "issuer", "words"),
    [
        ([(CA[0], False), USAGE, SKI], "home", "basicConstraints is not critical"),
        ([CA, SKI], "home", "keyUsage is missing"),
        ([CA, (usage(signs=False), True), SKI], "home", "keyUsage does not allow it to sign"),
        ([CA, USAGE], "home", "subjectKeyIdentifier is missing"),
        ([CA, USAGE, SKI], "root", "authorityKeyIdentifier is missing"),
        ([CA, USAGE, (SKI[0], True)], "home", "subjectKeyIdentifier is critical"),
        ([USAGE], "home", "it may sign certificates and is no authority"),
    ],
)
def test_authority_refused_by_strict_verification_is_named_with_the_remedy(
    extensions: Extensions, issuer: str, words: str
) -> None:
    (told,) = problems(pem(extensions, issuer=issuer))
    assert told.startswith("CN=home: refused by Python 3.13")
    assert words in told
    assert "openssl req -x509" in told


def test_each_certificate_of_a_file_is_checked() -> None:
    good, bad = pem([CA, USAGE, SKI]), pem([CA, SKI])
    assert len(problems(good + b"# a comment\r\n" + bad + bad)) == 2


def test_expired_certificate_is_named() -> None:
    late = BEGIN + timedelta(days=400)
    assert problems(pem([CA, USAGE, SKI]), now=late) == ["CN=home: has expired on 2027-01-01"]


@pytest.mark.parametrize("spoil", [lambda _: b"", lambda text: text[:200], lambda text: text.replace(b"M", b"!", 3)])
def test_file_without_a_certificate_is_reported(spoil: Callable[[bytes], bytes]) -> None:
    assert problems(spoil(pem([CA, USAGE, SKI]))) == ["holds no certificate that can be read"]
