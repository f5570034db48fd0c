"""A request for a join window. The table of routes needs it without what carries it out."""

import msgspec

from hal.radio import JOIN_WINDOW_S_MAX


class JoinWindowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A join window as a person asks for it.

    Attributes:
        seconds: Its length, 1 to `JOIN_WINDOW_S_MAX`.
        is_many: It stays open after a sensor has joined; otherwise it closes after the first.
        through: The only router that lets sensors join, by name or IEEE address; empty for all.
        label: The text of the sensor's label or QR code; empty for the first sensor that joins.
        name: The sensor's name.
        key: The sensor's ClimaSense key. A secret.
        replaces: The sensor whose name and identity the new one takes over, by name or address.
    """

    seconds: int = JOIN_WINDOW_S_MAX
    is_many: bool = False
    through: str = ""
    label: str = ""
    name: str = ""
    key: str = ""
    replaces: str = ""
