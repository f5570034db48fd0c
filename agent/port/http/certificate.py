"""The certificate of the TLS listeners: the operator's, or one that the hub makes, keeps and renews before it ends.

Owns `certificate.json`, which holds the private key. Must never let the key leave the hub, nor write it anywhere else.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.config.port_tables import PortConfig
from agent.errors import ConfigInvalid
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker
from agent.port.http.certificate_maker import (
    BACKDATED_DAYS,
    DAY_MS,
    VALIDITY_DAYS,
    CertificateRecord,
    make_apart,
)

_log = logging.getLogger(__name__)

FILE_NAME = "certificate.json"
FILE_BYTES_MAX = 32 * 1024
"""A certificate with twenty names and its key take 2 KiB."""

RENEWAL_DAYS = 30
"""How long before its end a certificate is renewed."""

LOOK_S = 3600.0
"""How often the hub's certificate is looked at for its end, and the operator's files for a change."""


def is_due(record: CertificateRecord, utc_ms: int | None) -> bool:
    """Tell whether a certificate has to be made. Without the time, one that is there stays.

    With the time, one that was made without it, or in the future, is due too: browsers refuse it.
    """
    if not record.certificate:
        return True
    if utc_ms is None:
        return False
    left_ms = record.ends_ms - utc_ms
    return left_ms <= RENEWAL_DAYS * DAY_MS or left_ms > (VALIDITY_DAYS + BACKDATED_DAYS) * DAY_MS


def fingerprint(certificate: str) -> str:
    """Return the SHA-256 of the first certificate of a PEM text, as browsers show it; empty where there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    body = certificate.partition(begin)[2].partition(end)[0]
    if not body:
        return ""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(f"{begin}{body}{end}\n")).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


class Certificate:
    """The certificate in force, and the TLS context that uses it. The loop is `run`.

    Attributes:
        fingerprint: SHA-256 of the certificate, as browsers show it; empty while there is none.
    """

    def __init__(
        self,
        config: PortConfig,
        state_dir: Path,
        *,
        names: Callable[[], Sequence[str]],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is read or made.

        Args:
            config: Names the operator's certificate, if there is one.
            state_dir: Where the one that the hub has made is kept.
            names: Returns the names and addresses that a certificate made here is for.
            clock: Tells when it ends.
            disk: Keeps it.
            worker: Where reading and making it block.
            add_fault: Shows a problem.
        """
        self._operator_files = (config.certificate_file, config.key_file) if config.certificate_file else None
        self._names = names
        self._clock = clock
        self._worker = worker
        self._add_fault = add_fault
        self._store = JsonStore(
            state_dir / FILE_NAME,
            CertificateRecord(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the hub makes another certificate, so its fingerprint is new",
            is_secret=True,
        )
        self._context: ssl.SSLContext | None = None
        self._used: object = None
        self._lock = asyncio.Lock()
        self._looks = asyncio.Event()
        self.fingerprint = ""

    @property
    def is_operators(self) -> bool:
        """Whether the certificate is the operator's."""
        return self._operator_files is not None

    @property
    def ends_ms(self) -> int | None:
        """UTC of the end of the certificate that the hub has made; `None` where there is none."""
        return self._store.value.ends_ms or None

    async def context(self) -> ssl.SSLContext:
        """Return the context of all TLS listeners; its certificate is replaced in place when it is renewed.

        Raises:
            ConfigInvalid: The operator's files cannot be used, or the hub's names.
        """
        async with self._lock:
            await self._refresh()
            if self._context is None:
                raise ConfigInvalid("the certificate cannot be used")
            return self._context

    async def renew(self) -> None:
        """Make another certificate at once, and use it.

        Raises:
            ConfigInvalid: The certificate is the operator's, or the hub's names cannot be used.
        """
        if self.is_operators:
            raise ConfigInvalid("replace port.certificate_file and port.key_file: the certificate is the operator's")
        async with self._lock:
            if self._context is None:
                await self._store.load_patiently()
            await self._make()
            if self._context is not None:
                self._use_record(self._store.value)

    def look_now(self) -> None:
        """Have the operator's files looked at soon."""
        self._looks.set()

    async def run(self) -> None:
        """Renew the certificate before it ends, and read the operator's again when its files change."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._looks.wait()
            self._looks.clear()
            if self._context is not None:
                try:
                    await self.context()
                except ConfigInvalid as error:
                    # The one that was read before stays in force.
                    self._add_fault(str(error))

    async def _refresh(self) -> None:
        if self._operator_files is not None:
            certificate, key = self._operator_files
            await self._worker.run(lambda: self._use_files(certificate, key))
            return
        if self._context is None:
            await self._store.load_patiently()
        if is_due(self._store.value, self._clock.utc_ms()):
            await self._make()
        if self._store.value is not self._used:
            try:
                self._use_record(self._store.value)
            except ssl.SSLError as error:
                self._add_fault(f"the hub makes another certificate: the one it has cannot be used ({error.reason})")
                await self._make()
                self._use_record(self._store.value)

    async def _make(self) -> None:
        utc_ms = self._clock.utc_ms()
        try:
            made = await self._worker.run(lambda: make_apart(self._names(), utc_ms))
        except ValueError as error:
            text = "set the machine's name (hostnamectl) to letters, digits and dashes: no certificate can be made"
            raise ConfigInvalid(f"{text} ({error})") from error
        _log.info("the port has a new certificate, with the fingerprint %s", fingerprint(made.certificate))
        await self._store.apply(lambda _: made)
        if self._store.save_problem:
            self._add_fault(f"the certificate is not kept over a restart: {self._store.save_problem}")

    def _use_files(self, certificate: Path | None, key: Path | None) -> None:
        """Use the operator's certificate, if its files have changed. Blocks.

        Raises:
            ConfigInvalid: They cannot be used.
        """
        if certificate is None or key is None:
            raise ConfigInvalid("set port.certificate_file and port.key_file together")
        try:
            state = [(path.stat().st_mtime_ns, path.stat().st_size) for path in (certificate, key)]
            if state == self._used:
                return
            self._load(certificate, key)
            self.fingerprint = fingerprint(certificate.read_text("ascii", "replace"))
        except ssl.SSLError as error:
            text = f"{certificate} and {key}: use a certificate and its own key, both as PEM ({error.reason})"
            raise ConfigInvalid(text) from error
        except OSError as error:
            raise ConfigInvalid(f"let the agent read {error.filename or certificate} ({error.strerror})") from error
        self._used = state

    def _use_record(self, record: CertificateRecord) -> None:
        """Use a certificate that the hub has made.

        Raises:
            ssl.SSLError: It is damaged.
        """
        # OpenSSL takes a path: this one is memory, and never reaches a disk.
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, f"{record.certificate}{record.key}".encode())
            path = Path(f"/proc/self/fd/{descriptor}")
            self._load(path, path)
        finally:
            os.close(descriptor)
        self.fingerprint = fingerprint(record.certificate)
        self._used = record

    def _load(self, certificate: Path, key: Path) -> None:
        """Load a certificate into the context, which keeps its old one if that fails.

        Raises:
            ssl.SSLError: The two do not fit.
            OSError: They cannot be read.
        """
        # Tried apart: a context that has failed half way must not be the one in use.
        fresh = _new_context()
        fresh.load_cert_chain(certificate, key, password=_no_password)
        if self._context is None:
            self._context = fresh
        else:
            self._context.load_cert_chain(certificate, key, password=_no_password)


def _no_password() -> str:
    """Give no password: without this, OpenSSL asks a terminal for that of an encrypted key."""
    return ""


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context
