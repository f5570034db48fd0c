"""What the cloud's answer offers, in whichever spelling it comes."""

import base64
import hashlib

import pytest

from agent.cloud.contract import UpdateCheckResponse
from agent.errors import Rejected
from agent.ota.manifest import Offer, is_same_version, parse_offer

DIGEST = hashlib.sha256(b"a bundle").digest()
HEX = DIGEST.hex()
BASE64 = base64.b64encode(DIGEST).decode()


def answer(checksum: str | None, version: str | None = "2.0.0", size: int | None = 5) -> UpdateCheckResponse:
    return UpdateCheckResponse(update_available=True, version=version, checksum=checksum, size_bytes=size)


@pytest.mark.parametrize(
    "checksum",
    [
        f"sha256:{HEX}",
        f"SHA256:{HEX.upper()}",
        f"sha-256:{HEX}",
        f" sha256: {HEX} ",
        f"sha256={HEX}",
        HEX,
        HEX.upper(),
        f"0x{HEX}",
        f"sha256:{BASE64}",
        f"sha256-{BASE64}",
        f"sha-256=:{BASE64}:",
        BASE64,
        base64.urlsafe_b64encode(DIGEST).decode().rstrip("="),
    ],
)
def test_checksum_is_accepted_in_each_usual_spelling(checksum: str) -> None:
    assert parse_offer(answer(checksum)) == Offer("2.0.0", HEX, 5)


@pytest.mark.parametrize("checksum", [None, "", "  "])
def test_offer_without_a_checksum_is_not_compared(checksum: str | None) -> None:
    assert parse_offer(answer(checksum)) == Offer("2.0.0", "", 5)


@pytest.mark.parametrize(
    "checksum",
    [f"md5:{HEX[:32]}", "sha256:", "sha256:abcd", f"sha256:{HEX}0", f"sha512:{HEX}{HEX}", "kaputt", HEX[:40]],
)
def test_unusable_checksum_refuses_the_offer(checksum: str) -> None:
    with pytest.raises(Rejected, match="checksum"):
        parse_offer(answer(checksum))


@pytest.mark.parametrize("version", ["9." + "9" * 70_000, "1.0\n", "../1.0", "a b", "1.0\u202e"])
def test_a_version_that_no_bundle_can_have_is_no_offer(version: str) -> None:
    with pytest.raises(Rejected, match="version") as caught:
        parse_offer(answer(None, version))
    assert len(str(caught.value)) < 300


def test_a_size_that_no_bundle_can_have_is_no_offer() -> None:
    for size in (-1, 10**30):
        with pytest.raises(Rejected, match="size"):
            parse_offer(answer(None, size=size))


def test_answer_without_an_offer() -> None:
    assert parse_offer(UpdateCheckResponse(update_available=False, version="2.0.0")) is None
    assert parse_offer(answer(None, None)) is None
    assert parse_offer(answer(None, "")) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("v9.9.9", "9.9.9"),
        ("V9.9.9", "9.9.9"),
        ("1.3", "1.3.0"),
        ("1.3.0-rc.1", "1.3.0rc1"),
        ("1.3.0-beta", "1.3.0b0"),
        ("1.3.0.post1", "1.3.0-1"),
        ("1.3.0.DEV2", "1.3.0.dev2"),
        ("1.3.0+ubuntu-1", "1.3.0+ubuntu.1"),
        ("nightly", "nightly"),
        ("v2024-alpha~x", "2024-alpha~x"),
    ],
)
def test_spellings_of_one_version_are_equal(first: str, second: str) -> None:
    assert is_same_version(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1.3.0", "1.3.1"),
        ("1.3.0", "1.3.0rc1"),
        ("1.3.0", "1.3.0+1"),
        ("vest", "est"),
        ("1", "1.0.1"),
        ("1.0", "2!1.0"),
    ],
)
def test_different_versions_are_unequal(first: str, second: str) -> None:
    assert not is_same_version(first, second)
