"""The keys that sign this hub's tokens: made on the hub, kept, and rotated before anybody can wear one out.

Owns `aurra-home-keys.json`, readable by the service's user alone. A private key never leaves the hub. Where the file is
lost, a new key is made: clients get 401 and ask for another token, as after an hour in any case.
"""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.secret_hash import RandomBytes
from agent.foundation.worker import Worker

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

FILE_NAME = "aurra-home-keys.json"
FILE_BYTES_MAX = 32 * 1024
"""Two keys take 4 KiB."""

KEY_BITS = 2048
KEYS_MAX = 2
"""The key in use and the one before it, whose tokens still last."""
DAY_MS = 86_400_000
ROTATION_DAYS = 90
LOOK_S = 3600.0
"""How often the key's age is looked at: a token lasts as long, so at a rotation no token outlives two keys."""

LOADING_S_MAX = 20.0
"""How long a request waits for the first key, which takes seconds on a small board; most clients wait 30 s."""

_ID_BYTES = 16


class SigningKey(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        kid: Its name in tokens: from the SHA-256 of its public part.
        private: As PEM. A secret.
        made_utc_ms: When it was made; `None` where the time was not known.
    """

    kid: str
    private: str
    made_utc_ms: int | None = None

    def __repr__(self) -> str:
        """Return everything but the key."""
        return f"SigningKey({self.kid!r})"


class KeySet(msgspec.Struct, frozen=True):
    """The content of the file.

    Attributes:
        hub_id: Names this hub in tokens; random, and made once.
        keys: The one in use first.
    """

    hub_id: str = ""
    keys: tuple[SigningKey, ...] = ()


def is_due(keys: Sequence[SigningKey], utc_ms: int | None) -> bool:
    """Tell whether another key has to be made. Without the time, one that is there stays."""
    if not keys:
        return True
    if utc_ms is None:
        return False
    made_ms = keys[0].made_utc_ms
    return made_ms is None or not 0 <= utc_ms - made_ms < ROTATION_DAYS * DAY_MS


def make_key(utc_ms: int | None) -> SigningKey:
    """Make a key. Blocks for 0.1 s, on a small board for seconds."""
    # Imported late, as everything of cryptography: hubs without this API do without.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return SigningKey(hashlib.sha256(public).hexdigest()[:16], pem.decode(), utc_ms)


def load_key(key: SigningKey) -> "RSAPrivateKey":
    """Return the key itself.

    Raises:
        ValueError: It is damaged.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415

    loaded = serialization.load_pem_private_key(key.private.encode(), None)
    if not isinstance(loaded, RSAPrivateKey):
        raise ValueError("another kind of key")  # noqa: TRY004 - the content of a file
    return loaded


def describe(kid: str, key: "RSAPublicKey") -> dict[str, Any]:
    """Return a public key as a JSON Web Key (RFC 7517)."""
    numbers = key.public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": _number(numbers.n), "e": _number(numbers.e)}


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKeys:
    """The keys in force. Their loop is `run`.

    They are loaded, and the first is made, when somebody asks for a token: the library takes 8 MiB, and a hub that
    nobody asks does without.

    Attributes:
        public: By `kid`.
    """

    def __init__(self, state_dir: Path, *, clock: Clock, disk: Disk, worker: Worker, random_bytes: RandomBytes) -> None:
        """Prepare; there is no key before `load`."""
        self._store = JsonStore(
            state_dir / FILE_NAME,
            KeySet(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the hub makes another key: clients of AURRA Home ask for new tokens",
            is_secret=True,
        )
        self._clock = clock
        self._worker = worker
        self._random_bytes = random_bytes
        self._private: RSAPrivateKey | None = None
        self._wanted, self._loaded = asyncio.Event(), asyncio.Event()
        self.public: Mapping[str, RSAPublicKey] = {}

    @property
    def hub_id(self) -> str:
        """Names this hub in tokens."""
        return self._store.value.hub_id

    @property
    def current(self) -> "tuple[str, RSAPrivateKey]":
        """The key in use and its name.

        Raises:
            ValueError: `load` has not returned true yet: a defect.
        """
        if self._private is None:
            raise ValueError("there is no key yet")
        return self._store.value.keys[0].kid, self._private

    async def load(self) -> bool:
        """Have the keys loaded at the first call; return whether they are there, after some seconds at most."""
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOADING_S_MAX):
                await self._loaded.wait()
        return self._loaded.is_set()

    async def run(self) -> None:
        """Once somebody wants the keys, read them, and make another whenever one is due."""
        await self._wanted.wait()
        await self._store.load_patiently()
        while True:
            await self._refresh()
            self._loaded.set()
            await asyncio.sleep(LOOK_S)

    async def _refresh(self) -> None:
        """Make a key if one is due, and use what is there. Off the loop: making one takes seconds on a small board."""
        usable = await self._worker.run(lambda: _usable(self._store.value.keys))
        utc_ms = self._clock.utc_ms()
        if is_due([key for key, _ in usable], utc_ms):
            made, loaded = await self._worker.run(lambda: _make(utc_ms))
            usable = [(made, loaded), *usable][:KEYS_MAX]
        hub_id = self.hub_id or self._random_bytes(_ID_BYTES).hex()
        # Where the disk refuses, the new key is used until a restart.
        await self._store.apply(lambda _: KeySet(hub_id, tuple(key for key, _ in usable)))
        self.public = {key.kid: loaded.public_key() for key, loaded in usable}
        self._private = usable[0][1]


def _make(utc_ms: int | None) -> "tuple[SigningKey, RSAPrivateKey]":
    made = make_key(utc_ms)
    return made, load_key(made)


def _usable(keys: Sequence[SigningKey]) -> "list[tuple[SigningKey, RSAPrivateKey]]":
    found = []
    for key in keys:
        try:
            found.append((key, load_key(key)))
        except ValueError:
            # A damaged key is as good as none: its tokens are refused, and another is made.
            continue
    return found
