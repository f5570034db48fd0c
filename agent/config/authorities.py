"""Whom the hub believes that a server is who it says: the system's certificate authorities, and further ones."""

import ssl
from typing import Literal

from agent.errors import ConfigInvalid


def verifying_context(ca_file: str | None) -> ssl.SSLContext | Literal[True]:
    """Return what verifies servers; `True` is the context that aiohttp has made already: 150 authorities, read once.

    Raises:
        ConfigInvalid: The file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigInvalid(f"cloud.ca_file: {ca_file} gives no certificate in PEM form ({said})") from error
    return context


_STRICT_CODES = range(80, 95)
"""X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS (openssl/x509_vfy.h): what OpenSSL checks
under X509_V_FLAG_X509_STRICT only, which Python sets from 3.13 on."""


def is_strict_refusal(error: Exception) -> bool:
    """Tell whether a certificate was refused for its form alone, which an older Python accepts."""
    cause = getattr(error, "certificate_error", error)
    return getattr(cause, "verify_code", 0) in _STRICT_CODES
