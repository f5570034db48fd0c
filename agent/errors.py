"""The agent's errors, told by what the caller does next. A message says what happened, to what, and what to do."""

from collections.abc import Mapping
from enum import StrEnum


class ClimahubError(Exception):
    """The root of everything the agent raises on purpose."""


class Transient(ClimahubError):
    """Try again later.

    Attributes:
        retry_after_s: The wait that the other side asked for, in seconds; `None` where it did not say.
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
    """The cloud said 429, or our own account of its quota says to wait."""


class RadioBusy(Transient):
    """The radio has no free buffer."""


class StorageFull(Transient):
    """The disk has no room. What is in memory stays there; free some space."""


class ReadFailed(StorageFull):
    """The disk does not give a file's content now. It may be whole: try again before giving it up."""


class InstallFailed(Transient):
    """This hub could not install a release, through no fault of the release: it may be offered again."""


class RebootFailed(Transient):
    """The host does not restart: nobody to ask, not allowed, or something keeps it up."""


class Rejected(ClimahubError):
    """Refused for good: the same thing sent again is refused again."""


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
    """An update whose bytes are not those of any release. They may have become so on the way: get them once more."""


class SettingInvalid(Rejected):
    """A device setting outside its bounds."""


class LabelInvalid(Rejected):
    """The text of a sensor's label or QR code that cannot be used. The message does not repeat it."""


class PairingRefused(Rejected):
    """What a technician asked for cannot be done as the sensors stand now."""


class UnknownSensor(PairingRefused):
    """There is no such sensor."""


class ConfigInvalid(Rejected):
    """The configuration cannot be used. The message lists every error, each with file, line and key."""


class KeyMissing(ConfigInvalid):
    """There is no key yet, or its file cannot be read. Everything local goes on; the message says what to do."""


class SensorKeysInvalid(ConfigInvalid):
    """Some keys of relayed sensors cannot be used.

    Attributes:
        usable: The others, by name or address. Secrets.
    """

    def __init__(self, message: str, usable: Mapping[str, str]) -> None:
        super().__init__(message)
        self.usable = usable


class Unauthorized(ClimahubError):
    """The cloud refuses the hub's key. Probe slowly; everything local goes on."""


class Corrupt(ClimahubError):
    """A store that cannot be read: quarantine it, start a new one, report it, go on."""


class Defect(ClimahubError):
    """A piece of work raised what is no error of the agent's own: it failed, and what is beside it goes on."""
