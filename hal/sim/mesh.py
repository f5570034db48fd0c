"""Who is in the simulated Zigbee network: what the stick, its host's database and the sensors themselves remember.

All of it outlives the hub. No asyncio in here: what takes time (an interview) is the work of `hal.sim.network`.
Buttons, batteries and the stick's plug are for whoever plays the technician.
"""

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from hal.errors import NetworkLost, SensorUnavailable
from hal.interface import RelayedSensor
from hal.radio import InstallCode, JoinStep
from hal.sim.numerics import rng_for
from hal.sim.radio import SimDevice, SimRadio, address_from

INTERVIEW_S: Final = (0.5, 12.0)
"""From joining to the last answer; a sleepy sensor answers late."""

CONFIGURE_S: Final = (0.1, 2.0)
FAILED_SHARE: Final = 0.15
"""Of all interviews: the sensor fell asleep too early, and its button has to be pressed again."""

BACKUP_FORMAT: Final = "zigpy/open-coordinator-backup"


class SimMesh:
    """The network's members: sensors, and one router that takes sensors in and reports nothing.

    Attributes:
        router: The router's address.
        is_lost: The stick is unplugged.
        window_until_ms: Until when the stick lets sensors join, in the world's time; in the past: not at all.
        through: The router that alone takes them in; empty for all.
        install_code: The one sensor that may join; `None` for any.
        on_event: Called when a sensor joins or leaves; `None` while no host listens.
    """

    def __init__(self, radio: SimRadio, *, seed: int, boxed: Iterable[str], advance_to: Callable[[int], None]) -> None:
        """Put all sensors but the boxed ones into the network.

        Args:
            radio: The sensors.
            seed: How long interviews take and which fail follows from it.
            boxed: The devices that are not in the network yet.
            advance_to: Brings the world to an instant of its time.
        """
        self._radio = radio
        self._advance_to = advance_to
        self._rng: Random = rng_for(seed, "mesh")
        self._devices: dict[str, SimDevice] = {device.sensor.device: device for device in radio.devices}
        out = set(boxed)
        self._joined = {name for name in self._devices if name not in out}
        self._interviewed = set(self._joined)
        self._configured = set(self._joined)
        self._dead: set[str] = set()
        self.router = address_from(rng_for(seed, "router"))
        self._key = self._rng.randbytes(16)
        self._pan_id = self._rng.randrange(1, 0xFFF0)
        self.is_lost = False
        self.join_window_until_ms = -1
        self.through = ""
        self.install_code: InstallCode | None = None
        self.on_event: Callable[[str, JoinStep], None] | None = None
        self._show()

    @property
    def pan_id(self) -> int:
        """The network's number."""
        return self._pan_id

    @property
    def sensors(self) -> tuple[RelayedSensor, ...]:
        """The sensors that the host knows: those that were interviewed."""
        return tuple(
            device.sensor
            for name, device in self._devices.items()
            if name in self._joined and name in self._interviewed
        )

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The devices that have joined, and whose interview or configuration is still to be done."""
        return tuple(name for name in self._devices if name in self._joined and name not in self._configured)

    def sensor(self, device: str) -> RelayedSensor:
        """Return what an interview tells of a device."""
        return self._devices[device].sensor

    def is_joined(self, device: str) -> bool:
        """Tell whether a sensor is in the network."""
        return device in self._joined

    def is_dead(self, device: str) -> bool:
        """Tell whether a sensor's battery is empty."""
        return device in self._dead

    def draw_interview(self) -> tuple[float, float, bool]:
        """Return how long the next interview takes, how long configuring takes after it, and whether it succeeds."""
        return (
            self._rng.uniform(*INTERVIEW_S),
            self._rng.uniform(*CONFIGURE_S),
            self._rng.random() >= FAILED_SHARE,
        )

    # What people and batteries do, at an instant of the world.

    def press_button(self, device: str, at_ms: int) -> bool:
        """Press a sensor's pairing button; tell whether it is in the network after that."""
        if device in self._dead or self.is_lost:
            return False
        if device not in self._joined:
            if not self._may_join(device, at_ms):
                return False
            self._advance_to(at_ms)
            self._joined.add(device)
            self._show()
        self._tell(device, JoinStep.JOINED)
        return True

    def factory_reset(self, device: str, at_ms: int) -> None:
        """Take a sensor out of the network by its own button: it says so, if the stick hears it."""
        if device in self._dead or device not in self._joined:
            return
        self._take_out(device, at_ms)
        if not self.is_lost:
            self._tell(device, JoinStep.LEFT)

    def empty_battery(self, device: str, at_ms: int) -> None:
        """Let a sensor's battery run empty."""
        self._advance_to(at_ms)
        self._dead.add(device)
        self._show()

    def replace_battery(self, device: str, at_ms: int) -> None:
        """Give a sensor a new battery; it remembers its network and says that it is back."""
        if device in self._dead:
            self._advance_to(at_ms)
            self._dead.discard(device)
            self._show()
            if device in self._joined and not self.is_lost:
                self._tell(device, JoinStep.JOINED)

    def set_lost(self, *, is_lost: bool, at_ms: int) -> None:
        """Pull the stick, or plug it in again; its window is closed after that."""
        self._advance_to(at_ms)
        self.is_lost = is_lost
        self.join_window_until_ms = -1
        self._show()

    # What the host does.

    def open_join_window(self, at_ms: int, until_ms: int, through: str, install_code: InstallCode | None) -> None:
        """Let sensors join.

        Raises:
            NetworkLost: The stick is unplugged.
            SensorUnavailable: The router is not there.
        """
        self.check()
        if through and through != self.router:
            raise SensorUnavailable(f"the router {through} does not answer; power it, or pair through all")
        self._advance_to(at_ms)
        self.join_window_until_ms, self.through, self.install_code = until_ms, through, install_code

    def close_join_window(self) -> None:
        """Let no more sensors join."""
        self.join_window_until_ms, self.through, self.install_code = -1, "", None

    def record_step(self, device: str, step: JoinStep, at_ms: int) -> bool:
        """Remember a step of an interview; tell whether the sensor is still there for it."""
        if device not in self._joined or device in self._dead or self.is_lost:
            return False
        self._advance_to(at_ms)
        if step is JoinStep.INTERVIEWED:
            self._interviewed.add(device)
        elif step is JoinStep.CONFIGURED:
            self._configured.add(device)
        self._show()
        return True

    def forget(self, device: str, at_ms: int) -> None:
        """Have a sensor leave; one that is not there is forgotten all the same.

        Raises:
            NetworkLost: The stick is unplugged.
        """
        self.check()
        if device in self._joined:
            self._take_out(device, at_ms)

    def backup(self) -> bytes:
        """Return the network's settings and members.

        Raises:
            NetworkLost: The stick is unplugged.
        """
        self.check()
        document = {
            "metadata": {"format": BACKUP_FORMAT, "version": 1, "source": "hal.sim"},
            "pan_id": f"{self._pan_id:04x}",
            "network_key": {"key": self._key.hex()},
            "devices": [{"ieee_address": name.removeprefix("0x")} for name in sorted(self._interviewed)],
        }
        return json.dumps(document).encode()

    def restore(self, data: bytes, at_ms: int) -> None:
        """Give the stick the network of a backup: its members are those of that day.

        Raises:
            NetworkLost: The stick is unplugged.
            ValueError: This is no such backup.
        """
        self.check()
        try:
            document = json.loads(data)
            if document["metadata"]["format"] != BACKUP_FORMAT:
                raise ValueError("it has another format")
            key, pan_id = bytes.fromhex(document["network_key"]["key"]), int(document["pan_id"], 16)
            members = {f"0x{each['ieee_address']}" for each in document["devices"]}
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"a field is missing or of another type: {error}") from error
        self._advance_to(at_ms)
        self._key, self._pan_id = key, pan_id
        self._joined = {name for name in self._devices if name in members}
        self._interviewed = set(self._joined)
        self._configured = set(self._joined)
        self._show()

    def check(self) -> None:
        """Refuse to work without a stick.

        Raises:
            NetworkLost: It is unplugged.
        """
        if self.is_lost:
            raise NetworkLost("the Zigbee stick is gone; plug it in")

    def _may_join(self, device: str, at_ms: int) -> bool:
        code = self.install_code
        return at_ms < self.join_window_until_ms and (code is None or device in code.addresses)

    def _take_out(self, device: str, at_ms: int) -> None:
        self._advance_to(at_ms)
        for members in (self._joined, self._interviewed, self._configured):
            members.discard(device)
        self._show()

    def _tell(self, device: str, step: JoinStep) -> None:
        if self.on_event is not None:
            self.on_event(device, step)

    def _show(self) -> None:
        """Let those report that can."""
        for name, device in self._devices.items():
            device.is_on_air = (
                name in self._joined and name in self._configured and name not in self._dead and not self.is_lost
            )
