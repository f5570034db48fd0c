"""Keeps the minimum off time on the lines of a board whose bus may hang or whose supply may fail.

The control counts a rest from its own demand; the line may have gone off later, or by itself. So each line is read
before it is written, and one that must still rest is left off. Knows nothing of any chip.
"""

from collections.abc import Callable, Mapping

from hal.errors import ActuatorFault
from hal.linux.output_lines import OutputLines
from hal.output_rest import OutputDemand, OutputRecord, rest_left_s, with_demand, with_state


class LineRests:
    """What is known of the lines of one device, for as long as the hub runs; their device is opened as often as needed.

    Demands come from the event loop, states from the thread of the bus. Each writes its own map only, by replacing it.
    """

    def __init__(self, device: str, rests_s: Mapping[int, float], monotonic_ms: Callable[[], int]) -> None:
        """Know nothing yet.

        Args:
            device: Its name, for people.
            rests_s: The minimum off time of what each line drives; 0 for lines that are not in it.
            monotonic_ms: This boot's clock. The control counts its first demand from now.
        """
        self._device = device
        self._rests_s = rests_s
        self._monotonic_ms = monotonic_ms
        self._started_ms = monotonic_ms()
        self._demands: Mapping[int, OutputDemand] = {}
        self._records: Mapping[int, OutputRecord] = {}

    def demand(self, values: Mapping[int, bool]) -> None:
        """Record what the control demands of all lines now, whether or not the bus takes it."""
        now_ms, before = self._monotonic_ms(), self._demands
        self._demands = {
            line: with_demand(before.get(line), self._started_ms, now_ms, is_on=is_on) for line, is_on in values.items()
        }

    def seen(self, found: Mapping[int, bool]) -> None:
        """Record what was read of the lines."""
        now_ms, before, demands = self._monotonic_ms(), self._records, self._demands
        self._records = {
            line: with_state(before.get(line), demands[line], now_ms, is_on=is_on)
            for line, is_on in found.items()
            if line in demands
        }

    def permitted(self, values: Mapping[int, bool]) -> tuple[dict[int, bool], dict[int, float]]:
        """Return what may be written now, and for which lines how many seconds of rest are left.

        A command that hung is older than the newest demand: it switches nothing on that is no longer wanted.
        """
        now_ms, demands = self._monotonic_ms(), self._demands
        permitted, rests = {}, {}
        for line, is_on in values.items():
            demand, record = demands.get(line), self._records.get(line)
            left_s = 0.0
            if is_on and demand is not None and record is not None and record.off_ms is not None:
                rest_s = self._rests_s.get(line, 0.0)
                left_s = rest_left_s(record.off_ms, record.late_s, demand.since_ms, rest_s, now_ms)
            if left_s:
                rests[line] = left_s
            permitted[line] = is_on and not left_s and (demand is None or demand.is_on)
        return permitted, rests

    def keep(self, lines: OutputLines) -> OutputLines:
        """Return lines that have just been opened, kept off while they must rest."""
        return _RestingLines(self, lines, self._device)


class _RestingLines:
    """Implements `OutputLines`."""

    def __init__(self, rests: LineRests, lines: OutputLines, device: str) -> None:
        self._rests = rests
        self._lines = lines
        self._device = device

    def set(self, values: Mapping[int, bool]) -> None:
        """Write the lines that may be written so; `ActuatorFault` names those that rest."""
        self.get()
        permitted, rests = self._rests.permitted(values)
        self._lines.set(permitted)
        if rests:
            self.get()
            names = ", ".join(map(str, sorted(rests)))
            left_s = -(-max(rests.values()) // 1)
            raise ActuatorFault(
                f"{self._device}: wait {left_s:.0f} s for the minimum off time of line {names}: it went off late, or "
                "by itself (check the board's supply)"
            )

    def get(self) -> Mapping[int, bool]:
        """Read all lines back."""
        found = self._lines.get()
        self._rests.seen(found)
        return found

    def close(self) -> None:
        """Release the lines."""
        self._lines.close()

    def advice(self, error: OSError) -> str:
        """See `OutputLines`."""
        return self._lines.advice(error)
