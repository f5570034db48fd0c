"""What hardware can do wrong, told by what the caller does next."""


class HalError(Exception):
    """Anything the hardware layer reports. The message names the part and what to do about it."""


class SensorUnavailable(HalError):
    """A sensor gave no value: absent, busy, or its bus failed. Try again at the next sample."""


class ReadingImplausible(HalError):
    """A sensor gave something that cannot be a measurement, such as text. Count it and try again at the next sample."""


class ActuatorFault(HalError):
    """An output did not do as told. Take the equipment to its safe state and report it."""


class NetworkLost(HalError):
    """The sensor network is gone. Start it again with growing pauses."""


class SoftwareMissing(NetworkLost):
    """The network cannot be used before a package is installed, however often it is started."""


class RecordingInvalid(HalError):
    """A recording or its map cannot be used. The message names file, line, column and what is allowed there."""


class ImageRefused(HalError):
    """An image of the whole system was not installed. The message is the installer's own."""


class InstallerLost(HalError):
    """What installs images of the whole system gives no answer. Ask it again later what has happened."""
