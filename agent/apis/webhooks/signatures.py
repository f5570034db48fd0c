"""How a delivery is signed, in the manner of each API. Pure.

The signature covers the bytes that are sent: a receiver must verify before it parses. A secret never appears in an
error or a log.

Sources: Amps, /concepts/webhook-model (the svix manner: https://www.standardwebhooks.com); AURRA Home, developer
integration handout.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from enum import StrEnum

KEY_PREFIX = "whsec_"
"""What a secret in the svix manner begins with; the key follows in base64."""

SECRET_BYTES = 24
"""192 bits, the length that Standard Webhooks recommends at least."""


class WebhookApi(StrEnum):
    """The APIs that have webhooks."""

    AMPS = "amps"
    AURRA_HOME = "aurra_home"


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """Return a new secret, of one form for both APIs: AURRA Home uses it as text."""
    return KEY_PREFIX + base64.b64encode(random_bytes(SECRET_BYTES)).decode()


def signed_headers(
    api: WebhookApi, secret: str, *, delivery_id: str, utc_s: int, event: str, body: bytes
) -> Mapping[str, str]:
    """Return the headers of one attempt.

    Args:
        api: Decides the manner.
        secret: Of the endpoint.
        delivery_id: The same in every attempt, so that a receiver recognises a repetition.
        utc_s: When this attempt is made, in seconds since 1970.
        event: Its name. Amps' body has no envelope, so that the header tells it.
        body: What is sent.
    """
    headers = {"Content-Type": "application/json"}
    if api is WebhookApi.AMPS:
        content = b"%s.%d.%s" % (delivery_id.encode(), utc_s, body)
        digest = hmac.digest(_svix_key(secret), content, hashlib.sha256)
        return headers | {
            "svix-id": delivery_id,
            "svix-timestamp": str(utc_s),
            "svix-signature": f"v1,{base64.b64encode(digest).decode()}",
            "x-amps-event": event,
        }
    digest = hmac.digest(secret.encode(), body, hashlib.sha256)
    return headers | {"X-AURRA-Signature": f"sha256={digest.hex()}", "X-AURRA-Delivery": delivery_id}


def _svix_key(secret: str) -> bytes:
    """Return the key in a secret; of a text in another form, the text itself."""
    try:
        return base64.b64decode(secret.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()
