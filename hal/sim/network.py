"""The simulated radio as the agent uses it: waits on the event loop for the next report and returns what has arrived.

Also the host's side of pairing: the end of the join window, and the interviews, which restart with each boot of the
hub.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from hal.errors import SensorUnavailable
from hal.interface import Reading, RelayedSensor
from hal.radio import JOIN_WINDOW_S_MAX, InstallCode, JoinEvent, JoinStep, RadioState, RadioStatus, SensorLink
from hal.sim.mesh import SimMesh
from hal.sim.radio import SimRadio
from hal.sim.sensors import OnValue

JOIN_EVENTS_MAX = 256

FIRST_CHANNEL = 11
_ENERGIES = (140, 160, 150, 90, 60, 120, 170, 180, 130, 50, 110, 190, 170, 80, 40, 30)
"""By channel: a house with Wi-Fi on its channels 1, 6 and 11, which cover the Zigbee channels 11 to 14, 16 to 19 and 21
to 24."""


class SimNetwork:
    """The simulated relayed sensors, implementing `hal.radio.PairableNetwork`.

    More than ten public methods: those of the protocols `PairableNetwork` and `ScansEnergy`.
    """

    def __init__(
        self,
        radio: SimRadio,
        mesh: SimMesh,
        *,
        monotonic_ms: Callable[[], int],
        advance_to: Callable[[int], None],
        on_value: OnValue | None,
        window_pace: float = 1.0,
    ) -> None:
        """Start to listen. An open join window is closed, as by a stick that starts.

        Args:
            radio: The simulated radio.
            mesh: The members of the network.
            monotonic_ms: This boot's clock.
            advance_to: Advances the simulated environment to an instant.
            on_value: Called for every returned value.
            window_pace: Seconds of this house in one of the people who open a join window.
        """
        self._radio = radio
        self._mesh = mesh
        self._monotonic_ms = monotonic_ms
        self._advance_to = advance_to
        self._on_value = on_value
        self._window_pace = window_pace
        self._events: deque[JoinEvent] = deque(maxlen=JOIN_EVENTS_MAX)
        self._due: list[tuple[int, int, str, JoinStep]] = []
        self._number = 0
        self._changed = asyncio.Event()
        mesh.close_join_window()
        mesh.on_event = self._on_mesh_event
        for device in mesh.unfinished:
            self._begin_interview(device)

    @property
    def sensors(self) -> Sequence[RelayedSensor]:
        """The relayed sensors that are known now."""
        return self._mesh.sensors

    @property
    def reports_dropped(self) -> int:
        """Number of reports dropped by the radio's full buffer."""
        return self._radio.reports_dropped

    @property
    def readings_corrupted(self) -> int:
        """Number of readings dropped because they were no numbers."""
        return self._radio.readings_corrupted

    async def receive(self) -> Sequence[Reading]:
        """Wait for reports and return the readings of all received ones, oldest first."""
        radio = self._radio
        while True:
            self._mesh.require_stick()
            sim_ms = self._monotonic_ms() + radio.sim_offset_ms
            self._advance_to(sim_ms)
            if radio.waiting:
                return self.drain()
            await asyncio.sleep((radio.due_ms - sim_ms) / 1000)

    def drain(self) -> Sequence[Reading]:
        """Return the content of the radio's buffer, oldest first."""
        radio = self._radio
        readings = [reading for report in radio.waiting for reading in report]
        radio.waiting.clear()
        if self._on_value is not None:
            for reading in readings:
                self._on_value(reading.device, reading.sensor, reading.kind, reading.value, reading.at_ms)
        return readings

    def confirm(self) -> None:
        """Do nothing: a report is sent once and cannot be requested again."""

    # Pairing.

    @property
    def radio(self) -> RadioStatus:
        """Present status of the radio."""
        mesh = self._mesh
        if mesh.is_lost:
            return RadioStatus(RadioState.LOST, problem="the Zigbee stick is gone; plug it in", port="sim")
        now_ms = self._monotonic_ms()
        left_ms = mesh.join_window_until_ms - self._radio.sim_offset_ms - now_ms
        return RadioStatus(
            RadioState.UP,
            port="sim",
            channel=15,
            pan_id=mesh.pan_id,
            join_window_until_ms=now_ms + round(left_ms / self._window_pace) if left_ms > 0 else None,
        )

    @property
    def links(self) -> Sequence[SensorLink]:
        """Links of the sensors and of the router."""
        router = SensorLink(self._mesh.router, "climahub", "simulated router", is_online=True, is_sleepy=False)
        return (
            *(
                SensorLink(sensor.device, "climahub", "simulated", is_online=not self._mesh.is_dead(sensor.device))
                for sensor in self._mesh.sensors
            ),
            router,
        )

    async def join_events(self) -> Sequence[JoinEvent]:
        """Wait for events of joining and leaving sensors and return them, oldest first."""
        while True:
            self._run_due_steps()
            if self._events:
                break
            self._changed.clear()
            wait_s = (self._due[0][0] - self._monotonic_ms()) / 1000 if self._due else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        events = tuple(self._events)
        self._events.clear()
        return events

    async def open_join_window(
        self, seconds: int, *, through: str = "", install_code: InstallCode | None = None
    ) -> None:
        """Let sensors join."""
        if not 1 <= seconds <= JOIN_WINDOW_S_MAX:
            raise ValueError(f"a join window is open for 1 to {JOIN_WINDOW_S_MAX} s, not {seconds}")
        sim_ms = self._sim_ms()
        left_ms = round(seconds * 1000 * self._window_pace)
        self._mesh.open_join_window(sim_ms, sim_ms + left_ms, through, install_code)

    async def close_join_window(self) -> None:
        """Close the join window."""
        self._mesh.require_stick()
        self._mesh.close_join_window()

    async def remove(self, device: str) -> None:
        """Tell a sensor to leave and delete it."""
        self._mesh.forget(device, self._sim_ms())

    async def backup(self) -> bytes:
        """Return the network's settings: a secret."""
        return self._mesh.backup()

    async def restore(self, data: bytes) -> None:
        """Write a backup to the stick and restart with it."""
        self._mesh.restore(data, self._sim_ms())
        self._due.clear()

    async def restart(self) -> None:
        """Restart the stick, which takes no time here."""
        self._mesh.require_stick()

    async def set_up_again(self, device: str) -> None:
        """Write a sensor's reporting configuration again."""
        self._mesh.require_stick()
        if device not in {sensor.device for sensor in self._mesh.sensors}:
            raise SensorUnavailable(f"there is no sensor {device} in the network")
        self._plan(self._monotonic_ms(), device, JoinStep.CONFIGURED)
        self._changed.set()

    async def energy_scan(self) -> Mapping[int, int]:
        """Return the energy on each channel."""
        self._mesh.require_stick()
        return dict(zip(range(FIRST_CHANNEL, FIRST_CHANNEL + len(_ENERGIES)), _ENERGIES, strict=True))

    def _sim_ms(self) -> int:
        return self._monotonic_ms() + self._radio.sim_offset_ms

    def _on_mesh_event(self, device: str, step: JoinStep) -> None:
        """Handle a sensor that has joined, rejoined or left."""
        self._events.append(JoinEvent(device, step, self._monotonic_ms()))
        if step is JoinStep.JOINED and device in self._mesh.unfinished:
            self._begin_interview(device)
        self._changed.set()

    def _begin_interview(self, device: str) -> None:
        self._due = [each for each in self._due if each[2] != device]
        heapify(self._due)
        interview_s, configure_s, succeeds = self._mesh.draw_interview()
        done_ms = self._monotonic_ms() + int(interview_s * 1000)
        self._plan(done_ms, device, JoinStep.INTERVIEWED if succeeds else JoinStep.FAILED)
        if succeeds:
            self._plan(done_ms + int(configure_s * 1000), device, JoinStep.CONFIGURED)

    def _plan(self, due_ms: int, device: str, step: JoinStep) -> None:
        self._number += 1
        heappush(self._due, (due_ms, self._number, device, step))

    def _run_due_steps(self) -> None:
        """Perform the interview steps that are due."""
        now_ms = self._monotonic_ms()
        while self._due and self._due[0][0] <= now_ms:
            due_ms, _, device, step = heappop(self._due)
            if not self._mesh.record_step(device, step, self._sim_ms()):
                continue
            failed = step is JoinStep.FAILED
            self._events.append(
                JoinEvent(
                    device,
                    step,
                    due_ms,
                    sensor=None if failed else self._mesh.sensor(device),
                    detail="press its button again: it stopped answering" if failed else "climahub simulated",
                )
            )
