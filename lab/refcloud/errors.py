"""How the reference cloud says no. Must never carry a key or a token in its message."""

from collections.abc import Mapping
from types import MappingProxyType

from agent.errors import ClimahubError
from lab.refcloud.contract import ERROR_CODES


class Refusal(ClimahubError):
    """A request refused, with the answer that the caller gets.

    Attributes:
        status: HTTP status, one of `contract.ERROR_CODES`.
        error: The machine-readable code that goes with it.
        headers: What else the answer carries, such as Retry-After.
    """

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.error = ERROR_CODES[status]
        self.message = message
        self.headers = headers
