"""Errors of the hardware layer, classified by what the caller does next.

The hardware layer raises `HalError` only. Errors of drivers and libraries are translated where they enter `hal`.
"""

import contextlib
from collections.abc import Iterator


class HalError(Exception):
    """Base class of everything the hardware layer raises. The message names the part and the remedy."""


class SensorUnavailable(HalError):
    """A sensor gave no value: it is absent or busy, or its bus failed. Try again at the next sample."""


class ReadingImplausible(HalError):
    """A sensor answered with something that is no measurement, such as text. Count it; try again at the next sample."""


class ActuatorFault(HalError):
    """An output did not follow its command. Switch the equipment to its safe state and report the fault."""


class NetworkLost(HalError):
    """The connection to the sensor network is lost. Start the network again, with backoff."""


class SoftwareMissing(NetworkLost):
    """The network needs a package that is not installed. Retrying does not help."""


class RecordingInvalid(HalError):
    """A recording or its map cannot be used. The message names file, line, column and the allowed values."""


class ImageRefused(HalError):
    """An image of the whole system was not installed. The message is the installer's own."""


class InstallerLost(HalError):
    """What installs images of the whole system gives no answer. Ask it again later what has happened."""


DRIVER_ERRORS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, EOFError)
"""What a driver or library raises, on purpose or by a defect of its own, when a sensor is read."""


@contextlib.contextmanager
def driver_errors_translated(sensor: str) -> Iterator[None]:
    """Raise the errors of a sensor's driver as `SensorUnavailable`, so that one driver stops no other sensor.

    Args:
        sensor: Name of the sensor, for the message.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise SensorUnavailable(f"{sensor}: {type(error).__name__}: {error}") from error
