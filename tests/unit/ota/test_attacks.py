"""Each attack of the table in docs/updates.md, as a crafted bundle: refused, and no payload byte is handed on."""

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import msgspec
import pytest

from agent.errors import BundleUntrusted
from agent.ota import bundle_format
from agent.ota.manifest import CHUNK_BYTES, HubFacts, Offer, PayloadType, encode_values

from .conftest import FACTS, PRIVATE, STRANGER, TARGET, Made, make, pieces, reader

Cut = Callable[[bytes], Iterator[bytes]]


def swallow(
    data: bytes,
    *,
    offer: Offer | None = None,
    facts: HubFacts = FACTS,
    cut: Cut | None = None,
    allow_unsigned: bool = False,
) -> list[bytes]:
    """Let a hub read; return the payload that it took as good."""
    stream, taken = reader(offer, facts, allow_unsigned=allow_unsigned)
    try:
        for part in (cut or pieces(4096))(data):
            taken += map(bytes, stream.feed(part))
        stream.finish()
    except BundleUntrusted as error:
        error.add_note(f"{sum(map(len, taken[1:]))} payload bytes")
        raise
    return taken[1:]


def refused(data: bytes, match: str | None = None, **how: object) -> None:
    with pytest.raises(BundleUntrusted, match=match) as caught:
        swallow(data, **how)  # type: ignore[arg-type]
    assert caught.value.__notes__ == ["0 payload bytes"]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def big(**changes: Any) -> Made:  # noqa: ANN401 - any field of the manifest
    """Return a bundle of three chunks and a bit."""
    payload = b"".join(hashlib.sha256(bytes((n % 251,))).digest() for n in range(3 * CHUNK_BYTES // 32)) + b"end"
    return make(payload=payload, **changes)


def test_a_good_bundle_passes_in_pieces_of_any_size(cut: Cut) -> None:
    made = make()
    assert b"".join(swallow(made.data, offer=made.offer, cut=cut)) == made.payload


def test_a_large_bundle_passes_chunk_by_chunk() -> None:
    made = big()
    taken = swallow(made.data, offer=made.offer, cut=pieces(100_000))
    assert b"".join(taken) == made.payload
    assert [len(each) for each in taken] == [CHUNK_BYTES] * 3 + [3]


def test_payload_without_a_header_is_refused() -> None:
    refused(b"\x7fELF" + bytes(5000), "no climahub bundle")


def test_bundle_signed_by_an_untrusted_key_is_refused() -> None:
    refused(make(private=STRANGER).data, "which this hub does not trust")


def test_untrusted_signature_with_a_trusted_key_id_is_refused() -> None:
    made, own = make(private=STRANGER), make()
    kid = bundle_format.parse(made.head[bundle_format.PRELUDE_BYTES :]).key_id
    forged = made.head.replace(kid, bundle_format.parse(own.head[bundle_format.PRELUDE_BYTES :]).key_id)
    refused(forged + made.payload, "changed after signing")


def test_unsigned_bundle_is_refused() -> None:
    refused(make(private=None).data, "not signed")


def test_signature_for_another_purpose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundle_format, "EXTERNAL_AAD", b"")
        made = make()
    refused(made.data, "changed after signing")


def test_changed_bit_anywhere_in_the_header_is_refused() -> None:
    made = make()
    for at in range(len(made.head)):
        refused(flipped(made.data, at))


def test_unsigned_bundle_is_accepted_only_where_configured() -> None:
    made = make(private=None)
    assert swallow(made.data, allow_unsigned=True)
    refused(make(private=STRANGER).data, "does not trust", allow_unsigned=True)
    refused(flipped(make().data, 200), allow_unsigned=True)


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_tampered_payload_is_refused_at_its_chunk(chunk: int) -> None:
    made = big()
    changed = flipped(made.data, len(made.head) + chunk * CHUNK_BYTES + 1)
    with pytest.raises(BundleUntrusted, match=f"part {chunk + 1} ") as caught:
        swallow(changed, cut=pieces(65536))
    assert caught.value.__notes__ == [f"{chunk * CHUNK_BYTES} payload bytes"]


def test_bundle_that_differs_from_the_offered_checksum_is_refused() -> None:
    made = make()
    with pytest.raises(BundleUntrusted, match="not the offered"):
        swallow(made.data, offer=msgspec.structs.replace(made.offer, sha256="0" * 64))


def test_downgrade_is_refused() -> None:
    refused(make(sequence=5).data, "not newer")
    refused(make(sequence=1, version="9.9.9").data, "not newer")


def test_release_at_the_floor_may_repair_its_damaged_slot() -> None:
    facts = msgspec.structs.replace(FACTS, may_repeat_floor=True)
    assert swallow(make(sequence=5).data, facts=facts)
    refused(make(sequence=4).data, "not newer", facts=facts)


def test_version_other_than_offered_is_refused() -> None:
    made = make()
    refused(made.data, "was sent instead of", offer=msgspec.structs.replace(made.offer, version="3.0.0"))


def test_size_other_than_offered_is_refused() -> None:
    made = make()
    refused(made.data, "not the offered", offer=msgspec.structs.replace(made.offer, size_bytes=len(made.data) + 1))


def test_bundle_for_other_hardware_is_refused() -> None:
    refused(make(models=("kettle",)).data, "this hub is a hub")
    refused(make(machine="aarch64").data, "needs aarch64")
    refused(make(python="cpython-313").data, "cpython-313")


def test_bundle_that_needs_a_newer_launcher_is_refused() -> None:
    refused(make(launcher_min=2).data, "needs launcher 2")


def test_payload_of_another_release_is_refused() -> None:
    first, second = make(), make({"__main__.py": b"another"}, target=msgspec.structs.replace(TARGET, sequence=7))
    refused(first.head + second.payload)


def test_data_beyond_the_payload_is_refused() -> None:
    made = make()
    with pytest.raises(BundleUntrusted, match="longer than its header states"):
        swallow(made.data + b"x", offer=made.offer)


@pytest.mark.parametrize("size", [0, 256 * 1024 + 1, 2**32 - 1])
def test_header_of_an_invalid_size_is_refused(size: int) -> None:
    stream, _ = reader()
    with pytest.raises(BundleUntrusted, match="claims"):
        list(stream.feed(bundle_format.MAGIC + struct.pack(">I", size) + b"x"))


def test_cbor_bomb_is_refused_even_where_unsigned_is_accepted() -> None:
    for bomb in (
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xd8\x1c\x81\xd8\x1d\x00",
    ):
        refused(bundle_format._framed(b"", bomb, b"") + b"payload", allow_unsigned=True)


@pytest.mark.parametrize("keep", [0, 5, 12, 60, -1])
def test_truncated_bundle_is_refused(keep: int) -> None:
    made = make()
    with pytest.raises(BundleUntrusted, match=r"too early"):
        swallow(made.data[:keep])


def test_expired_bundle_is_refused_once_the_time_is_known() -> None:
    old = make(expires_utc_ms=1_700_000_000_000)
    refused(old.data, "expired")
    assert swallow(old.data, facts=msgspec.structs.replace(FACTS, utc_ms=None))


def test_release_that_failed_on_this_hub_is_refused() -> None:
    facts = msgspec.structs.replace(FACTS, failed_version="2.0.0", failed_sequence=6)
    refused(make().data, "failed on this hub", facts=facts)
    assert swallow(make(sequence=7).data, facts=facts)


def test_image_is_refused_without_rauc() -> None:
    refused(make(payload_type=PayloadType.RAUC).data, "this machine has no RAUC")


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "kettle"},
        {"format": 2},
        {"chunk_bytes": 1},
        {"chunks": b""},
        {"payload_bytes": 2**40},
        {"unpacked_bytes": 2**40},
        {"files": 10**6},
        {"version": "../../etc"},
        {"sequence": 0},
    ],
    ids=str,
)
def test_signed_manifest_with_invalid_values_is_refused(changes: dict[str, Any]) -> None:
    refused(make(**changes).data, "invalid value|takes|digests")


def test_signed_payload_that_is_no_manifest_is_refused() -> None:
    for payload in (cbor2.dumps([1, 2]), cbor2.dumps({"version": 1}), b"\xff"):
        refused(bundle_format.encode_signed(PRIVATE, payload) + b"payload", "cannot be read|invalid value")


def strict_variants() -> dict[str, bytes]:
    values = dict(encode_values(make().manifest))
    good = cbor2.dumps(values, canonical=True)
    one_more = bytes((good[0] + 1,))
    long_length = b"\xb8" + bytes((len(values),))
    return {
        "trailing bytes": good + b"\x00",
        "a second manifest": good + good,
        "a duplicate key": one_more + good[1:] + cbor2.dumps("sequence") + cbor2.dumps(99),
        "an indefinite map": b"\xbf" + good[1:] + b"\xff",
        "an indefinite text": good.replace(cbor2.dumps("2.0.0"), b"\x7f\x652.0.0\xff"),
        "an indefinite array": good.replace(cbor2.dumps(list(values["models"])), b"\x9f\x63hub\x65hub-2\xff"),
        "a long length": long_length + good[1:],
        "a tag": b"\xd9\xd9\xf7" + good,
        "keys in another order": cbor2.dumps(dict(reversed(values.items()))),
    }


@pytest.mark.parametrize("name", strict_variants())
def test_manifest_in_non_canonical_cbor_is_refused(name: str) -> None:
    """Signed all the same: release builders make mistakes too."""
    made = make()
    assert bundle_format.decode_manifest(cbor2.dumps(encode_values(made.manifest), canonical=True)) == made.manifest
    refused(bundle_format.encode_signed(PRIVATE, strict_variants()[name]) + made.payload, "manifest")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2.0.0\n"},
        {"models": ("hub\n",)},
        {"machine": "x86_64\n"},
        {"python": "cpython-311\x1b[2J"},
        {"files": 0},
        {"unpacked_bytes": 0},
    ],
    ids=str,
)
def test_signed_manifest_with_an_invalid_field_is_refused(changes: dict[str, object]) -> None:
    made = make()
    values = cbor2.dumps({**encode_values(made.manifest), **changes}, canonical=True)
    refused(bundle_format.encode_signed(PRIVATE, values) + made.payload, "manifest|without any file")


def test_a_version_in_another_spelling_is_the_same_version() -> None:
    made = make()
    assert swallow(made.data, offer=msgspec.structs.replace(made.offer, version="v2.0.0"))
