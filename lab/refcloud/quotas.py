"""Counts requests against the quotas: a request must fit the fixed and the sliding window. Pure: time is an argument.

Nobody knows which of the two the real cloud uses, so the reference refuses by the stricter one. A refused request is
counted too: it fills the fixed window, as it does in the usual increment-and-compare limiter, and it is added up per
key and endpoint. Must never be kept on disk: a restarted server starts with full quotas.
"""

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from lab.refcloud.contract import Endpoint, EndpointQuota


class QuotaUsage(msgspec.Struct, frozen=True):
    """What one key asked of one endpoint since the server started."""

    requests: int
    over_quota: int


class _Bucket:
    """One key's account at one endpoint."""

    __slots__ = ("_admitted_s", "_quota", "_window_count", "_window_index", "over_quota", "requests")

    def __init__(self, quota: EndpointQuota) -> None:
        self._quota = quota
        self._admitted_s: deque[float] = deque(maxlen=quota.limit)
        self._window_index = -1
        self._window_count = 0
        self.requests = 0
        self.over_quota = 0

    def ask(self, now_s: float, utc_s: float) -> float:
        limit, window_s = self._quota.limit, self._quota.window_s
        index = int(utc_s // window_s)
        if index != self._window_index:
            self._window_index, self._window_count = index, 0
        self._window_count += 1
        self.requests += 1
        slide_s = self._admitted_s[0] + window_s - now_s if len(self._admitted_s) == limit else 0.0
        if self._window_count <= limit and slide_s <= 0.0:
            self._admitted_s.append(now_s)
            return 0.0
        self.over_quota += 1
        if self._window_count < limit:
            return slide_s
        # The window is full, perhaps only now and by this refused request: nothing fits before the next one.
        return max(slide_s, (index + 1) * window_s - utc_s)


class QuotaCounter:
    """The accounts of all keys."""

    def __init__(self, quotas: Mapping[Endpoint, EndpointQuota]) -> None:
        self._quotas = quotas
        self._buckets: dict[tuple[str, Endpoint], _Bucket] = {}

    def ask(self, device_id: str, endpoint: Endpoint, *, now_s: float, utc_s: float) -> float:
        """Count one request and return how long to wait before the next may come; 0.0 when this one is admitted.

        Args:
            device_id: Whose key came.
            endpoint: What it asks for.
            now_s: Monotonic seconds, for the sliding window.
            utc_s: The server's own UTC, for the fixed one, which begins at multiples of its length.
        """
        bucket = self._buckets.get((device_id, endpoint))
        if bucket is None:
            bucket = self._buckets[device_id, endpoint] = _Bucket(self._quotas[endpoint])
        return bucket.ask(now_s, utc_s)

    def usage(self) -> Iterator[tuple[str, Endpoint, QuotaUsage]]:
        """Yield device, endpoint and counts of everything that was ever asked."""
        for (device_id, endpoint), bucket in self._buckets.items():
            yield device_id, endpoint, QuotaUsage(requests=bucket.requests, over_quota=bucket.over_quota)
