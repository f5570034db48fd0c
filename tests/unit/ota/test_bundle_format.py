from pathlib import Path

import cbor2
import cwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cwt.cose_key_interface import COSEKeyInterface

from agent.errors import BundleUntrusted, ConfigInvalid
from agent.foundation.disk import Disk
from agent.ota import bundle_format, keys
from agent.ota.bundle_format import PRELUDE_BYTES, key_id_of

from .conftest import PRIVATE, PUBLIC, TRUSTED, make, public_of

CLOSE_TO = "the length of the length changes here"


def independent_key(public: bytes) -> COSEKeyInterface:
    pem = Ed25519PublicKey.from_public_bytes(public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, kid=key_id_of(public))


def test_an_independent_library_verifies_the_same_bytes() -> None:
    made = make()
    signed = made.head[PRELUDE_BYTES:]
    payload = cwt.COSE.new().decode(signed, independent_key(PUBLIC), external_aad=bundle_format.EXTERNAL_AAD)
    assert cbor2.loads(payload)["version"] == made.manifest.version
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(signed, independent_key(PUBLIC), external_aad=b"")


def test_what_an_independent_library_signs_is_accepted() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat  # noqa: PLC0415

    made = make()
    payload = bundle_format.parse(made.head[PRELUDE_BYTES:]).payload
    pem = Ed25519PrivateKey.from_private_bytes(PRIVATE).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = cwt.COSEKey.from_pem(pem, kid=key_id_of(PUBLIC))
    protected = {1: -8, 4: key_id_of(PUBLIC)}
    signed = cwt.COSE.new().encode(payload, key, protected=protected, external_aad=bundle_format.EXTERNAL_AAD)
    assert signed == made.head[PRELUDE_BYTES:]
    assert bundle_format.check(signed, TRUSTED, allow_unsigned=False).manifest == made.manifest


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65535, 65536], ids=lambda size: f"{size}: {CLOSE_TO}")
def test_byte_strings_of_all_lengths_are_read_back(size: int) -> None:
    payload = bytes(size)
    assert bundle_format.parse(bundle_format.encode_signed(PRIVATE, payload)[PRELUDE_BYTES:]).payload == payload
    assert bundle_format._byte_string(payload) == cbor2.dumps(payload)


def test_data_after_the_signature_is_refused() -> None:
    with pytest.raises(BundleUntrusted, match="behind its signature"):
        bundle_format.parse(make().head[PRELUDE_BYTES:] + b"\0")


def test_a_manifest_too_large_for_the_header_is_not_built() -> None:
    with pytest.raises(BundleUntrusted, match="at most"):
        bundle_format.encode_signed(PRIVATE, bytes(256 * 1024))


def test_keys_round_trip_through_pem(tmp_path: Path) -> None:
    private, public = keys.generate_key_pair()
    (tmp_path / "k.key").write_bytes(private)
    (tmp_path / "k.pub").write_bytes(public)
    raw = keys.read_private(tmp_path / "k.key", Disk())
    assert public_of(raw) == keys.read_public(tmp_path / "k.pub", Disk())


def test_invalid_and_missing_key_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nonsense")
    for read in (keys.read_private, keys.read_public):
        with pytest.raises(ConfigInvalid, match="in PEM form"):
            read(tmp_path / "x", Disk())
        with pytest.raises(ConfigInvalid, match="no such file"):
            read(tmp_path / "y", Disk())
