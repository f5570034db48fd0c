"""Runs an emulated stick on a pseudo terminal in real time: the only module here with a loop, timers and faults.

`build_server` makes one from the contents of its files; the caller reads and writes them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from lab.ncp import device_file, memory
from lab.ncp.ash import ResetCode
from lab.ncp.coordinator import JoinOutcome
from lab.ncp.emulator import Emulator
from lab.ncp.memory import DevicesMemory, StickMemory
from lab.ncp.serial_port import LineFault, LineFaultKind, PseudoTerminal, UnreliableLine

DEVICES_SAVE_INTERVAL_S = 1.0

Keep = Callable[[StickMemory, DevicesMemory], None]


def _keep_nothing(stick: StickMemory, devices_memory: DevicesMemory) -> None:
    del stick, devices_memory


class EmulatorServer:
    """An emulator with a port. Everything runs on the loop that calls `open`."""

    def __init__(
        self,
        emulator: Emulator,
        *,
        link: Path,
        seed: int = 1,
        faults: Sequence[LineFault] = (),
        keep: Keep = _keep_nothing,
    ) -> None:
        """Connect the parts.

        Args:
            emulator: The stick and its sensors; its times are those of the running loop.
            link: The name of the port, for the host.
            seed: Of the corrupted bytes.
            faults: The faults of the line; their times count from `open`.
            keep: Called when the stick's flash has changed, now and then, and at the end.
        """
        self.emulator = emulator
        self._port = PseudoTerminal(link, self._received)
        self._line = UnreliableLine(seed)
        self._faults = faults
        self._keep = keep
        self._kept_stick = emulator.stick
        self._timer: asyncio.TimerHandle | None = None
        self._keeper: asyncio.TimerHandle | None = None
        self._scheduled: list[asyncio.TimerHandle] = []
        self._is_silent = False
        self._held: list[bytes] | None = None

    def open(self) -> None:
        """Plug the stick in, and start the clock of the faults.

        Raises:
            PortUnusable: The port's name is taken.
            OSError: There are no pseudo terminals.
        """
        self._port.open()
        for fault in self._faults:
            self._later(fault.at_s, partial(self.inject, fault))
        self._step()

    def close(self) -> None:
        """Pull the stick out for good, and keep what is to be kept."""
        for timer in (self._timer, self._keeper, *self._scheduled):
            if timer is not None:
                timer.cancel()
        self._timer = self._keeper = None
        self._scheduled.clear()
        self._port.close()
        self._keep(self.emulator.stick, self.emulator.devices_memory)

    def press(self, name: str) -> JoinOutcome:
        """Press a sensor's button.

        Raises:
            KeyError: There is no such sensor.
        """
        outcome = self.emulator.press(name, self._now_s())
        self._step()
        return outcome

    def set_values(self, name: str, values: Mapping[str, float | None]) -> None:
        """Let a sensor measure something else.

        Raises:
            KeyError: There is no such sensor, or it has no such quantity.
            ValueError: The value does not fit.
        """
        self.emulator.set_values(name, values, self._now_s())
        self._step()

    def report_all(self, name: str) -> None:
        """Make a sensor report everything now.

        Raises:
            KeyError: There is no such sensor.
        """
        self.emulator.radio_medium.report_all(name, self._now_s())
        self._step()

    def unplug(self, name: str) -> None:
        """Take a sensor's power.

        Raises:
            KeyError: There is no such sensor.
        """
        self.emulator.radio_medium.unplug(name)

    def plug(self, name: str) -> None:
        """Give a sensor its power back.

        Raises:
            KeyError: There is no such sensor.
        """
        self.emulator.radio_medium.plug(name, self._now_s())
        self._step()

    def pull_out(self) -> None:
        """Pull the stick out: the host's port hangs up and has no name any more."""
        self._port.close()

    def put_back(self) -> None:
        """Plug the stick in again.

        Raises:
            PortUnusable: The port's name has been taken meanwhile.
            OSError: There are no pseudo terminals.
        """
        if self._port.is_open:
            return
        self._port.open()
        self.emulator.restart(ResetCode.POWER_ON)
        self._step()

    def inject(self, fault: LineFault) -> None:
        """Start a fault now; it ends by itself."""
        match fault.kind:
            case LineFaultKind.CORRUPT:
                self._line.corrupted_part = fault.amount
            case LineFaultKind.SILENCE:
                self._is_silent = True
                self._later(fault.amount, self._speak_again)
            case LineFaultKind.SLOW_HOST:
                self._held = []
                self._later(fault.amount, self._release)
            case LineFaultKind.FULL:
                self.emulator.coordinator.is_full = True
                self._later(fault.amount, self._empty_again)
            case LineFaultKind.GONE:
                self.pull_out()
                self._later(fault.amount, self.put_back)
            case LineFaultKind.RESET:
                self.emulator.restart(ResetCode.WATCHDOG)
                self._step()

    def _speak_again(self) -> None:
        self._is_silent = False
        self._step()

    def _release(self) -> None:
        held, self._held = self._held, None
        for chunk in held or ():
            self._received(chunk)

    def _empty_again(self) -> None:
        self.emulator.coordinator.is_full = False

    def _received(self, chunk: bytes) -> None:
        if self._is_silent:
            return
        if self._held is not None:
            self._held.append(chunk)
            return
        self.emulator.receive(self._line.carry(chunk), self._now_s())
        self._step()

    def _step(self) -> None:
        """Advance to now, write the pending bytes, and schedule the next step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_silent:
            return
        self.emulator.advance(self._now_s())
        self._port.write(self._line.carry(self.emulator.take()))
        if self.emulator.stick is not self._kept_stick:
            self._kept_stick = self.emulator.stick
            self._keep(self._kept_stick, self.emulator.devices_memory)
        elif self._keeper is None:
            self._keeper = asyncio.get_running_loop().call_later(DEVICES_SAVE_INTERVAL_S, self._keep_now)
        due_s = self.emulator.due_s()
        if due_s is not None:
            self._timer = asyncio.get_running_loop().call_at(due_s, self._step)

    def _keep_now(self) -> None:
        self._keeper = None
        self._keep(self.emulator.stick, self.emulator.devices_memory)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._scheduled = [timer for timer in self._scheduled if not timer.cancelled()]
        self._scheduled.append(asyncio.get_running_loop().call_later(delay_s, act))

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


KeepFile = Callable[[bytes], None]


class EmulatorFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an emulator's files.

    Attributes:
        device_file: The text of a device file.
        device_file_name: Its name, for messages.
        stick: The content of the stick's flash file; `None` for a stick from the factory.
        devices_memory: The content of the sensors' flash file; `None` for sensors from the factory.
        version: Of EZSP.
        seed: Overrides that of the device file.
    """

    device_file: str
    device_file_name: str
    stick: bytes | None = None
    devices_memory: bytes | None = None
    version: int = 13
    seed: int | None = None


def build_server(
    setup: EmulatorFiles, *, link: Path, faults: Sequence[LineFault], keep_stick: KeepFile, keep_devices: KeepFile
) -> EmulatorServer:
    """Build a stick on the running loop; `EmulatorServer.open` plugs it in.

    Args:
        setup: The contents of its files.
        link: The name of its port.
        faults: The faults of the line.
        keep_stick: Called with the content of the stick's flash file when it has changed.
        keep_devices: The same for the sensors' file.

    Raises:
        DevicesInvalid: The device file cannot be used.
        MemoryInvalid: One of the flash files cannot be used.
        ValueError: The version is not emulated.
    """
    described = device_file.parse_device_file(setup.device_file, setup.device_file_name)
    seed = described.seed if setup.seed is None else setup.seed
    stick = device_file.new_stick(seed)
    if setup.stick is not None:
        stick = memory.decode(setup.stick, StickMemory, "the stick's file")
    kept = DevicesMemory()
    if setup.devices_memory is not None:
        kept = memory.decode(setup.devices_memory, DevicesMemory, "the sensors' file")
    emulator = Emulator(
        version=setup.version,
        stick=stick,
        devices=described.devices,
        devices_memory=kept,
        seed=seed,
        now_s=asyncio.get_running_loop().time(),
    )
    stick_file, devices_file = _WhenChanged(keep_stick), _WhenChanged(keep_devices)

    def keep(stick: StickMemory, devices_memory: DevicesMemory) -> None:
        stick_file.keep(memory.encode(stick))
        devices_file.keep(memory.encode(devices_memory))

    return EmulatorServer(emulator, link=link, seed=seed, faults=faults, keep=keep)


class _WhenChanged:
    """Passes on a content that differs from the last one."""

    def __init__(self, keep: KeepFile) -> None:
        self._keep = keep
        self._last = b""

    def keep(self, content: bytes) -> None:
        if content != self._last:
            self._keep(content)
            self._last = content
