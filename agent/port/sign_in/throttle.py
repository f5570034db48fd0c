"""Limits wrong sign-ins: per source, per network, and so in all. Pure: time comes in, and nothing is read or written.

Three rules:

* A source (an address) may mistype a few times. After that it waits, twice as long after each further wrong try. This
  machine does not: its users, `ssh -L` and proxies share one address, and one must not keep out the others.
* The tries of one network are limited together, however many addresses they come from: a local network (IPv4 /16, IPv6
  /64), this machine, or all public addresses.
* A source, other than this machine, from which a person has signed in before does not count against its network: a
  flood of other sources does not keep that person out, and a flood on one network does not keep anybody out on another
  (cable, `ssh -L`).

A person on a new address of a flooded network gets a fair share of `NETWORK_TRIES_PER_S`. Nothing here grows with the
number of sources: every table is bounded.
"""

import ipaddress
import math
from collections import OrderedDict

import msgspec

FREE_TRIES = 5
"""Wrong tries of one source before it has to wait."""
WAIT_S_FIRST = 2.0
WAIT_S_MAX = 300.0
"""The wait doubles from the first to this one."""
FORGET_S = 3600.0
"""A source that has not tried for so long begins anew."""

SOURCES_MAX = 256
"""Sources with wrong tries that are remembered; the one that tried longest ago makes room."""
TRUSTED_MAX = 16
"""Sources with a right sign-in that are remembered, the latest ones."""

NETWORK_TRIES_PER_S = 2.0
NETWORK_TRIES_MAX = 30.0
"""Tries of one network: the number at once, and the number a second over a long time."""
NETWORKS_MAX = 8
"""Local networks with a limit of their own. Further ones share one limit, so that all tries together are bounded."""

THIS_MACHINE = "this machine"
PUBLIC_ADDRESSES = "public addresses"
OTHER_NETWORKS = "other networks"
_SHARED = frozenset({THIS_MACHINE, PUBLIC_ADDRESSES, OTHER_NETWORKS})
"""Always have a limit of their own."""

_IPV4_PREFIX = 16
_IPV6_PREFIX = 64


class _Tries(msgspec.Struct, frozen=True):
    """The wrong tries of one source."""

    count: int
    at_ms: int
    until_ms: int


class SourceReport(msgspec.Struct, frozen=True):
    """A source with wrong tries, how long ago the last one was, and how long it still waits."""

    source: str
    tries: int
    age_s: int
    wait_s: int


class _Budget(msgspec.Struct, frozen=True):
    """How many tries a network has left at a time."""

    tries: float
    at_ms: int

    def at(self, now_ms: int) -> float:
        gained = (now_ms - self.at_ms) / 1000 * NETWORK_TRIES_PER_S
        return min(NETWORK_TRIES_MAX, self.tries + gained)


def network_of(source: str) -> str:
    """Return the network whose tries are limited together, for an address as text; no address is the serial console."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return THIS_MACHINE
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return THIS_MACHINE
    if address.is_global:
        return PUBLIC_ADDRESSES
    if isinstance(address, ipaddress.IPv4Address):
        return str(ipaddress.ip_network((int(address), _IPV4_PREFIX), strict=False))
    # The scope tells which link: fe80::/64 is on all of them.
    return f"{ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False)} {address.scope_id or ''}".strip()


class Throttle:
    """Which source may try now, and how long the others wait."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, _Tries] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._budgets: dict[str, _Budget] = {}

    def admit(self, source: str, now_ms: int) -> int:
        """Return 0 where a source may try now, which counts as a try of its network; else the seconds to wait."""
        tries = self._wrong.get(source)
        if tries is not None and now_ms < tries.until_ms:
            return math.ceil((tries.until_ms - now_ms) / 1000)
        return 0 if source in self._trusted else self._take(source, now_ms)

    def add_wrong(self, source: str, now_ms: int) -> int:
        """Count a wrong try; return the seconds until the source may try again."""
        before = self._wrong.pop(source, None)
        is_new = before is None or now_ms - before.at_ms >= FORGET_S * 1000
        count = 1 if before is None or is_new else before.count + 1
        over = count - FREE_TRIES
        # The exponent is bounded: 2.0**1100 is no float.
        is_free = over < 0 or network_of(source) == THIS_MACHINE
        wait_s = 0.0 if is_free else min(WAIT_S_MAX, WAIT_S_FIRST * 2.0 ** min(over, 30))
        while len(self._wrong) >= SOURCES_MAX:
            self._wrong.popitem(last=False)
        self._wrong[source] = _Tries(count, now_ms, now_ms + round(wait_s * 1000))
        return math.ceil(wait_s)

    def tries_left(self, source: str) -> int | None:
        """Return how many more tries of a source may be wrong before it waits; `None` where it never waits."""
        if network_of(source) == THIS_MACHINE:
            return None
        tries = self._wrong.get(source)
        return max(0, FREE_TRIES - (tries.count if tries else 0))

    def add_right(self, source: str) -> None:
        """Forget the wrong tries of a source and trust it, unless others share it: a person has signed in there."""
        self._wrong.pop(source, None)
        if network_of(source) == THIS_MACHINE:
            return
        self._trusted.pop(source, None)
        while len(self._trusted) >= TRUSTED_MAX:
            self._trusted.popitem(last=False)
        self._trusted[source] = None

    def report(self, now_ms: int) -> list[SourceReport]:
        """Return the sources with wrong tries, the latest first."""
        return [
            SourceReport(
                source,
                tries.count,
                (now_ms - tries.at_ms) // 1000,
                max(0, math.ceil((tries.until_ms - now_ms) / 1000)),
            )
            for source, tries in reversed(self._wrong.items())
        ]

    def _take(self, source: str, now_ms: int) -> int:
        """Take one try of the source's network; return the seconds until there is one."""
        network = self._network(source, now_ms)
        left = self._budgets.get(network, _Budget(NETWORK_TRIES_MAX, now_ms)).at(now_ms)
        if left < 1:
            return math.ceil((1 - left) / NETWORK_TRIES_PER_S)
        self._budgets[network] = _Budget(left - 1, now_ms)
        return 0

    def _network(self, source: str, now_ms: int) -> str:
        """Return the network whose limit counts for a source, after making room for it where some are quiet."""
        network = network_of(source)
        if network in self._budgets or network in _SHARED:
            return network
        quiet = [name for name, budget in self._budgets.items() if budget.at(now_ms) >= NETWORK_TRIES_MAX]
        for name in quiet:
            del self._budgets[name]
        return network if len(self._budgets.keys() - _SHARED) < NETWORKS_MAX else OTHER_NETWORKS
