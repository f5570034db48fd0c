"""Members of the simulated Zigbee network: the memory of the stick, of its host's database and of the sensors.

All of it outlives the hub. No asyncio here: `hal.sim.network` performs what takes time (an interview). Buttons,
batteries and the stick's plug are operated by the scenario's technician.
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
"""Duration of an interview; a sleepy sensor answers late."""

CONFIGURE_S: Final = (0.1, 2.0)
FAILED_SHARE: Final = 0.15
"""Share of failed interviews: the sensor falls asleep too early, and its button must be pressed again."""

BACKUP_FORMAT: Final = "zigpy/open-coordinator-backup"


class SimMesh:
    """The members of the network: sensors, and one router that admits sensors and reports nothing.

    More than ten public methods: one for each event that a person, a battery or the host causes.

    Attributes:
        router: The router's address.
        is_lost: Whether the stick is unplugged.
        join_window_until_ms: End of the join window, in simulated time; in the past while closed.
        through: The only router that admits sensors; empty for all.
        install_code: The install code of the only sensor that may join; `None` for any.
        on_event: Called when a sensor joins or leaves; `None` while no host listens.
    """

    def __init__(
        self, radio: SimRadio, *, seed: int, unpaired: Iterable[str], advance_to: Callable[[int], None]
    ) -> None:
        """Put all sensors except the unpaired ones into the network.

        Args:
            radio: The sensors.
            seed: Determines the duration and the failures of interviews.
            unpaired: Devices that are not in the network yet.
            advance_to: Advances the simulated environment to an instant.
        """
        self._radio = radio
        self._advance_to = advance_to
        self._rng: Random = rng_for(seed, "mesh")
        self._devices: dict[str, SimDevice] = {device.sensor.device: device for device in radio.devices}
        out = set(unpaired)
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
        self._update_reporting()

    @property
    def pan_id(self) -> int:
        """PAN ID of the network."""
        return self._pan_id

    @property
    def sensors(self) -> tuple[RelayedSensor, ...]:
        """The sensors known to the host: those with an interview."""
        return tuple(
            device.sensor
            for name, device in self._devices.items()
            if name in self._joined and name in self._interviewed
        )

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The devices that have joined and are not configured yet."""
        return tuple(name for name in self._devices if name in self._joined and name not in self._configured)

    def sensor(self, device: str) -> RelayedSensor:
        """Return the result of a device's interview."""
        return self._devices[device].sensor

    def is_joined(self, device: str) -> bool:
        """Return whether a sensor is in the network."""
        return device in self._joined

    def is_dead(self, device: str) -> bool:
        """Return whether a sensor's battery is empty."""
        return device in self._dead

    def draw_interview(self) -> tuple[float, float, bool]:
        """Return how long the next interview takes, how long configuring takes after it, and whether it succeeds."""
        return (
            self._rng.uniform(*INTERVIEW_S),
            self._rng.uniform(*CONFIGURE_S),
            self._rng.random() >= FAILED_SHARE,
        )

    # Events caused by people and batteries.

    def press_button(self, device: str, at_ms: int) -> bool:
        """Press a sensor's pairing button; return whether it is in the network afterwards."""
        if device in self._dead or self.is_lost:
            return False
        if device not in self._joined:
            if not self._may_join(device, at_ms):
                return False
            self._advance_to(at_ms)
            self._joined.add(device)
            self._update_reporting()
        self._notify(device, JoinStep.JOINED)
        return True

    def factory_reset(self, device: str, at_ms: int) -> None:
        """Reset a sensor by its button: it leaves the network and announces that, if the stick receives it."""
        if device in self._dead or device not in self._joined:
            return
        self._take_out(device, at_ms)
        if not self.is_lost:
            self._notify(device, JoinStep.LEFT)

    def empty_battery(self, device: str, at_ms: int) -> None:
        """Empty a sensor's battery."""
        self._advance_to(at_ms)
        self._dead.add(device)
        self._update_reporting()

    def replace_battery(self, device: str, at_ms: int) -> None:
        """Replace a sensor's battery; the sensor remembers its network and rejoins."""
        if device in self._dead:
            self._advance_to(at_ms)
            self._dead.discard(device)
            self._update_reporting()
            if device in self._joined and not self.is_lost:
                self._notify(device, JoinStep.JOINED)

    def set_lost(self, *, is_lost: bool, at_ms: int) -> None:
        """Unplug the stick or plug it in again; this closes the join window."""
        self._advance_to(at_ms)
        self.is_lost = is_lost
        self.join_window_until_ms = -1
        self._update_reporting()

    # Commands of the host.

    def open_join_window(self, at_ms: int, until_ms: int, through: str, install_code: InstallCode | None) -> None:
        """Let sensors join.

        Raises:
            NetworkLost: The stick is unplugged.
            SensorUnavailable: The router does not exist.
        """
        self.require_stick()
        if through and through != self.router:
            raise SensorUnavailable(f"the router {through} does not answer; power it, or pair through all")
        self._advance_to(at_ms)
        self.join_window_until_ms, self.through, self.install_code = until_ms, through, install_code

    def close_join_window(self) -> None:
        """Close the join window."""
        self.join_window_until_ms, self.through, self.install_code = -1, "", None

    def record_step(self, device: str, step: JoinStep, at_ms: int) -> bool:
        """Store a step of an interview; return whether the sensor is still in the network."""
        if device not in self._joined or device in self._dead or self.is_lost:
            return False
        self._advance_to(at_ms)
        if step is JoinStep.INTERVIEWED:
            self._interviewed.add(device)
        elif step is JoinStep.CONFIGURED:
            self._configured.add(device)
        self._update_reporting()
        return True

    def forget(self, device: str, at_ms: int) -> None:
        """Remove a sensor, present or not.

        Raises:
            NetworkLost: The stick is unplugged.
        """
        self.require_stick()
        if device in self._joined:
            self._take_out(device, at_ms)

    def backup(self) -> bytes:
        """Return the network's settings and members.

        Raises:
            NetworkLost: The stick is unplugged.
        """
        self.require_stick()
        document = {
            "metadata": {"format": BACKUP_FORMAT, "version": 1, "source": "hal.sim"},
            "pan_id": f"{self._pan_id:04x}",
            "network_key": {"key": self._key.hex()},
            "devices": [{"ieee_address": name.removeprefix("0x")} for name in sorted(self._interviewed)],
        }
        return json.dumps(document).encode()

    def restore(self, data: bytes, at_ms: int) -> None:
        """Write the network of a backup to the stick, with its members.

        Raises:
            NetworkLost: The stick is unplugged.
            ValueError: ``data`` is no such backup.
        """
        self.require_stick()
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
        self._update_reporting()

    def require_stick(self) -> None:
        """Check that the stick is plugged in.

        Raises:
            NetworkLost: The stick is unplugged.
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
        self._update_reporting()

    def _notify(self, device: str, step: JoinStep) -> None:
        if self.on_event is not None:
            self.on_event(device, step)

    def _update_reporting(self) -> None:
        """Enable reporting of the sensors that can report."""
        for name, device in self._devices.items():
            device.is_on_air = (
                name in self._joined and name in self._configured and name not in self._dead and not self.is_lost
            )
