"""The port's document of the local API: where it listens, how its certificate is recognised, its address as a QR code.

The JSON form is an interface: fields may be added, never renamed.
"""

import asyncio
import io
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from agent.config.network import is_loopback
from agent.local.routes import Answer, Handler, LocalRequest, RequestRefused

QR_SCALE = 8
"""Pixels of a module: a picture that a page shows smaller, and a scanner reads."""


class PortReport(msgspec.Struct, frozen=True):
    """The TCP listeners.

    Attributes:
        addresses: Where the port listens: "https://192.168.1.7:8480".
        problems: Why it does not listen elsewhere, with remedies.
        fingerprint: SHA-256 of the certificate as browsers show it; empty without TLS.
        is_own_certificate: The certificate is the operator's.
        certificate_ends: UTC of the end of a certificate that the hub has made.
        name: The hub's in its network.
        sheet_address: What people open in the house, and what the QR code says: the first address that is not of this
            machine alone; empty without one.
        sheet_addresses: Those that the sheet lists; see `sheet_addresses`.
    """

    addresses: list[str]
    problems: list[str]
    fingerprint: str = ""
    is_own_certificate: bool = False
    certificate_ends: str | None = None
    name: str = ""
    sheet_address: str = ""
    sheet_addresses: list[str] = []


def sheet_address(addresses: Sequence[str]) -> str:
    """Return the first address that other machines can open; empty without one."""
    return next(iter(_open_to_others(addresses)), "")


def sheet_addresses(addresses: Sequence[str]) -> list[str]:
    """Return those that other machines can open; all where there is none."""
    return _open_to_others(addresses) or [*addresses]


def _open_to_others(addresses: Sequence[str]) -> list[str]:
    return [each for each in addresses if not is_loopback(urlsplit(each).hostname or "")]


def qr_svg(text: str) -> bytes:
    """Return a text as a QR code, a picture in SVG: dark on light, with its quiet zone."""
    import segno  # noqa: PLC0415 - for who asks for the picture only

    picture = io.BytesIO()
    segno.make_qr(text, error="m").save(picture, kind="svg", scale=QR_SCALE, light="white", xmldecl=False)
    return picture.getvalue()


def handlers(report: Callable[[], PortReport]) -> Mapping[str, Handler]:
    """Return the handlers of the document and of the picture."""

    async def get_port(_: LocalRequest) -> PortReport:
        return report()

    async def get_port_qr(_: LocalRequest) -> Annotated[Answer, "image/svg+xml"]:
        address = report().sheet_address
        if not address:
            text = "add an interface to port.listen: this page can be opened on this machine only"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        return Answer(await asyncio.to_thread(qr_svg, address), content_type="image/svg+xml")

    return {"get_port": get_port, "get_port_qr": get_port_qr}
