"""The requests of a fleet over time: counts by endpoint and second, peaks, means, and a drawing. Pure.

Must never ask a hub: it counts what the cloud received.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from lab.refcloud.contract import Endpoint

MINUTE_S = 60

WIDTH, HEIGHT, MARGIN = 960, 320, 44
COLOURS = ("#2a6fb0", "#d9822b", "#3b9c5a", "#b03a5b", "#7a5bb0", "#6b7280")
"""Of the busiest endpoints in turn; the last is all others."""


class Peak(msgspec.Struct, frozen=True):
    """The busiest second and the busiest minute of a time, in requests a second.

    Attributes:
        second: Of the busiest second.
        minute: The mean of the busiest sixty seconds that begin with a whole minute of the time.
    """

    second: float
    minute: float


class RequestCurve:
    """Counts requests.

    Attributes:
        seconds: Requests of each whole second, of all endpoints.
        endpoints: Requests of each whole minute, by endpoint.
    """

    def __init__(self) -> None:
        self.seconds: Counter[int] = Counter()
        self.endpoints: dict[Endpoint, Counter[int]] = {endpoint: Counter() for endpoint in Endpoint}

    def count(self, endpoint: Endpoint, arrived_s: float) -> None:
        """Count one request."""
        self.seconds[int(arrived_s)] += 1
        self.endpoints[endpoint][int(arrived_s // MINUTE_S)] += 1

    def add(self, seconds: Mapping[int, int], minutes: Mapping[Endpoint, Mapping[int, int]]) -> None:
        """Add the counts of another curve."""
        self.seconds.update(seconds)
        for endpoint, counts in minutes.items():
            self.endpoints[endpoint].update(counts)

    @property
    def total(self) -> int:
        """All requests."""
        return self.seconds.total()

    def mean(self, from_s: int, to_s: int) -> float:
        """Return the requests a second of a time; 0 for no time."""
        return sum(self.seconds[second] for second in range(from_s, to_s)) / max(1, to_s - from_s)

    def peak(self, from_s: int, to_s: int) -> Peak:
        """Return the busiest second and minute of a time."""
        second = max((self.seconds[at] for at in range(from_s, to_s)), default=0)
        begins = range(from_s, max(from_s + 1, to_s - MINUTE_S + 1), MINUTE_S)
        return Peak(float(second), round(max(self.mean(at, min(at + MINUTE_S, to_s)) for at in begins), 2))

    def minutes(self) -> Mapping[str, Sequence[int]]:
        """Return the requests of each minute by endpoint, without endpoints that were never asked."""
        last = max((max(counts, default=0) for counts in self.endpoints.values()), default=0)
        return {
            endpoint.value: [counts[minute] for minute in range(last + 1)]
            for endpoint, counts in self.endpoints.items()
            if counts
        }

    def svg(self, title: str) -> str:
        """Return a drawing: requests a second, the mean of each minute, the endpoints stacked."""
        minutes = sorted(self.minutes().items(), key=lambda each: -sum(each[1]))
        shown, rest = minutes[: len(COLOURS) - 1], minutes[len(COLOURS) - 1 :]
        if rest:
            shown.append(("others", [sum(column) for column in zip(*(counts for _, counts in rest), strict=True)]))
        length = len(shown[0][1]) if shown else 1
        top = max((sum(column) for column in zip(*(counts for _, counts in shown), strict=True)), default=1)
        left, bottom = MARGIN, HEIGHT - MARGIN
        x_step, y_step = (WIDTH - 2 * MARGIN) / max(1, length), (HEIGHT - 2 * MARGIN) / max(1, top)
        head = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {head}>',
            f'<rect width="100%" height="100%" fill="#fff"/><text x="{left}" y="20">{title}</text>',
        ]
        below = [0] * length
        for number, (name, counts) in enumerate(shown):
            above = [low + count for low, count in zip(below, counts, strict=True)]
            edge = [f"{left + x_step * at:.1f},{bottom - y_step * high:.1f}" for at, high in _steps(above)]
            edge += [f"{left + x_step * at:.1f},{bottom - y_step * low:.1f}" for at, low in reversed(_steps(below))]
            parts.append(f'<polygon points="{" ".join(edge)}" fill="{COLOURS[number]}"/>')
            parts.append(f'<text x="{left + 130 * number}" y="36" fill="{COLOURS[number]}">{name}</text>')
            below = above
        parts += [
            f'<text x="4" y="{MARGIN + 4}">{top / MINUTE_S:.0f}/s</text><text x="4" y="{bottom}">0</text>',
            f'<text x="{left}" y="{HEIGHT - 20}">0</text>',
            f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 20}" text-anchor="end">{length} min</text></svg>\n',
        ]
        return "".join(parts)


def _steps(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return the corners of a stepped line."""
    return [(at + side, count) for at, count in enumerate(counts) for side in (0, 1)]
