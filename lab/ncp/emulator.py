"""The whole emulated stick without its port: bytes and the time go in, bytes and the next time come out.

Responses overtake callbacks, and a callback carries the sequence number of the last command: hosts would otherwise take
it for a response. Must never do I/O.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lab.ncp import network_commands, security_commands, setup_commands
from lab.ncp.ash import AshLink, AshReset, ResetCode
from lab.ncp.coordinator import Coordinator, JoinOutcome
from lab.ncp.ezsp import EzspCodec, EzspCommand
from lab.ncp.memory import DevicesMemory, StickMemory
from lab.ncp.radio_medium import EmulatedDevice, RadioMedium
from lab.ncp.setup_commands import Handler

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {**setup_commands.HANDLERS, **network_commands.HANDLERS, **security_commands.HANDLERS}
)
"""The commands of the host (Silicon Labs UG100, "EZSP Reference Guide").

Any other command is refused, as an old stick refuses a new one: a success without an effect would hide a mistake of the
host.
"""


class Emulator:
    """A stick of one EZSP version, and the sensors around it."""

    def __init__(
        self,
        *,
        version: int,
        stick: StickMemory,
        devices: Sequence[EmulatedDevice],
        devices_memory: DevicesMemory,
        seed: int,
        now_s: float,
    ) -> None:
        """Power it up.

        Raises:
            ValueError: The version is not emulated.
        """
        self._codec = EzspCodec(version)
        self._link = AshLink()
        self.radio_medium = RadioMedium(devices, devices_memory, seed=seed, now_s=now_s)
        self.coordinator = Coordinator(codec=self._codec, memory=stick, radio_medium=self.radio_medium)
        self._answers: deque[bytes] = deque()
        self._answered = 0
        self._now_s = now_s

    @property
    def stick(self) -> StickMemory:
        """What the stick keeps over a power cut."""
        return self.coordinator.memory

    @property
    def devices_memory(self) -> DevicesMemory:
        """What the sensors keep over a power cut."""
        return self.radio_medium.memory

    def due_s(self) -> float | None:
        """Return when `advance` is next worth a call."""
        times = [self._link.due_s(self._now_s), self.coordinator.due_s()]
        return min((at_s for at_s in times if at_s is not None), default=None)

    def receive(self, chunk: bytes, now_s: float) -> None:
        """Take bytes of the host."""
        self.advance(now_s)
        for payload in self._link.receive(chunk, now_s):
            if payload is AshReset.ASKED:
                self.restart(ResetCode.SOFTWARE)
            else:
                self._command(payload, now_s)
            self._pump(now_s)
        self._pump(now_s)

    def advance(self, now_s: float) -> None:
        """Let time pass."""
        self._now_s = now_s
        self.coordinator.advance(now_s)
        self._link.advance(now_s)
        self._pump(now_s)

    def take(self) -> bytes:
        """Return the bytes for the host."""
        return self._link.take()

    def restart(self, code: ResetCode) -> None:
        """Restart the stick, requested by the host or not; its network is down until a command starts it."""
        self._answers.clear()
        self.coordinator.reboot()
        self._link.restart(code)

    def press(self, name: str, now_s: float) -> JoinOutcome:
        """Press a sensor's button, and return the outcome of its join.

        Raises:
            KeyError: There is no such sensor.
        """
        self.advance(now_s)
        return self.coordinator.press(name, now_s)

    def set_values(self, name: str, values: Mapping[str, float | None], now_s: float) -> None:
        """Let a sensor measure something else.

        Raises:
            KeyError: There is no such sensor, or it has no such quantity.
            ValueError: The value does not fit.
        """
        self.radio_medium.set_values(name, values, now_s)
        self.advance(now_s)

    def _command(self, payload: bytes, now_s: float) -> None:
        request = self._codec.decode(payload)
        handler = HANDLERS.get(request.name) if isinstance(request, EzspCommand) else None
        if handler is not None and isinstance(request, EzspCommand):
            self.coordinator.now_s = now_s
            fields = handler(self.coordinator, request.arguments)
            is_overflowing = self.coordinator.has_overflowed
            self._answers.append(self._codec.response(request, fields, is_overflowing=is_overflowing))
        else:
            self._answers.append(self._codec.refusal(request))

    def _pump(self, now_s: float) -> None:
        if self._answers:
            if self._link.can_send(is_callback=False, now_s=now_s):
                answer = self._answers.popleft()
                self._answered = answer[0]
                self._link.send(answer, now_s)
        elif self.coordinator.callbacks and self._link.can_send(is_callback=True, now_s=now_s):
            message = self.coordinator.callbacks.popleft()
            is_overflowing, self.coordinator.has_overflowed = self.coordinator.has_overflowed, False
            self._link.send(
                self._codec.callback(message, sequence=self._answered, is_overflowing=is_overflowing), now_s
            )
