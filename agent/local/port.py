"""The port's document of the local API: where it listens, and how its certificate is recognised.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable, Mapping

import msgspec

from agent.local.routes import Handler, LocalRequest


class PortReport(msgspec.Struct, frozen=True):
    """The TCP listeners.

    Attributes:
        addresses: Where the port listens: "https://192.168.1.7:8480".
        problems: Why it does not listen elsewhere, with remedies.
        fingerprint: SHA-256 of the certificate as browsers show it; empty without TLS.
        is_own_certificate: The certificate is the operator's.
        certificate_ends: UTC of the end of a certificate that the hub has made.
    """

    addresses: list[str]
    problems: list[str]
    fingerprint: str = ""
    is_own_certificate: bool = False
    certificate_ends: str | None = None


def handlers(report: Callable[[], PortReport]) -> Mapping[str, Handler]:
    """Return the handler of the document."""

    async def get_port(_: LocalRequest) -> PortReport:
        return report()

    return {"get_port": get_port}
