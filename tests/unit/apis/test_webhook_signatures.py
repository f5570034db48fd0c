"""Signatures, verified by independent lines: those of a receiver."""

import base64
import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from agent.apis.webhooks.signatures import KEY_PREFIX, WebhookApi, new_secret, signed_headers

UTC_S = 1_780_000_000


def svix_accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What the svix documentation tells a receiver to do by hand."""
    signed = f"{headers['svix-id']}.{headers['svix-timestamp']}.".encode() + body
    key = base64.b64decode(secret.split("_", 1)[1])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        version == "v1" and hmac.compare_digest(signature, expected)
        for version, signature in (each.split(",", 1) for each in headers["svix-signature"].split(" "))
    )


def test_the_published_example_of_standard_webhooks() -> None:
    # https://docs.svix.com/receiving/verifying-payloads/how-manual
    headers = signed_headers(
        WebhookApi.AMPS,
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        delivery_id="msg_loFOjxBNrRLzqYUf",
        utc_s=1731705121,
        event="push.completed",
        body=b'{"event_type":"ping","data":{"success":true}}',
    )
    assert headers["svix-signature"] == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@given(random=st.binary(min_size=24, max_size=24), body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_a_receiver_accepts_what_was_signed_and_nothing_else(random: bytes, body: bytes, other: bytes) -> None:
    secret = new_secret(lambda _: random)
    headers = dict(
        signed_headers(WebhookApi.AMPS, secret, delivery_id="msg_1", utc_s=UTC_S, event="push.failed", body=body)
    )
    assert svix_accepts(secret, headers, body)
    assert svix_accepts(secret, headers, other) is (body == other)
    assert not svix_accepts(secret, headers | {"svix-id": "msg_2"}, body)
    assert not svix_accepts(secret, headers | {"svix-timestamp": str(UTC_S + 1)}, body)
    assert headers["x-amps-event"] == "push.failed"


def test_the_manner_of_aurra_home() -> None:
    body = b'{"event":"eco.mode_changed"}'
    secret = new_secret(bytes)
    headers = signed_headers(
        WebhookApi.AURRA_HOME, secret, delivery_id="msg_1", utc_s=UTC_S, event="eco.mode_changed", body=body
    )
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-AURRA-Signature"] == expected
    assert "svix-id" not in headers


def test_a_secret_in_another_form_is_used_as_it_is() -> None:
    headers = signed_headers(WebhookApi.AMPS, "own!", delivery_id="m", utc_s=1, event="e", body=b"")
    digest = hmac.new(b"own!", b"m.1.", hashlib.sha256).digest()
    assert headers["svix-signature"] == "v1," + base64.b64encode(digest).decode()
    assert new_secret(bytes).startswith(KEY_PREFIX)
