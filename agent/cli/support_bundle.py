"""`climahub support-bundle`: one file for whoever helps, from the hub, or from the disk where it does not answer."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from agent.cli import exit_codes, hub_client
from agent.cli.exit_codes import epilog
from agent.cli.hub_client import NoAnswer, NotAllowed, config_option, socket_of, socket_option
from agent.default_paths import DEFAULT_CONFIG
from agent.errors import ConfigInvalid
from agent.foundation.format import size
from agent.foundation.text import escape_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config import Config
    from agent.config.report import Shown

BUNDLE_TIMEOUT_S = 60.0
"""How long the next piece may take: the checks come first, and a slow card takes its time for the databases."""

ENCRYPTED_EXTENSION = ".p7m"
CERTIFICATE_BYTES_MAX = 64 * 1024

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog=epilog(
        "sudo climahub support-bundle",
        "sudo climahub support-bundle --output /media/usb/hub.tar.zst",
        "sudo climahub support-bundle --encrypt-to operator.pem",
        exits="0 written, 1 refused, or no usable certificate, 73 the file cannot be written, 77 this user may not ask",
    )
)
@click.option("--output", type=_FILE, help="The file to write; by default one here, named by the time.")
@click.option(
    "--encrypt-to", "certificate", type=_EXISTING, metavar="CERT.pem", help="Encrypt it, as CMS, to this key."
)
@config_option
@socket_option
def support_bundle(
    output: Path | None, certificate: Path | None, config_file: Path | None, socket_path: Path | None
) -> int:
    """Write checks, state, configuration, log and summaries to one file. Keys, codes and passwords stay on the hub.

    Works where the hub does not answer: then the file holds what the disk and the machine tell. See
    docs/support-bundle.md.
    """
    seal = _seal(certificate) if certificate else None
    directory = output.parent if output else Path.cwd()
    if not directory.is_dir():
        click.echo(f"name another file: {directory} is no directory", err=True)
        return exit_codes.CANNOT_CREATE
    try:
        return _write_to(directory, output, seal, config_file, socket_path)
    except OSError as error:
        # Its own text names the temporary file, which nobody has asked for.
        click.echo(f"name a file in another directory: {directory} takes none ({error.strerror or error})", err=True)
        return exit_codes.CANNOT_CREATE


def _write_to(
    directory: Path,
    output: Path | None,
    seal: Callable[[bytes], bytes] | None,
    config_file: Path | None,
    socket_path: Path | None,
) -> int:
    """Write a bundle to a directory under a temporary name first, and return the exit code.

    Raises:
        OSError: The directory takes no files, or no more of them.
        RequestRefused: See `_write`.
    """
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".climahub-support-", delete=False) as file:
        temporary = Path(file.name)
        try:
            name, note = _write(file, config_file, socket_path)
            if seal is not None:
                name += ENCRYPTED_EXTENSION
                _replace_content(file, seal)
            target = output or directory / name
            if target.exists():
                click.echo(f"name another file: {target} exists", err=True)
                return exit_codes.CANNOT_CREATE
            file.flush()
            temporary.rename(target)
        except NotAllowed as error:
            click.echo(escape_lines(str(error)), err=True)
            return exit_codes.NO_PERMISSION
        finally:
            temporary.unlink(missing_ok=True)
    if note:
        click.echo(escape_lines(note), err=True)
    click.echo(f"{target} ({size(target.stat().st_size)})")
    return exit_codes.OK


def _replace_content(file: IO[bytes], change: Callable[[bytes], bytes]) -> None:
    file.seek(0)
    content = change(file.read())
    file.seek(0)
    file.truncate()
    file.write(content)


def _write(file: IO[bytes], config_file: Path | None, socket_path: Path | None) -> tuple[str, str]:
    """Write a bundle; return its name, and why it is not the hub's own, if so.

    Raises:
        NotAllowed: The hub runs, and this user may not ask it.
        RequestRefused: The hub answers, and refuses: what it refuses is not taken from the disk instead.
    """
    try:
        path = socket_path or socket_of(config_file)
        name = hub_client.download(path, "/v1/support-bundle", file.write, timeout_s=BUNDLE_TIMEOUT_S)
    except (NoAnswer, ConfigInvalid) as error:
        # A ConfigInvalid may quote the file. What is wrong with it is a check in the bundle.
        reason = "the configuration cannot be used" if isinstance(error, ConfigInvalid) else str(error)
    else:
        _complete(file, config_file or DEFAULT_CONFIG)
        return name or "climahub-support.bin", ""
    file.seek(0)
    file.truncate()
    name, chunks = _offline(config_file or DEFAULT_CONFIG)
    for chunk in chunks:
        file.write(chunk)
    return name, f"{reason}; the bundle holds what the disk and the machine tell"


def _complete(file: IO[bytes], config_file: Path) -> None:
    """Add the journals that the hub's user may not read and this one may. Without a configuration, nothing is added.

    The configuration tells which secrets to look for in them.
    """
    from agent.port.bundle import support_bundle  # noqa: PLC0415 - as in `agent.cli.doctor`
    from agent.port.bundle.machine import Machine, known_secrets  # noqa: PLC0415
    from agent.port.bundle.scrub import Scrubber  # noqa: PLC0415

    config, _ = _configuration(config_file)
    if config is None:
        return
    machine = Machine(config, Scrubber(known_secrets(config, os.environ)), utc_ms=None)

    def add(content: bytes) -> bytes:
        chunks = support_bundle.completed(content, machine)
        return content if chunks is None else b"".join(chunks)

    # The hub's own bundle is better than none.
    with contextlib.suppress(ValueError, OSError):
        _replace_content(file, add)


def _offline(config_file: Path) -> "tuple[str, Iterator[bytes]]":
    from agent import __version__  # noqa: PLC0415 - as in `agent.cli.doctor`
    from agent.cli.doctor import examine_here  # noqa: PLC0415
    from agent.foundation import rfc3339, system_info  # noqa: PLC0415
    from agent.foundation.clock import SystemClock  # noqa: PLC0415
    from agent.port.bundle import packing, support_bundle  # noqa: PLC0415
    from agent.port.bundle.machine import Machine, known_secrets  # noqa: PLC0415
    from agent.port.bundle.scrub import Scrubber  # noqa: PLC0415
    from agent.port.checks.facts import Agent  # noqa: PLC0415

    config, shown = _configuration(config_file)
    clock = SystemClock(trust_wall_clock=True)
    utc_ms = clock.utc_ms()
    scrubber = Scrubber(known_secrets(config, os.environ) if config else ())
    machine = Machine(config, scrubber, shown=shown, utc_ms=utc_ms)
    checks = examine_here(config_file, Agent("the hub does not answer"), with_network=True)
    files = packing.contents(
        support_bundle.offline_members(machine, {"checks.json": checks}, scrubber),
        made=rfc3339.render_known(utc_ms),
        versions={"climahub": __version__, **system_info.versions()},
        made_by="command line",
    )
    is_zstd = packing.has_zstd()
    chunks = packing.stream(files, is_zstd=is_zstd, at_s=(utc_ms or 0) // 1000)
    return support_bundle.file_name(utc_ms, clock.monotonic_ms(), is_zstd=is_zstd), chunks


def _configuration(config_file: Path) -> "tuple[Config | None, Sequence[Shown]]":
    from agent.config import resolve  # noqa: PLC0415 - as above
    from agent.config.report import show  # noqa: PLC0415

    try:
        resolved = resolve(config_file, environ=os.environ)
    except (ConfigInvalid, OSError):
        return None, ()
    return resolved.config, show(resolved)


def _seal(certificate: Path) -> Callable[[bytes], bytes]:
    """Return what encrypts a bundle to a certificate, as CMS EnvelopedData (RFC 5652) in DER.

    Raises:
        ClickException: The file holds no certificate with an RSA key.
    """
    from cryptography import x509  # noqa: PLC0415 - 18 MiB that other commands do without
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes()[:CERTIFICATE_BYTES_MAX])
        key = found.public_key()
    except (ValueError, OSError) as error:
        raise click.ClickException(f"name a certificate in PEM: {certificate} holds none that can be read") from error
    if not isinstance(key, RSAPublicKey):
        raise click.ClickException(f"use a certificate with an RSA key: that of {certificate} has another one")

    def seal(content: bytes) -> bytes:
        builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).add_recipient(found)
        return builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])

    return seal
