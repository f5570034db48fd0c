"""The APIs that a hub can answer: names, prefixes, and what a credential of each may hold. A table; decides nothing.

The names are those of `[apis]` in the configuration. Read by the frame, the credential store and the command line, so
it imports nothing.
"""

from types import MappingProxyType

import msgspec


class ApiSpec(msgspec.Struct, frozen=True):
    """One API.

    Attributes:
        name: As in `[apis]`.
        title: For people.
        prefix: Where it is mounted, without a slash at the end.
        secret_prefix: How its secrets begin, as its clients expect.
        test_secret_prefix: How secrets of test clients begin; empty where the API has none.
        scopes: What a client may be allowed to do, in the words of the API; empty where it knows no scopes.
        tiers: Of its limits, the one that a client gets by default first; empty where it has none.
    """

    name: str
    title: str
    prefix: str
    secret_prefix: str
    test_secret_prefix: str = ""
    scopes: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


APIS = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ApiSpec(
                "aurra_home",
                "AURRA Home",
                "/aurra-home/v1",
                "sk_live_",
                scopes=("diagnostics:read", "alerts:write", "energy:read", "comfort:write"),
                tiers=("standard", "enterprise"),
            ),
            ApiSpec("amps", "Amps HVAC", "/amps", "amps_sk_live_", "amps_sk_test_"),
            ApiSpec("aqara", "Aqara Open API", "/aqara/open/api", "aqara_"),
            ApiSpec("aurra_facts", "Aurra facts", "/aurra", "aurra_"),
        )
    }
)
"""By name."""
