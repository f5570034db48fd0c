"""Removes secrets from texts that may leave the hub, wherever they hide: log lines, names, messages. Pure.

The last of three walls: `bundle_fields` decides which fields leave at all, `log.redact` removes what is marked as a
secret. Here goes what is known to be one, and what looks like one: long hexadecimal and random words, codes, PEM.
Shapes that are no secret and that support needs are kept: IEEE addresses and UUIDs.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from agent.foundation.log import redact
from agent.foundation.text import sanitize

REDACTED = "[redacted]"

SECRET_CHARACTERS_MIN = 6
"""A shorter secret would blacken ordinary words, and protects nothing."""

BLOCK_CHARACTERS = 8 * 1024
"""Of a long text at once: a search holds the interpreter, and control must not wait for it. 2 ms on x86."""

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\Z)")
"""Keys and certificates; one whose end is missing goes to the end of the text."""

_ANNOUNCED = re.compile(r"((?:password|passwd|token|secret|api_?key)=)[^\s\"',;&]+", re.IGNORECASE)

_PAIRS = re.compile(r"(?<![0-9A-Fa-f])(?:(?:0x)?[0-9A-Fa-f]{2}[ :,\-]{1,2}){9,}(?:0x)?[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
"""A key in pairs of digits. Addresses have six or eight."""

_GROUPS = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Za-z]{4}[ :\-]){3,}[0-9A-Za-z]{4}(?![0-9A-Fa-f])")
_WORDS = re.compile(r"[0-9A-Za-z+/=_\-]{16,}")
"""Where a secret of a known form could be: quick to find, and only this is looked at closely. One after the other: four
short words before a secret must not hide its beginning."""

_SHAPES = (
    # IEEE addresses and UUIDs.
    r"(?P<kept>\b0x[0-9a-fA-F]{16}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)",
    # Sign-in codes, as shown and as typed (agent.port.sign_in.codes).
    r"\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}\b",
    r"\b(?=[0-9A-Za-z-]{0,18}[0-9])[0-9A-Za-z]{4}(?:-[0-9A-Za-z]{4}){3}\b",
    r"\b(?=[0-9A-Z ]{0,18}[0-9])[0-9A-Z]{4}(?: [0-9A-Z]{4}){3}\b",
    r"\b[0-9A-Z]{16}\b",
    # API tokens (agent.port.sign_in.tokens).
    r"\bclimahub_[0-9A-Za-z]{16,}",
    # Keys and install codes of Zigbee, in one word or in groups of four digits.
    r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{4}[ :\-]){3,}[0-9A-Fa-f]{4}(?![0-9A-Fa-f])",
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{16,}(?![0-9A-Za-z])",
)
_FORMS = re.compile("|".join(_SHAPES))
_RANDOM = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z+/=_-]{20,}(?![0-9A-Za-z])")
_TURNS = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
RANDOM_TURNS_MIN = 5
"""How often letters and digits take turns in a word that counts as random; names of files and metrics have fewer."""


class Scrubber:
    """Knows the secrets of one hub."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Prepare.

        Args:
            secrets: Known ones. They are found in any case (a sentence begins with a capital), in base64, and quoted
                for a URL.
        """
        words = {form.lower() for each in secrets if len(each) >= SECRET_CHARACTERS_MIN for form in _variants(each)}
        self._known = sorted(words, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return a text of any length without secrets; its lines stay."""
        return "".join(map(self._block, _blocks(_PEM.sub(REDACTED, text))))

    def _block(self, text: str) -> str:
        lower = text.lower()
        for word in self._known:
            if word in lower:
                text = re.sub(re.escape(word), REDACTED, text, flags=re.IGNORECASE)
        text = _ANNOUNCED.sub(rf"\g<1>{REDACTED}", _PAIRS.sub(REDACTED, redact(text)))
        return _WORDS.sub(_without_forms, _GROUPS.sub(_without_forms, text))

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Return a value for JSON with all its texts without secrets, names included."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(name)): self.value(item) for name, item in value.items()}
            case Sequence():
                return [self.value(item) for item in value]
            case _:
                return value

    def file_name(self, name: str) -> str:
        """Return a file's name, printable and without secrets."""
        return self.text(sanitize(name))


def _blocks(text: str) -> Iterator[str]:
    """Yield a text in pieces that end with a line."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + BLOCK_CHARACTERS) + 1 or len(text)
        yield text[start:end]
        start = end


def _without_forms(candidate: re.Match[str]) -> str:
    text = _FORMS.sub(lambda found: found[0] if found["kept"] else REDACTED, candidate[0])
    return _RANDOM.sub(_unless_random, text)


def _unless_random(found: re.Match[str]) -> str:
    word = found[0]
    form = _FORMS.fullmatch(word)
    is_kept = form is not None and bool(form["kept"])
    return word if is_kept or len(_TURNS.findall(word)) < RANDOM_TURNS_MIN else REDACTED


def _variants(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("=")}


def secrets_in(document: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """Return every text that stands under a name that holds "key", "code", "secret", "password" or "token".

    For the hub's own secret files (the Zigbee network, the certificate): what is there must not leave by any way.
    """
    found: set[str] = set()
    _collect(document, found, is_secret=False)
    return found


_SECRET_NAME = re.compile("key|code|secret|password|token|salt|digest", re.IGNORECASE)


def _collect(document: Any, found: set[str], *, is_secret: bool) -> None:  # noqa: ANN401 - any JSON
    match document:
        case str() if is_secret:
            found.add(document)
        case Mapping():
            for name, item in document.items():
                _collect(item, found, is_secret=is_secret or bool(_SECRET_NAME.search(str(name))))
        case list() | tuple():
            for item in document:
                _collect(item, found, is_secret=is_secret)
