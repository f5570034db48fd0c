"""Reads a request's body: bounded, unpacked, of the right type. Must never hold more than the bound allows.

aiohttp's parser unpacks gzip as the bytes arrive, so the bound here is on the inflated size, chunk by chunk: a packed
bomb costs no more than one chunk beyond it. That parser does not miss a gzip trailer that was cut off; a cut in the
data itself shows as broken JSON.
"""

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web import RequestPayloadError

from lab.refcloud.errors import Refusal

_GZIP = "gzip"


async def read_body(request: web.Request, *, content_type: str, bytes_max: int, is_gzip_accepted: bool) -> bytes:
    """Return the inflated body.

    Raises:
        Refusal: 415 for another content type or packing, 413 beyond `bytes_max`, 400 for a body that does not inflate.
    """
    if request.content_type != content_type:
        raise Refusal(415, f"the body must be {content_type}")
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding != "identity" and not (encoding == _GZIP and is_gzip_accepted):
        accepted = "gzip, identity" if is_gzip_accepted else "identity"
        # RFC 9110, 15.5.16: Accept-Encoding tells the client what it may use instead.
        raise Refusal(415, f"the body may be packed with: {accepted}", headers={hdrs.ACCEPT_ENCODING: accepted})
    body = bytearray()
    try:
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > bytes_max:
                raise Refusal(413, f"the body may have {bytes_max} bytes, inflated")
    except (BadHttpMessage, RequestPayloadError):
        # What follows on this connection is noise. The end is fed so that aiohttp does not read on into its own error.
        request.content.feed_eof()
        raise Refusal(400, "the body cannot be unpacked", headers={hdrs.CONNECTION: "close"}) from None
    return bytes(body)
