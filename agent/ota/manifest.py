"""The manifest of a bundle, the cloud's offer of one, and the decision whether this hub may install it.

Pure: no clock, no I/O, no cryptography. All properties that decide are in one signed manifest, so that parts of two
releases cannot be mixed. An offer is refused with a reason where its checksum cannot be compared or no bundle can have
its version: a promise of the cloud must never be ignored.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from agent.cloud.contract import UpdateCheckResponse
from agent.errors import BundleUntrusted, Rejected
from agent.foundation.lenient_json import DECODE_ERRORS

FORMAT = 1
PRODUCT = "climahub"
CHUNK_BYTES = 1024 * 1024
"""The payload that one digest covers, and the most that is held in memory unverified."""
DIGEST_BYTES = 32
PAYLOAD_BYTES_MAX = 4 * 1024**3
"""Larger than any system image for a hub's card; its digests (128 KiB) fit the header."""
UNPACKED_BYTES_MAX = 1024**3
FILES_MAX = 20_000
VERSION_CHARS_MAX = 64
MODELS_MAX = 64

DIGEST_DIGITS = 16
"""Of `HubFacts.digest`."""

_VERSION = r"\A[0-9A-Za-z][0-9A-Za-z.+_~-]*\Z"
_NAME = r"\A[0-9A-Za-z][0-9A-Za-z.,_-]*\Z"
_TAG = r"\A[0-9A-Za-z.,_-]*\Z"

SHOWN_CHARS_MAX = 80
"""Of a foreign value in a message."""

_CHECKSUM_ALGORITHM = re.compile(r"sha-?256\s*[:=-]\s*:?", re.IGNORECASE)
"""In front of the digest: the contract's `sha256:`, RFC 9530's `sha-256=:`, the `sha256-` of Subresource Integrity."""
_CHECKSUM_HEX = re.compile(r"(?:0x)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_CHECKSUM_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?:?", re.ASCII)
"""32 bytes: 43 characters, whose padding may be left out. No hexadecimal digest has that length."""

Version = Annotated[str, msgspec.Meta(max_length=VERSION_CHARS_MAX, pattern=_VERSION)]
Name = Annotated[str, msgspec.Meta(max_length=VERSION_CHARS_MAX, pattern=_NAME)]
Tag = Annotated[str, msgspec.Meta(max_length=VERSION_CHARS_MAX, pattern=_TAG)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

_VERSION_SPELLINGS = re.compile(
    r"v?(?:(?P<epoch>\d{1,9})!)?(?P<release>\d{1,18}(?:\.\d{1,18})*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d{0,18}))?"
    r"(?:-(?P<implicit_post>\d{1,18})|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d{0,18}))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d{0,18}))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.ASCII,
)
"""The spellings that the version specifiers of Python packages admit (PyPA, "Version specifiers", appendix B)."""

_PRE_NAMES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


class PayloadType(StrEnum):
    """The kind of payload."""

    APP = "app"
    """A tar, compressed with xz: the tree of the agent and its dependencies."""
    RAUC = "rauc"
    """A RAUC bundle: a system image."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed part of a bundle.

    Attributes:
        format: `FORMAT`; another one is not read.
        product: `PRODUCT`, so that a key for several products is not enough.
        payload_type: App or system image.
        version: For people and for the cloud.
        sequence: Higher with each release; prevents downgrades.
        models: The hardware models that it fits.
        payload_bytes: Size of the payload in the bundle.
        chunk_bytes: `CHUNK_BYTES`.
        chunks: SHA-256 of each chunk, one after the other; the last chunk may be shorter.
        machine: As `uname -m` prints it; empty for any.
        python: Tag of the interpreter, such as "cpython-311"; empty for any.
        launcher_min: The oldest launcher that can start it.
        unpacked_bytes: Size of the files of an app.
        files: Number of files of an app.
        expires_utc_ms: Not installed from then on; `None` for never.
    """

    format: int
    product: str
    payload_type: PayloadType
    version: Version
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    models: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MODELS_MAX)]
    payload_bytes: Annotated[int, msgspec.Meta(ge=1, le=PAYLOAD_BYTES_MAX)]
    chunk_bytes: int
    chunks: bytes
    machine: Tag = ""
    python: Tag = ""
    launcher_min: Count = 1
    unpacked_bytes: Annotated[int, msgspec.Meta(ge=0, le=UNPACKED_BYTES_MAX)] = 0
    files: Annotated[int, msgspec.Meta(ge=0, le=FILES_MAX)] = 0
    expires_utc_ms: Count | None = None

    @property
    def installed_bytes(self) -> int:
        """Size on this file system besides the bundle: the files of an app; for RAUC, a copy of the system image."""
        return self.payload_bytes if self.payload_type is PayloadType.RAUC else self.unpacked_bytes

    def chunk_digest(self, number: int) -> bytes:
        """Return the SHA-256 of chunk ``number``, counted from 0."""
        return self.chunks[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]


class HubFacts(msgspec.Struct, frozen=True):
    """The properties of this hub that a manifest is compared with.

    Attributes:
        model: This hub's hardware model.
        machine: As `uname -m` prints it.
        python: Tag of the interpreter that a release will run on.
        launcher: Version of the launcher; 0 where there is none.
        floor: Sequence number of the newest release that was confirmed here.
        utc_ms: The time; `None` while it is unknown.
        failed_version: The release that failed its trial last; empty where none did.
        failed_sequence: Its sequence number.
        payload_types: The payload types that this hub can install.
        may_repeat_floor: The release at the floor may be installed again: its slot is damaged, and it does not run.
    """

    model: str
    machine: str
    python: str
    launcher: int
    floor: int
    utc_ms: int | None
    failed_version: str = ""
    failed_sequence: int = 0
    payload_types: tuple[PayloadType, ...] = (PayloadType.APP,)
    may_repeat_floor: bool = False

    def digest(self, *more: object) -> str:
        """Return a short text that changes with the properties that a refusal depends on.

        Args:
            more: Further values that it depends on.
        """
        values = (
            self.model,
            self.machine,
            self.python,
            self.launcher,
            *self.payload_types,
            self.may_repeat_floor,
            *more,
        )
        return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:DIGEST_DIGITS]


class Offer(msgspec.Struct, frozen=True):
    """The cloud's offer of a release (contract section 6.1).

    Attributes:
        version: Of the release.
        sha256: Of the whole file, header included, in lower case; empty where it is unknown.
        size_bytes: Of the whole file; 0 where it is unknown.
    """

    version: str
    sha256: str = ""
    size_bytes: int = 0


def decode_values(values: object) -> Manifest:
    """Return the manifest in decoded values.

    Raises:
        BundleUntrusted: This agent cannot read them.
    """
    try:
        manifest = msgspec.convert(values, Manifest)
    except DECODE_ERRORS as error:
        raise BundleUntrusted(
            f"the bundle's manifest has an invalid value ({error}); build the bundle again"
        ) from error
    if manifest.format != FORMAT or manifest.product != PRODUCT:
        raise BundleUntrusted(
            f"the bundle is for {manifest.product!r}, format {manifest.format}; this hub takes {PRODUCT}, {FORMAT}"
        )
    count = -(-manifest.payload_bytes // CHUNK_BYTES)
    if manifest.chunk_bytes != CHUNK_BYTES or len(manifest.chunks) != count * DIGEST_BYTES:
        raise BundleUntrusted("the bundle's list of digests does not fit its size; build the bundle again")
    if manifest.payload_type is PayloadType.APP and not (manifest.files and manifest.unpacked_bytes):
        raise BundleUntrusted("the bundle is an app without any file; build the bundle again")
    return manifest


def encode_values(manifest: Manifest) -> Mapping[str, Any]:
    """Return the plain values of a manifest, for the encoder."""
    values: Mapping[str, Any] = msgspec.to_builtins(manifest, builtin_types=(bytes,))
    return values


def check_compatible(manifest: Manifest, facts: HubFacts, *, offer: Offer | None, header_bytes: int) -> None:
    """Check that this hub may install a bundle; return nothing.

    Args:
        manifest: Its signature is verified.
        facts: Of this hub.
        offer: The cloud's; `None` for a bundle that a technician brought.
        header_bytes: Size of everything in front of the payload.

    Raises:
        BundleUntrusted: It may not; with the reason.
    """
    what = f"bundle {manifest.version} (sequence {manifest.sequence})"
    if offer is not None and not is_same_version(manifest.version, offer.version):
        raise BundleUntrusted(f"{what} was sent instead of version {offer.version}; publish the right file")
    if offer is not None and offer.size_bytes and header_bytes + manifest.payload_bytes != offer.size_bytes:
        raise BundleUntrusted(
            f"{what} has {header_bytes + manifest.payload_bytes} bytes, not the offered {offer.size_bytes}"
        )
    if manifest.payload_type is PayloadType.RAUC and PayloadType.RAUC not in facts.payload_types:
        raise BundleUntrusted(
            f"{what} is a system image, and this machine has no RAUC that could install it; set it up"
            " (docs/updates.md), or publish the release as an app"
        )
    if manifest.payload_type not in facts.payload_types:
        raise BundleUntrusted(f"{what} is of type {manifest.payload_type}, which this hub is not set up for")
    if facts.model not in manifest.models:
        raise BundleUntrusted(f"{what} is for {', '.join(manifest.models)}; this hub is a {facts.model} (ota.model)")
    if manifest.machine not in {"", facts.machine} or manifest.python not in {"", facts.python}:
        raise BundleUntrusted(
            f"{what} needs {manifest.machine or 'any machine'} and {manifest.python or 'any Python'};"
            f" this hub has {facts.machine} and {facts.python}"
        )
    if manifest.launcher_min > facts.launcher:
        raise BundleUntrusted(
            f"{what} needs launcher {manifest.launcher_min}, and this hub has {facts.launcher or 'none'};"
            " install the package first (docs/updates.md)"
        )
    _admit_age(what, manifest, facts)


def _admit_age(what: str, manifest: Manifest, facts: HubFacts) -> None:
    if manifest.sequence < facts.floor or (manifest.sequence == facts.floor and not facts.may_repeat_floor):
        raise BundleUntrusted(
            f"{what} is not newer than sequence {facts.floor}, which is confirmed here; release it with a higher one"
        )
    if facts.failed_version == manifest.version and manifest.sequence <= facts.failed_sequence:
        raise BundleUntrusted(f"{what} failed on this hub before; release it again with a higher sequence")
    if manifest.expires_utc_ms is not None and facts.utc_ms is not None and manifest.expires_utc_ms <= facts.utc_ms:
        raise BundleUntrusted(f"{what} has expired; ask for a newer one, or check the hub's clock")


def parse_offer(answer: UpdateCheckResponse) -> Offer | None:
    """Return the offer in the cloud's answer to a check; `None` where it has none.

    A checksum is accepted in each usual spelling.

    Raises:
        Rejected: The offer cannot be downloaded or compared.
    """
    if not answer.update_available or not answer.version:
        return None
    try:
        version = msgspec.convert(answer.version, Version)
    except DECODE_ERRORS as error:
        shown = _shown(answer.version)
        raise Rejected(
            f"publish the release under another version: the cloud offers {shown}, which no bundle can have"
        ) from error
    size = answer.size_bytes or 0
    if not 0 <= size <= 2 * PAYLOAD_BYTES_MAX:
        raise Rejected(f"publish release {version} again: the cloud offers it with a size of {_shown(str(size))} bytes")
    return Offer(version, _sha256_of(version, answer.checksum or ""), size)


def _sha256_of(version: str, checksum: str) -> str:
    """Return the digest in lower-case hexadecimal; empty where there is none."""
    text = checksum.strip()
    if not text:
        return ""
    algorithm = _CHECKSUM_ALGORITHM.match(text)
    digest = text[algorithm.end() :].strip() if algorithm else text
    if found := _CHECKSUM_HEX.fullmatch(digest):
        return found[1].lower()
    if _CHECKSUM_BASE64.fullmatch(digest):
        decoded = base64.urlsafe_b64decode(digest[:43].replace("+", "-").replace("/", "_") + "=")
        if len(decoded) == DIGEST_BYTES:
            return decoded.hex()
    raise Rejected(
        f"publish release {version} with sha256: and 64 hexadecimal digits: the cloud offers it with the checksum"
        f" {_shown(checksum)}, which is no SHA-256"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…")


def is_same_version(first: str, second: str) -> bool:
    """Tell whether two texts name the same version."""
    return first == second or _canonical(first) == _canonical(second)


def _canonical(text: str) -> tuple[object, ...]:
    """Return what all spellings of one version have in common."""
    text = text.strip().lower()
    match = _VERSION_SPELLINGS.fullmatch(text)
    if match is None:
        return (text.removeprefix("v") if text[1:2].isdigit() else text,)
    release = [int(each) for each in match["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    pre = match["pre"] and (_PRE_NAMES.get(match["pre"], match["pre"]), int(match["pre_number"] or 0))
    post = match["implicit_post"] or (match["post_number"] or "0" if match["post"] else None)
    dev = match["dev"] and int(match["dev_number"] or 0)
    local = match["local"] and re.split(r"[-_.]", match["local"])
    return (int(match["epoch"] or 0), tuple(release), pre, post and int(post), dev, local and tuple(local))
