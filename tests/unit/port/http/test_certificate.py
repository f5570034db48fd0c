"""The certificate of the port: made once, kept, renewed before it ends, or the operator's own."""

import asyncio
import contextlib
import ssl
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from agent.config.port_tables import PortConfig
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.port.http import certificate
from agent.port.http.certificate import FILE_NAME, RENEWAL_DAYS, Certificate, fingerprint, is_due
from agent.port.http.certificate_maker import (
    DAY_MS,
    VALIDITY_DAYS,
    CertificateRecord,
    make_certificate,
    validity,
)

NOW_MS = 1_800_000_000_000
NAMES = ("cellar", "cellar.local", "192.168.1.7", "::1")


class Clock:
    boot_id = "boot"

    def __init__(self, utc_ms: int | None = NOW_MS) -> None:
        self.at_ms = utc_ms

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return self.at_ms


Make = Callable[..., Certificate]


@pytest.fixture
def faults() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, faults: list[str]) -> Make:
    def made(
        config: PortConfig | None = None,
        clock: Clock | None = None,
        disk: Disk | None = None,
        names: Sequence[str] = NAMES,
    ) -> Certificate:
        return Certificate(
            config or PortConfig(),
            tmp_path,
            names=lambda: names,
            clock=clock or Clock(),
            disk=disk or Disk(),
            worker=InlineWorker(),
            add_fault=faults.append,
        )

    return made


def own_files(directory: Path, name: str = "own", *, key_of: CertificateRecord | None = None) -> PortConfig:
    record = make_certificate((name,), NOW_MS)
    (directory / "own.pem").write_text(record.certificate)
    (directory / "own.key").write_text((key_of or record).key)
    return PortConfig(certificate_file=directory / "own.pem", key_file=directory / "own.key")


def served(context: ssl.SSLContext) -> bytes:
    """Return the certificate that a client of this context is shown."""
    server_in, server_out, client_in, client_out = (ssl.MemoryBIO() for _ in range(4))
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    server = context.wrap_bio(server_in, server_out, server_side=True)
    client = trusting.wrap_bio(client_in, client_out)
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            server_in.write(client_out.read())
            client_in.write(server_out.read())
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return shown


def test_a_certificate_names_the_hub_and_is_for_servers_only() -> None:
    made = make_certificate(NAMES, NOW_MS)
    parsed = x509.load_pem_x509_certificate(made.certificate.encode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cellar", "cellar.local"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.168.1.7", "::1"]
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert parsed.not_valid_after_utc == datetime.fromtimestamp(made.ends_ms / 1000, UTC)
    assert fingerprint(made.certificate).replace(":", "") == parsed.fingerprint(hashes.SHA256()).hex().upper()
    assert made.key not in repr(made)


def test_a_name_that_is_not_ascii_is_named_as_browsers_ask_for_it_or_left_out() -> None:
    made = make_certificate(("h\xfcb", "\ud800", "\xfc" * 70, "cellar"), NOW_MS)
    parsed = x509.load_pem_x509_certificate(made.certificate.encode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["xn--hb-xka", "cellar"]


async def test_a_hub_without_a_usable_name_is_told_the_remedy(make: Make) -> None:
    with pytest.raises(ConfigInvalid, match="set the machine's name"):
        await make(names=["\ud800"]).context()


def test_two_hubs_have_different_keys() -> None:
    assert make_certificate(NAMES, NOW_MS).key != make_certificate(NAMES, NOW_MS).key


def test_certificate_is_made_once_and_renewed_before_it_expires() -> None:
    begins_ms, ends_ms = validity(NOW_MS)
    assert begins_ms < NOW_MS
    assert (ends_ms - begins_ms) // DAY_MS <= 825
    record = CertificateRecord("pem", "key", ends_ms)
    due_ms = NOW_MS + (VALIDITY_DAYS - RENEWAL_DAYS) * DAY_MS
    assert [is_due(record, at) for at in (NOW_MS, due_ms - 1, due_ms, ends_ms + 1, None)] == [
        False, False, True, True, False,
    ]  # fmt: skip
    assert is_due(CertificateRecord(), None)


def test_certificate_made_without_the_time_lasts_long() -> None:
    begins_ms, ends_ms = validity(None)
    assert (ends_ms - begins_ms) // DAY_MS == 3650


@pytest.mark.parametrize(
    ("ends_days", "due"), [(VALIDITY_DAYS, False), (VALIDITY_DAYS + 1, False), (VALIDITY_DAYS + 1.001, True)]
)
def test_a_certificate_that_browsers_refuse_is_due_once_the_time_is_known(ends_days: float, due: bool) -> None:
    record = CertificateRecord("pem", "key", NOW_MS + round(ends_days * DAY_MS))
    assert is_due(record, NOW_MS) is due
    assert not is_due(record, None)


async def test_a_certificate_made_without_the_time_is_replaced_once_when_the_time_is_known(make: Make) -> None:
    clock = Clock(None)
    used = make(clock=clock)
    before = served(await used.context())
    clock.at_ms = NOW_MS
    after = served(await used.context())
    assert after != before
    assert used.ends_ms == validity(NOW_MS)[1]
    clock.at_ms = NOW_MS - 3_600_000
    assert served(await used.context()) == after


async def test_certificate_survives_a_restart_and_is_private(make: Make, tmp_path: Path) -> None:
    first = make()
    context = await first.context()
    assert ssl.DER_cert_to_PEM_cert(served(context)).strip() == first._store.value.certificate.strip()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    second = make()
    await second.context()
    assert second.fingerprint == first.fingerprint != ""
    assert await second.context() is await second.context()


async def test_a_renewed_one_is_used_by_the_listeners_that_are_open(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    used = make(clock=clock)
    context = await used.context()
    before, shown = used.fingerprint, served(context)
    monkeypatch.setattr(certificate, "LOOK_S", 0.0)
    clock.at_ms = NOW_MS + VALIDITY_DAYS * DAY_MS
    task = asyncio.get_running_loop().create_task(used.run())
    async with asyncio.timeout(60):
        while used.fingerprint == before:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
    task.cancel()
    assert served(context) != shown


async def test_a_disk_that_refuses_it_costs_only_its_life_over_a_restart(make: Make, faults: list[str]) -> None:
    def refuse(operation: Operation, _: str) -> None:
        raise OSError(28, "No space left on device")

    await make(disk=Disk(refuse)).context()
    assert [fault.startswith("the certificate is not kept over a restart") for fault in faults] == [True]


async def test_damaged_certificate_is_replaced(make: Make, faults: list[str]) -> None:
    first = make()
    await first.context()
    broken = msgspec.structs.replace(first._store.value, key="no key")
    await first._store.commit(lambda _: broken)
    second = make()
    served(await second.context())
    assert second.fingerprint not in {"", first.fingerprint}
    assert "makes another certificate" in faults[0]


async def test_operators_certificate_is_used_and_reloaded(make: Make, tmp_path: Path) -> None:
    used = make(own_files(tmp_path))
    context = await used.context()
    assert used.is_operators
    assert fingerprint((tmp_path / "own.pem").read_text()) == used.fingerprint
    assert not (tmp_path / FILE_NAME).exists()
    own_files(tmp_path, "renewed-name")
    assert await used.context() is context
    assert ssl.DER_cert_to_PEM_cert(served(context)) == (tmp_path / "own.pem").read_text()


async def test_the_operators_new_files_are_used_at_once_when_told(make: Make, tmp_path: Path) -> None:
    used = make(own_files(tmp_path))
    context = await used.context()
    task = asyncio.get_running_loop().create_task(used.run())
    own_files(tmp_path, "renewed-name")
    used.look_now()
    async with asyncio.timeout(60):
        while used.fingerprint != fingerprint((tmp_path / "own.pem").read_text()):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
    task.cancel()
    assert ssl.DER_cert_to_PEM_cert(served(context)) == (tmp_path / "own.pem").read_text()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: (path / "own.key").unlink(), "let the agent read .*own.key"),
        (lambda path: (path / "own.pem").write_text("nothing"), "use a certificate and its own key, both as PEM"),
        (lambda path: own_files(path, key_of=make_certificate(("x",), NOW_MS)), "use a certificate and its own key"),
    ],
)
async def test_own_files_that_cannot_be_used_have_a_remedy(
    make: Make, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    config = own_files(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ConfigInvalid, match=words):
        await make(config).context()


async def test_the_one_in_force_stays_when_the_operators_new_files_are_wrong(make: Make, tmp_path: Path) -> None:
    used = make(own_files(tmp_path))
    context = await used.context()
    shown = served(context)
    (tmp_path / "own.key").write_text("half a fi")
    with pytest.raises(ConfigInvalid):
        await used.context()
    assert served(context) == shown
