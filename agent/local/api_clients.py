"""The documents of API clients in the local API: who may use which of the hub's other APIs.

The JSON form is an interface: fields may be added, never renamed. No secret is in any of them but `NewApiClient`.
"""

import msgspec


class ApiClientRequest(msgspec.Struct):
    """A new client of one API.

    Attributes:
        api: The name of the API, as in `[apis]`.
        name: For people; each API has a name once.
        scopes: What it may do; empty for everything that the API has.
        tier: Of its limits; empty for the first of the API.
        zones: The ids of the zones that it may see; empty for all.
        days: After so many it expires; `null` for never.
        test: It drives a simulated twin of the zones.
    """

    api: str
    name: str
    scopes: list[str] = []
    tier: str = ""
    zones: list[str] = []
    days: int | None = None
    test: bool = False


class ApiClientReport(msgspec.Struct, frozen=True):
    """A client. Times in RFC 3339; `made` is nothing where the time was not known, `expires` for never.

    Attributes:
        idle_s: How long ago it asked last; nothing where it has not since the start of the agent.
    """

    client_id: str
    api: str
    name: str
    scopes: list[str]
    tier: str
    zones: list[str]
    is_test: bool
    made: str | None
    expires: str | None
    is_expired: bool
    idle_s: float | None = None


class NewApiClient(msgspec.Struct, frozen=True):
    """A client that has just been made: the only answer that shows its secret.

    Attributes:
        client: Who it is.
        secret: What it shows to the API.
        path: Where the API answers, below the hub's address.
        urls: The same as whole addresses, one for each address of the hub; none where the port is not open.
    """

    client: ApiClientReport
    secret: str
    path: str
    urls: list[str] = []


class ApiReport(msgspec.Struct, frozen=True):
    """One API that is switched on."""

    name: str
    title: str
    path: str


class ApiClientsReport(msgspec.Struct, frozen=True):
    """All clients, the oldest first.

    Attributes:
        apis: The APIs that are switched on.
        clients: Those of all APIs.
        problem: What is wrong with the file of the credentials, and what to do; empty where nothing is.
    """

    apis: list[ApiReport]
    clients: list[ApiClientReport]
    problem: str
