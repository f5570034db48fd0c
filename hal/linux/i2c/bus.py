"""Runs exchanges on one I2C bus, through the kernel's /dev/i2c-N and the package smbus2. Blocks: one thread a bus.

Must never force an address that a kernel driver is bound to: `I2C_RDWR` does not ask, so `I2C_SLAVE` asks before each
transfer (Documentation/i2c/dev-interface.rst: EBUSY). After a fault of the bus the device file is closed, and opened
again with the next exchange. Errors: the kernel's Documentation/i2c/fault-codes.rst.
"""

import errno
import fcntl
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Exchange

T = TypeVar("T")

TRANSFERS_MAX = 64
"""In one exchange. The longest has twenty; a chip file that never ends must not hold the bus."""

REFUSALS = frozenset({errno.ENXIO, errno.EREMOTEIO})
"""Nobody acknowledged the address: adapters differ in which of the two they report."""

_ADVICE = {
    errno.ENXIO: "check its wiring and supply: it does not answer",
    errno.EREMOTEIO: "check its wiring and supply: it does not answer",
    errno.EIO: "check the cable, its length and the pull-up resistors: the transfer failed",
    errno.ETIMEDOUT: "disconnect the devices on this bus one by one: one of them holds the clock or data line",
    errno.EAGAIN: "check what else drives this bus: another master got in between",
    errno.EBUSY: "no action is needed: a driver of the kernel uses this address, so the hub leaves it alone",
    errno.EOPNOTSUPP: "use another bus: this adapter cannot do plain I2C transfers",
    errno.EACCES: "let the agent's user into the group i2c; for the service install systemd/climahub-i2c.conf",
    errno.EPERM: "let the agent's user into the group i2c; for the service install systemd/climahub-i2c.conf",
    errno.ENOENT: "enable the bus (climahub sensors scan has the line for config.txt): it has no device file",
    errno.ENODEV: "plug the adapter in again: the bus is gone",
}


class I2cPort(Protocol):
    """An open bus."""

    def transfer(self, address: int, write: bytes, read_bytes: int) -> bytes:
        """Write, read, or both with a repeated start between them; may raise `OSError`."""
        ...

    def close(self) -> None:
        """Release the device file."""
        ...


class SmbusPort:
    """A bus opened by smbus2."""

    def __init__(self, device: Path) -> None:
        """Open the device file; may raise `OSError`, and `ImportError` without the package."""
        # Imported late, by name: an optional package.
        self._smbus2: Any = importlib.import_module("smbus2")
        self._constants: Any = importlib.import_module("smbus2.smbus2")
        self._bus = self._smbus2.SMBus(str(device))
        if not self._bus.funcs & self._smbus2.I2cFunc.I2C:
            self._bus.close()
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def transfer(self, address: int, write: bytes, read_bytes: int) -> bytes:
        """See `I2cPort`."""
        fcntl.ioctl(self._bus.fd, self._constants.I2C_SLAVE, address)
        messages = [self._smbus2.i2c_msg.write(address, write)] if write else []
        if read_bytes:
            messages.append(self._smbus2.i2c_msg.read(address, read_bytes))
        data = self._constants.i2c_rdwr_ioctl_data.create(*messages)
        # Not smbus2's own i2c_rdwr: it drops the result, which tells how many of the messages were transferred.
        done = fcntl.ioctl(self._bus.fd, self._constants.I2C_RDWR, data)
        if done != len(messages):
            raise OSError(errno.EIO, f"{done} of {len(messages)} messages were transferred")
        return bytes(messages[-1]) if read_bytes else b""

    def close(self) -> None:
        """See `I2cPort`."""
        self._bus.close()


class I2cBus:
    """One bus. Not thread-safe: all its work is done on the bus's thread.

    Attributes:
        name: As the kernel names it, such as "i2c-1".
    """

    def __init__(self, name: str, open_port: Callable[[], I2cPort], sleep: Callable[[float], None]) -> None:
        """Open nothing yet.

        Args:
            name: See above.
            open_port: Opens the bus; may raise `OSError`.
            sleep: Waits for a number of seconds, while a chip measures.
        """
        self.name = name
        self._open_port = open_port
        self._sleep = sleep
        self._port: I2cPort | None = None

    def run(self, address: int, exchange: Exchange[T], chip: str = "") -> T:
        """Carry an exchange out and return its result.

        Args:
            address: Of the chip.
            exchange: Transfers, one after the other.
            chip: Its name, for the messages.

        Raises:
            SensorUnavailable: The bus or the chip failed; the message begins with the bus, the address and the chip,
                and says what to do. Its cause is the `OSError`, where there is one.
        """
        place = f"{self.name} {address:#04x}" + (f" ({chip})" if chip else "")
        try:
            return self._run(address, exchange)
        except OSError as error:
            if error.errno not in REFUSALS:
                self.close()
            advice = _ADVICE.get(error.errno or 0, "see the kernel's log (dmesg)")
            raise SensorUnavailable(f"{place}: {advice} ({error.strerror})") from error
        except SensorUnavailable as error:
            raise type(error)(f"{place}: {error}") from error
        finally:
            exchange.close()

    def _run(self, address: int, exchange: Exchange[T]) -> T:
        if self._port is None:
            self._port = self._open_port()
        answer: bytes | None = None
        for _ in range(TRANSFERS_MAX):
            try:
                transfer = next(exchange) if answer is None else exchange.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = b""
            if transfer.write or transfer.read_bytes:
                try:
                    answer = self._port.transfer(address, transfer.write, transfer.read_bytes)
                except OSError as error:
                    if not (transfer.may_be_refused and error.errno in REFUSALS):
                        raise
                if len(answer) != transfer.read_bytes and not transfer.may_be_refused:
                    raise OSError(errno.EIO, f"{len(answer)} of {transfer.read_bytes} bytes were read")
            if transfer.wait_s:
                self._sleep(transfer.wait_s)
        raise SensorUnavailable(f"report this as a defect: more than {TRANSFERS_MAX} transfers for one measurement")

    def close(self) -> None:
        """Release the device file; the next exchange opens it again."""
        port, self._port = self._port, None
        if port is not None:
            port.close()
