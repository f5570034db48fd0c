"""Observers between the hub and its machine: they report durable changes and output demands to the oracles.

They read the files from outside, at each sync of their directory and at the start of each process, and see every demand
before the house does. Must never ask the agent.
"""

from collections.abc import Callable, Sequence

import msgspec

from agent.climate.settings import climate_settings
from agent.config import ClimateConfig
from agent.foundation.disk import Operation
from hal.interface import Board, HvacDemand, HvacOutputs, Sensor, SensorNetwork, ZoneOutput
from lab.simulation.command_oracle import CommandOracle
from lab.simulation.machine import Machine
from lab.simulation.safety_oracle import SafetyOracle

SETTINGS = "settings.json"
UNPROVISIONED = "unprovisioned"
OUTBOX = "outbox.db"


class _Settings(msgspec.Struct):
    applied: str = ""


class _Resets(msgspec.Struct):
    barred: list[str] = []


class DiskObserver:
    """Passes durable operations on to the machine, and reports their effects to the command oracle."""

    def __init__(
        self,
        machine: Machine,
        oracle: CommandOracle,
        *,
        now_s: Callable[[], float],
        report_cloud_states: Callable[[], None],
        on_erased: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            machine: Carries the operations out, or fails them.
            oracle: Receives what has become durable.
            now_s: Virtual seconds.
            report_cloud_states: Reports the cloud's present states of the commands to the oracle. A slow response ends
                seconds after the cloud has the ack, and the hub may act on its last byte.
            on_erased: Called when the outbox is erased.
        """
        self._machine = machine
        self._oracle = oracle
        self._now_s = now_s
        self._report_cloud_states = report_cloud_states
        self._on_erased = on_erased

    def on_operation(self, operation: Operation, target: str) -> None:
        """Pass an operation on to the machine, and report what it makes durable."""
        self._machine.on_operation(operation, target)
        if operation is Operation.FSYNC_DIRECTORY and target in {SETTINGS, UNPROVISIONED}:
            self.read_files()
        elif operation is Operation.REMOVE and target == OUTBOX:
            self._on_erased()

    def read_files(self) -> None:
        """Read the files on the disk, and report their content to the oracle."""
        settings = self._machine.state_dir / SETTINGS
        resets = self._machine.state_dir / UNPROVISIONED
        if settings.exists():
            applied = msgspec.json.decode(settings.read_bytes(), type=_Settings).applied
            is_time_known = self._machine.clock.utc_ms() is not None
            self._oracle.record_settings(applied, self._now_s(), is_time_known=is_time_known)
        if resets.exists():
            self._report_cloud_states()
            self._oracle.record_revoked_keys(
                len(msgspec.json.decode(resets.read_bytes(), type=_Resets).barred), self._now_s()
            )


Violate = Callable[[float, str, str], None]


class SafetyMonitor:
    """Reports every demand to the safety oracle, over all processes of the hub.

    Attributes:
        oracle: `None` where the hub drives nothing.
    """

    def __init__(self, config: ClimateConfig, *, now_ms: Callable[[], int], violate: Violate) -> None:
        """Prepare.

        Args:
            config: Whether and how the hub drives anything.
            now_ms: True time.
            violate: Receives each violation: seconds, promise, detail.
        """
        self._config = config
        self._now_ms = now_ms
        self._violate = violate
        self._is_dead = False
        self.oracle: SafetyOracle | None = None

    def wrap(self, board: Board) -> Board:
        """Return a board whose outputs are monitored; the same board where it has none."""
        settings = climate_settings(self._config, board.outputs.zones if board.outputs else ())
        if settings is None or board.outputs is None:
            return board
        if self.oracle is None:
            self.oracle = SafetyOracle(settings)
        else:
            self.oracle.record_boot(self._now_ms())
        self._is_dead = False
        return _MonitoredBoard(board, board.outputs, self.record_demand)

    def record_demand(self, demand: HvacDemand) -> bool:
        """Check a demand; return whether it reaches the house: a demand of a dead hub does not."""
        if self.oracle is None or self._is_dead:
            return False
        if demand == HvacDemand():
            self.oracle.record_kill(self._now_ms())
            return True
        known = self.oracle.broken.total()
        self.oracle.check_demand(demand, self._now_ms())
        if self.oracle.broken.total() > known:
            found = self.oracle.examples[-1]
            self._violate(self._now_ms() / 1000, "equipment is protected", f"{found.rule}: {found.text}")
        return True

    def record_kill(self) -> None:
        """Note that the hub was killed: its outputs fall off."""
        self._is_dead = True
        if self.oracle is not None:
            self.oracle.record_kill(self._now_ms())


class _MonitoredBoard:
    """A board whose outputs are monitored."""

    def __init__(self, board: Board, outputs: HvacOutputs, record_demand: Callable[[HvacDemand], bool]) -> None:
        self._board = board
        self.name = board.name
        self.outputs: HvacOutputs = _MonitoredOutputs(outputs, record_demand)

    @property
    def sensors(self) -> Sequence[Sensor]:
        """As the board has them."""
        return self._board.sensors

    @property
    def network(self) -> SensorNetwork | None:
        """As the board has it."""
        return self._board.network

    async def close(self) -> None:
        """As the board does."""
        await self._board.close()


class _MonitoredOutputs:
    """Outputs whose demands are monitored."""

    def __init__(self, outputs: HvacOutputs, record_demand: Callable[[HvacDemand], bool]) -> None:
        self._outputs = outputs
        self._record_demand = record_demand

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """As the board has them."""
        return self._outputs.zones

    async def apply(self, demand: HvacDemand) -> None:
        """Report the demand, then apply it."""
        if self._record_demand(demand):
            await self._outputs.apply(demand)
