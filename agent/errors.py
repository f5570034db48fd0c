"""The agent's errors, by what the caller does next. A message says what happened, to what, and what to do."""

from collections.abc import Mapping
from enum import StrEnum


class ClimahubError(Exception):
    """The root of everything the agent raises on purpose."""


class Transient(ClimahubError):
    """Try again later.

    Attributes:
        retry_after_s: The wait that the other side requested, in seconds; `None` where it requested none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Cause(StrEnum):
    """Why the cloud gave no usable answer: what a person has to look at differs with it."""

    NO_CONNECTION = "no_connection"
    CERTIFICATE = "certificate"
    NO_ANSWER = "no_answer"
    SERVER_ERROR = "server_error"
    WRONG_ADDRESS = "wrong_address"
    UNUSABLE_ANSWER = "unusable_answer"
    KEY_REFUSED = "key_refused"


class CloudUnavailable(Transient):
    """No usable answer: no route, refused, cut, timed out, 5xx, or an answer that is not what the contract says.

    Attributes:
        cause: Which of these.
    """

    def __init__(self, message: str, *, cause: Cause = Cause.NO_ANSWER, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.cause = cause


class Throttled(Transient):
    """The cloud said 429, or the hub's own count of its quota is used up."""


class StorageFull(Transient):
    """The disk has no space or refuses. What is in memory stays there; free some space."""


class ReadFailed(StorageFull):
    """A file cannot be read now. Its content may be whole: try again before giving it up."""


class InstallFailed(Transient):
    """This hub could not install a release, through no fault of the release: it may be offered again."""


class RebootFailed(Transient):
    """The machine does not restart, or power off: no service manager, not allowed, or inhibited."""


class Rejected(ClimahubError):
    """Refused permanently: sending the same again is refused again."""


class Refused(Rejected):
    """The cloud refused a request as it stands.

    Attributes:
        status: The HTTP status: 400, 403, 404, 409, 413, 415 or 422.
        code: The machine-readable `error` of the answer; empty where there is none.
    """

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class CommandInvalid(Rejected):
    """A command that cannot be executed as it stands."""


class BundleUntrusted(Rejected):
    """An update that fails its checks."""


class BundleDamaged(BundleUntrusted):
    """An update whose bytes match no release. They may have been damaged in transit: download it again."""


class SettingInvalid(Rejected):
    """A device setting outside its bounds."""


class LabelInvalid(Rejected):
    """The text of a sensor's label or QR code that cannot be used. The message does not repeat it."""


class PairingRefused(Rejected):
    """What a technician requested is impossible in the sensors' present state."""


class UnknownSensor(PairingRefused):
    """There is no such sensor."""


class UnknownDevice(Rejected):
    """There is no such zone or other device."""


class ConfigInvalid(Rejected):
    """The configuration cannot be used. The message lists every error, each with file, line and key."""


class KeyMissing(ConfigInvalid):
    """There is no key yet, or its file cannot be read. Everything local continues; the message gives the remedy."""


class SensorKeysInvalid(ConfigInvalid):
    """Some keys of relayed sensors cannot be used.

    Attributes:
        usable: The others, by name or address. Secrets.
    """

    def __init__(self, message: str, usable: Mapping[str, str]) -> None:
        super().__init__(message)
        self.usable = usable


class Unauthorized(ClimahubError):
    """The cloud refuses the hub's key. Probe slowly; everything local continues."""


class Corrupt(ClimahubError):
    """A store that cannot be read: quarantine it, start a new one, report it, continue."""


class Defect(ClimahubError):
    """A task raised an exception that is no error of the agent's own: it failed, and everything else continues."""
