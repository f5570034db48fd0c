"""The documents of HomeKit in the local API: whether the Home app can reach this hub, and who is paired.

The JSON form is an interface: fields may be added, never renamed.
"""

import msgspec


class HomeKitReport(msgspec.Struct, frozen=True):
    """The state of HomeKit.

    Attributes:
        is_on: `apis.homekit` is set.
        problem: Why it does not work, with the remedy; empty where nothing is wrong.
        addresses: Where it listens now: "192.0.2.7:51827".
        controllers: The ids of those that are paired, shortened.
        code_left_s: How long the setup code can be used; nothing without one.
    """

    is_on: bool
    problem: str
    addresses: list[str]
    controllers: list[str]
    code_left_s: float | None


class NewHomeKitCode(msgspec.Struct, frozen=True):
    """A setup code. A secret, shown once.

    Attributes:
        code: As a person types it in the Home app.
        valid_s: How long it can be used.
    """

    code: str
    valid_s: float


class HomeKitUnpaired(msgspec.Struct, frozen=True):
    """How many controllers were removed."""

    removed: int
