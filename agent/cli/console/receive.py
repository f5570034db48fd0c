"""`climahub receive`: takes what a hub's console sends over a serial cable, and resumes a broken transfer."""

from pathlib import Path

import click

from agent.cli import exit_codes
from agent.cli.console import link
from agent.cli.console.transfer import Receiver, TransferFailed
from agent.cli.exit_codes import epilog
from agent.foundation.clock import monotonic_s
from agent.foundation.disk import Disk
from agent.foundation.format import size
from agent.foundation.text import escape_lines, sanitize

LINGER_S = 3.0
"""How long to go on answering once the file is here: the last acknowledgement may get lost."""

FILE_BYTES_MAX = 64 * 1024 * 1024
"""Three times the largest support bundle."""

SECRET_MODE = 0o600

_PART = ".part"
_NAME_CHARACTERS_MAX = 100


@click.command(
    epilog=epilog(
        "climahub receive /dev/ttyUSB0",
        "climahub receive /dev/ttyACM0 --rate 9600 --output bundles",
        exits="0 the file is there, 1 it is not: run it again to resume, 69 pyserial is not installed",
    )
)
@click.argument("device", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rate", type=click.IntRange(300, 4_000_000), default=115_200, show_default=True, help="Of the line.")
@click.option(
    "--output",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=Path(),
    help="The directory for the file [the current one].",
)
def receive(device: Path, rate: int, output: Path) -> int:
    """Take a file from the console of a hub on DEVICE, after `send` or `send backup` was typed there."""
    try:
        import serial  # noqa: PLC0415 - hubs do without
    except ImportError:
        click.echo("climahub: install pyserial: apt install python3-serial, or pip install pyserial", err=True)
        return exit_codes.UNAVAILABLE

    part = Part(output)
    receiver = Receiver(
        digest=part.digest, part=part.content, write=lambda data: part.append(data, receiver), now_s=monotonic_s()
    )
    try:
        # Its errors are OSErrors.
        with serial.Serial(str(device), rate, timeout=0, exclusive=True) as line:
            line.reset_input_buffer()
            link.run(
                receiver,
                line.fileno(),
                line.fileno(),
                now_s=monotonic_s,
                progress=lambda: _show(receiver),
                linger_s=LINGER_S,
            )
    except (TransferFailed, OSError) as error:
        click.echo(escape_lines(f"\n{device}: {error}"), err=True)
        if receiver.received:
            click.echo(
                f"{size(receiver.received)} are kept; type send on the hub and run this again to resume", err=True
            )
        return exit_codes.FAILED
    click.echo(f"\n{part.finish(receiver)}")
    return exit_codes.OK


def _show(receiver: Receiver) -> None:
    if receiver.offer is not None and receiver.offer.bytes_count:
        share = receiver.received / receiver.offer.bytes_count
        click.echo(f"\r{share:4.0%} of {size(receiver.offer.bytes_count)}", nl=False)


class Part:
    """The part of a file that an earlier attempt has left: `DIGEST.part`.

    Attributes:
        digest: SHA-256 of the whole file; empty where there is no part.
        content: The part.
    """

    def __init__(self, directory: Path) -> None:
        """Find the part in a directory."""
        self._directory = directory
        self.digest = b""
        self.content = b""
        for path in sorted(directory.glob(f"*{_PART}")):
            try:
                digest = bytes.fromhex(path.stem)
            except ValueError:
                continue
            if path.stat().st_size <= FILE_BYTES_MAX:
                self.digest, self.content = digest, path.read_bytes()

    def append(self, data: bytes, receiver: Receiver) -> None:
        """Keep the next bytes of what is being received.

        Raises:
            TransferFailed: The file is too large.
        """
        assert receiver.offer is not None  # noqa: S101 - bytes come after the offer
        if receiver.offer.bytes_count > FILE_BYTES_MAX:
            raise TransferFailed(f"report this: the hub's file has more than {size(FILE_BYTES_MAX)}")
        path = self._path(receiver.offer.digest)
        # A part that the sender did not take up begins anew. A backup holds the network's key.
        path.touch(mode=SECRET_MODE)
        with path.open("r+b") as file:
            file.seek(receiver.received)
            file.truncate()
            file.write(data)

    def finish(self, receiver: Receiver) -> Path:
        """Give the complete file its name; return its path. No file of that name is replaced."""
        assert receiver.offer is not None  # noqa: S101 - it is complete
        part = self._path(receiver.offer.digest)
        content = part.read_bytes() if part.exists() else b""
        path = self._free(receiver.offer.name)
        Disk().write(path, content, is_secret=True)
        part.unlink(missing_ok=True)
        return path

    def _path(self, digest: bytes) -> Path:
        return self._directory / f"{digest.hex()}{_PART}"

    def _free(self, name: str) -> Path:
        plain = sanitize(Path(name).name, characters_max=_NAME_CHARACTERS_MAX).strip(". ") or "received"
        path, number = self._directory / plain, 1
        while path.exists():
            number += 1
            path = self._directory / f"{number}-{plain}"
        return path
